"""New training data from labelled examples, made, looked through for copies, and written with where it came from."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from morphogen import atomic, files
from morphogen.core.noise import Noise
from morphogen.core.space import Space
from morphogen.core.table import Table, Word
from morphogen.errors import UserError
from morphogen.leaks import Leaks
from morphogen.makers import Labelled, Made, Maker

if TYPE_CHECKING:
    from morphogen.abilities import Autoencodes
    from morphogen.examples import Data

__all__ = ["Batch", "make", "may_be_written", "named", "write"]

ROUNDS = 10  # as often as copies are made anew
LINES, NPZ, ROWS = "provenance.jsonl", ".npz", (".csv", ".parquet")


@dataclass(frozen=True)
class Batch:
    """What was made: how near each is to what was seen, whether that is a copy, how many were tried and left out."""

    made: Made
    apart: Tensor
    copied: Tensor
    tried: int
    left_out: int


def make(
    model: Autoencodes,
    given: Labelled,
    by: Maker,
    n: int,
    *,
    leaks: Leaks,
    space: Space,
    seed: int,
    boldness: float,
    keep: bool = False,
) -> Batch:
    """n examples, classes in turn; copies are made anew, a few times, unless they are to be kept."""
    kinds = torch.tensor(list(given.of_class))
    wanted = kinds[torch.arange(n) % len(kinds)]
    parts: list[tuple[Made, Tensor, Tensor]] = []
    tried = 0
    for step in range(ROUNDS):
        new = by(model, given, wanted, Noise(seed, "augment", step), boldness)
        new = Made(space.read(space.write(new.x)), new.y, new.sources, new.weights)  # as it will be read again
        apart, copied = leaks.of(new.x, space)
        tried += len(new)
        good = torch.ones_like(copied) if keep else ~copied
        parts.append((new.rows(good), apart[good], copied[good]))
        wanted = wanted[~good]
        if not len(wanted):
            break
    made = Made.joined([part[0] for part in parts])
    apart, copied = (torch.cat([part[i] for part in parts]) for i in (1, 2))  # type: ignore[misc]
    return Batch(made, apart, copied, tried, tried - len(made))


def named(data: Data, row: int) -> str:
    """What an example is called in a provenance: its file, or its place."""
    return data.names[row] if data.names else f"{data.data.name}/{data.split}/{row}"


def may_be_written(out: Path, space: Space, force: bool) -> None:
    """Refuse, before anything is made, a place that holds something or a form that the data does not have."""
    known = (*ROWS, NPZ) if isinstance(space, Table) else (NPZ,)
    if out.suffix.lower() in known:
        for there in (out, _beside(out)) if out.suffix.lower() in ROWS else (out,):
            atomic.may_write(there, force)
        return
    if out.suffix:
        raise UserError(f"{out}: new data is written as a folder or as {', '.join(known)}, not {out.suffix}")
    if files.default_suffix(space) != ".png":
        raise UserError(f"{space.plural} are not written as class folders; name a {' or '.join(known)} file")
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise UserError(f"{out} is not empty; name another folder, or empty it: old and new data must not mix")


def write(
    out: Path,
    batch: Batch,
    given: Labelled,
    source: Data,
    note: Mapping[str, Any],
    originals: bool,
    space: Space,
    *,
    target: str,
    force: bool = False,
) -> int:
    """Class folders, a table with its column `target`, or x and y; a line for each example beside them says where it
    came from. How many there are."""
    made = batch.made
    lines = [{"by": note["by"]} | _line(batch, source, place) for place in range(len(made))]
    x, y = made.x, made.y
    if originals:
        x = torch.cat([given.all(), x])
        y = torch.cat([given.y, y])
        own = [{"by": "original", "sources": [named(source, row)], "weights": [1.0]} for row in given.rows.tolist()]
        lines = [*own, *lines]
    classes = [str(name) for name in source.data.classes]
    for line, kind in zip(lines, y.tolist(), strict=True):
        line["class"] = classes[kind]
    if out.suffix.lower() == NPZ:
        _npz(out, x, y, space, classes, lines, note, force)
    elif isinstance(space, Table) and out.suffix:
        rows = torch.cat([space.write(x), y.double()[:, None]], 1)
        _rows(out, rows, Table((*space.columns, Word(target, tuple(classes)))), lines, note, force)
    else:
        _folders(out, x, y, space, classes, lines, note)
    return len(x)


def _line(batch: Batch, source: Data, place: int) -> dict[str, Any]:
    made = batch.made
    used = [
        (row, weight) for row, weight in zip(made.sources[place].tolist(), made.weights[place].tolist(), strict=True)
    ]
    return {
        "sources": [named(source, row) for row, _ in used if row >= 0],
        "weights": [round(weight, 6) for row, weight in used if row >= 0],
        "nearest": round(float(batch.apart[place]), 6),
        "copy": bool(batch.copied[place]),
    }


def _npz(
    out: Path,
    x: Tensor,
    y: Tensor,
    space: Space,
    classes: Sequence[str],
    lines: Sequence[Any],
    note: Mapping[str, Any],
    force: bool,
) -> None:
    content, held = io.BytesIO(), dict[str, Any](x=space.write(x).contiguous().numpy())
    held["y"] = np.array([classes[kind] for kind in y.tolist()])
    held["provenance"] = np.array([json.dumps(line) for line in lines])
    np.savez_compressed(content, note=np.array(json.dumps({"morphogen": dict(note)})), **held)
    atomic.write(out, content.getvalue(), force=force)


def _rows(out: Path, rows: Tensor, space: Table, lines: Sequence[Any], note: Mapping[str, Any], force: bool) -> None:
    """The table as `train` reads it again; where each row came from lies in a file of its own."""
    files.save(out, space.read(rows), space, note, force=force)
    _provenance(_beside(out), lines, note, force)


def _beside(out: Path) -> Path:
    return out.with_name(f"{out.stem}-{LINES}")


def _provenance(path: Path, lines: Sequence[Any], note: Mapping[str, Any], force: bool) -> None:
    text = "\n".join(json.dumps(line) for line in [{"morphogen": dict(note)}, *lines])
    atomic.write(path, f"{text}\n".encode(), force=force)


def _folders(
    out: Path, x: Tensor, y: Tensor, space: Space, classes: Sequence[str], lines: Sequence[Any], note: Mapping[str, Any]
) -> None:
    homes = _homes(classes)
    for kind in sorted(set(y.tolist())):
        rows = (y == kind).nonzero().flatten()
        for row, path in zip(rows.tolist(), files.save(out / homes[kind], x[rows], space, note), strict=True):
            lines[row]["file"] = path.relative_to(out).as_posix()
    _provenance(out / LINES, lines, note, force=False)


def _homes(classes: Sequence[str]) -> list[str]:
    """A folder for each class: its name, where files may be called so."""
    homes: list[str] = []
    for name in classes:
        home = re.sub(r"[^\w +-]", "_", name).strip() or "class"
        while home in homes:
            home += "_"
        homes.append(home)
    return homes
