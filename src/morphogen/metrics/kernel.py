"""The kernel distance (Binkowski, Sutherland, Arbel and Gretton 2018, "Demystifying MMD GANs"): "KID" for Inception's
features. The squared maximum mean discrepancy of a cubic kernel, unbiased, so that it means the same for any n:

    k(x, y) = (x.y / width + 1)^3
    MMD^2   = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j)

It is usually averaged over random subsets of 1,000, to save time; over all pairs of at most 10,000 rows it has the
same expectation and less noise. Pairs are summed block by block, so the jackknife costs nothing more. Being unbiased,
it may fall below zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from morphogen.metrics.features import Seen, comparable
from morphogen.metrics.frechet import told
from morphogen.metrics.jackknife import BLOCKS, blocks_of, jackknife, student

__all__ = ["Kernel", "discrepancy", "kernel"]

MOST = 10_000


@dataclass(frozen=True)
class Kernel:
    """The squared discrepancy, and where it would lie for other rows."""

    value: float
    interval: tuple[float, float] | None
    samples: Seen
    reference: Seen
    seed: int

    @property
    def error(self) -> float | None:
        """The standard error."""
        return None if self.interval is None else (self.interval[1] - self.value) / student(BLOCKS - 1)

    def facts(self) -> dict[str, Any]:
        """The number with its protocol."""
        how = {"estimator": f"unbiased MMD^2, cubic kernel, all pairs of at most {MOST:,} rows of each set"}
        how["interval"] = (
            f"95 %, jackknife over {BLOCKS} blocks of both sets" if self.interval else "none: too few rows"
        )
        said = told(self.value, self.interval, how, self.samples, self.reference, self.seed)
        return {"value": said.pop("value"), "standard_error": self.error} | said


def kernel(samples: Seen, reference: Seen, *, seed: int = 0) -> Kernel:
    """The kernel distance of samples and reference."""
    comparable("kid", samples, reference, 2)
    count = BLOCKS if min(len(samples), len(reference)) >= 2 * BLOCKS else 1
    x, y = (
        [seen.x[rows[: MOST // count]].double() for rows in blocks_of(seen.x, seed, count)]
        for seen in (samples, reference)
    )
    sums = [_sums(x, x), _sums(y, y), _sums(x, y)]
    sizes = [torch.tensor([len(block) for block in blocks], dtype=torch.float64) for blocks in (x, y)]
    everything = torch.ones(count, dtype=torch.bool)
    value = _mean(sums, sizes, everything)
    if count == 1:
        return Kernel(value, None, samples, reference, seed)
    low, high = jackknife(lambda block: _mean(sums, sizes, torch.arange(count) != block), value)
    return Kernel(value, (low, high), samples, reference, seed)


def _sums(x: list[Tensor], y: list[Tensor]) -> Tensor:
    """The kernel summed over the pairs of each block with each; of a set with itself without a row's own pair."""
    total = torch.zeros(len(x), len(y), dtype=torch.float64)
    for i, some in enumerate(x):
        for j, others in enumerate(y):
            k = _cubic(some, others)
            total[i, j] = k.sum() - (k.trace() if some is others else 0.0)
    return total


def _mean(sums: list[Tensor], sizes: list[Tensor], kept: Tensor) -> float:
    """MMD^2 of the blocks that are kept."""
    among_x, among_y, between = (float(each[kept][:, kept].sum()) for each in sums)
    n, m = (float(size[kept].sum()) for size in sizes)
    return among_x / (n * (n - 1)) + among_y / (m * (m - 1)) - 2 * between / (n * m)


def discrepancy(x: Tensor, y: Tensor) -> float:
    """MMD^2 of two sets, unbiased."""
    whole = torch.ones(1, dtype=torch.bool)
    sets, sizes = [[x.double()], [y.double()]], [torch.tensor([float(len(rows))]) for rows in (x, y)]
    return _mean([_sums(sets[0], sets[0]), _sums(sets[1], sets[1]), _sums(sets[0], sets[1])], sizes, whole)


def _cubic(x: Tensor, y: Tensor) -> Tensor:
    k = torch.addmm(torch.ones((), dtype=x.dtype), x, y.T, alpha=1 / x.shape[1])
    return k * k * k
