"""Which columns of a table follow from others in every row: sums of numbers with weights, found by elimination with
pivots (which reveals the rank of the columns), and what always stands beside a word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from morphogen.core.column import Column, Number, Word
from morphogen.core.derived_columns import Derived

__all__ = ["relations"]

ROWS, ROWS_A_COLUMN = 2000, 5  # that are looked at first; fewer rows than so many a column prove nothing
MOST_TERMS = 4  # of a sum; longer ones are seldom meant
NOTHING = 1e-9  # of a column's size: what is left of one that the others make up
ROWS_A_WORD = 5  # on average, for a word to say what stands beside it

Values = NDArray[np.float64]


def relations(columns: Sequence[Column], values: Values) -> tuple[Derived, ...]:
    """The columns that others make up, of stored values (rows, columns)."""
    sums = _sums(columns, values)
    taken = {place for each in sums for place in (each.place, *each.of)}
    return (*sums, *_beside(columns, values, taken))


def _sums(columns: Sequence[Column], values: Values) -> list[Derived]:
    """Columns of few different numbers are the ones that others are made of: hours and minutes, not the time of day."""
    missing = np.isnan(values)
    rows = values[~missing[:, [isinstance(c, Number) for c in columns]].any(1)]
    places = [i for i, c in enumerate(columns) if isinstance(c, Number) and not c.form]
    if len(places) < 2 or len(rows) < max(20, ROWS_A_COLUMN * len(places)):
        return []
    some = rows[np.random.default_rng(0).permutation(len(rows))[:ROWS]]
    places.sort(key=lambda i: (len(np.unique(some[:, i])), i))
    found = []
    basis: list[int] = []
    for place in places:
        derived = _sum_of(place, basis, some) if basis else None
        if derived is not None and _holds(derived, columns[place], values):
            found.append(derived)
        else:
            basis.append(place)
    return found


def _sum_of(place: int, basis: list[int], rows: Values) -> Derived | None:
    """The column as a sum of a few of the basis, where least squares leave nothing."""
    y, x = rows[:, place], np.column_stack([rows[:, basis], np.ones(len(rows))])
    scale = np.maximum(np.abs(x).max(0), 1e-300)
    weights = np.linalg.lstsq(x / scale, y, rcond=1e-12)[0] / scale
    size = max(float(np.abs(y).max()), 1e-300)
    if float(np.abs(x @ weights - y).max()) > 1e-6 * size:
        return None
    matter = np.abs(weights[:-1]) * np.abs(x[:, :-1]).max(0) > NOTHING * 1e3 * size
    of = [i for i, does in zip(basis, matter.tolist(), strict=True) if does]
    if not 1 <= len(of) <= MOST_TERMS:
        return None
    x = np.column_stack([rows[:, of], np.ones(len(rows))])
    weights = np.array([float(f"{w:.9g}") for w in np.linalg.lstsq(x, y, rcond=None)[0]])
    weights[np.abs(weights) < 1e-9 * size] = 0.0
    nice = np.round(weights, 6)
    weights = nice if np.allclose(x @ nice, y, rtol=1e-9, atol=1e-9 * size) else weights
    return Derived(place, tuple(of), tuple(weights[:-1].tolist()), float(weights[-1]))


def _holds(derived: Derived, column: Column, values: Values) -> bool:
    """Whether every row has it so, and is empty there where one of the others is."""
    assert isinstance(column, Number)
    said = values[:, list(derived.of)] @ np.array(derived.weights) + derived.constant
    there = values[:, derived.place]
    if not np.array_equal(np.isnan(said), np.isnan(there)):
        return False
    said, there = said[~np.isnan(there)], there[~np.isnan(there)]
    if column.decimals >= 0:
        return bool((np.abs(said - there) < 0.25 * 10.0**-column.decimals).all())
    return bool(np.allclose(said, there, rtol=1e-9, atol=NOTHING * float(np.abs(there).max())))


def _beside(columns: Sequence[Column], values: Values, taken: set[int]) -> list[Derived]:
    found: list[Derived] = []
    words = [i for i, c in enumerate(columns) if isinstance(c, Word) and len(c.words) > 2 and i not in taken]
    for place, column in enumerate(columns):
        if place in taken or (isinstance(column, Word) and len(column.words) < 2):
            continue
        for of in words:
            if of == place or any(each.place in (of, place) or place in each.of for each in found):
                continue
            derived = _beside_word(place, of, columns, values)
            if derived is not None:
                found.append(derived)
                break
    return found


def _beside_word(place: int, of: int, columns: Sequence[Column], values: Values) -> Derived | None:
    """What always stands in one column beside each word of another, where it is the same in many rows."""
    word, there = values[:, of], values[:, place]
    count = len(columns[of].words)  # type: ignore[union-attr]
    if not np.array_equal(np.isnan(word), np.isnan(there)):
        return None
    at, there = word[~np.isnan(word)].astype(np.int64), there[~np.isnan(there)]
    if len(at) < ROWS_A_WORD * count or len(np.unique(there)) < 2:
        return None
    first = np.zeros(count)
    first[at[::-1]] = there[::-1]
    if not np.array_equal(first[at], there):
        return None
    return Derived(place, (of,), beside=tuple(first.tolist()))
