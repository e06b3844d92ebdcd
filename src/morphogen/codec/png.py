"""PNG (ISO/IEC 15948) in bands of rows, so that a picture of any size takes little memory: its filters both ways,
reading what stands around the pixels, writing it again, and how zlib was called to write the very same bytes."""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pictures

__all__ = [
    "DEFAULT",
    "IEND",
    "Kept",
    "NotCoded",
    "Png",
    "Setting",
    "filtered",
    "ihdr",
    "most_pieces",
    "parse",
    "unfiltered",
    "write",
]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOURS = {1: 0, 3: 2}  # channels to colour types
PIECE = 1 << 16
MOST_PIXELS = 50_000_000
MOST_NOTES = 16 << 20  # bytes of a file that are no pixels
Bytes = NDArray[np.uint8]
Setting = tuple[int, int, int, int]  # level, log2 of the window, memory level, strategy
DEFAULT: Setting = (6, 15, 8, 0)


class NotCoded(Exception):
    """Why a file is kept as bytes."""


@dataclass(frozen=True)
class Png:
    """A file, taken apart: chunks before and after the picture's, the lengths of those, and the zlib stream in them."""

    height: int
    width: int
    channels: int
    before: bytes
    after: bytes
    sizes: tuple[int, ...]
    stream: bytes

    @property
    def stride(self) -> int:
        """Bytes of a row."""
        return self.width * self.channels

    @property
    def plain(self) -> bool:
        """Whether nothing but the picture is in it."""
        return self.before == ihdr(self.height, self.width, self.channels) and self.after == IEND

    def bands(self, rows: int) -> Iterator[tuple[bytes, Bytes]]:
        """So many rows at a time: their filters, and their pixels (rows, width, channels)."""
        prior: Bytes | None = None
        for data in self._inflated(rows * (self.stride + 1)):
            count = len(data) // (self.stride + 1)
            pixels = unfiltered(data, self.width, self.channels, count, prior)
            prior = pixels[-1]
            yield data[:: self.stride + 1], pixels.reshape(count, self.width, self.channels)

    def _inflated(self, most: int) -> Iterator[bytes]:
        pump, left, fed = zlib.decompressobj(), self.height * (self.stride + 1), self.stream
        try:
            while left:
                data = b""
                while len(data) < min(most, left):
                    more = pump.decompress(fed, min(most, left) - len(data))
                    fed = pump.unconsumed_tail
                    if not more and not fed:
                        raise NotCoded("its pixels are cut off")
                    data += more
                left -= len(data)
                yield data
            if pump.decompress(fed, 1) or not pump.eof or pump.unused_data:
                raise NotCoded("something stands behind its pixels")
        except zlib.error:
            raise NotCoded("its pixels are damaged") from None

    def setting(self, hint: Setting = DEFAULT) -> Setting | None:
        """How zlib was called, if it was zlib; the setting of a file before is a good first guess."""
        window, speed = (self.stream[0] >> 4) + 8, self.stream[1] >> 6
        levels = ((1, 0), (2, 3, 4, 5), (6,), (9, 8, 7))[speed]
        tried = [(level, bits, memory, strategy) for bits in dict.fromkeys((window, 15)) for memory in (8, 9)
                 for strategy in (0, 1, 3, 2, 4) for level in levels]  # fmt: skip
        return next((each for each in dict.fromkeys([hint, *tried]) if self._same(each)), None)

    def _same(self, setting: Setting) -> bool:
        """Whether these settings give these bytes; the first difference ends it."""
        place = 2  # some writers put another window into the header than they used
        for piece in deflating(self._inflated(PIECE), setting):
            if piece != self.stream[place : place + len(piece)]:
                return False
            place += len(piece)
        return place == len(self.stream)


def ihdr(height: int, width: int, channels: int) -> bytes:
    """The first chunk of an 8-bit picture."""
    return _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, COLOURS[channels], 0, 0, 0))


def _chunk(name: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(name + payload))


IEND = _chunk(b"IEND", b"")


