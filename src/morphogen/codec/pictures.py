"""Files as entries: as pixels where the model can code them (PNG, arrays of pictures), else as the bytes that they are.

A PNG comes back with the same pixels and notes; `exact`, with the same bytes, for which it is kept how its rows were
filtered and how zlib was called. An array comes back byte for byte: its head is kept as it is.
"""

from __future__ import annotations

import io
import os
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from morphogen.codec import png
from morphogen.codec.blocks import Learned
from morphogen.codec.chunks import MEBI, Damaged
from morphogen.codec.entries import Entry, fits
from morphogen.codec.png import Kept, NotCoded, Png, Setting
from morphogen.codec.tiles import ReadAt, cut, got
from morphogen.errors import UserError

__all__ = ["MOST_KEPT", "AsBytes", "Item", "Looker", "checksum", "from_kept", "to_kept"]

LARGEST_PNG, MOST_KEPT = 200_000_000, 16 * MEBI
NETPBM = re.compile(rb"P([56])\s+(\d{1,9})\s+(\d{1,9})\s+255\s")
CHANNELS = (1, 3)
Found = tuple[str, int, tuple[int, int, int, int]]  # kind, where the pixels begin, and their shape


@dataclass(frozen=True)
class Item:
    """A file, ready to be put: the entry, what is kept as bytes, its tiles; `note` says why it has none."""

    entry: Entry
    kept: Iterator[bytes]
    tiles: Iterator[bytes] = field(default_factory=lambda: iter(()))
    note: str = ""


class AsBytes:
    """Keeps every file as the bytes that it is."""

    def item(self, name: str, mode: int, file: BinaryIO) -> Item:
        """A file that is open and stands still."""
        handle = file.fileno()
        size = os.fstat(handle).st_size
        return Item(Entry(name, mode, size=size), _whole(lambda count, place: os.pread(handle, count, place), size))


