"""Where and how a reconstruction misses, beside how those of normal examples miss: the distance of the residual under
its own covariance (Jackson and Mudholkar 1979, "Control procedures for residuals associated with principal component
analysis", for the idea). An error in a place where there never is one counts more."""

from __future__ import annotations

from torch import Tensor

from morphogen.core.build import register
from morphogen.core.oddity import Learned, Look, Oddity
from morphogen.oddities.spread import distance, spread

__all__ = ["heat", "residual"]


def heat(seen: Tensor, learned: Learned) -> Tensor:
    """How far the miss of each element is from what is normal there, in standard deviations, with its sign."""
    ways = learned["ways"].square()
    rest = learned["rest"] ** -2
    variance = ways @ (learned["along"] ** -2 - rest) + rest
    return (seen - learned["mean"]) * variance.rsqrt()


@register("oddities")
class residual(Oddity):
    """Mahalanobis's distance of what the reconstruction misses."""

    words = "its reconstruction misses it in unusual places"

    def see(self, look: Look) -> Tensor:
        return look.residual.flatten(1)

    def learn(self, seen: Tensor) -> dict[str, Tensor]:
        return spread(seen)

    def number(self, seen: Tensor, learned: Learned) -> Tensor:
        return distance(seen, learned)
