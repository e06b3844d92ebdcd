"""One value within the range of the data: what a generator says."""

from __future__ import annotations

from torch import Tensor

from morphogen.core.build import register
from morphogen.core.conditional import Family
from morphogen.core.distribution import Distribution
from morphogen.core.space import Space
from morphogen.errors import UserError
from morphogen.families.normal import Point, within

__all__ = ["squashed"]


@register("families")
class squashed(Family):
    """One value and no doubt, by tanh from black to white where the data has levels: a generator's last word."""

    def __init__(self, space: Space, /) -> None:
        if space.kind == "tokens":
            raise UserError(
                "tokens have no values between them, so nothing can be learned through them; use categorical"
            )
        super().__init__(space, numbers=1)

    def forward(self, said: Tensor) -> Distribution:
        (value,) = self.split(said)
        return Point(within(value, self.space), self.event)
