"""How alike two tables are: each column by itself, and every two columns together. 0 is alike, 1 as unlike as can be.

numbers        Kolmogorov and Smirnov's largest gap between the shares below a value
words          total variation: half the sum of the gaps between shares
two columns    |association of the one table - of the other|, where the association of two columns of numbers is
               Spearman's correlation, of words Cramer's V, of a number and a word the correlation ratio of ranks
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from morphogen.core.table import Table, Word

__all__ = ["MOST_COLUMNS", "apart_by_column", "apart_by_pair", "association"]

MOST_COLUMNS = 40  # of which all pairs are looked at
Values = NDArray[np.float64]


def apart_by_column(x: Values, y: Values, space: Table) -> dict[str, float]:
    """The distance of each column, of the cells that are there."""
    said = {}
    for place, column in enumerate(space.columns):
        a, b = (rows[~np.isnan(rows[:, place]), place] for rows in (x, y))
        if len(a) and len(b):
            said[column.name] = _words(a, b, column.width) if isinstance(column, Word) else _numbers(a, b)
    return said


def _numbers(a: Values, b: Values) -> float:
    """
    >>> _numbers(np.array([0.0, 1.0]), np.array([1.0, 2.0]))
    0.5
    """
    values = np.union1d(a, b)
    below = [np.searchsorted(np.sort(rows), values, side="right") / len(rows) for rows in (a, b)]
    return float(np.abs(below[0] - below[1]).max())


def _words(a: Values, b: Values, count: int) -> float:
    shares = [np.bincount(rows.astype(np.int64), minlength=count) / len(rows) for rows in (a, b)]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def apart_by_pair(x: Values, y: Values, space: Table) -> dict[tuple[str, str], float]:
    """The difference of the association of every two columns."""
    said = {}
    places = [i for i, column in enumerate(space.columns) if column.width > 1 or not isinstance(column, Word)]
    for i, j in combinations(places[:MOST_COLUMNS], 2):
        said[space.names[i], space.names[j]] = abs(association(x, space, i, j) - association(y, space, i, j))
    return said


def association(rows: Values, space: Table, i: int, j: int) -> float:
    """How much one column says of another: -1 to 1 of two numbers, else 0 to 1; 0 where one never changes."""
    both = rows[~np.isnan(rows[:, [i, j]]).any(1)][:, [i, j]]
    if len(both) < 2:
        return 0.0
    words = [isinstance(space.columns[place], Word) for place in (i, j)]
    if all(words):
        return _cramer(both, space.columns[i].width, space.columns[j].width)
    if any(words):
        place = words.index(True)
        return _ratio(_ranks(both[:, 1 - place]), both[:, place].astype(np.int64))
    a, b = (_ranks(column) - (len(both) + 1) / 2 for column in both.T)
    spread = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / spread if spread else 0.0


def _ranks(column: Values) -> Values:
    _, place, counts = np.unique(column, return_inverse=True, return_counts=True)
    above = np.cumsum(counts)
    middle: Values = (above - (counts - 1) / 2)[place]
    return middle


def _ratio(ranks: Values, word: NDArray[np.int64]) -> float:
    total, counts = float(((ranks - ranks.mean()) ** 2).sum()), np.bincount(word)
    means = np.bincount(word, ranks) / np.maximum(counts, 1)
    between = float((counts * (means - ranks.mean()) ** 2).sum())
    return float(np.sqrt(between / total)) if total else 0.0


def _cramer(both: Values, wide: int, high: int) -> float:
    counts = np.zeros((wide, high))
    np.add.at(counts, tuple(both.astype(np.int64).T), 1)
    counts = counts[counts.sum(1) > 0][:, counts.sum(0) > 0]
    least = min(counts.shape) - 1
    if not least:
        return 0.0
    chance = counts.sum(1, keepdims=True) * counts.sum(0) / len(both)
    return float(np.sqrt(((counts - chance) ** 2 / chance).sum() / (len(both) * least)))
