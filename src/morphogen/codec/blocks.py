"""A block: at most 1 MiB of one strip, by the shortest codec that gives the same bytes back, tried on the spot.

A strip is a row of equal units: the tiles of one shape from all pictures, or single bytes. Codec 0 keeps the bytes,
1 is deflate (tiles through the filters of PNG, as one tall picture), 2 the learned model. Whatever a model returns or
raises, what is written has been decoded again and compared.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from morphogen.codec import png
from morphogen.codec.chunks import MEBI, Damaged, unzipped
from morphogen.codec.crc32c import crc32c
from morphogen.errors import UserError

__all__ = ["BYTES", "CODECS", "Block", "Coder", "Learned", "Strip", "size_of", "units_of"]

CODECS = ("raw", "deflate", "learned")
RAW, DEFLATE, LEARNED = range(3)
HEAD = struct.Struct("<BBHHHQII")
Strip = tuple[int, int, int]  # height, width and channels of a tile
BYTES: Strip = (0, 0, 0)
NEAR = 1.5  # deflate in haste is at most so much longer than at its best
CHECKED = 1 << 13  # numbers of each learned block that the oracle, which is slow, decodes as well
Tiles = NDArray[np.uint8]


class Learned(Protocol):
    """A frozen model that codes tiles."""

    digest: bytes
    profile: bytes

    def tile(self, height: int, width: int, channels: int) -> tuple[int, int] | None:
        """The tiles that a picture is cut into; None where it cannot be coded."""

    def encode(self, tiles: Tiles) -> bytes:
        """Tiles (n, height, width, channels) as bytes."""

    def decode(self, data: bytes, shape: tuple[int, int, int, int]) -> Tiles:
        """The tiles, or a UserError."""

    def accepts(self, tiles: Tiles, back: Tiles) -> bool:
        """Whether tiles may come back like this: as they were, but for a lossy model."""


def size_of(strip: Strip) -> int:
    """Bytes of a unit of a strip."""
    return strip[0] * strip[1] * strip[2] if strip != BYTES else 1


def units_of(strip: Strip) -> int:
    """How many units a full block has."""
    return max(1, MEBI // size_of(strip))


@dataclass(frozen=True)
class Block:
    """What stands in a chunk: which units of which strip, how they are coded, and the bytes."""

    codec: int
    strip: Strip
    first: int
    count: int
    crc: int
    data: bytes

    def to_bytes(self) -> bytes:
        """The payload of a chunk."""
        height, width, channels = self.strip
        return HEAD.pack(self.codec, 0, channels, height, width, self.first, self.count, self.crc) + self.data

    @classmethod
    def from_bytes(cls, payload: bytes) -> Block:
        """From the payload of a chunk, every field within its limits."""
        if len(payload) < HEAD.size:
            raise Damaged("the archive is damaged: a block is too short")
        codec, zero, channels, height, width, first, count, crc = HEAD.unpack_from(payload)
        block = cls(codec, (height, width, channels), first, count, crc, payload[HEAD.size :])
        fits = block.strip == BYTES or (height and width and channels in (1, 3))
        known = codec < len(CODECS) and not zero and not (codec == LEARNED and block.strip == BYTES)
        if not fits or not known or not 1 <= block.size <= MEBI or first + count >= 1 << 63:
            raise Damaged("the archive is damaged: a block cannot be what it says")
        if len(block.data) > block.size or (codec == RAW) != (len(block.data) == block.size):
            raise Damaged("the archive is damaged: a block has the wrong length")
        return block

    @property
    def size(self) -> int:
        """Bytes when decoded."""
        return self.count * size_of(self.strip)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the tiles in it."""
        return (self.count, *self.strip)

    def decode(self, learned: Learned | None) -> bytes:
        """The bytes that were coded, or an error; whatever a model makes of damaged bytes is one."""
        if self.codec == RAW:
            raw = self.data
        elif self.codec == LEARNED:
            raw = _by_model(learned, self.data, self.shape)
        elif self.strip == BYTES:
            raw = unzipped(self.data, self.size)
        else:
            raw = _unfiltered(self.data, self.shape)
        if len(raw) != self.size or crc32c(raw) != self.crc:
            raise Damaged(f"the archive is damaged: a {CODECS[self.codec]} block does not decode to what was stored")
        return raw


def _by_model(learned: Learned | None, data: bytes, shape: tuple[int, int, int, int]) -> bytes:
    if learned is None:
        raise UserError("a block needs the model that it was written by; name it with --model")
    try:
        tiles = learned.decode(data, shape)
    except UserError as error:
        raise Damaged(f"the archive is damaged: {error}") from None
    except Exception as error:  # a model may stumble over damaged bytes in any way
        raise Damaged(f"the archive is damaged: its model fails on a block ({type(error).__name__})") from None
    if not isinstance(tiles, np.ndarray) or tiles.dtype != np.uint8 or tiles.shape != shape:
        raise Damaged("the archive is damaged: its model returns something else than tiles")
    return tiles.tobytes()


