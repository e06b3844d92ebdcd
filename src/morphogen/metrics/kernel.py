"""The kernel distance (Binkowski, Sutherland, Arbel and Gretton 2018, "Demystifying MMD GANs"): "KID" for Inception's
features. The squared maximum mean discrepancy of a cubic kernel, unbiased, so that it means the same for any n:

    k(x, y) = (x.y / width + 1)^3
    MMD^2   = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j)

It is averaged over subsets, as is usual, but over ones that share no row (the B-test of Zaremba, Gretton and Blaschko
2013): so they are independent, and their spread is an honest standard error. Being unbiased, it may fall below zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from morphogen.metrics.features import Seen, comparable
from morphogen.metrics.frechet import told
from morphogen.metrics.jackknife import BLOCKS, blocks_of, student

__all__ = ["Kernel", "discrepancy", "kernel"]

SIZE = 1000


@dataclass(frozen=True)
class Kernel:
    """The mean over subsets, its standard error, and how many subsets of which size."""

    value: float
    error: float | None
    subsets: int
    size: int
    samples: Seen
    reference: Seen
    seed: int

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval."""
        if self.error is None:
            return None
        reach = student(self.subsets - 1) * self.error
        return self.value - reach, self.value + reach

    def facts(self) -> dict[str, Any]:
        """The number with its protocol."""
        how = {
            "estimator": f"unbiased MMD^2, cubic kernel, {self.subsets} subsets of {self.size} that share no row",
            "interval": "95 %, from the standard error of the subsets"
            if self.error is not None
            else "none: one subset",
        }
        said = told(self.value, self.interval, how, self.samples, self.reference, self.seed)
        return {"value": said.pop("value"), "standard_error": self.error} | said


def kernel(samples: Seen, reference: Seen, *, size: int | None = None, seed: int = 0) -> Kernel:
    """The kernel distance over subsets of `size` (by default 1,000, or fewer, so that there are ten)."""
    comparable("kid", samples, reference, 2)
    fewest = min(len(samples), len(reference))
    size = max(2, min(SIZE if size is None else size, fewest if size else fewest // BLOCKS))
    count = fewest // size
    mine, theirs = (blocks_of(seen.x, seed, 1)[0] for seen in (samples, reference))
    said = torch.tensor(
        [
            discrepancy(samples.x[mine[at : at + size]], reference.x[theirs[at : at + size]])
            for at in range(0, count * size, size)
        ],
        dtype=torch.float64,
    )
    error = float(said.std() / count**0.5) if count > 1 else None
    return Kernel(float(said.mean()), error, count, size, samples, reference, seed)


def discrepancy(x: Tensor, y: Tensor) -> float:
    """MMD^2 of two sets, unbiased."""
    x, y = x.double(), y.double()
    return float(_among(x) + _among(y) - 2 * _cubic(x, y).mean())


def _among(x: Tensor) -> Tensor:
    """The mean over pairs of different rows."""
    k = _cubic(x, x)
    return (k.sum() - k.trace()) / (len(x) * (len(x) - 1))


def _cubic(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1.0) ** 3
