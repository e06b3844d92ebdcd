"""Data frames as tables, in and out: pandas, polars, pyarrow and whatever else narwhals knows.

A frame is read as the same table in a .csv file would be, but for its types, which are believed: a column of
categories or of truth values holds words, however much they look like numbers. Its index is left alone.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from morphogen.core.build import register
from morphogen.data.dataset import Dataset
from morphogen.data.sheet import Sheet, unique
from morphogen.data.table import table_of
from morphogen.errors import UserError, did_you_mean

__all__ = ["frame", "frame_of", "hold_frame", "sheet_of_frame"]

LIBRARIES = ("pandas", "polars", "pyarrow")
NAME = "the data frame"

_held: dict[str, Sheet] = {}


@register("data")
def frame(
    *,
    digest: str = "",
    target: str | None = None,
    categorical: list[str] = [],  # noqa: B006  (never written to)
    drop: list[str] = [],  # noqa: B006  (never written to)
    valid: float = 0.1,
    test: float = 0.1,
) -> Dataset:
    """A data frame in Python, `mg.train(recipe, frame)`: a recipe knows it by its digest alone."""
    if not digest:
        raise UserError("frame is a data frame in Python: mg.train(recipe, frame); name a set, a folder or a file here")
    if digest not in _held:
        raise UserError(
            f"the data was a data frame (digest {digest[:12]}), which this process does not hold: name the data that "
            "you mean, or call mg.hold(frame) first"
        )
    sheet = _held[digest]
    return table_of(sheet, "frame", target, sorted({*categorical, *sheet.typed}), drop, valid, test)


def hold_frame(sheet: Sheet, y: Any = None) -> dict[str, Any]:
    """Let this process hold a table in memory: a recipe of it as data. `y` is the name of its target column, or one
    label for each row, which becomes a column of its own."""
    recipe: dict[str, Any] = {"use": "frame"}
    if isinstance(y, str):
        if y not in sheet.names:
            raise UserError(f"the frame has no column {y!r} (y); {did_you_mean(y, sheet.names)}")
        recipe["target"] = y
    elif y is not None:
        sheet, recipe["target"] = _with_labels(sheet, y)
    sha = hashlib.sha256()
    for name, column in zip(sheet.names, sheet.columns, strict=True):
        sha.update("\x1f".join([name, str(name in sheet.typed), *column, "\x1e"]).encode("utf-8", "surrogatepass"))
    recipe["digest"] = sha.hexdigest()
    _held[recipe["digest"]] = sheet
    return recipe


def _with_labels(sheet: Sheet, y: Any) -> tuple[Sheet, str]:
    labels = sheet_of_frame(y) or sheet_of_frame({"y": getattr(y, "tolist", lambda: y)()})
    if labels is None or len(labels.columns) != 1:
        raise UserError("y is one label for each row of the frame, or the name of one of its columns")
    if len(labels) != len(sheet):
        raise UserError(f"y has {len(labels):,} labels, the frame has {len(sheet):,} rows")
    name = labels.names[0] if labels.names[0] not in ("", "None") else "y"
    while name in sheet.names:
        name += "_"
    return Sheet(
        sheet.path, [*sheet.names, name], [*sheet.columns, *labels.columns], sheet.lines, typed=sheet.typed
    ), name


def sheet_of_frame(x: Any) -> Sheet | None:
    """The cells of a data frame, of a Series or of a dictionary of columns as text; None where `x` is none of these."""
    if isinstance(x, Mapping):
        if "use" in x or not x or not all(_is_column(column) for column in x.values()):
            return None
        given = {str(name): list(getattr(column, "tolist", lambda c=column: c)()) for name, column in x.items()}
        if len({len(column) for column in given.values()}) > 1:
            said = ", ".join(f"{name}: {len(column):,}" for name, column in list(given.items())[:5])
            raise UserError(f"the columns are not of one length ({said})")
        return _sheet(list(given), [_cells(name, column) for name, column in given.items()], frozenset())
    if type(x).__module__.partition(".")[0] in ("builtins", "numpy", "torch", "morphogen", "pathlib"):
        return None
    import narwhals as nw
    from narwhals.exceptions import DuplicateError

    try:
        held = nw.from_native(x, allow_series=True, pass_through=True)
        if isinstance(held, nw.LazyFrame):
            held = held.collect()
        if isinstance(held, nw.Series):
            held = held.to_frame()
        if not isinstance(held, nw.DataFrame):
            return None
        names = [str(name) for name in held.columns]
    except DuplicateError:
        raise UserError("the frame has two columns of one name; give each a name of its own") from None
    unique(names, Path(NAME))
    typed = (nw.Categorical, nw.Enum, nw.Boolean)
    words = frozenset(name for name, kind in zip(names, held.schema.values(), strict=True) if isinstance(kind, typed))
    columns = [
        _cells(name, column.to_list(), column.is_null().to_list())
        for name, column in zip(names, held.iter_columns(), strict=True)
    ]
    return _sheet(names, columns, words)


def _is_column(column: Any) -> bool:
    if isinstance(column, (str, bytes, Mapping)):
        return False
    return isinstance(column, Sequence) or getattr(column, "ndim", 0) == 1


def _sheet(names: list[str], columns: list[list[str]], typed: frozenset[str]) -> Sheet:
    sheet = Sheet(Path(NAME), names, columns, list(range(len(columns[0]) if columns else 0)), typed=typed)
    if not len(sheet):
        raise UserError("the frame holds no rows")
    return sheet


def _cells(name: str, values: Sequence[Any], missing: Sequence[bool] | None = None) -> list[str]:
    return [
        "" if gone else _text(name, value)
        for value, gone in zip(values, missing if missing is not None else [False] * len(values), strict=True)
    ]


def _text(name: str, value: Any) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, (bytes, bytearray, list, tuple, dict, set)) or (hasattr(value, "__array__") and value.ndim):
        raise UserError(f"column {name!r} holds {type(value).__name__}, neither numbers nor words; leave it out")
    if isinstance(value, float):
        return repr(float(value))
    if hasattr(value, "isoformat"):
        return str(value.isoformat(sep=" ") if hasattr(value, "hour") and hasattr(value, "year") else value.isoformat())
    return str(value).strip()


def frame_of(columns: Mapping[str, list[Any]], library: str | None = None) -> Any:
    """A data frame of columns of Python values (None where a cell is missing), of the library that is asked for or
    of the first that is installed."""
    import narwhals as nw

    there = [name for name in LIBRARIES if importlib.util.find_spec(name) is not None]
    if library is not None and library not in LIBRARIES:
        raise UserError(f"library = {library!r} is not known; {did_you_mean(library, LIBRARIES)}")
    if not there or (library is not None and library not in there):
        raise UserError(f"{library or 'no library of data frames'} is not installed; pip install pandas (or polars)")
    chosen = library or there[0]
    made = nw.from_dict(dict(columns), backend=chosen).to_native()  # type: ignore[arg-type]
    if chosen == "pandas":  # whole numbers with gaps stay whole
        whole = [n for n, c in columns.items() if None in c and all(type(v) is int for v in c if v is not None)]
        made = made.astype(dict.fromkeys(whole, "Int64"))
    return made
