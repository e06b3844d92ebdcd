"""Tables for estimators: data frames of mixed types and arrays with gaps as rows of a `Table`, and filled again.

A frame is filled in place of its empty cells only, each column in its own type; everything else stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import narwhals as nw
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from morphogen import recipe
from morphogen.core.table import Number, Table, Word
from morphogen.data.columns import on_normal_scale
from morphogen.data.dates import is_date_form
from morphogen.data.frames import sheet_of_frame
from morphogen.data.rows import cells, known_cells, rows_of, texts
from morphogen.data.table import table_of
from morphogen.errors import UserError

__all__ = ["Columns", "columns_of_array", "columns_of_frame", "is_frame", "is_mixed", "known_frame", "of_tables"]

OTHERWISE = "; parse that column first (pd.to_datetime, pd.to_numeric), or make it categorical, which keeps it as words"
LARGEST = 1e300  # a number that a column may hold


@dataclass
class Columns:
    """What the columns of X are: all names, those that can be learned as a Table, the values that words stand for, and
    why the others are left out."""

    names: list[str]
    space: Table
    words: dict[str, list[Any]]
    left_out: dict[str, str]

    def stored(self, X: Any) -> Tensor:
        """Rows of a data frame or of an array as the Table stores them; what was not met in fitting is missing."""
        frame = X if is_frame(X) else {str(place): X[:, place] for place in range(X.shape[1])}
        sheet = sheet_of_frame(frame)
        assert sheet is not None
        return known_cells(replace(sheet, names=self.names), self.space, fit=True)

    def still_empty(self, X: Any) -> list[tuple[str, str]]:
        """Columns with gaps that could not be learned, and why."""
        held = nw.from_native(X, eager_only=True) if is_frame(X) else None
        places = [self.names.index(name) for name in self.left_out]
        gaps = [bool(np.isnan(X[:, i]).any() if held is None else _gaps(held[:, i])) for i in places]
        return [pair for pair, gap in zip(self.left_out.items(), gaps, strict=True) if gap]

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"space": self.space.facts()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state | {"space": Table.from_facts({k: v for k, v in state["space"].items() if k != "kind"})})

    def filled(self, X: Any, rows: Tensor) -> Any:
        """X with its empty cells taken from stored rows."""
        return self._filled_frame(X, rows) if is_frame(X) else self._filled_array(X, rows)

    def _filled_array(self, X: NDArray[Any], rows: Tensor) -> NDArray[Any]:
        for column in self.space.columns:
            if isinstance(column, Word) and not all(isinstance(v, (int, float)) for v in self.words[column.name]):
                raise UserError(f"X is an array, and column {column.name!r} holds words; give a data frame")
        out = X.copy()
        for place, column in enumerate(self.space.columns):
            there = self.names.index(column.name)
            values = rows[:, place].numpy()
            if isinstance(column, Word):
                values = np.array(self.words[column.name], dtype=np.float64)[values.astype(int)]
            out[:, there] = np.where(np.isnan(X[:, there]), values, X[:, there])
        return out

    def _filled_frame(self, X: Any, rows: Tensor) -> Any:
        held = nw.from_native(X, eager_only=True)
        known = {name: place for place, name in enumerate(self.space.names)}
        values, written = cells(rows, self.space), texts(rows, self.space, as_found=True)
        out = X.copy() if nw.dependencies.is_pandas_dataframe(X) else held
        for there, (name, column) in enumerate(zip(self.names, held.iter_columns(), strict=True)):
            gaps = _gaps(column)
            if name not in known or not gaps:
                continue
            place = known[name]
            found = [self._value(place, rows[row, place], values[name][row], written[row][place], column)
                     for row in gaps]  # fmt: skip
            filled = column.scatter(gaps, _like(column, found))
            if out is held:
                held = out = held.with_columns(filled)
            else:
                out.isetitem(there, filled.to_native())
        return nw.to_native(out, pass_through=True)

    def _value(self, place: int, number: Tensor, value: Any, text: str, like: nw.Series[Any]) -> Any:
        """A cell as a value of the type of its column."""
        column = self.space.columns[place]
        if isinstance(column, Word):
            return self.words[column.name][int(number)]
        if isinstance(like.dtype, nw.String):
            return text
        if isinstance(like.dtype, nw.Object) and column.form:
            first = next((v for v in like.to_list() if v is not None and v == v), "")
            plain = isinstance(first, date) and not isinstance(first, datetime)
            return text if isinstance(first, str) else value.date() if plain else value
        zone = getattr(like.dtype, "time_zone", None)
        if zone and is_date_form(column.form):
            return datetime.fromisoformat(text).astimezone(ZoneInfo(zone))
        if isinstance(like.dtype, nw.Date) and isinstance(value, datetime):
            return value.date()
        return float(value) if like.dtype.is_float() else value


def is_frame(X: Any) -> bool:
    """Whether X is a data frame of a library that is known, in memory."""
    return bool(nw.dependencies.is_into_dataframe(X))


def is_mixed(X: Any) -> bool:
    """Whether X is a data frame with a column that does not hold numbers."""
    return is_frame(X) and not all(kind.is_numeric() for kind in nw.from_native(X, eager_only=True).schema.values())


def known_frame(X: Any, space: Table) -> NDArray[np.float64]:
    """Rows of a data frame as a Table that is known stores them, columns found by name."""
    sheet = sheet_of_frame(X)
    if sheet is None:
        raise UserError(f"this model knows a table; give a data frame with the columns {', '.join(space.names)}")
    stored: NDArray[np.float64] = rows_of(sheet, space, fit=False).numpy()
    return stored


def of_tables() -> dict[str, Any]:
    """The parts of a model of tables: those of the recipe `tabular`."""
    parts = recipe.find("tabular")["model"]
    return {name: said for name, said in parts.items() if name not in ("use", "latent", "net")}


def columns_of_frame(X: Any) -> tuple[Columns, Tensor]:
    """The columns of a data frame as `morphogen train` finds them, and its rows."""
    sheet = sheet_of_frame(X)
    assert sheet is not None
    try:
        data = table_of(sheet, "X", None, sorted(sheet.typed), [], 0.0, 0.0)
    except UserError as error:  # what is advised there are leaves of a recipe
        said, advised, _ = str(error).replace("; mend them, say", "; say").partition("; say data.")
        raise UserError(said + (OTHERWISE if advised else "")) from None
    space, rows = data.space, torch.arange(len(sheet))
    assert isinstance(space, Table)
    stored = data.splits["train"].x.gather(rows)
    held, words = nw.from_native(X, eager_only=True), {}
    for place, column in enumerate(space.columns):
        if isinstance(column, Word):
            given = held[:, sheet.names.index(column.name)].to_list()
            first = {int(v): row for row, v in reversed(list(enumerate(stored[:, place].tolist()))) if v == v}
            words[column.name] = [given[first[number]] for number in range(len(column.words))]
    left_out = {where.removeprefix("column "): why for where, why in data.skipped}
    return Columns(list(sheet.names), space, words, left_out), stored


def columns_of_array(X: NDArray[Any]) -> tuple[Columns, Tensor]:
    """The columns of an array, numbers all of them, and its rows; what is empty throughout is left out."""
    names = [f"x{place}" for place in range(X.shape[1])]
    values = X.astype(np.float64)
    known = [place for place in range(X.shape[1]) if not np.isnan(values[:, place]).all()]
    if not known:
        raise UserError("X holds no number; NaN alone cannot be learned from")
    if float(np.nanmax(np.abs(values[:, known]))) > LARGEST:
        raise UserError(f"X holds a number beyond {LARGEST:g}; divide that column first")
    columns = [on_normal_scale(Number(names[i], decimals=-1), values[:, i], values[:, i]) for i in known]
    left_out = {name: "empty" for place, name in enumerate(names) if place not in known}
    return Columns(names, Table(tuple(columns)), {}, left_out), torch.from_numpy(values[:, known])


def _gaps(column: nw.Series[Any]) -> list[int]:
    empty = column.is_null()
    if column.dtype.is_float():
        empty = empty | column.is_nan().fill_null(True)
    return [row for row, gone in enumerate(empty.to_list()) if gone]


def _like(column: nw.Series[Any], values: Sequence[Any]) -> nw.Series[Any]:
    """Values as a series of the type of another."""
    native = column.to_native()
    if nw.dependencies.is_pandas_series(native):
        return nw.from_native(type(native)(values, dtype=native.dtype), series_only=True)
    return nw.new_series(column.name, values, column.dtype, backend=nw.get_native_namespace(column))
