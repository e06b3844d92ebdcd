"""Tables in .csv, .tsv and .parquet files: columns of numbers and words, found by looking, with gaps."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from morphogen.core.build import register
from morphogen.core.table import Column, Table, Word
from morphogen.data.columns import PLAIN, Values, Writing, find_columns, on_normal_scale
from morphogen.data.dataset import Dataset
from morphogen.data.relations import relations
from morphogen.data.sheet import Sheet, read_sheet
from morphogen.data.split import by_hash, row_hashes
from morphogen.data.stamp import dataset_of
from morphogen.errors import UserError, did_you_mean

__all__ = ["table", "table_of"]


@register("data")
def table(
    *,
    path: str,
    target: str | None = None,
    categorical: list[str] = [],  # noqa: B006  (never written to)
    drop: list[str] = [],  # noqa: B006  (never written to)
    missing: list[str] = [],  # noqa: B006  (never written to)
    thousands: Literal["", ",", ".", " ", "'"] = "",
    decimal: Literal["", ",", "."] = "",
    dates: Literal["", "dmy", "mdy", "ymd"] = "",
    valid: float = 0.1,
    test: float = 0.1,
    strict: bool = False,
) -> Dataset:
    """A table of your own, .csv, .tsv or .parquet: columns of numbers and words with gaps; `target` becomes the label,
    `categorical` are words whatever they look like, `drop` is left out; `missing`, `thousands`, `decimal` and
    `dates` say how cells are written, where looking cannot tell.

    missing: words that mean an empty cell, beside the usual ones
    thousands: mark between thousands, where looking cannot tell
    decimal: mark before decimals, where looking cannot tell
    dates: order of day, month and year, where looking cannot tell
    """
    file = Path(path)
    sheet = read_sheet(file, strict=strict)
    if thousands and thousands == decimal:
        raise UserError(f"data.thousands and data.decimal are both {decimal!r}; say one of them")
    writing = Writing(frozenset(missing), thousands, decimal, dates)
    return table_of(sheet, file.stem, target, categorical, drop, valid, test, writing)


def table_of(
    sheet: Sheet,
    name: str,
    target: str | None,
    categorical: Collection[str],
    drop: Collection[str],
    valid: float,
    test: float,
    writing: Writing = PLAIN,
) -> Dataset:
    """The data set of a sheet: columns found, numbers scaled by the training rows, splits by content."""
    labels, classes = (None, ()) if target is None else _labels(sheet, target, writing)
    apart = [] if target is None else [target]
    found = find_columns(sheet, categorical=set(categorical) - set(apart), drop=[*drop, *apart], writing=writing)
    splits, how = by_hash(row_hashes(found.values), valid, test)
    columns = tuple(_scaled(found.columns, found.values, splits["train"]))
    follow = relations(columns, found.values[splits["train"].numpy()])
    space = Table(columns, 0, follow, tuple(sorted(writing.missing)))
    stored = torch.from_numpy(found.values)
    parts = {part: (stored[rows], None if labels is None else labels[rows]) for part, rows in splits.items()}
    left_out = [(f"column {each}", why) for each, why in found.left_out if each not in (*apart, *drop)]
    notes = [*sheet.said, *([f"{len(left_out)} columns left out"] if left_out else []), how]
    options = {"target": target, "categorical": list(categorical), "drop": list(drop), "valid": valid, "test": test}
    options |= writing.said()
    notes[-1:-1] = [f"{len(follow)} columns follow from others"] if follow else []
    return dataset_of(
        name,
        space,
        parts,
        options,
        classes=classes,
        protocol="; ".join(notes),
        skipped=[*left_out, *sheet.skipped],
        remarks=[f"{name}: {said}" for said in sheet.said if said.startswith("no names")],
    )


def _scaled(columns: list[Column], values: Values, train: Tensor) -> list[Column]:
    rows = train.numpy()
    return [on_normal_scale(column, values[:, i], values[rows, i]) for i, column in enumerate(columns)]


def _labels(sheet: Sheet, target: str, writing: Writing) -> tuple[Tensor, tuple[str, ...]]:
    """A column as class numbers, -1 where it is blank."""
    if target not in sheet.names:
        raise UserError(f"{sheet.path.name} has no column {target!r} (target); {did_you_mean(target, sheet.names)}")
    place = sheet.names.index(target)
    alone = Sheet(sheet.path, [target], [sheet.columns[place]], sheet.lines, mark=sheet.mark)
    found = find_columns(alone, categorical=[target], drop=[], writing=writing)
    column, values = found.columns[0], found.values[:, 0]
    assert isinstance(column, Word)
    if len(column.words) < 2:
        raise UserError(
            f"{sheet.path.name}: {target!r} is {column.words[0]!r} in all rows, and a target needs two classes"
        )
    if len(column.words) > max(20, len(sheet) // 5):
        raise UserError(
            f"{sheet.path.name}: {target!r} has {len(column.words):,} different values in {len(sheet):,} rows, which "
            "are no classes; leave target away and it is a column like the others"
        )
    return torch.from_numpy(np.nan_to_num(values, nan=-1.0)).long(), column.words
