"""An archive is written from front to back, and the writer never goes back in it, so it can write to a pipe.

Files are cut into strips (bytes, and tiles of one shape), strips into blocks; so a folder of small pictures is coded as
one. docs/format.md says all of it.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Protocol

from morphogen.codec.blocks import BYTES, LEARNED, Coder, Learned, Strip, size_of, units_of
from morphogen.codec.chunks import (
    BLOCK,
    DONE,
    ENTRIES,
    FRAME,
    INDEX,
    MEBI,
    MOST,
    PROFILE,
    Chunk,
    canonical,
    deflated,
    head,
)
from morphogen.codec.entries import Entry, pack_entries
from morphogen.codec.index import END, Row
from morphogen.errors import UserError

__all__ = ["Sink", "Writer"]

BATCH = 1 << 18  # bytes of names and numbers before a batch of entries is written
HELD = 64 * MEBI  # of unfinished blocks


class Sink(Protocol):
    """What an archive is written to."""

    def write(self, data: bytes, /) -> object: ...


class Writer:
    """Writes an archive: entries, and their bytes and tiles in the same order, then `finish`."""

    def __init__(self, out: Sink, coder: Coder, model: Learned, writer: str, *, inside: bool = True) -> None:
        self._out, self._coder, self._model, self._inside = out, coder, model, inside
        self._file, self._raw = hashlib.sha256(), hashlib.sha256()
        self._rows = bytearray()
        self._pending: list[Entry] = []
        self._weight = 0
        self._strips: dict[Strip, bytearray] = {}
        self._places: dict[Strip, int] = {}
        self.units: dict[Strip, int] = {}  # of each strip, that stand in blocks
        self.stored: dict[Strip, int] = {}  # and in how many bytes
        self.size = self.raw = self.profile = 0
        self._write(head({"inside": inside, "model": model.digest.hex(), "writer": writer}))

    def _write(self, data: bytes) -> None:
        self._out.write(data)
        self._file.update(data)
        self.size += len(data)

    def _chunk(self, name: bytes, payload: bytes) -> None:
        chunk = Chunk(name, payload, self.size)
        if len(payload) > MOST[name]:  # 64 MiB of model, or an index of half a million blocks
            raise UserError(f"an archive cannot hold {name.decode()} of {len(payload):,} bytes; make several")
        self._rows += Row.of(chunk).to_bytes()
        self._write(chunk.to_bytes())

    def add(self, entry: Entry) -> None:
        """The next file, before anything of it is put."""
        entry.check()
        placed = replace(entry, at=self._places.get(BYTES, 0), first=self._places.get(entry.strip, 0))
        self._pending.append(placed)
        self._places[BYTES] = self._places.get(BYTES, 0) + entry.size
        if entry.strip != BYTES:
            self._places[entry.strip] = placed.first + entry.count
        self._weight += len(canonical(entry.name)) + 64
        if self._weight > BATCH:
            self._list()

    def _list(self) -> None:
        """Entries come before their blocks."""
        if self._pending:
            self._chunk(ENTRIES, pack_entries(self._pending))
        self._pending, self._weight = [], 0

    def put(self, strip: Strip, data: bytes) -> None:
        """More of a strip."""
        held = self._strips.setdefault(strip, bytearray())
        held += data
        full = units_of(strip) * size_of(strip)
        start = 0
        while len(held) - start >= full:
            self._block(strip, bytes(held[start : start + full]))
            start += full
        del held[:start]
        if sum(map(len, self._strips.values())) > HELD:
            self._flush()

    def _flush(self) -> None:
        for strip, held in self._strips.items():
            if held:
                self._block(strip, bytes(held))
        self._strips.clear()

    def _block(self, strip: Strip, raw: bytes) -> None:
        self._list()
        block, held = self._coder.block(strip, self.units.get(strip, 0), raw)
        if block.codec == LEARNED and self._inside and not self.profile:
            stored = deflated(self._model.profile)
            self.profile = len(stored) + FRAME
            self._chunk(PROFILE, stored)
        self.units[strip] = block.first + block.count
        self.stored[strip] = self.stored.get(strip, 0) + len(block.data)
        self._chunk(BLOCK, block.to_bytes())
        self._raw.update(held)
        self.raw += len(held)

    def finish(self) -> bytes:
        """What is left, the index and the end; sha256 of the whole file."""
        self._flush()
        self._list()
        place = self.size
        self._chunk(INDEX, bytes(self._rows))
        self._chunk(DONE, END.pack(place, self.raw, self._raw.digest(), self._file.digest()))
        return self._file.digest()
