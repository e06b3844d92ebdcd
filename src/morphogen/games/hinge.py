"""The hinge (Lim and Ye 2017, "Geometric GAN"; Miyato et al. 2018 made it the usual game)."""

from __future__ import annotations

from torch import Tensor

from morphogen.core.build import register
from morphogen.core.game import Game

__all__ = ["hinge"]


@register("games")
class hinge(Game):
    """The critic pays for real scores below 1 and made-up ones above -1; the generator wants high scores."""

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        return (1 - real).relu() + (1 + fake).relu()

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        return -fake
