"""The Fréchet distance of two sets of features, taken for normal (Frechet 1957; Dowson and Landau 1982): "FID" (Heusel,
Ramsauer, Unterthiner, Nessler and Hochreiter 2017, "GANs trained by a two time-scale update rule ...") for Inception's.

    d^2 = |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)

The last term is the sum of the singular values of A'B, where S1 = AA' and S2 = BB': the roots of the eigenvalues of
the symmetric A' S2 A, found without squaring, which would cost half of the digits. Moments are gathered as the rows go
by, in float64. The estimate is biased upwards, the more the fewer the rows, and its interval says nothing of that: it
is where the score of as many other rows would lie. So beside it stands what the score tends to where rows have no end
(Chong and Forsyth 2020, "Effectively unbiased FID and inception score and where to find them"): a line in 1/n through
the whole and what is left without each block, B s - (B - 1) mean_b s_b, which is Quenouille's correction (1956). It may
come out below nothing where the two sets are alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from morphogen.errors import UserError
from morphogen.metrics.features import Seen, comparable
from morphogen.metrics.jackknife import BLOCKS, blocks_of, jackknife

__all__ = ["WIDEST", "Frechet", "Moments", "distance", "frechet"]

ROWS = 1000
WIDEST, SURE = 4096, 2048  # numbers that a row may have, and that it may have for an interval


@dataclass(frozen=True)
class Moments:
    """Count, mean and summed squares about it (float64); the sum of two is that of both sets (Chan et al. 1983)."""

    count: int
    mean: Tensor
    scatter: Tensor

    @classmethod
    def of(cls, x: Tensor) -> Moments:
        """Of rows, a thousand at a time."""
        total = cls.nothing(x.shape[1])
        for piece in torch.split(x, ROWS):
            piece = piece.double()
            mean = piece.mean(0)
            total = total + cls(len(piece), mean, (piece - mean).T @ (piece - mean))
        return total

    @classmethod
    def nothing(cls, width: int) -> Moments:
        """Of no rows."""
        return cls(0, torch.zeros(width, dtype=torch.float64), torch.zeros(width, width, dtype=torch.float64))

    def __add__(self, other: Moments) -> Moments:
        count = self.count + other.count
        if not count:
            return self
        shift, share = other.mean - self.mean, other.count / count
        scatter = self.scatter + other.scatter + (self.count * share) * torch.outer(shift, shift)
        return Moments(count, self.mean + share * shift, scatter)

    @property
    def covariance(self) -> Tensor:
        return self.scatter / (self.count - 1)


@dataclass(frozen=True)
class Frechet:
    """The squared distance, where it would lie for other rows, and what it tends to for ever more of them."""

    value: float
    interval: tuple[float, float] | None
    extrapolated: float | None
    samples: Seen
    reference: Seen
    seed: int

    def facts(self) -> dict[str, Any]:
        """The number with its protocol."""
        how = {"estimator": "squared Fréchet distance of normals, float64, biased upwards for few rows"}
        if self.extrapolated is not None:
            how["extrapolated"] = f"to endless rows, in 1/n, from {BLOCKS} blocks of both sets"
        how["interval"] = (
            f"95 %, jackknife over {BLOCKS} blocks of both sets" if self.interval else "none: too few, or too wide"
        )
        said = told(self.value, self.interval, how, self.samples, self.reference, self.seed)
        if self.extrapolated is None or self.interval is None:
            return said
        reach = self.interval[1] - self.value
        between = [self.extrapolated - reach, self.extrapolated + reach]
        return {"value": said.pop("value"), "interval": said.pop("interval"), "extrapolated": self.extrapolated} | {
            "extrapolated_interval": between,
            **said,
        }


def told(
    value: float,
    interval: tuple[float, float] | None,
    how: dict[str, Any],
    samples: Seen,
    reference: Seen,
    seed: int,
) -> dict[str, Any]:
    """A score of two sets as a plain dictionary: its value, its interval, and what it depends on."""
    said: dict[str, Any] = {"value": value}
    if interval is not None:
        said["interval"] = list(interval)
    sets = {"n": len(samples), "reference": reference.of, "reference_n": len(reference), "seed": seed}
    return said | {"protocol": how | {"features": samples.features} | samples.facts | sets}


def frechet(samples: Seen, reference: Seen, *, seed: int = 0, sure: bool = True) -> Frechet:
    """The Fréchet distance of samples and reference; `sure`: with its interval, where that is not too dear."""
    comparable("fid", samples, reference, 2)
    if samples.x.shape[1] > WIDEST:
        raise UserError(
            f"fid of {samples.x.shape[1]:,} numbers a row would take a matrix of their square; give features = own or "
            "inception:FILE, or scores = kid,swd"
        )
    sure = sure and samples.x.shape[1] <= SURE
    parts = [
        [Moments.of(seen.x[rows]) for rows in blocks_of(seen.x, seed)] if len(seen) >= 2 * BLOCKS else []
        for seen in (samples, reference)
    ]
    whole = [
        _sum(pieces) if pieces else Moments.of(seen.x[blocks_of(seen.x, seed, 1)[0]])
        for pieces, seen in zip(parts, (samples, reference), strict=True)
    ]
    value = distance(whole[0], whole[1])
    if not (sure and all(parts)):
        return Frechet(value, None, None, samples, reference, seed)

    def without(block: int) -> float:
        left = [_sum([m for place, m in enumerate(pieces) if place != block]) for pieces in parts]
        return distance(left[0], left[1])

    left = [without(block) for block in range(BLOCKS)]
    low, high = jackknife(left.__getitem__, value)
    extrapolated = BLOCKS * value - (BLOCKS - 1) * sum(left) / BLOCKS
    return Frechet(value, (max(low, 0.0), high), extrapolated, samples, reference, seed)


def _sum(pieces: list[Moments]) -> Moments:
    total = Moments.nothing(len(pieces[0].mean))
    for piece in pieces:
        total = total + piece
    return total


def distance(a: Moments, b: Moments) -> float:
    """The squared Fréchet distance of two normals with these moments."""
    s1, s2 = a.covariance, b.covariance
    cross = torch.linalg.svdvals(_root(s1).T @ _root(s2)).sum()
    apart = (a.mean - b.mean).square().sum() + s1.trace() + s2.trace() - 2 * cross
    return max(float(apart), 0.0)


def _root(s: Tensor) -> Tensor:
    """A with AA' = S, without the directions in which S is nothing but rounding."""
    values, vectors = torch.linalg.eigh(s)
    values = torch.where(values > values[-1] * len(s) * 2.0**-52, values, 0.0)
    root: Tensor = vectors * values.sqrt()
    return root
