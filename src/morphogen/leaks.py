"""Made examples that repeat one that was seen: nearer to it than 99 in 100 of those are to one another
(after Meehan, Chaudhuri and Dasgupta 2020, "A non-parametric test to detect data-copying in generative models")."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from morphogen.core.noise import Noise
from morphogen.core.space import Space
from morphogen.errors import UserError
from morphogen.metrics.copies import RARE, nearest

__all__ = ["KNOWN", "Leaks", "looked_at"]

KNOWN, HELD = 60_000, 1000  # examples that copies are looked for among, and that say how near is usual
WIDEST = 20_000


@dataclass(frozen=True)
class Leaks:
    """What was seen, a row each, and the distance below which something is a copy."""

    seen: Tensor
    close: float

    @staticmethod
    def among(x: Tensor, space: Space) -> Leaks:
        """Of examples as a model reads them."""
        draw = Noise(0, "leaks").generator(torch.device("cpu"))
        seen = looked_at(x, space)
        if len(seen) < 2:
            return Leaks(seen, 0.0)
        if len(seen) <= 2 * HELD:
            apart, _ = nearest(seen, seen, same=True)
        else:
            mixed = torch.randperm(len(seen), generator=draw)
            apart, _ = nearest(seen[mixed[:HELD]], seen[mixed[HELD:]])
        return Leaks(seen, float(torch.quantile(apart.sqrt(), RARE)))

    def of(self, x: Tensor, space: Space) -> tuple[Tensor, Tensor]:
        """The distance of each to its nearest, and whether that makes it a copy."""
        apart, _ = nearest(looked_at(x, space), self.seen)
        apart = apart.sqrt()
        return apart, (apart < self.close) | (apart == 0)


def looked_at(x: Tensor, space: Space) -> Tensor:
    """Rows whose distances say how unlike examples are; of symbols, how many differ."""
    if x.is_floating_point():
        return x.flatten(1)
    if space.size * space.levels > WIDEST:
        raise UserError(f"sequences of {space.size} x {space.levels} symbols are too wide to look for copies")
    return one_hot(x.long(), space.levels).flatten(1).float()
