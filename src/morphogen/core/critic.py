"""A critic: a net that reads examples as features, and a last word about them.

With labels the last word depends on the class by an inner product of its features (Miyato and Koyama 2018, "cGANs with
projection discriminator").
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from morphogen.core.build import Part
from morphogen.core.game import Guide
from morphogen.core.precision import at_least_single
from morphogen.core.space import Space, Vector

__all__ = ["Critic", "held"]


@contextmanager
def held(module: nn.Module) -> Iterator[None]:
    """What is thought inside the block asks `module` for no gradient of its own: it is somebody else's turn."""
    wanting = [p for p in module.parameters() if p.requires_grad]
    for p in wanting:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in wanting:
            p.requires_grad_(True)


class Critic(nn.Module):
    """score = w . f(x) + b + e(y) . f(x), and what its guides ask of f(x); `beside` may stand beside the example."""

    def __init__(
        self,
        net: Part,
        space: Space,
        features: int,
        labels: Vector | None = None,
        *,
        guides: Sequence[Guide] = (),
        beside: Vector | None = None,
    ) -> None:
        super().__init__()
        self.net: nn.Module = net(space, Vector(features), beside)
        self.last = nn.Linear(features, 1)
        nn.init.normal_(self.last.weight, std=1 / math.sqrt(features))
        nn.init.zeros_(self.last.bias)
        self.table = None if labels is None else nn.Linear(labels.length, features, bias=False)
        if self.table is not None:
            nn.init.normal_(self.table.weight, std=1 / math.sqrt(features))
        self.guides = cast("Sequence[Guide]", nn.ModuleList(guides))

    def features(self, x: Tensor, beside: Tensor | None = None) -> Tensor:
        """What it sees in examples."""
        said: Tensor = self.net(x, beside)
        return F.leaky_relu(said, 0.2)

    def judge(self, features: Tensor, y: Tensor | None) -> Tensor:
        """The score of what was seen."""
        score: Tensor = self.last(features).squeeze(1)
        if self.table is not None and y is not None:
            score = score + (self.table(y.to(features.dtype)) * features).sum(1)
        return at_least_single(score)

    def forward(self, x: Tensor, y: Tensor | None = None, beside: Tensor | None = None) -> Tensor:
        return self.judge(self.features(x, beside), y)
