"""The inception score (Salimans, Goodfellow, Zaremba, Cheung, Radford and Chen 2016, "Improved techniques for training
GANs"): each sample should be surely of one class, and all classes should occur.

    IS = exp( mean over x of KL( p(y|x) || p(y) ) ),   from 1 to the number of classes

It never looks at the data: one perfect sample of each class has the best score there is. It is computed over all
samples at once, which is a little higher than the usual mean over ten parts, since p(y) is known better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from morphogen.errors import UserError
from morphogen.metrics.features import Seen
from morphogen.metrics.jackknife import BLOCKS, blocks_of, jackknife

__all__ = ["Inception", "inception_score"]


@dataclass(frozen=True)
class Inception:
    """The score, between 1 and the number of classes."""

    value: float
    interval: tuple[float, float] | None
    classes: int
    samples: Seen
    seed: int

    def facts(self) -> dict[str, Any]:
        """The number with its protocol."""
        said: dict[str, Any] = {"value": self.value} | ({"interval": list(self.interval)} if self.interval else {})
        how = {
            "estimator": f"exp of the mean KL(p(y|x) || p(y)), all samples at once, {self.classes} classes",
            "interval": f"95 %, jackknife over {BLOCKS} blocks" if self.interval else "none: too few samples",
            "features": self.samples.features,
        }
        return said | {"protocol": how | self.samples.facts | {"n": len(self.samples), "seed": self.seed}}


def inception_score(samples: Seen, *, seed: int = 0) -> Inception:
    """The inception score by the classifier that saw the samples."""
    if samples.chances is None:
        raise UserError(f"the inception score needs a classifier, which {samples.features} is not; give features = own")
    chances = samples.chances.double()
    parts = blocks_of(samples.chances, seed) if len(samples) >= 2 * BLOCKS else []
    value = _score(chances.sort(0).values.mean(0), chances)
    if not parts:
        return Inception(value, None, chances.shape[1], samples, seed)

    def without(block: int) -> float:
        left = chances[torch.cat([rows for place, rows in enumerate(parts) if place != block])]
        return _score(left.mean(0), left)

    return Inception(value, jackknife(without, value), chances.shape[1], samples, seed)


def _score(overall: Tensor, chances: Tensor) -> float:
    """exp of E_x sum_y p(y|x) log p(y|x) - sum_y p(y) log p(y)."""
    sure = torch.special.entr(chances).sum(1).sort().values.mean()
    return float(torch.exp(torch.special.entr(overall).sum() - sure))
