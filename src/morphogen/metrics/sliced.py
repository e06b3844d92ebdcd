"""The sliced Wasserstein distance (Rabin, Peyre, Delon and Bernot 2011; Bonneel, Rabin, Peyre and Pfister 2015): on a
line, the way to carry one heap to another is to sort both. So look along many random directions u:

    SW^2 = mean over u of  integral_0^1 (F^-1(t) - G^-1(t))^2 dt,   F, G: of u.x and u.y

The integral is exact for sets of any two sizes: quantiles are steps, and both step functions are constant between the
union of their jumps. No matrix of width x width is needed, so any space of numbers will do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from morphogen.core.noise import Noise
from morphogen.metrics.features import Seen, comparable
from morphogen.metrics.frechet import told
from morphogen.metrics.jackknife import BLOCKS, blocks_of, jackknife

__all__ = ["Sliced", "carry", "sliced"]

AT_ONCE = 16  # directions looked along at once


@dataclass(frozen=True)
class Sliced:
    """The distance, in units of the features, and where it would lie for other rows."""

    value: float
    interval: tuple[float, float] | None
    directions: int
    samples: Seen
    reference: Seen
    seed: int

    def facts(self) -> dict[str, Any]:
        """The number with its protocol."""
        how = {"estimator": f"root of the mean squared 2-Wasserstein distance along {self.directions} directions"}
        how["interval"] = (
            f"95 %, jackknife over {BLOCKS} blocks of both sets" if self.interval else "none: too few rows"
        )
        return told(self.value, self.interval, how, self.samples, self.reference, self.seed)


def sliced(samples: Seen, reference: Seen, *, directions: int = 128, seed: int = 0) -> Sliced:
    """The sliced 2-Wasserstein distance of samples and reference."""
    comparable("swd", samples, reference, 2)
    draw = Noise(seed, "directions").generator(torch.device("cpu"))
    ways = torch.randn(samples.x.shape[1], directions, generator=draw, dtype=torch.float64)
    ways /= ways.norm(dim=0)
    x, y = ((seen.x.double() @ ways).T for seen in (samples, reference))  # (directions, rows)
    value = carry(x, y)
    if min(len(samples), len(reference)) < 2 * BLOCKS:
        return Sliced(value, None, directions, samples, reference, seed)
    parts = [_numbered(blocks_of(seen.x, seed)) for seen in (samples, reference)]
    low, high = jackknife(lambda block: carry(x[:, parts[0] != block], y[:, parts[1] != block]), value)
    return Sliced(value, (max(low, 0.0), high), directions, samples, reference, seed)


def _numbered(parts: list[Tensor]) -> Tensor:
    """The number of the block that each row is in."""
    said = torch.empty(sum(map(len, parts)), dtype=torch.int64)
    for number, rows in enumerate(parts):
        said[rows] = number
    return said


def carry(x: Tensor, y: Tensor) -> float:
    """The root of the mean of the squared distances of rows on a line, (directions, n) and (directions, m).

    >>> carry(torch.tensor([[0.0, 1.0]]), torch.tensor([[2.0, 2.0, 3.0, 3.0]]))
    2.0
    """
    n, m = x.shape[1], y.shape[1]
    jumps = torch.unique(torch.cat([torch.arange(1, n + 1) * m, torch.arange(1, m + 1) * n]))  # of 1 / nm: exact
    wide = torch.diff(jumps, prepend=jumps.new_zeros(1)).double() / (n * m)
    i, j = (jumps - 1) // m, (jumps - 1) // n
    total = torch.zeros((), dtype=torch.float64)
    for some, others in zip(torch.split(x.double(), AT_ONCE), torch.split(y.double(), AT_ONCE), strict=True):
        apart = some.sort(1).values[:, i] - others.sort(1).values[:, j]
        total += (apart.square() * wide).sum()
    return float((total / len(x)).sqrt())
