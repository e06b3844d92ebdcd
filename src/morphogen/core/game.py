"""A game: two opposed losses of what a critic says of real and of made-up examples. A penalty: what a critic must not
do. A habit: what a generator must not do. An augment: through which glasses a critic sees. A guide: what else it is
asked.

A critic's score is a number per example, higher where it takes the example for real.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from morphogen.core.build import Part
from morphogen.core.conditional import Conditional
from morphogen.core.schedule import schedule
from morphogen.core.space import Space

__all__ = ["Augment", "Bout", "Game", "Guide", "Habit", "Penalty"]

Ask = Callable[[Tensor, Tensor | None], Tensor]


class Game:
    """Losses of scores, one number per pair of a real and a made-up example."""

    pairs: ClassVar[bool] = False  # whether the generator's loss needs the scores of the real ones, too

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """What the critic makes small."""
        raise NotImplementedError

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """What the generator makes small; `real` means something only where the game `pairs`."""
        raise NotImplementedError

    def right(self, real: Tensor, fake: Tensor) -> Tensor:
        """How often the critic tells them apart, of 1."""
        if self.pairs:
            return (real > fake).float().mean()
        return 0.5 * ((real > 0).float().mean() + (fake < 0).float().mean())


@dataclass
class Bout:
    """One meeting of a critic with real and made-up examples: what it was shown, what it said, how to ask again."""

    ask: Ask
    real: Tensor
    fake: Tensor
    y: Tensor | None
    said_real: Tensor
    said_fake: Tensor


class Lazy(nn.Module):
    """A cost per example, which the model weighs; done only every so many steps, it weighs as much more (Karras et al.
    2020 call it lazy)."""

    def __init__(self, weight: float | Part, every: PositiveInt) -> None:
        super().__init__()
        self.weight, self.every = schedule(weight), every

    def due(self, step: int) -> bool:
        """Whether this step pays."""
        return step % self.every == 0

    def owed(self, step: int, *shown: object) -> Tensor:
        """What a step that is due pays for what it is shown."""
        cost: Tensor = self.weight(step) * self.every * self(*shown)
        return cost


class Penalty(Lazy):
    """`forward(bout)` is what a critic pays."""

    slopes: ClassVar[bool] = False  # whether it asks how the scores change with the examples

    def __init__(self, space: Space, weight: float | Part = 1.0, every: PositiveInt = 1) -> None:
        super().__init__(weight, every)
        # the papers' weights are for pixels from -1 to 1, where ours go from 0 to 1: slopes are half as steep there
        self.unit = 0.5 if space.levels else 1.0

    def fit(self, critic: nn.Module) -> None:
        """Change the critic itself, once, when it is built."""

    def forward(self, bout: Bout) -> Tensor:
        raise NotImplementedError

    def slope(self, said: Tensor, x: Tensor) -> Tensor:
        """The squared length of the gradient of each score with respect to its example."""
        (gradient,) = torch.autograd.grad(said.sum(), x, create_graph=True)
        return (self.unit * gradient).square().flatten(1).sum(1)


class Habit(Lazy):
    """`forward(generator, z, y)` is what a generator pays for how it goes about it."""

    def __init__(self, space: Space, weight: float | Part = 1.0, every: PositiveInt = 1) -> None:
        super().__init__(weight, every)

    def forward(self, generator: Conditional, z: Tensor, y: Tensor | None) -> Tensor:
        raise NotImplementedError


class Augment(nn.Module):
    """Changes examples before the critic sees them, real and made-up alike, so that a gradient can pass."""

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def learn(self, said_real: Tensor, said_fake: Tensor) -> Mapping[str, Tensor]:
        """Hear what the critic said of real and of made-up examples; what is worth remembering."""
        return {}


class Guide(nn.Module):
    """What else the critic is asked: a cost per example of its features, for the critic and for the generator."""

    def real(self, features: Tensor, y: Tensor | None) -> Tensor | None:
        """The cost of real examples, if they have one."""
        return None

    def fake(self, features: Tensor, y: Tensor | None, z: Tensor) -> Tensor | None:
        """The cost of made-up examples; the generator pays it as well."""
        return None

    def directions(self, start: Tensor) -> tuple[Tensor, Tensor] | None:
        """Which ways of a code it gave a meaning, if it gave one to any: where they start, and a step, a row each."""
        return None
