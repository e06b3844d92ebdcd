"""What a number is worth beside those of held-out normal examples: surprises, which can be added, and p-values, which
can be promised.

A *surprise* is -log of the share of normal examples that lie as far out: counted where there are some, and beyond them
by an exponential tail (Pickands 1975, "Statistical inference using extreme order statistics"), so that far and farther
still differ. A *p-value* is conformal (Vovk, Gammerman and Shafer 2005, "Algorithmic learning in a random world"):
(1 + held-out normal examples at least as odd) / (1 + all of them). Of a new normal example it is at most r with
probability at most r, whatever the numbers mean and however they were combined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from morphogen.core.precision import on_grid

__all__ = ["Calibration", "Tail", "p_values"]

Numbers = NDArray[np.float64]
FAR = 0.1  # the share of normal examples from which the tail is drawn
MOST = 1e4  # no surprise is larger, so that sums stay finite


class Tail:
    """How surprising it is to lie as high as this.

    >>> tail = Tail(np.arange(100.0))
    >>> bool(tail(np.array([1000.0])) > tail(np.array([200.0])) > tail(np.array([50.0])))
    True
    """

    def __init__(self, normal: Numbers) -> None:
        ordered = np.sort(normal)
        held, first = np.unique(ordered, return_index=True)
        surprise = -np.log((1 + len(ordered) - first) / (1 + len(ordered)))
        self.start = np.quantile(ordered, 1 - FAR)
        over = ordered[ordered > self.start] - self.start
        width = held[-1] - held[0] if len(held) > 1 else abs(held[0]) + 1
        self.mean = max(float(over.mean()) if len(over) else 0.0, 1e-3 * float(width), 1e-12)
        self.at, self.worth = held, surprise
        self.base = float(np.interp(self.start, held, surprise))

    def __call__(self, numbers: Numbers) -> Numbers:
        near = np.interp(numbers, self.at, self.worth)
        far = self.base + (numbers - self.start) / self.mean
        return np.minimum(np.where(numbers > self.start, far, near), MOST)


def p_values(numbers: Numbers, normal: Numbers) -> Numbers:
    """(1 + how many normal numbers are at least as high) / (1 + all).

    >>> p_values(np.array([0.5, 9.0]), np.arange(4.0)).tolist()
    [0.8, 0.2]
    """
    ordered = np.sort(normal)
    above = len(ordered) - np.searchsorted(ordered, numbers, side="left")
    return (1 + above) / (1 + len(ordered))


@dataclass(frozen=True)
class Calibration:
    """Held-out normal numbers, a column for each idea, and how many of its sides are odd.

    Every third row says how surprising each column's numbers are, the rest how odd their sum is: rows that had a say in
    the first would look less odd than new ones in the second.
    """

    normal: Numbers
    low: Sequence[float]

    @property
    def measure(self) -> Numbers:
        """The rows that surprises are measured with."""
        return self.normal[::3]

    @property
    def promise(self) -> Numbers:
        """The rows that p-values are counted among."""
        rows: Numbers = self.normal[np.arange(len(self.normal)) % 3 > 0]
        return rows

    def surprises(self, numbers: Numbers) -> Numbers:
        """One for each row and column."""
        each = zip(numbers.T, self.measure.T, self.low, strict=True)
        return np.stack([_surprise(mine, normal, low) for mine, normal, low in each], 1)

    def oddness(self, numbers: Numbers) -> Numbers:
        """The mean of a row's surprises, which hears what all say a little (Fisher 1932 adds them up), and the largest,
        which hears what one says aloud (Tippett 1931). P-values are counted with their sum."""
        said = self.surprises(numbers)
        return on_grid(torch.from_numpy(said.mean(1) + said.max(1))).numpy()

    def p(self, numbers: Numbers) -> Numbers:
        """A p-value for each row."""
        return p_values(self.oddness(numbers), self.oddness(self.promise))

    @property
    def least(self) -> float:
        """The smallest p-value there can be, and so the smallest false-alarm rate that can be promised."""
        return 1 / (1 + len(self.promise))


def _surprise(numbers: Numbers, normal: Numbers, low: float) -> Numbers:
    """Of the sides that are odd, the more surprising, each at its share of false alarms (Bonferroni 1936, weighted)."""
    high: Numbers = Tail(normal)(numbers)
    if not low:
        return high
    below: Numbers = Tail(-normal)(-numbers)
    either: Numbers = np.maximum(high + np.log(1 - low), below + np.log(low))
    return np.maximum(either, 0.0)