class Looker:
    """Decides what a file is kept as."""

    def __init__(self, learned: Learned, exact: bool) -> None:
        self._learned, self._exact = learned, exact
        self._hint: Setting = png.DEFAULT

    def item(self, name: str, mode: int, file: BinaryIO) -> Item:
        """A file that is open and stands still."""
        handle = file.fileno()
        size = os.fstat(handle).st_size

        def read(count: int, place: int) -> bytes:
            return os.pread(handle, count, place)

        try:
            start = read(64, 0)
            if start.startswith(png.SIGNATURE) and size <= LARGEST_PNG:
                return self._png(name, mode, read(size, 0))
            if start.startswith(b"\x93NUMPY"):
                return self._array(name, mode, size, read, _numpy(file))
            if found := NETPBM.match(start):
                return self._array(name, mode, size, read, _netpbm(found))
        except NotCoded as reason:
            return Item(Entry(name, mode, size=size), _whole(read, size), note=str(reason))
        return Item(Entry(name, mode, size=size), _whole(read, size))

    def _entry(self, name: str, mode: int, kind: str, size: int, shape: tuple[int, int, int, int]) -> Entry:
        tile = self._learned.tile(*shape[1:])
        if tile is None:
            raise NotCoded(f"the model codes no pictures of {shape[2]} x {shape[1]} in {shape[3]} channels")
        entry = Entry(name, mode, kind, size, shape, (int(tile[0]), int(tile[1])))
        if not fits(entry):
            raise NotCoded(f"pictures of {shape[2]} x {shape[1]} are too large")
        return entry

    def _png(self, name: str, mode: int, data: bytes) -> Item:
        found = png.parse(data)
        shape = (1, found.height, found.width, found.channels)
        self._entry(name, mode, "png", 0, shape)  # cheaper than looking at the pixels
        rows = max(1, MEBI // (found.stride + 1))
        types = b"".join(kinds for kinds, _ in found.bands(rows))  # and a look at all of them, before it is promised
        kept = self._kept(found, types, data)
        if len(kept) > MOST_KEPT:
            raise NotCoded("it holds more beside its pixels than a PNG should")
        entry = self._entry(name, mode, "png", len(kept), shape)
        assert entry.tile is not None
        tile = entry.tile
        return Item(entry, iter((kept,)), (cut(band[None], tile) for _, band in found.bands(tile[0])))

    def _kept(self, found: Png, types: bytes, data: bytes) -> bytes:
        if not self._exact:
            return b"" if found.plain else to_kept(Kept(found.before, found.after), 0)
        if len(found.sizes) > png.most_pieces(found.height, found.width, found.channels):
            raise NotCoded("its pixels are in too many pieces")
        setting = found.setting(self._hint)
        if setting is None:
            raise NotCoded("its deflate stream was made by a program that cannot be followed")
        self._hint = setting
        kept = Kept(found.before, found.after, setting, found.stream[:2], found.sizes, types)
        again = io.BytesIO()
        rows = max(1, MEBI // (found.stride + 1))
        png.write(again, (band.reshape(len(band), -1) for _, band in found.bands(rows)), found.channels, kept)
        if again.getvalue() != data:
            raise NotCoded("it could not be made again byte for byte")
        return to_kept(kept, checksum(again))

    def _array(self, name: str, mode: int, size: int, read: ReadAt, found: Found) -> Item:
        kind, start, shape = found
        entry = self._entry(name, mode, kind, start, shape)
        if size != entry.raw:
            raise NotCoded("it is longer or shorter than its pictures")
        return Item(entry, iter((read(start, 0),)), got(read, start, entry))


def _whole(read: ReadAt, size: int) -> Iterator[bytes]:
    """A file by the mebibyte, as long as it said it was."""
    place = 0
    while place < size:
        piece = read(min(MEBI, size - place), place)
        if not piece:
            raise UserError("a file became shorter while it was read; try again when nobody writes to it")
        yield piece
        place += len(piece)


def _numpy(file: BinaryIO) -> Found:
    """What the head of an .npy says."""
    try:
        file.seek(0)
        version = np.lib.format.read_magic(file)
        reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, by_column, kind = reader(file)
    except Exception:  # a head is text that numpy evaluates as a literal: it fails in many ways
        raise NotCoded("its head is damaged, or of a new kind") from None
    if kind != np.uint8 or (by_column and len(shape) > 1):
        raise NotCoded(f"its numbers are {kind}, and models code uint8, by rows")
    return _pictures(tuple(int(side) for side in shape), file.tell())


def _pictures(shape: tuple[int, ...], start: int) -> Found:
    """(n, h, w, c), (n, c, h, w), (n, h, w), (h, w, 3) or (h, w)."""
    if not all(shape):
        raise NotCoded("it holds nothing")
    if len(shape) == 4 and shape[3] in CHANNELS:
        return "hwc", start, (shape[0], shape[1], shape[2], shape[3])
    if len(shape) == 4 and shape[1] in CHANNELS:
        return "chw", start, (shape[0], shape[2], shape[3], shape[1])
    if len(shape) == 3:
        return "hwc", start, (1, *shape) if shape[2] == 3 else (*shape, 1)
    if len(shape) == 2:
        return "hwc", start, (1, shape[0], shape[1], 1)
    raise NotCoded("its shape is not that of pictures")


def _netpbm(found: re.Match[bytes]) -> Found:
    width, height = int(found[2]), int(found[3])
    if not width * height:
        raise NotCoded("it holds nothing")
    return "hwc", found.end(), (1, height, width, 1 if found[1] == b"5" else 3)


# What is kept of a PNG ----------------------------------------------------------------------------------------------


def checksum(file: BinaryIO) -> int:
    """CRC-32 of a whole file."""
    file.seek(0)
    value = 0
    while piece := file.read(MEBI):
        value = zlib.crc32(piece, value)
    return value


def to_kept(kept: Kept, crc: int) -> bytes:
    """As bytes: the chunks around the pixels, and for the very same bytes the rest, with a checksum of the file."""
    notes = struct.pack("<BI", bool(kept.sizes), len(kept.before)) + kept.before
    notes += struct.pack("<I", len(kept.after)) + kept.after
    if not kept.sizes:
        return notes
    about = struct.pack("<4B", *kept.setting) + kept.start + struct.pack("<II", crc, len(kept.sizes))
    return notes + about + np.array(kept.sizes, "<u4").tobytes() + kept.types


def from_kept(data: bytes, height: int, width: int, channels: int) -> tuple[Kept, int | None]:
    """The inverse, and the checksum, if there is one; what does not fit the pixels is refused."""
    if not data:
        return Kept(png.ihdr(height, width, channels), png.IEND), None
    try:
        exact, length = struct.unpack_from("<BI", data)
        before, place = data[5 : 5 + length], 5 + length
        (length,) = struct.unpack_from("<I", data, place)
        after, place = data[place + 4 : place + 4 + length], place + 4 + length
        if exact > 1 or before[:25] != png.ihdr(height, width, channels) or (not exact and place != len(data)):
            raise ValueError
        if not exact:
            return Kept(before, after), None
        level, window, memory, strategy = struct.unpack_from("<4B", data, place)
        start, (crc, count) = data[place + 4 : place + 6], struct.unpack_from("<II", data, place + 6)
        place += 14
        if count > png.most_pieces(height, width, channels):
            raise ValueError
        sizes, types = np.frombuffer(data, "<u4", count, place), data[place + 4 * count :]
        known = level <= 9 and 9 <= window <= 15 and 1 <= memory <= 9 and strategy <= 4
        if not known or not count or len(types) != height or max(types) > 4:
            raise ValueError
    except (ValueError, struct.error):
        raise Damaged("the archive is damaged: what it keeps of a PNG does not fit") from None
    return Kept(before, after, (level, window, memory, strategy), start, tuple(sizes.tolist()), types), crc