def most_pieces(height: int, width: int, channels: int) -> int:
    """How many IDATs a picture may come in: writers make them of kilobytes; a list of single bytes costs minutes."""
    return min(1024 + height * (width * channels + 1) // 64, MOST_PIXELS >> 8)


def parse(data: bytes) -> Png:
    """A file taken apart, or why it cannot be."""
    if not data.startswith(SIGNATURE):
        raise NotCoded("it is no PNG")
    place, start, end = len(SIGNATURE), 0, 0
    parts: list[bytes] = []
    while True:
        length, name = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        stop = place + 12 + length
        if stop > len(data) or zlib.crc32(data[place + 4 : stop - 4]) != int.from_bytes(data[stop - 4 : stop], "big"):
            raise NotCoded("it is damaged")
        if name == b"IDAT":
            if parts and end != place:
                raise NotCoded("its pixels are not in one piece")
            start, end = start or place, stop
            parts.append(data[place + 8 : stop - 4])
            if len(parts) > MOST_PIXELS >> 8:
                raise NotCoded("its pixels are in too many pieces")
        elif (start or place) + place - end > MOST_NOTES:
            raise NotCoded("it holds more beside its pixels than a PNG should")
        place = stop
        if name == b"IEND":
            break
    before, after = data[len(SIGNATURE) : start], data[end:]
    if len(b"".join(parts)) < 8:
        raise NotCoded("it has no pixels")
    return Png(*_facts(before), before, after, tuple(map(len, parts)), b"".join(parts))


def _facts(before: bytes) -> tuple[int, int, int]:
    """Height, width and channels, if they are what a model can code."""
    if len(before) < 25 or before[:8] != b"\0\0\0\rIHDR":
        raise NotCoded("it is damaged")
    width, height, depth, colour, *rest = struct.unpack_from(">IIBBBBB", before, 8)
    if depth == 16:
        raise NotCoded("16 bits a channel, and models code 8")
    if colour == 3 or depth < 8:
        raise NotCoded("a palette or fewer than 8 bits a pixel")
    if colour not in (0, 2):
        raise NotCoded("it is transparent")
    if rest != [0, 0, 0] or b"acTL" in before:
        raise NotCoded("it is interlaced or moves")
    if not 0 < width * height <= MOST_PIXELS or before[:25] != ihdr(height, width, 1 if colour == 0 else 3)[:25]:
        raise NotCoded("it is empty or larger than 50 million pixels")
    return height, width, 1 if colour == 0 else 3


# Filters ----------------------------------------------------------------------------------------------------------


def filtered(rows: Bytes, channels: int, prior: Bytes | None, types: bytes | None = None) -> Bytes:
    """Rows with their filter bytes in front: the given ones, or for each row the one that leaves the least."""
    above = np.concatenate([np.zeros_like(rows[:1]) if prior is None else prior.reshape(1, -1), rows[:-1]])
    left, corner = (np.pad(x, ((0, 0), (channels, 0)))[:, : rows.shape[1]] for x in (rows, above))
    mean = ((left.astype(np.uint16) + above) >> 1).astype(np.uint8)
    made = (np.zeros_like(rows), left, above, mean, _paeth(left, above, corner))
    if types is None:
        cost = [np.abs((rows - guess).view(np.int8).astype(np.int16)).sum(1) for guess in made]
        best = np.argmin(cost, axis=0).astype(np.uint8)
    else:
        best = np.frombuffer(types, np.uint8)
    out = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
    out[:, 0] = best
    for kind, guess in enumerate(made):
        mine = best == kind
        out[mine, 1:] = rows[mine] - guess[mine]
    return out


def _paeth(left: Bytes, above: Bytes, corner: Bytes) -> Bytes:
    a, b, c = (x.astype(np.int16) for x in (left, above, corner))
    to_a, to_b, to_c = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    return np.where((to_a <= to_b) & (to_a <= to_c), left, np.where(to_b <= to_c, above, corner))


def unfiltered(data: bytes, width: int, channels: int, height: int, prior: Bytes | None) -> Bytes:
    """The inverse, (height, width * channels), by Pillow: a row above goes first, unfiltered, and is dropped again."""
    stride = width * channels
    if (np.frombuffer(data, np.uint8)[:: stride + 1] > 4).any():
        raise NotCoded("it has filters that nobody knows")
    whole = data if prior is None else b"\0" + prior.tobytes() + data
    more = 0 if prior is None else 1
    content = SIGNATURE + ihdr(height + more, width, channels) + _chunk(b"IDAT", zlib.compress(whole, 0))
    with Pictures.open(io.BytesIO(content + IEND), formats=("PNG",)) as picture:
        pixels = np.asarray(picture, dtype=np.uint8)
    return np.ascontiguousarray(pixels.reshape(height + more, stride)[more:])


# The other way ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kept:
    """What is kept of a file beside its pixels; with `sizes`, its very bytes can be made again."""

    before: bytes
    after: bytes
    setting: Setting = DEFAULT
    start: bytes = b"\x78\x9c"
    sizes: tuple[int, ...] = ()
    types: bytes = b""


def deflating(pieces: Iterable[bytes], setting: Setting) -> Iterator[bytes]:
    """A zlib stream without the two bytes at its front."""
    level, window, memory, strategy = setting
    pump = zlib.compressobj(level, zlib.DEFLATED, window, memory, strategy)
    skip = 2
    for piece in pieces:
        data = pump.compress(piece)
        yield data[skip:]
        skip = max(0, skip - len(data))
    yield pump.flush()[skip:]


def write(out: BinaryIO, bands: Iterable[Bytes], channels: int, kept: Kept) -> None:
    """A file from bands of pixels, (rows, width * channels), and what was kept of it."""

    def rows() -> Iterator[bytes]:
        prior, place = None, 0
        for band in bands:
            types = kept.types[place : place + len(band)] if kept.sizes else None
            yield filtered(band, channels, prior, types).tobytes()
            prior, place = band[-1], place + len(band)

    out.write(SIGNATURE + kept.before)
    for piece in _of_sizes(itertools.chain((kept.start,), deflating(rows(), kept.setting)), kept.sizes):
        out.write(_chunk(b"IDAT", piece))
    out.write(kept.after)


def _of_sizes(pieces: Iterable[bytes], sizes: Sequence[int]) -> Iterator[bytes]:
    """The same bytes in pieces of these sizes, and of PIECE behind them; each byte is moved once."""
    held, wanted = b"", iter(sizes)
    size = next(wanted, PIECE)
    for piece in pieces:
        held, place = held + piece, 0
        while len(held) - place > size or (sizes and len(held) - place == size):
            yield held[place : place + size]
            place, size = place + size, next(wanted, PIECE)
        held = held[place:]
    if held:
        yield held