def _filtered(raw: bytes, shape: tuple[int, int, int, int], level: int = 9) -> bytes:
    rows = np.frombuffer(raw, np.uint8).reshape(shape[0] * shape[1], -1)
    plain = np.pad(rows, ((0, 0), (1, 0)))  # every row with filter 0: often best for few colours
    best = png.filtered(rows, shape[3], None)
    return min((zlib.compress(each.tobytes(), level) for each in (plain, best)), key=len)


def _unfiltered(data: bytes, shape: tuple[int, int, int, int]) -> bytes:
    height, stride = shape[0] * shape[1], shape[2] * shape[3]
    rows = unzipped(data, height * (stride + 1))
    if len(rows) != height * (stride + 1):
        raise Damaged("the archive is damaged: a deflate block has the wrong length")
    try:
        return png.unfiltered(rows, shape[2], shape[3], height, None).tobytes()
    except png.NotCoded as reason:
        raise Damaged(f"the archive is damaged: {reason}") from None


@dataclass
class Change:
    """What lossy blocks made of their levels."""

    levels: int = 0
    squared: int = 0
    furthest: int = 0

    def add(self, raw: bytes, held: bytes) -> None:
        """A block, as it was and as it will come back."""
        apart = np.frombuffer(raw, np.uint8).astype(np.int32) - np.frombuffer(held, np.uint8)
        self.levels += len(apart)
        self.squared += int(np.square(apart).sum())
        self.furthest = max(self.furthest, int(np.abs(apart).max()))

    @property
    def psnr(self) -> float:
        """In decibels; the edges that fill up tiles count as well."""
        return 10 * math.log10(255**2 * self.levels / max(self.squared, 1))


@dataclass
class Coder:
    """Makes blocks, and counts what became of them. `oracle` decodes some tiles of each learned one, or with `paranoid`
    all, by another implementation."""

    learned: Learned | None
    oracle: Learned | None = None
    paranoid: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    fallbacks: Counter[str] = field(default_factory=Counter)
    change: Change = field(default_factory=Change)

    def block(self, strip: Strip, first: int, raw: bytes) -> tuple[Block, bytes]:
        """The shortest block for these bytes, and what it decodes to: the same, but for a model that is lossy."""
        plain = Block(RAW, strip, first, len(raw) // size_of(strip), crc32c(raw), raw)
        best, held = (plain, raw) if strip == BYTES or self.learned is None else self._by_model(self.learned, plain)
        if held != raw:
            self.change.add(raw, held)
        plain = replace(plain, crc=best.crc, data=held)
        if best.codec == RAW or len(_filtered(held, plain.shape, 1)) < NEAR * len(best.data):
            small = zlib.compress(held, 9) if strip == BYTES else _filtered(held, plain.shape)
            tried = replace(plain, codec=DEFLATE, data=small)
            if len(small) < len(best.data) and _decodes(tried, held, None) == "":
                self.fallbacks["no gain"] += best.codec == LEARNED
                best = tried
        self.counts[CODECS[best.codec]] += 1
        return best, held

    def _by_model(self, learned: Learned, plain: Block) -> tuple[Block, bytes]:
        """A learned block and what it decodes to; or the plain one, and why."""
        tiles = np.frombuffer(plain.data, np.uint8).reshape(plain.shape)
        try:
            data = learned.encode(tiles)
            if type(data) is not bytes:
                raise TypeError
        except UserError as error:
            self.fallbacks[str(error)] += 1
            return plain, plain.data
        except Exception as error:
            self.fallbacks[f"the model failed ({type(error).__name__})"] += 1
            return plain, plain.data
        block, held = replace(plain, codec=LEARNED, data=data), b""
        wrong = "no gain" if len(data) >= plain.size else ""
        if not wrong:
            try:
                held = _by_model(learned, Block.from_bytes(block.to_bytes()).data, plain.shape)
            except UserError:
                wrong = "it does not decode"
        if not wrong and not learned.accepts(tiles, np.frombuffer(held, np.uint8).reshape(plain.shape)):
            wrong = "it decodes to something else"
        block = replace(block, crc=crc32c(held))
        if not wrong and self.oracle is not None:
            whole = self.paranoid or plain.size <= CHECKED
            same = not _decodes(block, held, self.oracle) if whole else _agree(learned, self.oracle, tiles)
            wrong = "" if same else "the oracle decodes it differently"
        self.fallbacks[wrong] += bool(wrong)
        return (plain, plain.data) if wrong else (block, held)


def _agree(learned: Learned, oracle: Learned, tiles: Tiles) -> bool:
    """Whether both decode some of the tiles alike, coded by themselves."""
    count = max(1, CHECKED // tiles[0].size)
    few = np.ascontiguousarray(tiles[:: max(1, len(tiles) // count)][:count])
    shape = (len(few), tiles.shape[1], tiles.shape[2], tiles.shape[3])
    try:
        data = learned.encode(few)
        return np.array_equal(learned.decode(data, shape), oracle.decode(data, shape))
    except Exception:  # whatever the one stumbles over, they do not agree
        return False


def _decodes(block: Block, raw: bytes, learned: Learned | None) -> str:
    """Nothing, if the block as it will be read gives the bytes back; else what went wrong."""
    try:
        return "" if Block.from_bytes(block.to_bytes()).decode(learned) == raw else "it decodes to something else"
    except UserError:
        return "it does not decode"
