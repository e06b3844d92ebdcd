"""The earth mover's game (Arjovsky, Chintala and Bottou 2017, "Wasserstein GAN"). It needs a critic that is kept
smooth: the penalty `gradient` (WGAN-GP) or `spectral`."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from morphogen.core.build import register
from morphogen.core.game import Game

__all__ = ["wasserstein"]


@register("games")
class wasserstein(Game):
    """The difference of scores: minus the critic's loss estimates the distance."""

    pairs: ClassVar[bool] = True

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        return fake - real

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        return real - fake
