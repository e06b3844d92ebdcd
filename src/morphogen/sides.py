"""Two groups of examples, those that have a thing and those that lack it, however a person points at them: files or
sets, classes of labelled data, a column of numbers beside the data."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

import numpy as np
import torch
from torch import Tensor

from morphogen.data.npz import Arrays, read_npy
from morphogen.errors import UserError, did_you_mean
from morphogen.examples import ROWS, Data

__all__ = ["Sides", "apart", "by_class", "by_column", "class_named", "column", "drawn", "known", "only"]


@dataclass(frozen=True)
class Sides:
    """Examples that have it, examples that lack it, and both in words."""

    having: Data
    lacking: Data
    words: tuple[str, str]

    def at_most(self, n: int) -> Sides:
        """So many of either, drawn."""
        return Sides(drawn(self.having, n), drawn(self.lacking, n), self.words)


def only(data: Data, rows: Tensor) -> Data:
    """Some of the examples, in this order."""
    part = data.data.splits[data.split]
    some = part.rows(rows)
    return Data(replace(data.data, splits=data.data.splits | {data.split: some}), data.split)


def drawn(data: Data, n: int, seed: int = 0) -> Data:
    """At most n of them, drawn by the seed and kept in order: the first ones may be all alike."""
    from morphogen.core.noise import Noise

    if len(data) <= n:
        return data
    draw = Noise(seed, "drawn").generator(torch.device("cpu"))
    return only(data, torch.randperm(len(data), generator=draw)[:n].sort().values)


def known(data: Data) -> tuple[Tensor, Tensor]:
    """The rows whose label is known (-1 is none), and their labels."""
    y = data.data.splits[data.split].y
    if y is None or not bool((y >= 0).any()):
        raise UserError(
            f"{data.data.name} ({data.split}) has no labels; name a set with classes, a folder of class folders, or an "
            ".npz with y beside x"
        )
    rows = torch.nonzero(y >= 0).flatten()
    return rows, y[rows].long()


def class_named(data: Data, said: str) -> int:
    """The number of a class of the data, given by name or number."""
    names = [str(name) for name in data.data.classes]
    if said in names:
        return names.index(said)
    if said.isascii() and said.isdigit() and int(said) < len(names):
        return int(said)
    raise UserError(f"{said!r} is no class of {data.data.name}; {did_you_mean(said, names)}")


def by_class(data: Data, of: str, against: str | None) -> Sides:
    """A class against another, or against all the rest."""
    rows, y = known(data)
    mine = class_named(data, of)
    other = None if against is None else class_named(data, against)
    if mine == other:
        raise UserError(f"of and against both name the class {of}; name two, or leave out against for all the rest")
    theirs = y != mine if other is None else y == other
    words = (of, "the rest" if against is None else against)
    for word, chosen in zip(words, (y == mine, theirs), strict=True):
        if not bool(chosen.any()):
            raise UserError(f"{data.data.name} ({data.split}) has no example of {word}; name another class or split")
    return Sides(only(data, rows[y == mine]), only(data, rows[theirs]), words)


def by_column(data: Data, where: str) -> Sides:
    """Those above the middle of a column of numbers against those below; of two values, the one against the other."""
    values = column(where, len(data), data.names or ())
    low, high = float(values.min()), float(values.max())
    if low == high:
        raise UserError(f"{where} says {low:g} of every example, which tells none apart; give another column")
    middle = float(values.median()) if len(set(values.tolist())) > 2 else (low + high) / 2
    middle = middle if bool((values > middle).any()) and bool((values < middle).any()) else (low + high) / 2
    above, below = (torch.nonzero(side).flatten() for side in (values > middle, values < middle))
    return Sides(only(data, above), only(data, below), (f"{where} above {middle:g}", f"below {middle:g}"))


def column(where: str, count: int, names: Sequence[str] = ()) -> Tensor:
    """One number for each example: of a .npy, a .npz or .csv with FILE:NAME, in the order of the examples; of a .csv
    with a column `file`, by the names of examples that have them."""
    word, _, name = where.rpartition(":") if ":" in where and not Path(where).is_file() else (where, "", "")
    path = Path(word)
    if not path.is_file():
        raise UserError(f"there is no file {word!r}; give FILE.npy, FILE.npz:NAME or FILE.csv:NAME")
    try:
        values = np.asarray(_columns(path, name, names), dtype=np.float64).reshape(-1)
    except UserError:
        raise
    except Exception as error:  # a stranger's bytes may break a reader in any way
        raise UserError(f"{path} holds no column of numbers: {error}") from None
    if len(values) != count:
        raise UserError(f"{where} has {len(values)} numbers and there are {count} examples; give one for each")
    if not np.isfinite(values).all():
        raise UserError(f"{where} holds numbers that are not finite; mend them")
    return torch.from_numpy(values)


def _columns(path: Path, name: str, names: Sequence[str]) -> object:
    import csv

    if path.suffix.lower() in (".npy", ".npz"):
        if path.suffix.lower() == ".npy":
            return read_npy(path)
        with Arrays(path) as held:
            return held.read(_one_of(name, held.names, path))
    with path.open(encoding="utf-8-sig", newline="") as text:
        lines = [row for row in csv.reader(line for line in text if not line.startswith("#")) if row]
    place = lines[0].index(_one_of(name, lines[0], path)) if lines else 0
    if names and "file" in lines[0] and name != "file":
        lines = [lines[0], *_by_file(path, lines, names)]
    return [float(row[place]) for row in lines[1:]]


def _by_file(path: Path, lines: list[list[str]], names: Sequence[str]) -> list[list[str]]:
    """The row of each example, its name or the end of it in the column `file`."""
    place = lines[0].index("file")
    rows = {PurePath(row[place]).as_posix(): row for row in lines[1:]}
    if len(rows) < len(lines) - 1:
        raise UserError(f"{path} names a file twice; leave one of the lines")
    found = []
    for name in names:
        parts = PurePath(name).parts
        row = next((rows[end] for i in range(len(parts)) if (end := "/".join(parts[i:])) in rows), None)
        if row is None:
            raise UserError(f"{path} has no line for {name}; add one, or leave that example out")
        found.append(row)
    return found


def _one_of(name: str, there: Sequence[str], path: Path) -> str:
    if name not in there:
        raise UserError(f"{path} has no column {name!r}; {did_you_mean(name, there)}; write {path}:NAME")
    return name


def apart(having: Data, lacking: Data) -> Sides:
    """Given examples that have it, and given ones that lack it; the two may share none."""
    mine, theirs = _contents(having), _contents(lacking)
    both = mine.keys() & theirs.keys()
    words = (_called(having), _called(lacking))
    if both:
        first = min(mine[key] for key in both)
        where = having.names[first] if having.names else f"example {first}"
        raise UserError(
            f"{words[0]}, which have it, and {words[1]}, which lack it, share {len(both)}, {where} among them; an "
            "example has it or lacks it: take them out of one of the two"
        )
    return Sides(having, lacking, words)


def _called(data: Data) -> str:
    """What given examples are in words."""
    files = sorted({name.partition("[")[0] for name in data.names or []})
    if not files:
        return f"{len(data)} given" if data.split == "given" else f"{data.data.name} ({data.split})"
    return files[0] if len(files) == 1 else os.path.commonpath([os.path.dirname(name) for name in files]) or "files"


def _contents(data: Data) -> dict[bytes, int]:
    """A hash of what each example holds, and where it stands."""
    found: dict[bytes, int] = {}
    for place, batch in enumerate(data.batches(ROWS)):
        rows = batch.x.contiguous().flatten(1).numpy()
        for number, row in enumerate(rows):
            found.setdefault(hashlib.blake2b(row.tobytes(), digest_size=16).digest(), place * ROWS + number)
    return found
