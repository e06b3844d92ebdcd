"""Values of a Space to files and back: the only place that knows formats.

Every file that can carries its recipe, a note of how it was made: a text chunk of a PNG, the comment of a GIF, a
chunk of a WAV, the first line of a .jsonl, a key of an .npz; a .csv, which others read from its first line on, has it
in a file beside it, NAME.csv.provenance.json. Every write is atomic, and nothing is overwritten unasked.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from morphogen import formats, notes, readers
from morphogen.atomic import may_write, sweep, write
from morphogen.core.space import Image, Sound, Space, Tokens, Vector
from morphogen.core.table import Table
from morphogen.data.picture_files import holds_pictures
from morphogen.data.pictures import shown
from morphogen.data.read_pictures import picture, pictures_in
from morphogen.errors import UserError
from morphogen.sheet import contact_sheet
from morphogen.terminal import show

__all__ = [
    "contact_sheet",
    "default_suffix",
    "load_examples",
    "read_note",
    "save",
    "save_bytes",
    "show",
    "suffixes",
]

Note = Mapping[str, Any] | None
BESIDE = ".provenance.json"  # a file of how another was made
Writer = Callable[[Tensor, Any, Note], bytes]

ANY: dict[str, Writer] = {".npy": formats.npy, ".npz": formats.npz}
WRITERS: dict[type[Space], dict[str, Writer]] = {
    Image: {".png": formats.png, ".gif": formats.gif} | ANY,
    Tokens: {".txt": formats.txt, ".jsonl": formats.jsonl} | ANY,
    Vector: {".csv": formats.csv} | ANY,
    Sound: {".wav": formats.wav} | ANY,
    Table: {".csv": formats.rows, ".parquet": formats.parquet} | ANY,
}


def suffixes(space: Space) -> list[str]:
    """The endings that fit a space, the usual one first; pictures and sounds may also go to a folder, one file each."""
    return list(next((writers for kind, writers in WRITERS.items() if isinstance(space, kind)), ANY))


def default_suffix(space: Space) -> str:
    """The ending that a person would expect."""
    return suffixes(space)[0]


def save(path: Path | str, values: Tensor, space: Space, note: Note = None, *, force: bool = False) -> list[Path]:
    """Write what a model says (read values) as the path's ending says; without one, a file each in a folder."""
    path = Path(path)
    if values.shape[1:] != space.shape:
        values = values.reshape(-1, *space.shape)
    if not path.suffix:
        return _folder(path, values, space, note, force)
    known = next((writers for kind, writers in WRITERS.items() if isinstance(space, kind)), ANY)
    ending = path.suffix.lower()
    if ending not in known:
        raise UserError(f"{path}: {space.kind} values are written as {', '.join(known)}, not {ending}")
    return save_bytes(path, known[ending](values, space, note), force=force, note=note)


def save_bytes(path: Path, content: bytes, *, force: bool = False, note: Note = None) -> list[Path]:
    """Write a file that may be there only if that is wanted; the note of a .csv in a file beside it."""
    paths = [path, path.with_name(path.name + BESIDE)] if note and path.suffix.lower() == ".csv" else [path]
    for each in paths:
        may_write(each, force)
    sweep(path.parent)
    for each, held in zip(paths, (content, formats.beside(note)), strict=False):
        write(each, held, force=force)
    return paths[:1]


def _folder(path: Path, values: Tensor, space: Space, note: Note, force: bool) -> list[Path]:
    ending = default_suffix(space)
    names = [path / f"{number:05d}{ending}" for number in range(len(values))]
    for name in names:
        may_write(name, force)
    sweep(path)
    one: Writer = formats.single_png if isinstance(space, Image) else WRITERS[type(space)][ending]
    for number, name in enumerate(names):
        write(name, one(values[number : number + 1], space, dict(note or {}, index=number)), force=force)
    return names


def read_note(path: Path | str) -> dict[str, Any] | None:
    """The recipe that a file carries, if it is one of ours."""
    path = Path(path)
    try:
        found = notes.note_of(path.suffix.lower(), path.read_bytes())
        there = path.with_name(path.name + BESIDE)
        return notes.note_of(BESIDE, there.read_bytes()) if found is None and there.is_file() else found
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def load_examples(
    paths: Path | str | Sequence[Path | str],
    space: Space,
    *,
    fit: bool = False,
    array: Mapping[str, Any] | None = None,
    remedy: str = "resize it",
    left_out: list[tuple[str, str]] | None = None,
) -> tuple[Tensor, list[str]]:
    """A user's files as stored values of a model's space, and a name for each. Pictures in a folder that cannot be read
    are said, and put into `left_out`.

    `fit` resizes pictures; where one is of another size and it is not asked, `remedy` is what to do. `array` is what
    the run remembers of the array that it was trained on (`run.facts`).
    """
    listed = [paths] if isinstance(paths, (str, Path)) else list(paths)
    stored, names = [], []
    for path in map(Path, listed):
        if isinstance(space, Image) and path.is_dir() and holds_pictures(path):
            rows, found, bad = pictures_in(path, space, fit, remedy)
            stored.append(rows)
            names += [str(path / name) for name in found]
            _say(path, bad)
            if left_out is not None:
                left_out += bad
            continue
        for file in _files(path, space):
            rows = _rows(file, space, fit, array, remedy)
            stored.append(rows)
            names += [str(file)] if len(rows) == 1 else [f"{file}[{i}]" for i in range(len(rows))]
    if not stored:
        raise UserError("no file to read; name at least one")
    return stored[0] if len(stored) == 1 else torch.cat(stored), names


def _rows(file: Path, space: Space, fit: bool, array: Mapping[str, Any] | None, remedy: str) -> Tensor:
    """The examples of one file. A picture may be called anything."""
    ending = file.suffix.lower()
    reader = readers.reader(ending, space, array)
    if reader is not None:
        return reader(file, space, fit)
    if isinstance(space, Image):
        return picture(file, space, fit, remedy)
    raise UserError(f"{file}: {space.kind} values are not read from {ending or 'a file without an ending'}")


def _say(folder: Path, bad: Sequence[tuple[str, str]]) -> None:
    """One line for all that was left out."""
    if bad:
        few = "; ".join(f"{name}: {reason}" for name, reason in bad[:5])
        more = f"; and {len(bad) - 5:,} others" if len(bad) > 5 else ""
        print(f"morphogen: left out of {shown(folder)}: {few}{more}", file=sys.stderr)


def _files(path: Path, space: Space) -> list[Path]:
    """The file, or those in the folder that the space can be read from, in order."""
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
        found = [p for p in found if readers.reader(p.suffix.lower(), space) is not None]
        if not found:
            raise UserError(f"{path} holds no file of {space.kind} values")
        return found
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    return [path]
