"""Pictures to tiles and back: a grid from the top left, rows first; at the right and below, the last column and row are
repeated until the tile is full."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from morphogen.codec.chunks import MEBI
from morphogen.codec.entries import Entry
from morphogen.codec.strips import Strips
from morphogen.errors import UserError

__all__ = ["ReadAt", "bands", "cut", "got", "put"]

Bytes = NDArray[np.uint8]
ReadAt = Callable[[int, int], bytes]  # bytes, from where


def cut(rows: Bytes, tile: tuple[int, int]) -> bytes:
    """The tiles of pictures, or of bands of them, (n, height, width, channels)."""
    n, height, width, channels = rows.shape
    down, across = -(-height // tile[0]), -(-width // tile[1])
    more = ((0, 0), (0, down * tile[0] - height), (0, across * tile[1] - width), (0, 0))
    whole = np.pad(rows, more, mode="edge") if any(map(any, more)) else rows
    return whole.reshape(n, down, tile[0], across, tile[1], channels).transpose(0, 1, 3, 2, 4, 5).tobytes()


def joined(data: bytes, n: int, entry: Entry, down: int) -> Bytes:
    """The inverse, (n, rows, width, channels), of so many rows of tiles; what was repeated below is still there."""
    (height, width, channels), across = entry.strip, entry.grid[1]
    tiles = np.frombuffer(data, np.uint8).reshape(n, down, across, height, width, channels)
    whole = tiles.transpose(0, 1, 3, 2, 4, 5).reshape(n, down * height, across * width, channels)
    return whole[:, :, : entry.shape[2] if entry.shape else 0]


@dataclass(frozen=True)
class Piece:
    """Some of an entry's pictures: `n` whole ones, or rows of one. `tiles` are counted from the entry's first."""

    picture: int
    n: int
    top: int
    rows: int
    first: int
    tiles: int


def pieces(entry: Entry) -> Iterator[Piece]:
    """An entry in pieces of a mebibyte or a row of tiles: so much of it is in memory at once."""
    n, height, _, _ = entry.shape or (0, 0, 0, 0)
    down, across = entry.grid
    size = down * across * entry.strip[0] * entry.strip[1] * entry.strip[2]
    if size <= MEBI:
        group = max(1, MEBI // max(size, 1))
        for start in range(0, n, group):
            count = min(group, n - start)
            yield Piece(start, count, 0, height, start * down * across, count * down * across)
        return
    for picture in range(n):
        for row in range(down):
            top = row * entry.strip[0]
            rows = min(entry.strip[0], height - top)
            yield Piece(picture, 1, top, rows, (picture * down + row) * across, across)


def bands(entry: Entry, strips: Strips) -> Iterator[tuple[Piece, Bytes]]:
    """The pixels of an entry, (n, rows, width, channels)."""
    for piece in pieces(entry):
        data = strips.read(entry.strip, entry.first + piece.first, piece.tiles)
        down = piece.tiles // (entry.grid[1] * piece.n)
        yield piece, joined(data, piece.n, entry, down)[:, : piece.rows]


def put(out: BinaryIO, start: int, entry: Entry, strips: Strips) -> None:
    """An array's pixels into a file, channels last or first."""
    _, height, width, channels = entry.shape or (0, 0, 0, 0)
    for piece, rows in bands(entry, strips):
        place = start + piece.picture * height * width * channels
        if entry.kind == "hwc" or piece.rows == height:
            out.seek(place + (piece.top * width * channels if entry.kind == "hwc" else 0))
            out.write((rows if entry.kind == "hwc" else rows.transpose(0, 3, 1, 2)).tobytes())
            continue
        for channel in range(channels):
            out.seek(place + (channel * height + piece.top) * width)
            out.write(rows[0, :, :, channel].tobytes())


def got(read: ReadAt, start: int, entry: Entry) -> Iterator[bytes]:
    """The tiles of an array in a file, the inverse of `put`."""
    _, height, width, channels = entry.shape or (0, 0, 0, 0)
    for piece in pieces(entry):
        place, size = start + piece.picture * height * width * channels, piece.n * piece.rows * width * channels
        if entry.kind == "hwc":
            rows = _array(read, size, place + piece.top * width * channels)
            whole = rows.reshape(piece.n, piece.rows, width, channels)
        elif piece.rows == height:
            whole = _array(read, size, place).reshape(piece.n, channels, height, width).transpose(0, 2, 3, 1)
        else:
            planes = [
                _array(read, piece.rows * width, place + (c * height + piece.top) * width) for c in range(channels)
            ]
            whole = np.stack([plane.reshape(1, piece.rows, width) for plane in planes], axis=-1)
        assert entry.tile is not None
        yield cut(whole, entry.tile)


def _array(read: ReadAt, size: int, place: int) -> Bytes:
    data = read(size, place)
    if len(data) != size:
        raise UserError("a file became shorter while it was read; try again when nobody writes to it")
    return np.frombuffer(data, np.uint8)
