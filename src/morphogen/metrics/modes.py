"""How many of the data's modes do samples hit, and how evenly? For data whose modes are known: classes, of which the
1,000 of stacked digits are the best known (Metz, Poole, Pfau and Sohl-Dickstein 2017, "Unrolled GANs"), or the centres
of normals in a ring or grid (Srivastava, Valkov, Russell, Gutmann and Sutton 2017, "VEEGAN").

A mode is hit when one sample falls to it; for centres, when that sample is of high quality: within three standard
deviations. Evenness is KL(samples' modes || reference's modes), in nats, 0 where they are used as they should be.
The trap: a sample that is nothing at all also falls to some class. So read it beside precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from morphogen.core.noise import Noise
from morphogen.errors import UserError
from morphogen.metrics.features import square_distances

__all__ = ["Modes", "centres_of", "count_centres", "count_classes", "stacked"]

NEAR = 3.0  # standard deviations
DRAWS = 500


@dataclass(frozen=True)
class Modes:
    """How many samples fell to each mode, how many should have, and the share that is of high quality (of centres)."""

    counts: Tensor
    expected: Tensor  # a distribution
    quality: Tensor | None  # 1 for each sample within three standard deviations of a centre, else 0
    how: str
    seed: int

    @property
    def hit(self) -> int:
        """Modes that at least one sample falls to."""
        return int((self.counts > 0).sum())

    @property
    def kl(self) -> float:
        """KL(samples' modes || expected modes) in nats."""
        return float(_kl(self.counts[None], self.expected))

    def facts(self) -> dict[str, Any]:
        """The numbers with their protocol."""
        n = int(self.counts.sum()) if self.quality is None else len(self.quality)
        said: dict[str, Any] = {"value": self.hit, "of": len(self.counts), "kl": self.kl}
        if self.counts.sum():
            said["kl_interval"] = list(self._spread())
        if self.quality is not None:
            share, reach = float(self.quality.mean()), 1.96 / max(n, 1) ** 0.5
            reach *= (share * (1 - share)) ** 0.5
            said |= {"high_quality": share, "high_quality_interval": [max(share - reach, 0.0), min(share + reach, 1.0)]}
        how = {
            "estimator": f"modes with at least one sample; {self.how}",
            "interval": f"of kl: 95 % reflected bootstrap of the counts, which takes off its bias, {DRAWS} draws",
            "n": n,
            "seed": self.seed,
        }
        return said | {"protocol": how}

    def _spread(self) -> tuple[float, float]:
        draw = Noise(self.seed, "modes").generator(torch.device("cpu"))
        n, shares = int(self.counts.sum()), self.counts.double().cumsum(0) / self.counts.sum()
        said = []
        for _ in range(DRAWS):
            fell = torch.searchsorted(shares, torch.rand(n, generator=draw, dtype=torch.float64))
            counts = torch.bincount(fell.clamp_max(len(shares) - 1), minlength=len(shares))
            said.append(_kl(counts[None], self.expected))
        low, high = torch.quantile(torch.cat(said), torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
        return max(2 * self.kl - high, 0.0), max(2 * self.kl - low, 0.0)  # reflected: few draws make any kl look larger


def _kl(counts: Tensor, expected: Tensor) -> Tensor:
    """Of each row of counts, in nats; modes without samples cost nothing, those that should not be cost infinity."""
    shares = counts.double() / counts.sum(1, keepdim=True).clamp_min(1)
    apart: Tensor = -torch.special.entr(shares).sum(1) - torch.special.xlogy(shares, expected).sum(1)
    return apart


def count_classes(labels: Tensor, classes: int, *, expected: Tensor | None = None, how: str, seed: int = 0) -> Modes:
    """Modes that are classes; `labels`: of samples, 0 .. classes - 1; `expected`: counts, by default uniform."""
    if classes < 2:
        raise UserError(
            f"modes are counted where there are at least two; this data has {classes} class: leave modes out"
        )
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise UserError(
            f"labels of samples must be from 0 to {classes - 1}; give the number of classes that they are of"
        )
    counts = torch.bincount(labels.long().flatten(), minlength=classes)
    return Modes(counts, _shares(expected, classes), None, how, seed)


def count_centres(
    x: Tensor, centres: Tensor, scale: Tensor | float, *, expected: Tensor | None = None, how: str = "", seed: int = 0
) -> Modes:
    """Modes that are normals about `centres` (modes, width), of standard deviation `scale` (one, or one for each)."""
    if x.dim() != 2 or centres.dim() != 2 or x.shape[1] != centres.shape[1] or not len(centres):
        raise UserError(
            f"samples {tuple(x.shape)} and centres {tuple(centres.shape)} must be rows of the same width; flatten them"
        )
    scales = torch.as_tensor(scale, dtype=torch.float64).expand(len(centres))
    near, place = (square_distances(x, centres) / scales.square()).min(1)
    good = near <= NEAR**2
    counts = torch.bincount(place[good], minlength=len(centres))
    how = how or "known centres"
    said = f"high quality: within {NEAR:g} standard deviations of the nearest centre; {how}"
    return Modes(counts, _shares(expected, len(centres)), good.double(), said, seed)


def _shares(expected: Tensor | None, count: int) -> Tensor:
    if expected is None:
        return torch.full((count,), 1.0 / count, dtype=torch.float64)
    if len(expected) != count:
        raise UserError(f"{len(expected)} counts are expected for {count} modes; give one for each")
    return expected.double() / expected.sum()


def centres_of(x: Tensor, y: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Centre of each class in labelled rows, and its standard deviation (root mean square over columns)."""
    rows, labels = x.double().flatten(1), y.long()
    counts = torch.bincount(labels, minlength=classes).double()
    if int(counts.min()) < 2:
        missing = int(counts.argmin())
        raise UserError(
            f"class {missing} has {int(counts[missing])} training examples, too few for a centre; leave modes out"
        )
    centres = torch.zeros(classes, rows.shape[1], dtype=torch.float64).index_add_(0, labels, rows) / counts[:, None]
    spread = (rows - centres[labels]).square().mean(1)
    variance = torch.zeros(classes, dtype=torch.float64).index_add_(0, labels, spread) / (counts - 1)
    return centres, variance.sqrt().clamp_min(1e-12)


def stacked(digits: Tensor, base: int = 10) -> Tensor:
    """One class of several: labels of each channel, (n, channels), as digits of one number.

    >>> stacked(torch.tensor([[1, 2, 3], [0, 0, 7]])).tolist()
    [123, 7]
    """
    powers = base ** torch.arange(digits.shape[1] - 1, -1, -1)
    return (digits.long() * powers).sum(1)
