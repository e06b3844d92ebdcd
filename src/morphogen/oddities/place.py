"""Where the code of an example lies among the codes of normal ones (Lee et al. 2018, "A simple unified framework for
detecting out-of-distribution samples and adversarial attacks", for the distance in a network's own features)."""

from __future__ import annotations

from torch import Tensor

from morphogen.core.build import register
from morphogen.core.oddity import Learned, Look, Oddity
from morphogen.oddities.spread import distance, spread

__all__ = ["place"]


@register("oddities")
class place(Oddity):
    """Mahalanobis's distance of the code."""

    words = "its code lies far from those of normal examples"

    def see(self, look: Look) -> Tensor:
        return look.code.flatten(1)

    def learn(self, seen: Tensor) -> dict[str, Tensor]:
        return spread(seen)

    def number(self, seen: Tensor, learned: Learned) -> Tensor:
        return distance(seen, learned)
