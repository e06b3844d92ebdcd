"""NumPy's .npy and .npz files from anyone, read within bounds: nothing in them is evaluated, no size is believed.

A header is a dictionary of three entries, found by pattern; members of an .npz are stored or deflated, as NumPy writes
them. What a file unpacks to is held against its own size before a byte of it is unpacked.
"""

from __future__ import annotations

import io
import math
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from morphogen.data.pictures import shown
from morphogen.errors import UserError

__all__ = [
    "RATIO",
    "SURE",
    "X_NAMES",
    "Y_NAMES",
    "Arrays",
    "Header",
    "examples_in",
    "labels_in",
    "read_header",
    "read_npy",
]

Values = NDArray[Any]
MEMORY = 2.0  # gigabytes that one array may take, where nobody says otherwise
SURE, RATIO, ROW = 32 << 20, 50, 128  # bytes that any file may unpack to, times its own size beyond, and of a row
LONGEST = 1 << 16  # bytes of a header
PIECE = 1 << 20
KINDS = {"b": "bool", "u": "whole numbers", "i": "whole numbers", "f": "real numbers", "S": "words", "U": "words"}
X_NAMES = ("x", "images", "data", "arr_0")
Y_NAMES = ("y", "labels", "targets")
SPLITS = ("x_train", "x_test", "y_train", "y_test")
MAGIC = b"\x93NUMPY"
TYPE = re.compile(r"""['"]descr['"]\s*:\s*['"]([<>|=]?[?a-zA-Z]\d{0,9})['"]""")
ORDER = re.compile(r"""['"]fortran_order['"]\s*:\s*(True|False)""")
SHAPE = re.compile(r"""['"]shape['"]\s*:\s*\(((?:\s*\d{1,18}L?\s*,?)*)\s*\)""")
AGAIN = {".npy": "write it again with numpy.save", ".npz": "write it again with numpy.savez(path, x=x, y=y)"}


