"""Least squares (Mao et al. 2017, "Least squares generative adversarial networks"), with targets of 1 and -1."""

from __future__ import annotations

from torch import Tensor

from morphogen.core.build import register
from morphogen.core.game import Game

__all__ = ["leastsquares"]


@register("games")
class leastsquares(Game):
    """Half the squared distance of scores from 1 (real) and -1 (made up); the generator wants 1."""

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        return 0.5 * ((real - 1).square() + (fake + 1).square())

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        return 0.5 * (fake - 1).square()
