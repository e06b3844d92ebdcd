"""The gradient penalty of WGAN-GP (Gulrajani et al. 2017, "Improved training of Wasserstein GANs")."""

from __future__ import annotations

from typing import ClassVar

from pydantic import PositiveInt
from torch import Tensor

from morphogen.core import noise
from morphogen.core.build import register
from morphogen.core.game import Bout, Penalty
from morphogen.core.schedule import Weight
from morphogen.core.space import Space

__all__ = ["gradient"]


@register("penalties")
class gradient(Penalty):
    """(|d score / d x| - 1)^2 somewhere on the line between a real and a made-up example."""

    slopes: ClassVar[bool] = True

    def __init__(self, space: Space, /, *, weight: Weight = 10.0, every: PositiveInt = 1) -> None:
        super().__init__(space, weight, every)

    def forward(self, bout: Bout) -> Tensor:
        real, fake = bout.real.detach(), bout.fake.detach()
        event = real.dim() - 1
        share = noise.uniform((len(real), *[1] * event), event=event, like=real)
        between = (share * real + (1 - share) * fake).requires_grad_()
        length = (self.slope(bout.ask(between, bout.y), between) + 1e-12).sqrt()
        return (length - 1).square()
