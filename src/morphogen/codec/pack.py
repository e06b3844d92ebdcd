"""Files into an archive: found, named, looked at, coded, read back, and only then put in place."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from morphogen import __version__
from morphogen.atomic import exists_error, is_temporary, may_write, placed, sweep
from morphogen.codec.archive import Sink, Writer
from morphogen.codec.blocks import BYTES, Coder, Learned
from morphogen.codec.chunks import MEBI
from morphogen.codec.names import Names, shown
from morphogen.codec.pictures import AsBytes, Item, Looker
from morphogen.data.npz import RATIO, SURE
from morphogen.errors import Failure, UserError

__all__ = ["Told", "Way", "pack", "read_back", "report", "target", "written"]

ZIP = b"PK\x03\x04"


@dataclass
class Told:
    """What became of the files."""

    files: int = 0
    pictures: int = 0
    read: int = 0
    dims: int = 0
    plain: int = 0  # bytes that are no part of a picture
    as_bytes: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


def pack(
    files: Sequence[str | Path],
    out: str | Path,
    learned: Learned,
    *,
    oracle: Learned | None = None,
    paranoid: bool = False,
    exact: bool = False,
    inside: bool = True,
    force: bool = False,
) -> dict[str, Any]:
    """An archive of files and folders; `-` is standard input, and as `out` standard output."""
    began = time.perf_counter()
    with target(out, force) as file:
        way = Way(Coder(learned, oracle, paranoid), Looker(learned, exact), exact, inside)
        writer, told = written(file, files, out, learned, way)
        read_back(file, writer.finish())
    return report(out, writer, way.coder, told, time.perf_counter() - began)


@dataclass(frozen=True)
class Way:
    """How files become an archive: what makes blocks, what decides what a file is kept as, whether .npz stay whole, and
    whether the model stands in the archive."""

    coder: Coder
    looker: Looker | AsBytes
    exact: bool
    inside: bool = True


def written(
    file: Sink, files: Sequence[str | Path], out: str | Path, learned: Learned, way: Way
) -> tuple[Writer, Told]:
    """All files in an archive that is still to be finished."""
    writer, told = Writer(file, way.coder, learned, f"morphogen {__version__}", inside=way.inside), Told()
    names = Names()
    for name, path in _found(files, out, told):
        for item in _items(way.looker, name, path, way.exact, told):
            names.add(item.entry.name)
            _put(writer, item, told)
    if not told.files:
        raise UserError("there is no file to compress; name one at least")
    return writer, told


def report(out: str | Path, writer: Writer, coder: Coder, told: Told, seconds: float) -> dict[str, Any]:
    """What became of the files, for a person."""
    kept = writer.units.get(BYTES, 0)  # of which some belong to other files, and their share is not the pictures'
    pictures = writer.size - writer.profile - writer.stored.get(BYTES, 0) * told.plain / max(kept, 1)
    said: dict[str, Any] = {
        "archive": str(out),
        "files": told.files,
        "coded_by_the_model": told.pictures,
        "bytes_read": told.read,
        "uncompressed_bytes": writer.raw,
        "bytes_of_the_archive": writer.size,
        "bytes_of_the_model": writer.profile,
        "bits_per_dimension": 8 * pictures / told.dims if told.dims else None,
        "blocks": dict(coder.counts),
        "fallbacks": dict(+coder.fallbacks),
        "seconds": round(seconds, 2),
    }
    if coder.change.levels:
        said |= {"psnr_db": round(coder.change.psnr, 2), "largest_error": coder.change.furthest}
    few = 20
    for name, reasons in (("kept as bytes", told.as_bytes), ("skipped", told.skipped)):
        if reasons:
            said[name] = [f"{file}: {why}" for file, why in list(reasons.items())[:few]]
            said[name] += [f"and {len(reasons) - few} more"] if len(reasons) > few else []
    return said


def _put(writer: Writer, item: Item, told: Told) -> None:
    entry = item.entry
    writer.add(entry)
    for piece in item.kept:
        writer.put(BYTES, piece)
    for tiles in item.tiles:
        writer.put(entry.strip, tiles)
    told.files += 1
    if entry.shape is not None:
        told.pictures += 1
        told.dims += entry.raw - entry.size
    else:
        told.plain += entry.size
    if item.note:
        told.as_bytes[shown(entry.name)] = item.note


# Files --------------------------------------------------------------------------------------------------------------


def _found(files: Sequence[str | Path], out: str | Path, told: Told) -> Iterator[tuple[str, Path | None]]:
    """Names and paths; standard input has no path."""
    for word in files:
        path = Path(word)
        if str(word) == "-":
            yield "stdin", None
        elif path.is_dir():
            yield from _below(path, out, told)
        elif path.is_file():
            yield path.name, path
        else:
            raise UserError(f"{shown(str(word))} is no file and no folder")


def _below(folder: Path, out: str | Path, told: Told) -> Iterator[tuple[str, Path]]:
    above = folder.resolve().name if folder.name in ("", ".", "..") else folder.name
    own = None if str(out) == "-" else Path(out).absolute()
    for home, folders, files in os.walk(folder):
        folders.sort()
        for name in [*folders, *files]:
            path = Path(home) / name
            if path.is_symlink() and name in folders:
                told.skipped[shown(str(path))] = "a link"
        for name in sorted(files):
            path = Path(home) / name
            if path.absolute() == own or (own and path.parent.absolute() == own.parent and is_temporary(name)):
                continue
            if path.is_symlink() or not path.is_file():
                told.skipped[shown(str(path))] = "a link" if path.is_symlink() else "no regular file"
                continue
            inner = path.relative_to(folder).as_posix()
            yield f"{above}/{inner}" if above else inner, path


@contextmanager
def _opened(path: Path | None, told: Told) -> Iterator[tuple[BinaryIO, int]]:
    """A file that stands still while it is read, and its mode; a pipe is copied first."""
    with ExitStack() as stack:
        if path is None:
            spool = stack.enter_context(tempfile.TemporaryFile())
            shutil.copyfileobj(sys.stdin.buffer, spool, MEBI)
            spool.flush()
            told.read += spool.tell()
            yield spool, 0o644
            return
        try:
            file = stack.enter_context(open(path, "rb"))
        except OSError as error:
            raise UserError(f"{shown(str(path))} cannot be read: {error.strerror}") from None
        before = os.fstat(file.fileno())
        if not stat.S_ISREG(before.st_mode):
            raise UserError(f"{shown(str(path))} is no regular file")
        told.read += before.st_size
        yield file, before.st_mode & 0o777
        after = os.fstat(file.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise UserError(f"{shown(str(path))} changed while it was read; try again when nobody writes to it")


def _items(looker: Looker | AsBytes, name: str, path: Path | None, exact: bool, told: Told) -> Iterator[Item]:
    """A file; or the arrays in an .npz of pictures, which come back as a folder of .npy."""
    with _opened(path, told) as (file, mode):
        members = [] if exact or not name.endswith(".npz") else _arrays(file)
        if not members:
            yield looker.item(name, mode, file)
        for member in members:
            with tempfile.TemporaryFile() as spool, zipfile.ZipFile(file).open(member) as inner:
                shutil.copyfileobj(inner, spool, MEBI)
                spool.flush()
                yield looker.item(f"{name}/{member}", mode, spool)


def _arrays(file: BinaryIO) -> list[str]:
    """The names in a sound .npz that has bytes, as pictures are, in one of its arrays; else none."""
    try:
        with zipfile.ZipFile(file) as held:
            listed = held.infolist()
            names = [info.filename for info in listed]
            bomb = sum(info.file_size for info in listed) > max(SURE, RATIO * os.fstat(file.fileno()).st_size)
            if bomb or any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in listed):
                return []
            Names(names)
            if held.testzip() is None and all(name.endswith(".npy") for name in names):
                return names if any(b"'descr': '|u1'" in held.open(name).read(128) for name in names) else []
    except Exception:  # zipfile stumbles over damaged files in many ways; then it is a file like any other
        pass
    return []


# The archive ----------------------------------------------------------------------------------------------------------


@contextmanager
def target(out: str | Path, force: bool) -> Iterator[BinaryIO]:
    """Where to write to; a file takes its name only when all went well."""
    if str(out) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(out)
    may_write(path, force)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"{path.parent} cannot be made: {error.strerror}") from None
    sweep(path.parent)
    try:
        with placed(path, force=force) as file:
            yield file
    except FileExistsError:
        raise exists_error(path) from None
    except OSError as error:
        raise Failure(f"{path} could not be written: {error.strerror or error}") from None


def read_back(target: BinaryIO, digest: bytes) -> None:
    """What stands on the disk is what was meant to."""
    target.flush()
    if target is sys.stdout.buffer:
        return
    target.seek(0)
    found = hashlib.sha256()
    while piece := target.read(MEBI):
        found.update(piece)
    if found.digest() != digest:
        raise Failure("what was written is not what is read back; the disk may be failing")
