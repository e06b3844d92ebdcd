"""An entry back to a file, in pieces of a mebibyte or a row of tiles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from morphogen.codec import png
from morphogen.codec.blocks import BYTES
from morphogen.codec.chunks import MEBI, Damaged
from morphogen.codec.entries import Entry
from morphogen.codec.pictures import MOST_KEPT, checksum, from_kept
from morphogen.codec.strips import Strips
from morphogen.codec.tiles import bands, put
from morphogen.errors import Failure

__all__ = ["restore"]


def restore(entry: Entry, strips: Strips, out: BinaryIO) -> None:
    """Write the file of an entry."""
    strips.need(BYTES, entry.at, entry.size)
    strips.need(entry.strip, entry.first, entry.count)
    if entry.kind == "png":
        _png(entry, strips, out)
        return
    for start in range(0, entry.size, MEBI):
        out.write(strips.read(BYTES, entry.at + start, min(MEBI, entry.size - start)))
    if entry.shape is not None:
        put(out, entry.size, entry, strips)


def _png(entry: Entry, strips: Strips, out: BinaryIO) -> None:
    _, height, width, channels = entry.shape or (0, 0, 0, 0)
    if entry.size > MOST_KEPT:
        raise Damaged("the archive is damaged: it keeps more of a PNG than a PNG has")
    kept, crc = from_kept(strips.read(BYTES, entry.at, entry.size), height, width, channels)
    png.write(out, _rows(entry, strips), channels, kept)
    if crc is None:
        return
    if checksum(out) != crc:
        raise Failure(
            "the zlib of this machine makes other bytes than the one that wrote the PNG: its pixels are safe, its very "
            "bytes need that zlib (1.2 or 1.3, not zlib-ng)"
        )


def _rows(entry: Entry, strips: Strips) -> Iterator[NDArray[np.uint8]]:
    """The rows of its picture, at most a mebibyte at a time."""
    for _, band in bands(entry, strips):
        rows = band[0].reshape(band.shape[1], -1)
        some = max(1, MEBI // rows.shape[1])
        yield from (rows[start : start + some] for start in range(0, len(rows), some))
