"""Relativistic pairing (Jolicoeur-Martineau 2019), the game of R3GAN (Huang et al. 2024, "The GAN is dead; long live
the GAN!"), which adds the penalties `r1` and `r2`: with both it converges, and it does not drop modes."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from morphogen.core.build import register
from morphogen.core.game import Game

__all__ = ["r3"]


@register("games")
class r3(Game):
    """How much more real a real example is than a made-up one: softplus of the difference, either way round."""

    pairs: ClassVar[bool] = True

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(fake - real)

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(real - fake)
