"""Balanced consistency (Zhao et al. 2021, "Improved consistency regularization for GANs"): a critic should say the same
of an example and of a changed view of it, be it real or made up."""

from __future__ import annotations

from pydantic import PositiveInt
from torch import Tensor

from morphogen.core.build import Augment, register
from morphogen.core.game import Bout, Penalty
from morphogen.core.schedule import Weight
from morphogen.core.space import Space

__all__ = ["consistency"]


@register("penalties")
class consistency(Penalty):
    """(D(x) - D(T(x)))^2 for real and made-up x; `view` is the T.

    view: how the examples are changed
    """

    def __init__(
        self,
        space: Space,
        /,
        *,
        weight: Weight = 10.0,
        every: PositiveInt = 1,
        view: Augment = "shift",  # type: ignore[assignment]  # a default may be a name, as in a recipe
    ) -> None:
        super().__init__(space, weight, every)
        self.view = view(space)

    def forward(self, bout: Bout) -> Tensor:
        real = bout.ask(self.view(bout.real.detach()), bout.y) - bout.said_real
        fake = bout.ask(self.view(bout.fake.detach()), bout.y) - bout.said_fake
        return real.square() + fake.square()
