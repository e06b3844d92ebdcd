"""The game of the first paper, in the form that it trains (Goodfellow et al. 2014, "Generative adversarial nets")."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from morphogen.core.build import register
from morphogen.core.game import Game

__all__ = ["nonsaturating"]


@register("games")
class nonsaturating(Game):
    """A score is a logit: -log D(x) - log(1 - D(G(z))) for the critic, -log D(G(z)) for the generator."""

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(-real) + F.softplus(fake)

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(-fake)