@dataclass(frozen=True)
class Header:
    """What the front of an array says of it; `offset` is where the values begin."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    offset: int

    @property
    def size(self) -> int:
        """Bytes of all values."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def cost(self) -> int:
        """Bytes that it will take, with what each row needs beside its values."""
        rows = self.shape[0] if self.shape else 1
        return rows * max(self.size // max(rows, 1), ROW)


def read_header(file: IO[bytes]) -> Header:
    """The header at the front of an array; a ValueError where there is none that can be read."""
    front = file.read(8)
    if front[:6] != MAGIC or len(front) < 8:
        raise ValueError("it is no array of NumPy's")
    wide = {1: 2, 2: 4, 3: 4}.get(front[6])
    if wide is None:
        raise ValueError(f"an array of version {front[6]}, which is not known")
    length = int.from_bytes(file.read(wide), "little")
    text = file.read(length) if length <= LONGEST else b""
    if len(text) != length or not length:
        raise ValueError("its header is cut off, or too long")
    said = text.decode("latin-1")
    kind, order, shape = TYPE.search(said), ORDER.search(said), SHAPE.search(said)
    if kind is None and "'descr': [" in said:
        raise ValueError("it holds records of several fields; save an array of numbers")
    if kind is None or order is None or shape is None:
        raise ValueError("its header is damaged")
    sides = tuple(int(side.strip(" \tL")) for side in shape[1].split(",") if side.strip(" \tL"))
    return Header(sides, _type(kind[1]), order[1] == "True", 8 + wide + length)


def _type(word: str) -> np.dtype[Any]:
    try:
        dtype = np.dtype(word)
    except (TypeError, ValueError):
        raise ValueError(f"it holds numbers of a type {word!r} that is not known") from None
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are never loaded; save a plain array of numbers")
    if dtype.kind not in KINDS or not dtype.itemsize:
        raise ValueError(f"it holds {dtype}; save numbers (uint8, int or float)")
    return dtype


def read_npy(path: Path, most: float = MEMORY, fits: Callable[[Header], None] | None = None) -> Values:
    """The array of an .npy file of at most so many gigabytes; `fits` may refuse it by its header."""
    with _told(path), path.open("rb") as file:
        head = read_header(file)
        there = os.fstat(file.fileno()).st_size - head.offset
        if head.size > there:
            raise ValueError(f"its header tells of {head.size:,} bytes and it has {max(there, 0):,}: it was cut off")
        _affordable(head, there, most, path)
        if fits is not None:
            fits(head)
        return _values(file, head)


class Arrays:
    """The arrays of an .npz file, each read when it is asked for, all of them at most so many gigabytes; `content` is
    the file, where it was read already."""

    def __init__(self, path: Path, most: float = MEMORY, content: bytes | None = None) -> None:
        self.path, self.most, self.spent = path, most, 0
        with _told(path):
            self._zip = zipfile.ZipFile(path if content is None else io.BytesIO(content))
            listed = self._zip.infolist()
            self._members = {info.filename.removesuffix(".npy"): info for info in listed if _named(info)}
            self._size = path.stat().st_size if content is None else len(content)

    def __enter__(self) -> Arrays:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    @property
    def names(self) -> list[str]:
        """What the arrays are called."""
        return list(self._members)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def header(self, name: str) -> Header:
        """What an array says of itself."""
        with _told(self.path), self._opened(name) as file:
            return read_header(file)

    def read(self, name: str, fits: Callable[[Header], None] | None = None) -> Values:
        """One of the arrays; `fits` may refuse it by its header."""
        with _told(self.path), self._opened(name) as file:
            head = read_header(file)
            there = self._members[name].file_size - head.offset
            if head.size != there:
                raise ValueError(f"the header of {name} tells of {head.size:,} bytes and it has {max(there, 0):,}")
            self.spent += head.cost
            _affordable(head, self._size, self.most, self.path, self.spent)
            if fits is not None:
                fits(head)
            return _values(file, head)

    def _opened(self, name: str) -> IO[bytes]:
        info = self._members[name]
        if info.flag_bits & 1:
            raise ValueError(f"{name} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{name} is compressed by method {info.compress_type}, which NumPy does not write")
        return self._zip.open(info)


def examples_in(held: Arrays) -> str:
    """What the examples are called: x, images, data or arr_0; or whatever the only array is called that can be them."""
    name = next((name for name in X_NAMES if name in held), None)
    if name is not None:
        return name
    others = [n for n in held.names if n not in (*Y_NAMES, *SPLITS)]
    others = [n for n in others if len((head := held.header(n)).shape) > 1 and head.dtype.kind in "buif"]
    if len(others) == 1:
        return others[0]
    there = ", ".join(shown(name[:40]) for name in sorted(held.names)[:8]) or "nothing"
    raise UserError(f"{shown(held.path)} holds {there}; the examples must be named x")


def labels_in(held: Arrays, examples: str) -> str | None:
    """What the labels of these examples are called, where there are any."""
    names = (f"y_{examples.removeprefix('x_')}",) if examples in SPLITS else Y_NAMES
    return next((name for name in names if name in held), None)


def _named(info: zipfile.ZipInfo) -> bool:
    return info.filename.endswith(".npy") and info.filename.isprintable()


def _affordable(head: Header, size: int, most: float, path: Path, spent: int = 0) -> None:
    """Refuse what would not fit in memory, and a few bytes that would unpack to many."""
    cost = max(head.cost, spent)
    if cost > most * 1e9:
        remedy = "save x as .npy, which `train` streams, or in parts; for training raise data.memory"
        raise UserError(f"{shown(path)} unpacks to {cost / 1e9:.1f} GB, more than {most:g}; {remedy}")
    if cost > max(SURE, RATIO * size):
        raise UserError(
            f"{shown(path)} has {size / 1e6:.1f} MB and unpacks to {cost / 1e6:,.0f}, as no pictures or tables do; "
            "if it is sound, save x as .npy"
        )


def _values(file: IO[bytes], head: Header) -> Values:
    """The values behind a header, piece by piece."""
    raw = np.empty(head.size, np.uint8)
    place, whole = 0, raw.data
    while place < len(whole):
        piece = file.read(min(PIECE, len(whole) - place))
        if not piece:
            raise EOFError("it is cut off")
        whole[place : place + len(piece)] = piece
        place += len(piece)
    file.read(1)  # the sum over a member of an .npz is checked at its end
    flat = raw != 0 if head.dtype.kind == "b" else raw.view(head.dtype)
    return flat.reshape(head.shape, order="F" if head.fortran else "C")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Whatever a stranger's bytes do to a reader is told as one error that names the file."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"there is no file {shown(path)}") from None
    except MemoryError:
        raise UserError(f"{shown(path)} does not fit in memory; save it in parts") from None
    except Exception as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        again = AGAIN.get(path.suffix.lower(), AGAIN[".npy"])
        why = "".join(c if c.isprintable() else " " for c in why.splitlines()[0])[:200]
        raise UserError(f"{shown(path)} cannot be read: {why}{'' if ';' in why else f'; {again}'}") from None
