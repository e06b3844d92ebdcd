"""What the columns of a table are, found by looking: numbers, words, or nothing that can be learned.

Numbers are put on the scale of a standard normal by the quantiles of the training rows, a few knots a column, so that
heavy tails and several humps cost a model nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from morphogen.core.column import Column, Number, Word
from morphogen.core.curves import APART
from morphogen.data.sheet import Sheet
from morphogen.errors import UserError, did_you_mean

__all__ = ["MISSING", "Found", "find_columns", "number", "on_normal_scale", "plain_number"]

MISSING = frozenset(("", "NA", "N/A", "#N/A", "NaN", "nan", "NAN", "na", "n/a", "null", "NULL", "Null"))
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+", re.ASCII)
ENDLESS = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
MOST_WORDS = 100  # a column of more words than that is a name or a text; unless asked for
FEW_ROWS = 20  # in so few rows words may all be different by chance
ALMOST = 0.9  # numbers in so many cells, and it is a column of numbers with slips
KNOTS, ROWS_A_KNOT = 256, 8
ATOM, FEWEST = 0.01, 3  # the share of rows, and their number, from which on a value is an atom
DECIMALS = 9

Values = NDArray[np.float64]


@dataclass
class Found:
    """The columns that can be learned from, their stored values (rows, columns), and what was left out and why."""

    columns: list[Column]
    values: Values
    left_out: list[tuple[str, str]]


def find_columns(sheet: Sheet, *, categorical: Collection[str], drop: Collection[str]) -> Found:
    """Look at every column of a sheet."""
    for said, names in (("categorical", categorical), ("drop", drop)):
        for name in names:
            if name not in sheet.names:
                raise UserError(f"{sheet.path.name} has no column {name!r} ({said}); {did_you_mean(name, sheet.names)}")
    columns, values, left_out = [], [], []
    for place, name in enumerate(sheet.names):
        if name in drop:
            left_out.append((name, "asked"))
            continue
        looked = _look(sheet, place, name in categorical)
        if isinstance(looked, str):
            left_out.append((name, looked))
            continue
        columns.append(looked[0])
        values.append(looked[1])
    if not columns:
        why = "; ".join(f"{name}: {reason}" for name, reason in left_out[:5])
        raise UserError(f"{sheet.path.name} has no column that can be learned from ({why})")
    return Found(columns, np.stack(values, 1), left_out)


def _look(sheet: Sheet, place: int, asked: bool) -> tuple[Column, Values] | str:
    """A column and its values, or why it is left out."""
    name, cells = sheet.names[place], sheet.columns[place]
    present = [cell for cell in cells if cell not in MISSING]
    if not present:
        return "empty"
    numbers = sum(map(_numeric, present))
    if numbers >= ALMOST * len(present) or (numbers and _all_commas(present)):
        values = np.array([_value(sheet, place, row, cell) for row, cell in enumerate(cells)])
        distinct = np.unique(values[~np.isnan(values)])
        if not asked and len(distinct) > 2:
            decimals = _decimals(distinct)
            counts_rows = not decimals and len(distinct) == len(values) and bool((np.abs(np.diff(values)) == 1).all())
            return "a row number" if counts_rows else (Number(name, decimals=decimals), values)
        cells = ["" if math.isnan(v) else plain_number(v) for v in values.tolist()]
        present = [cell for cell in cells if cell]
    words = sorted(set(present), key=_order)
    if not asked:
        if len(words) == len(present) and len(present) > FEW_ROWS:
            return "every cell is different"
        if len(words) > MOST_WORDS:
            return f"{len(words):,} different words (name it in categorical to keep it)"
    number_of = {word: float(i) for i, word in enumerate(words)}
    return Word(name, tuple(words)), np.array([number_of.get(cell, math.nan) for cell in cells])


def _numeric(cell: str) -> bool:
    return (
        NUMBER.fullmatch(cell) is not None or COMMA.fullmatch(cell) is not None or THOUSANDS.fullmatch(cell) is not None
    )


def _all_commas(present: Sequence[str]) -> bool:
    return all(COMMA.fullmatch(cell) or NUMBER.fullmatch(cell) for cell in present)


def _value(sheet: Sheet, place: int, row: int, cell: str) -> float:
    try:
        return number(cell)
    except ValueError as error:
        raise UserError(
            f"{sheet.where(row)}, column {sheet.names[place]!r}: {error}; mend it, leave the cell empty, or name the "
            "column in categorical or drop"
        ) from None


def number(cell: str) -> float:
    """The number in a cell, NaN where it is empty; what is no number is told in words.

    >>> number("-1.5e3"), number("NA"), number("1,5")
    (-1500.0, nan, 1.5)
    """
    if cell in MISSING:
        return math.nan
    if NUMBER.fullmatch(cell):
        value = float(cell)
        if abs(value) > 1e300:
            raise ValueError(f"{cell[:40]} is too large for a number")
        return value
    if THOUSANDS.fullmatch(cell):
        raise ValueError(
            f"{cell[:40]!r} may mean {cell.replace(',', '')[:40]} or a fraction; write it without the comma"
        )
    if COMMA.fullmatch(cell):
        return float(cell.replace(",", "."))
    if ENDLESS.fullmatch(cell):
        raise ValueError(f"{cell} is not finite")
    raise ValueError(f"{cell[:40]!r} is not a number")


def plain_number(value: float) -> str:
    """A number as people write it.

    >>> plain_number(3.0), plain_number(0.25), plain_number(9007199254741028.0)
    ('3', '0.25', '9007199254741028')
    """
    return str(int(value)) if value == int(value) and abs(value) < 1e18 else repr(value)


def _order(word: str) -> tuple[bool, float, str]:
    return (False, float(word), word) if NUMBER.fullmatch(word) else (True, 0.0, word)


def _decimals(distinct: Values) -> int:
    """Digits after the point that all values make do with; -1 where they need more than a few."""
    for digits in range(DECIMALS + 1):
        if np.array_equal(np.round(distinct, digits), distinct):
            return digits
    return -1


def on_normal_scale(column: Column, values: Values, train: Values) -> Column:
    """A column of numbers with its knots: quantiles of the training rows, read as those of a standard normal; the ends
    are those of all rows, so that each can be written as it was. A value that a hundredth of the training rows hold, or
    every value where they are few, is an atom. Of any column, whether training rows have empty cells."""
    column = replace(column, gaps=bool(np.isnan(train).any() and not np.isnan(train).all()))
    if isinstance(column, Word):
        return column
    values, train = values[~np.isnan(values)], np.sort(train[~np.isnan(train)])
    units = train if len(train) else np.sort(values)
    chosen, rows = np.unique(units, return_counts=True)
    count = min(KNOTS, max(16, len(units) // ROWS_A_KNOT))
    few = len(chosen) <= min(KNOTS, len(units) // ROWS_A_KNOT) or len(chosen) == 1
    atoms = chosen[rows >= (1 if few else max(FEWEST, min(len(units) / count, ATOM * len(units))))]
    if len(chosen) > count and not few:
        inner = np.quantile(units, (np.arange(count) + 0.5) / count, method="nearest")
        chosen = np.unique(np.concatenate([chosen[[0, -1]], inner, atoms]))
    knots, scores = _with_atoms(chosen, units, np.isin(chosen, atoms))
    knots, scores = _stretched(knots, scores, float(values.min()), float(values.max()))
    return replace(column, knots=tuple(knots.tolist()), scores=tuple(scores.tolist()))


def _with_atoms(chosen: Values, units: Values, atoms: NDArray[np.bool_]) -> tuple[Values, Values]:
    """Knots at the chosen values. An atom (no debt, a whole number of visits) stands there twice: for all scores
    between the rows below and those above it."""
    below, above = (np.searchsorted(units, chosen, side) for side in ("left", "right"))
    knots, ranks = [], []
    for unit, low, high, atom in zip(chosen.tolist(), below.tolist(), above.tolist(), atoms.tolist(), strict=True):
        knots += [unit, unit] if atom else [unit]
        ranks += [low, high] if atom else [(low + high) / 2]
    middle, least = NormalDist(), 0.25 / len(units)
    scores: list[float] = []
    for rank in ranks:
        score = middle.inv_cdf(min(max(rank / len(units), least), 1 - least))
        scores.append(max(score, scores[-1] + APART) if scores else score)  # where two atoms touch, it still rises
    return np.array(knots), np.array(scores)


def _stretched(knots: Values, scores: Values, low: float, high: float) -> tuple[Values, Values]:
    """The same knots with ends at `low` and `high`, a standard deviation away for as much as the middle half spans."""
    slope = 1.35 / max(float(np.quantile(knots, 0.75) - np.quantile(knots, 0.25)), 1e-12) if len(knots) > 1 else 1.0
    if low < knots[0]:
        knots, scores = np.append(low, knots), np.append(scores[0] - min(slope * (knots[0] - low), 3.0) - 1e-3, scores)
    if high > knots[-1]:
        more = min(slope * (high - knots[-1]), 3.0) + 1e-3
        knots, scores = np.append(knots, high), np.append(scores, scores[-1] + more)
    return knots, scores
