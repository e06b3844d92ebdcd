"""Rows of a table that a model already knows: from a person's file by the names of its columns, and back to text."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from morphogen.core.batch import BLANK
from morphogen.core.table import Number, Table, Word
from morphogen.data.cells import MISSING, Form, form_of, looks_like_number, number, plain_number
from morphogen.data.dates import DateForm, is_date_form
from morphogen.data.pictures import shown
from morphogen.data.sheet import ENDINGS, Sheet, read_sheet
from morphogen.errors import UserError, did_you_mean

__all__ = [
    "cells",
    "fill_rows",
    "known_cells",
    "known_rows",
    "labels_of",
    "read_labels",
    "read_rows",
    "rows_of",
    "texts",
]

FIT = "mend it, or empty the cell, which then counts as missing"


def read_rows(path: Path, space: Table, fit: bool) -> Tensor:
    """The rows of a file as the model's columns, as `rows_of` reads them."""
    return rows_of(read_sheet(path, strict=True), space, fit)


def rows_of(sheet: Sheet, space: Table, fit: bool) -> Tensor:
    """The rows of a sheet as the model's columns, in whatever order they stand; columns of other names are left alone.

    With `fit`, what the model does not know counts as missing: a column, a word, a number that is none.
    """
    stored = known_cells(sheet, space, fit)
    if bool(stored.isnan().all()):
        raise UserError(
            f"{shown(sheet.path)} has no cell that the model knows; its columns are {', '.join(space.names[:8])}"
        )
    return stored


def known_cells(sheet: Sheet, space: Table, fit: bool) -> Tensor:
    """The same, where it may be that no cell is known."""
    stored = torch.full((len(sheet), len(space.columns)), math.nan, dtype=torch.float64)
    for place, column in enumerate(space.columns):
        if column.name not in sheet.names:
            if fit:
                continue
            raise UserError(
                f"{shown(sheet.path)} has no column {column.name!r}, which the model knows; "
                f"{did_you_mean(column.name, sheet.names)}; name it so, or add it with empty cells"
            )
        stored[:, place] = torch.tensor(
            _cells(sheet, sheet.names.index(column.name), column, fit, MISSING | set(space.missing)),
            dtype=torch.float64,
        )
    return stored


def _cells(sheet: Sheet, place: int, column: Number | Word, fit: bool, missing: Collection[str]) -> list[float]:
    cells = sheet.columns[place]
    value = _number_of(column, cells, sheet.mark) if isinstance(column, Number) else _place_of(column)
    values = []
    for row, cell in enumerate(cells):
        try:
            values.append(math.nan if cell in missing else value(cell))
        except ValueError as error:
            if not fit:
                raise UserError(f"{sheet.where(row)}, column {column.name!r}: {error}; {FIT}") from None
            values.append(math.nan)
    return values


def _number_of(column: Number, cells: Sequence[str], mark: str) -> Callable[[str], float]:
    """What reads the numbers of a column: dates in the column's own form, other numbers as this file writes them or,
    where that cannot be told, as the one did that was trained on."""
    if is_date_form(column.form):
        return DateForm(column.form).read
    own = Form.from_word(column.form)
    found = form_of([cell for cell in cells if looks_like_number(cell)], semicolons=mark == ";")
    return own.read if isinstance(found, str) else found.read


def _place_of(column: Word) -> Callable[[str], float]:
    place = {word: float(i) for i, word in enumerate(column.words)}

    def find(cell: str) -> float:
        if cell in place:
            return place[cell]
        if cell in MISSING:
            return math.nan
        try:  # 1.0 is the word 1
            return place[plain_number(number(cell))]
        except (ValueError, KeyError, OverflowError):
            raise ValueError(f"{cell[:40]!r} is none of its words; {did_you_mean(cell[:40], column.words)}") from None

    return find


def read_labels(paths: Sequence[Path], target: str, classes: Sequence[str]) -> Tensor | None:
    """Class numbers from the column `target` of the files, blank where nothing known stands; None where none has it."""
    if not all(path.suffix.lower() in ENDINGS for path in paths):
        return None
    return labels_of([read_sheet(path, strict=True) for path in paths], target, classes)


def labels_of(sheets: Sequence[Sheet], target: str, classes: Sequence[str]) -> Tensor | None:
    """The same of sheets that were read already."""
    place, labels = {name: i for i, name in enumerate(classes)}, []
    for sheet in sheets:
        cells = sheet.columns[sheet.names.index(target)] if target in sheet.names else [""] * len(sheet)
        labels += [place.get(cell, BLANK) for cell in cells]
    return torch.tensor(labels) if any(target in sheet.names for sheet in sheets) else None


def known_rows(stored: Tensor, space: Table, where: str) -> Tensor:
    """Stored values as they lie in an array, each of them one that the columns can hold."""
    stored = stored.double()
    if bool(stored.isinf().any()):
        raise UserError(f"{where} holds values that are not finite; mend or drop those rows (NaN is a missing cell)")
    for place in space.words.tolist():
        column, cells = space.columns[place], stored[:, place].nan_to_num(0.0)
        if not bool(((cells >= 0) & (cells < column.width) & (cells == cells.round())).all()):
            raise UserError(f"{where}: column {column.name!r} holds numbers of words outside 0 .. {column.width - 1}")
    return stored


def fill_rows(sheet: Sheet, space: Table, stored: Tensor) -> tuple[list[str], list[list[str]]]:
    """Names and cells of a sheet as they stand there, what is missing of its first rows filled from stored values."""
    filled = texts(stored, space, as_found=True)
    missing = MISSING | set(space.missing)
    place = {name: i for i, name in enumerate(space.names)}
    columns = []
    for name, cells in zip(sheet.names, sheet.columns, strict=True):
        column = [cells[row] for row in range(len(stored))]
        if name in place:
            column = [filled[row][place[name]] if cell in missing else cell for row, cell in enumerate(column)]
        columns.append(column)
    return sheet.names, [list(row) for row in zip(*columns, strict=True)]


def texts(stored: Tensor, space: Table, *, as_found: bool = False) -> list[list[str]]:
    """The cells of stored rows as text, empty where they are missing: dates in the form that they came in, numbers as
    programs write them or, `as_found`, with the marks that they came with."""
    writers = [_writer(column, as_found) for column in space.columns]
    return [
        ["" if math.isnan(v) else write(v) for v, write in zip(row, writers, strict=True)] for row in stored.tolist()
    ]


def cells(stored: Tensor, space: Table) -> dict[str, list[Any]]:
    """The columns of stored rows as Python values: whole numbers, fractions, words; None where a cell is missing."""
    return {
        column.name: [None if math.isnan(value) else _cell(value, column) for value in stored[:, place].tolist()]
        for place, column in enumerate(space.columns)
    }


def _cell(value: float, column: Number | Word) -> Any:
    if isinstance(column, Word):
        word = column.words[int(value)]
        return word == "True" if set(column.words) == {"True", "False"} else word
    if is_date_form(column.form):
        return DateForm(column.form).value(value)
    return int(value) if column.decimals == 0 else value


def _writer(column: Number | Word, as_found: bool) -> Callable[[float], str]:
    if isinstance(column, Word):
        return lambda value: column.words[int(value)]
    if is_date_form(column.form):
        return DateForm(column.form).write
    if not (as_found and column.form):
        return partial(_plain, column.decimals)
    form, digits = Form.from_word(column.form), column.decimals
    return lambda value: form.write(f"{value:.{digits}f}" if digits > 0 else _plain(digits, value))


def _plain(decimals: int, value: float) -> str:
    return plain_number(value) if decimals >= 0 else f"{value:.9g}"
