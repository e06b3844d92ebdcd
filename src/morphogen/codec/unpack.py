"""Files out of an archive: everything is decoded and checked before the first of them takes its place."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from morphogen.codec.blocks import BYTES, CODECS, LEARNED, Learned, size_of
from morphogen.codec.chunks import BLOCK, MEBI, Damaged
from morphogen.codec.entries import Entry
from morphogen.codec.names import shown
from morphogen.codec.place import Folder
from morphogen.codec.reader import Models, Walk
from morphogen.codec.recover import salvage
from morphogen.codec.restore import restore
from morphogen.codec.strips import Shelf, Spool, Strips
from morphogen.errors import UserError, did_you_mean

__all__ = ["coded", "contents", "unpack"]

LearnedOf = Callable[[bytes], Learned]


def unpack(
    archive: str | Path,
    folder: str | Path,
    learned_of: LearnedOf | None,
    *,
    profile: bytes | None = None,
    extract: str | None = None,
    recover: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """The files of an archive into a folder, or the only one to standard output (`-`)."""
    models = Models(learned_of, profile)
    with _opened(archive) as (file, seekable):
        if recover:
            with _seekable(file, seekable) as whole, tempfile.TemporaryFile() as space:
                found = salvage(whole, models, Spool(space))
                entries = _chosen(found.entries, extract)
                return _written(entries, found.strips, folder, force, found.holes)
        if extract is not None and seekable:
            shelf = Shelf(file, models)
            return _written(_chosen(shelf.catalogue.entries, extract), shelf.strips, folder, force, None)
        with tempfile.TemporaryFile() as space:
            walk, spool = Walk(file.read, models), Spool(space)
            for block, raw in walk.blocks():
                spool.add(block, raw)
            return _written(_chosen(walk.catalogue.entries, extract), spool.strips, folder, force, None)


def _chosen(entries: list[Entry], extract: str | None) -> list[Entry]:
    if extract is None:
        return entries
    found = [entry for entry in entries if entry.name == extract]
    if not found:
        names = [entry.name for entry in entries[:1000]]
        raise UserError(f"the archive holds no {shown(extract)!r}; {did_you_mean(extract, names)[:500]}")
    return found


def _written(
    entries: list[Entry], strips: Strips, folder: str | Path, force: bool, holes: list[str] | None
) -> dict[str, Any]:
    """Everything into place. `holes`: what is missing from a damaged archive; then files that need it are left out."""
    if str(folder) == "-":
        return _to_stdout(entries, strips)
    place, lost = Folder(Path(folder)), list(holes or [])
    for entry in entries:
        place.check(entry.name, force)
    done = 0
    for entry in entries:
        try:
            place.write(entry.name, entry.mode, force, partial(restore, entry, strips))
            done += 1
        except Damaged as error:
            if holes is None:
                raise
            lost.append(f"{shown(entry.name)}: {error}")
    place.sync()
    said = {"folder": str(folder), "files": done, "uncompressed_bytes": sum(entry.raw for entry in entries)}
    return said if holes is None else said | {"lost": lost, "damaged": bool(lost)}


def _to_stdout(entries: list[Entry], strips: Strips) -> dict[str, Any]:
    if len(entries) != 1:
        raise UserError(f"the archive holds {len(entries)} files, standard output takes one; name it with --extract")
    with tempfile.TemporaryFile() as file:
        restore(entries[0], strips, file)
        file.seek(0)
        shutil.copyfileobj(file, sys.stdout.buffer, MEBI)
    sys.stdout.buffer.flush()
    return {}


@contextmanager
def _opened(archive: str | Path) -> Iterator[tuple[BinaryIO, bool]]:
    """The archive, and whether any place in it can be gone to."""
    if str(archive) == "-":
        yield sys.stdin.buffer, False
        return
    path = Path(archive)
    if path.is_dir():
        raise UserError(f"{path} is a folder, not an archive")
    try:
        with open(path, "rb") as file:
            yield file, file.seekable()
    except FileNotFoundError:
        raise UserError(f"there is no archive {shown(str(path))}") from None


@contextmanager
def _seekable(file: BinaryIO, seekable: bool) -> Iterator[BinaryIO]:
    if seekable:
        yield file
        return
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(file, copy, MEBI)
        copy.flush()
        yield copy


def contents(archive: str | Path) -> list[dict[str, Any]]:
    """What is in an archive, by its index: nothing is decoded. `stored`: an entry's share of its blocks."""
    with _opened(archive) as (file, seekable), _seekable(file, seekable) as whole:
        shelf = Shelf(whole, Models(None))
        shares = _Shares(shelf)
        rows = []
        for entry in shelf.catalogue.entries:
            stored, codecs = shares.of(entry)
            dims = entry.raw - entry.size
            rows.append(
                {
                    "name": entry.name,
                    "size": entry.raw,
                    "stored": round(stored),
                    "bits/dim": 8 * stored / dims if dims else None,
                    "codec": "+".join(codecs) or "-",
                }
            )
        return rows


def coded(archive: str | Path) -> int:
    """How many numbers of pictures the model is to decode, by the index; 0 where that is not known."""
    try:
        with _opened(archive) as (file, seekable):
            rows = Shelf(file, Models(None)).rows if seekable else []
            return sum(row.count * size_of(row.strip) for row in rows if row.codec == LEARNED)
    except UserError:  # damaged: whoever reads all of it says where
        return 0


class _Shares:
    """How much of the blocks belongs to whom; entries stand in the order of their places, so one pass is enough."""

    def __init__(self, shelf: Shelf) -> None:
        self._rows: dict[tuple[int, int, int], list[tuple[int, int, int, int]]] = {}
        for row in shelf.rows:
            if row.name == BLOCK:
                place = (row.first, row.count, row.stored, row.codec)
                self._rows.setdefault(row.strip, []).append(place)
        self._next: Counter[tuple[int, int, int]] = Counter()

    def of(self, entry: Entry) -> tuple[float, list[str]]:
        """Bytes, and by which codecs."""
        stored, codecs = 0.0, set[int]()
        spans = [(BYTES, entry.at, entry.size), (entry.strip, entry.first, entry.count)]
        for strip, first, count in spans:
            rows, end = self._rows.get(strip, []), first + count
            while count and self._next[strip] < len(rows):
                start, units, size, codec = rows[self._next[strip]]
                inside = max(0, min(end, start + units) - max(first, start))
                stored += size * inside / max(units, 1)
                codecs |= {codec} if inside else set()
                if start + units > end:
                    break
                self._next[strip] += 1
        return stored, [CODECS[codec] for codec in sorted(codecs) if codec < len(CODECS)]
