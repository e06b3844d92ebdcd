"""The cells of a table file as text, column by column: CSV by a bounded reader, Parquet by pyarrow where it is there.

Cells are never more than text: a formula is a word like any other, and nothing is looked up, loaded or run.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from morphogen.data.pictures import shown
from morphogen.errors import UserError

__all__ = ["ENDINGS", "Sheet", "read_sheet"]

ENDINGS = (".csv", ".tsv", ".parquet")
LONGEST_LINE, LONGEST_CELL, LARGEST = 1 << 22, 1 << 17, 1 << 30
MARKS = (",", ";", "\t", "|")
LOOKED_AT = 50  # lines from which the mark between cells is told
OURS = '# {"morphogen"'  # the first line of a file that we wrote


@dataclass
class Sheet:
    """A table as it was written: names, one list of cells a column, and which line each row stood on. Columns that
    are `typed` are known to hold words."""

    path: Path
    names: list[str]
    columns: list[list[str]]
    lines: list[int]
    skipped: list[tuple[str, str]] = field(default_factory=list)
    mark: str = ","  # between cells
    said: list[str] = field(default_factory=list)
    typed: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.lines)

    def where(self, row: int) -> str:
        """A row in words, so that a person finds it."""
        return f"{shown(self.path)}, line {self.lines[row]}"


def read_sheet(path: Path, *, strict: bool = False) -> Sheet:
    """The cells of a .csv, .tsv or .parquet file. Rows of another length are skipped and counted, or refused."""
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise UserError(f"{shown(path)} is not a file; name a {', '.join(ENDINGS)} file")
        if size > LARGEST:
            raise UserError(f"{shown(path)} is larger than {LARGEST >> 30} GiB; take some of its rows")
        sheet = _parquet(path) if path.suffix.lower() == ".parquet" else _csv(path, strict)
    except OSError as error:
        raise UserError(f"{shown(path)} cannot be read: {error.strerror}") from None
    if not len(sheet):
        raise UserError(f"{shown(path)} holds no rows below the names of its columns; add some")
    return sheet


def _csv(path: Path, strict: bool) -> Sheet:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            mark = "\t" if path.suffix.lower() == ".tsv" else _mark(list(_lines(file, path, LOOKED_AT)), path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = 2 if file.readline(len(OURS)).startswith(OURS) else 1
            file.seek(0)
            lines = csv.reader(_lines(file, path), delimiter=mark, strict=True)
            sheet = _sorted_out(path, ((lines.line_num + first - 1, row) for row in lines if row), strict)
            sheet.mark = mark
            return sheet
    except UnicodeDecodeError as error:
        raise UserError(f"{shown(path)} is not UTF-8 text ({error.reason}); save it as UTF-8") from None


def _lines(file: Any, path: Path, most: int | None = None) -> Iterator[str]:
    """Lines, each of bounded length; without the note that a file of ours begins with."""
    number = 0
    while most is None or number < most:
        line = file.readline(LONGEST_LINE)
        number += 1
        if len(line) >= LONGEST_LINE:
            raise UserError(f"{shown(path)}: line {number} is longer than {LONGEST_LINE >> 20} MiB; is it a table?")
        if "\0" in line:
            raise UserError(f"{shown(path)}: line {number} holds bytes that are no text; save it as UTF-8 text")
        if not line:
            return
        if number > 1 or not line.startswith(OURS):
            yield line


def _mark(lines: list[str], path: Path) -> str:
    """What stands between cells: the mark that cuts most lines into equally many cells, more than one."""
    best, most = ",", 0
    for mark in MARKS:
        try:
            widths = Counter(len(row) for row in csv.reader(lines, delimiter=mark) if row)
        except csv.Error:
            continue
        width, count = max(widths.items(), key=lambda item: (item[1], item[0]), default=(0, 0))
        if width > 1 and count * 1000 + width > most:
            best, most = mark, count * 1000 + width
    return best


def _sorted_out(path: Path, rows: Iterator[tuple[int, list[str]]], strict: bool) -> Sheet:
    """The first row as names, the others by column, those of another length apart."""
    try:
        _, head = next(rows, (0, []))
        names, said = _names(path, head)
        kept, lines, skipped = [], [], []
        for line, row in _with(said, head, rows):
            if len(row) == len(names):
                kept.append(row)
                lines.append(line)
                continue
            fault = f"{len(row)} cells in place of {len(names)}"
            if strict:
                raise UserError(f"{shown(path)}, line {line}: {fault}; mend it, or leave strict away to skip it")
            skipped.append((f"line {line}", fault))
    except csv.Error as error:
        raise UserError(f"{shown(path)} is not a CSV file that can be read: {error}; mend its quotes") from None
    if len(skipped) > len(kept):
        raise UserError(
            f"{shown(path)}: {len(skipped):,} of {len(skipped) + len(kept):,} rows have not the {len(names)} cells "
            f"of the first line (line {skipped[0][0].split()[1]} has {skipped[0][1]}); is it a table?"
        )
    columns = [[cell.strip() for cell in column] for column in zip(*kept, strict=True)] or [[] for _ in names]
    if skipped:
        said.append(f"{len(skipped):,} rows of another length skipped")
    return Sheet(path, names, columns, lines, skipped, said=said)


def _with(said: list[str], head: list[str], rows: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    if said:  # the first row was no row of names
        yield 1, head
    yield from rows


def _names(path: Path, head: list[str]) -> tuple[list[str], list[str]]:
    names = [cell.strip() for cell in head]
    if not names:
        raise UserError(f"{shown(path)} is empty; a table begins with a row of names")
    if all(_is_number(name) for name in names):
        return [f"c{place}" for place in range(len(names))], ["no names in the first row: columns are c0, c1 ..."]
    return unique([name or f"column {place}" for place, name in enumerate(names, 1)], path), []


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def unique(names: Iterable[str], path: Path) -> list[str]:
    """The names, where all are different."""
    names = list(names)
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise UserError(f"{shown(path)} has more than one column {twice!r}; give each a name of its own")
    return names


def _parquet(path: Path) -> Sheet:
    try:
        from pyarrow import ArrowException, parquet, types
    except ImportError:
        raise UserError(
            f"{shown(path)}: Parquet is read by pyarrow, which is not installed; `pip install morphogen[tables]`, or "
            "save the table as .csv"
        ) from None
    try:
        held = parquet.read_table(path, memory_map=False)
        names = unique(held.column_names, path)
        nested = [f.name for f in held.schema if types.is_nested(f.type) or types.is_binary(f.type)]
        if nested:
            raise UserError(f"{shown(path)}: column {nested[0]!r} holds neither numbers nor words; leave it out")
        columns = [[_text(cell) for cell in column.to_pylist()] for column in held.columns]
    except (ArrowException, ValueError, OverflowError) as error:
        raise UserError(f"{shown(path)} is not a Parquet file that can be read: {error}") from None
    if not names:
        raise UserError(f"{shown(path)} holds no columns")
    return Sheet(path, names, columns, list(range(1, held.num_rows + 1)))


def _text(cell: Any) -> str:
    return "" if cell is None else repr(cell) if isinstance(cell, float) else str(cell).strip()
