"""Zero-centred gradient penalties (Mescheder, Geiger and Nowozin 2018, "Which training methods for GANs do actually
converge?"): a critic should be flat where the data is (R1) and where the generator is (R2)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import PositiveInt
from torch import Tensor

from morphogen.core.build import register
from morphogen.core.game import Bout, Penalty
from morphogen.core.schedule import Weight
from morphogen.core.space import Space

__all__ = ["r1", "r2"]


@register("penalties")
class r1(Penalty):
    """1/2 |d score / d x|^2 at real examples; `weight` is the gamma of the papers."""

    slopes: ClassVar[bool] = True

    def __init__(self, space: Space, /, *, weight: Weight = 1.0, every: PositiveInt = 1) -> None:
        super().__init__(space, weight, every)

    def forward(self, bout: Bout) -> Tensor:
        return 0.5 * self.slope(bout.said_real, bout.real)


@register("penalties")
class r2(Penalty):
    """1/2 |d score / d x|^2 at made-up examples; `weight` is the gamma of the papers."""

    slopes: ClassVar[bool] = True

    def __init__(self, space: Space, /, *, weight: Weight = 1.0, every: PositiveInt = 1) -> None:
        super().__init__(space, weight, every)

    def forward(self, bout: Bout) -> Tensor:
        return 0.5 * self.slope(bout.said_fake, bout.fake)
