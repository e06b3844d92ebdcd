"""How well classes are said: accuracy with its interval, precision and recall, calibration, and clusters held against
classes.

    interval:     Wilson 1927, 95 %
    calibration:  expected calibration error over 15 bins of confidence (Guo et al. 2017, "On calibration")
    matching:     the one-to-one choice of largest sum, by shortest augmenting paths (Kuhn 1955, Munkres 1957)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Verdict", "calibration_error", "confusion", "match", "temperature", "wilson"]

BINS, Z = 15, 1.959964
COLDEST, HOTTEST, TRIES = 0.05, 20.0, 60


def wilson(right: int, n: int) -> tuple[float, float]:
    """Where a share lies that was `right` of `n` times, with 95 % confidence.

    >>> [round(x, 3) for x in wilson(8, 10)]
    [0.49, 0.943]
    """
    if n == 0:
        return 0.0, 1.0
    share, z2 = right / n, Z * Z / n
    middle, half = share + z2 / 2, Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n))
    return max(0.0, (middle - half) / (1 + z2)), min(1.0, (middle + half) / (1 + z2))


def confusion(y: Tensor, said: Tensor, rows: int, columns: int) -> Tensor:
    """How often each class (a row) was called each name (a column)."""
    return torch.bincount(y * columns + said, minlength=rows * columns).reshape(rows, columns)


@dataclass(frozen=True)
class Verdict:
    """Counts of what was said of known classes, a row for each true class."""

    counts: Tensor

    @property
    def accuracy(self) -> float:
        """The share that was named rightly."""
        return float(self.counts.diagonal().sum() / self.counts.sum().clamp_min(1))

    @property
    def interval(self) -> tuple[float, float]:
        """Where the accuracy lies."""
        return wilson(int(self.counts.diagonal().sum()), int(self.counts.sum()))

    def of_each(self, names: tuple[str, ...]) -> list[dict[str, object]]:
        """Precision, recall and count of each class; None where nothing was said, or is there, to take a share of."""
        right, there, said = self.counts.diagonal(), self.counts.sum(1), self.counts.sum(0)
        facts: list[dict[str, object]] = []
        for k, name in enumerate(names):
            facts.append({"class": name, "precision": _share(right[k], said[k]), "recall": _share(right[k], there[k])})
            facts[-1]["n"] = int(there[k])
        return facts


def _share(part: Tensor, whole: Tensor) -> float | None:
    return float(part / whole) if whole else None


def calibration_error(log_p: Tensor, y: Tensor) -> float:
    """How far confidence is from accuracy, on average."""
    chance, likeliest = log_p.double().exp().max(1)
    place = (chance * BINS).long().clamp_max(BINS - 1)
    gap = torch.zeros(BINS, dtype=torch.float64).index_add_(0, place, chance - (likeliest == y).double())
    return float(gap.abs().sum() / max(len(y), 1))


def temperature(log_p: Tensor, y: Tensor) -> float:
    """T for which softmax(log p / T) says least surprising things of y (Guo et al. 2017): by golden sections of log T,
    in which the cost has one valley. Of n examples without an error no certainty follows: targets are softened to
    (n + 1) / (n + 2), as Platt 1999 does ("Probabilistic outputs for support vector machines")."""
    softened = min(log_p.shape[1] / (log_p.shape[1] - 1) / (len(y) + 2), 1.0)  # torch spreads it over all classes
    log_p, low, high = log_p.double(), math.log(COLDEST), math.log(HOTTEST)
    golden = (math.sqrt(5) - 1) / 2

    def cost(log_t: float) -> float:
        return float(torch.nn.functional.cross_entropy(log_p / math.exp(log_t), y, label_smoothing=softened))

    a, b = high - golden * (high - low), low + golden * (high - low)
    cost_a, cost_b = cost(a), cost(b)
    for _ in range(TRIES):
        if cost_a < cost_b:
            high, b, cost_b = b, a, cost_a
            a = high - golden * (high - low)
            cost_a = cost(a)
        else:
            low, a, cost_a = a, b, cost_b
            b = low + golden * (high - low)
            cost_b = cost(b)
    return math.exp((low + high) / 2)


def match(gain: Tensor) -> list[int]:
    """For each row the column that it goes with, -1 for rows that stay alone: of all one-to-one choices the one of
    largest sum.

    >>> match(torch.tensor([[1, 5], [4, 6]]))
    [1, 0]
    """
    rows, columns = gain.shape
    if rows > columns:
        back = match(gain.T)
        return [back.index(row) if row in back else -1 for row in range(rows)]
    cost = (-gain.double()).tolist()
    u, v = [0.0] * (rows + 1), [0.0] * (columns + 1)
    owner = [0] * (columns + 1)  # the row of each column, from 1; column 0 holds the row that seeks one
    for row in range(1, rows + 1):
        owner[0] = row
        _augment(cost, u, v, owner)
    chosen = [-1] * rows
    for column in range(1, columns + 1):
        if owner[column]:
            chosen[owner[column] - 1] = column - 1
    return chosen


def _augment(cost: list[list[float]], u: list[float], v: list[float], owner: list[int]) -> None:
    """The cheapest path from the row that column 0 holds to a free column, by Dijkstra's search with potentials."""
    columns = len(v)
    least, before, done = [math.inf] * columns, [0] * columns, [False] * columns
    here = 0
    while owner[here]:
        done[here], row = True, owner[here]
        step, there = math.inf, 0
        for column in range(1, columns):
            if done[column]:
                continue
            reduced = cost[row - 1][column - 1] - u[row] - v[column]
            if reduced < least[column]:
                least[column], before[column] = reduced, here
            if least[column] < step:
                step, there = least[column], column
        for column in range(columns):
            if done[column]:
                u[owner[column]] += step
                v[column] -= step
            else:
                least[column] -= step
        here = there
    while here:
        owner[here] = owner[before[here]]
        here = before[here]
