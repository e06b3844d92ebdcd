"""What can be saved of a damaged archive: every chunk whose checksum holds, wherever it stands now; and where one bit
was turned, the checksum says which."""

from __future__ import annotations

import hashlib
import io
import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import BinaryIO

from morphogen.codec.blocks import LEARNED, Block, Strip
from morphogen.codec.chunks import (
    BLOCK,
    DONE,
    ENTRIES,
    FRAME,
    MAGIC,
    MEBI,
    MOST,
    PROFILE,
    Chunk,
    Source,
    check_frame,
    inflated,
)
from morphogen.codec.crc32c import crc32c, mend
from morphogen.codec.entries import Catalogue, Entry
from morphogen.codec.reader import Models
from morphogen.codec.strips import Spool, Strips
from morphogen.errors import UserError

__all__ = ["Found", "salvage"]

PATIENCE = 64 * MEBI  # bytes of chunks that only look like one, and are summed in vain, before the search ends
LONGEST = max(MOST.values()) + FRAME


@dataclass
class Found:
    """What was saved, and what was not."""

    strips: Strips
    holes: list[str] = field(default_factory=list)
    catalogue: Catalogue = field(default_factory=lambda: Catalogue(lost=True))

    @property
    def entries(self) -> list[Entry]:
        """All files whose names are known."""
        return self.catalogue.entries


def salvage(file: BinaryIO, models: Models, spool: Spool) -> Found:
    """Everything that can be read of an archive; `holes` says what cannot."""
    rescue = _Rescue(file, models, spool)
    rescue.run()
    if not rescue.found.entries:
        raise UserError("nothing could be saved: no list of files is left, or this never was an archive")
    return rescue.found


class _Rescue:
    def __init__(self, file: BinaryIO, models: Models, spool: Spool) -> None:
        self._file, self._models, self._spool = file, models, spool
        self._size = file.seek(0, os.SEEK_END)
        self._patience = PATIENCE + 4 * self._size
        self._ends: Counter[Strip] = Counter()
        self.found = Found(spool.strips)

    def run(self) -> None:
        """From chunk to chunk; where one is damaged, to the next that is not."""
        place, last = self._head(), b""
        while place < self._size and last != DONE:
            chunk = self._chunk(place)
            if chunk is None:
                stop = self._next(place + 1)
                last = self._mend(place, stop)
                place = stop
            else:
                self._take(chunk)
                place, last = place + FRAME + len(chunk.payload), chunk.name
        if last != DONE or place < self._size:
            self.found.holes.append("the archive does not end as it should")

    def _bytes(self, place: int, count: int) -> bytes:
        self._file.seek(place)
        return self._file.read(count)

    def _head(self) -> int:
        """Where the first chunk begins; the head is repaired if that takes one bit."""
        self._file.seek(0)
        try:
            source = Source(self._file.read)
            self._models.expect(source.head())
            return source.offset
        except UserError:
            pass
        stop = self._next(0)
        self.found.holes.append("the head of the archive is damaged")
        data = self._bytes(0, min(stop, MEBI))
        if len(data) <= 20:
            return stop
        rest = MAGIC + data[8:12] + (len(data) - 20).to_bytes(4, "little") + data[16:-4]
        crc = int.from_bytes(data[-4:], "little")
        for body in (rest, mend(rest, crc)):
            if body is not None and crc32c(body) == crc:
                with suppress(UserError):
                    self._models.expect(Source(io.BytesIO(body + data[-4:]).read).head())
        return stop

    def _chunk(self, place: int) -> Chunk | None:
        """The one that stands here, if its checksum holds."""
        frame = self._bytes(place, 8)
        name, length = frame[:4], int.from_bytes(frame[4:], "little")
        try:
            check_frame(name, length)
        except UserError:
            return None
        if place + FRAME + length > self._size:
            return None
        rest = self._bytes(place + 8, length + 4)
        if crc32c(frame + rest[:-4]) != int.from_bytes(rest[-4:], "little"):
            self._patience -= length + 1024
            return None
        return Chunk(name, rest[:-4], place)

    def _next(self, place: int) -> int:
        """Where the next whole chunk begins; the end of the file, if there is none."""
        step = MEBI
        while place < self._size and self._patience > 0:
            data = self._bytes(place, step + 3)
            hits = sorted(at for name in MOST for at in _all(data, name))
            for at in hits:
                if self._patience > 0 and self._chunk(place + at) is not None:
                    return place + at
            place += step
        return self._size

    def _mend(self, place: int, stop: int) -> bytes:
        """Damaged chunks up to a place: mended if one bit or the frame is all that is wrong, else a hole. Most often it
        is one chunk; else its own length, if that can be, says where the next begins."""
        last = b""
        while place < stop and self._patience > 0:
            said = place + FRAME + int.from_bytes(self._bytes(place, 8)[4:], "little")
            chunk, end = None, stop
            for end in dict.fromkeys([stop, min(said, stop)]):
                self._patience -= end - place
                chunk = self._mended(self._bytes(place, end - place), place) if end - place <= LONGEST else None
                if chunk is not None:
                    break
            how = "are damaged" if chunk is None else "were damaged, and could be mended"
            self.found.holes.append(f"bytes {place:,} to {end:,} {how}")
            if chunk is not None:
                self._take(chunk)
                last = chunk.name
            place = end
        if place < stop:
            self.found.holes.append(f"bytes {place:,} to {stop:,} are damaged beyond sense")
        return last

    def _mended(self, data: bytes, place: int) -> Chunk | None:
        if len(data) < FRAME:
            return None
        crc, length = int.from_bytes(data[-4:], "little"), len(data) - FRAME
        for name in MOST:  # the frame may be what was hit
            body = name + length.to_bytes(4, "little") + data[8:-4]
            if length <= MOST[name] and crc32c(body) == crc:
                return Chunk(name, body[8:], place)
        if data[:4] not in MOST or int.from_bytes(data[4:8], "little") != length or length > MOST[data[:4]]:
            return None
        body = mend(data[:-4], crc) or b""
        return Chunk(data[:4], body[8:], place) if body[:8] == data[:8] else None

    def _take(self, chunk: Chunk) -> None:
        """A chunk that is whole; what it holds may still be wrong."""
        try:
            if chunk.name == PROFILE:
                self._profile(chunk.payload)
            elif chunk.name == ENTRIES:
                self.found.catalogue.add_entries(chunk.payload)
            elif chunk.name == BLOCK:
                self._block(Block.from_bytes(chunk.payload))
        except UserError as error:
            self.found.holes.append(f"byte {chunk.offset:,}: {error}")

    def _profile(self, payload: bytes) -> None:
        if not self._models.known:  # the head is lost: the model that is here must be the one
            digest = hashlib.sha256(inflated(payload, MOST[PROFILE])).hexdigest()
            self._models.expect({"inside": True, "model": digest, "writer": ""})
        self._models.take(payload)

    def _block(self, block: Block) -> None:
        if block.first < self._ends[block.strip]:
            raise UserError("a block stands twice in the archive")
        raw = block.decode(self._models.learned() if block.codec == LEARNED else None)
        self._spool.add(block, raw)
        self._ends[block.strip] = block.first + block.count


def _all(data: bytes, name: bytes) -> list[int]:
    found, at = [], data.find(name)
    while at >= 0:
        found.append(at)
        at = data.find(name, at + 1)
    return found
