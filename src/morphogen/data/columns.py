"""What the columns of a table are, found by looking: numbers, dates, words, or nothing that can be learned.

Numbers are put on the scale of a standard normal by the quantiles of the training rows, a few knots a column, so that
heavy tails and several humps cost a model nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morphogen.core.column import Column, Number, Word
from morphogen.core.quantile_scale import APART
from morphogen.data.cells import MISSING, NUMBER, bad_cells, form_of, looks_like_number, number, plain_number
from morphogen.data.dates import date_form_of
from morphogen.data.sheet import Sheet
from morphogen.errors import UserError, did_you_mean

__all__ = ["PLAIN", "Found", "Writing", "find_columns", "on_normal_scale"]

ONE_HOT = 100  # words of a column that have an element each; where they are more, a code of so many signs
BITS = 48
MOST_WORDS = 5000  # a column of more is left out; unless asked for
FEW_ROWS = 20  # in so few rows words may all be different by chance
ALMOST = 0.9  # numbers in so many cells, and it is a column of numbers with slips
KNOTS, ROWS_A_KNOT = 256, 8
ATOM, FEWEST = 0.01, 3  # the share of rows, and their number, from which on a value is an atom
DECIMALS = 9
SHOWN = 4  # cells that are no numbers

Values = NDArray[np.float64]


@dataclass
class Found:
    """The columns that can be learned from, their stored values (rows, columns), and what was left out and why."""

    columns: list[Column]
    values: Values
    left_out: list[tuple[str, str]]


@dataclass(frozen=True)
class Writing:
    """How a person said that cells are written: which are empty beside the usual ones, what stands between thousands
    and before decimals, in which order dates are."""

    missing: frozenset[str] = frozenset()
    thousands: str = ""
    decimal: str = ""
    dates: str = ""

    def said(self) -> dict[str, Any]:
        """What a person said, by its name."""
        said = {"missing": sorted(self.missing), "thousands": self.thousands, "decimal": self.decimal}
        return {name: value for name, value in (said | {"dates": self.dates}).items() if value}


PLAIN = Writing()


def find_columns(
    sheet: Sheet, *, categorical: Collection[str], drop: Collection[str], writing: Writing = PLAIN
) -> Found:
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
        looked = _look(sheet, place, name in categorical, writing)
        if isinstance(looked, str):
            left_out.append((name, looked))
            continue
        columns.append(looked[0])
        values.append(looked[1])
    if not columns:
        why = "; ".join(f"{name}: {reason}" for name, reason in left_out[:5])
        raise UserError(f"{sheet.path.name} has no column that can be learned from ({why})")
    return Found(columns, np.stack(values, 1), left_out)


def _look(sheet: Sheet, place: int, asked: bool, writing: Writing) -> tuple[Column, Values] | str:
    """A column and its values, or why it is left out."""
    name = sheet.names[place]
    cells = ["" if cell in writing.missing or cell in MISSING else cell for cell in sheet.columns[place]]
    present = [cell for cell in cells if cell]
    if not present:
        return "empty"
    found = None if asked else _dates(sheet, place, cells, present, writing)
    if found is not None:
        return found
    read = _reader(sheet, place, present, writing, asked)
    if read is not None:
        values = _read(sheet, place, cells, read[0])
        distinct = np.unique(values[~np.isnan(values)])
        if not asked and len(distinct) > 2:
            decimals = _decimals(distinct)
            counts_rows = not decimals and len(distinct) == len(values) and bool((np.abs(np.diff(values)) == 1).all())
            return "a row number" if counts_rows else (Number(name, decimals=decimals, form=read[1]), values)
        if not read[1]:
            cells = ["" if math.isnan(v) else plain_number(v) for v in values.tolist()]
    return _words(name, cells, asked)


def _words(name: str, cells: list[str], asked: bool) -> tuple[Column, Values] | str:
    present = [cell for cell in cells if cell]
    words = sorted(set(present), key=_order)
    if not asked:
        if len(words) == len(present) and len(present) > FEW_ROWS:
            return "every cell is different"
        if len(words) > ONE_HOT and 2 * len(words) > len(present):
            return f"nearly every cell is different, {len(words):,} words in {len(present):,} cells ({KEEP})"
        if len(words) > MOST_WORDS:
            return f"{len(words):,} different words ({KEEP})"
    number_of = {word: float(i) for i, word in enumerate(words)}
    bits = BITS if len(words) > ONE_HOT else 0
    return Word(name, tuple(words), bits), np.array([number_of.get(cell, math.nan) for cell in cells])


KEEP = "name it in categorical to keep it"


def _dates(
    sheet: Sheet, place: int, cells: list[str], present: Sequence[str], writing: Writing
) -> tuple[Column, Values] | None:
    """The column as dates, where it is of dates."""
    form, name = date_form_of(present, writing.dates), sheet.names[place]
    if form is None:
        return None
    if isinstance(form, str):
        raise UserError(
            f"{sheet.path.name}, column {name!r}: {form}; say data.dates=dmy or data.dates=mdy, or name the column in "
            "data.categorical or data.drop"
        )
    values = _read(sheet, place, cells, lambda cell: form.read(cell) if cell else math.nan)
    if len(np.unique(values[~np.isnan(values)])) < 3:
        return None
    return Number(name, decimals=0, form=form.form), values


def _reader(
    sheet: Sheet, place: int, present: Sequence[str], writing: Writing, asked: bool
) -> tuple[Callable[[str], float], str] | None:
    """What reads the cells of a column of numbers, and their form in a word; None where they are words."""
    if all(map(NUMBER.fullmatch, present)):
        return number, ""
    if sum(map(looks_like_number, present)) < ALMOST * len(present):
        return None
    numbers = list(filter(looks_like_number, present))
    form = form_of(numbers, semicolons=sheet.mark == ";", thousands=writing.thousands, decimal=writing.decimal)
    if isinstance(form, str):
        if asked:
            return None
        raise UserError(
            f'{sheet.path.name}, column {sheet.names[place]!r}: {form}; say data.thousands="," or data.decimal=",", or '
            "name the column in data.categorical or data.drop"
        )
    bad = bad_cells(present, form.read)
    if sum(bad.values()) > (1 - ALMOST) * len(present):
        return None
    return form.read, form.told()


def _read(sheet: Sheet, place: int, cells: Sequence[str], read: Callable[[str], float]) -> Values:
    """The numbers of a column; all cells that are none are told at once."""
    bad = bad_cells(cells, read)
    if not bad:
        return np.array([read(cell) for cell in cells])
    lines = {cell: sheet.lines[cells.index(cell)] for cell in list(bad)[:SHOWN]}
    if len(bad) == 1:
        cell = next(iter(bad))
        try:
            read(cell)
        except ValueError as error:
            why = str(error)
        times = f" ({bad[cell]:,} times)" if bad[cell] > 1 else ""
        told = f"{sheet.where(cells.index(cell))}, column {sheet.names[place]!r}: {why}{times}"
    else:
        shown = ", ".join(f"{cell[:30]!r} (line {line})" for cell, line in lines.items())
        more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        told = (
            f"{sheet.path.name}, column {sheet.names[place]!r}: {sum(bad.values()):,} of {len(cells):,} cells are not "
            f"read as the others are: {shown}{more}"
        )
    listed = ", ".join(f'"{cell[:30]}"' for cell in lines)
    raise UserError(
        f"{told}; mend them, say data.missing=[{listed}] where they mean that nothing is there, or name the column in "
        "data.categorical or data.drop"
    )


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
