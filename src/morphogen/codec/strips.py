"""Where the units of strips can be read at any place: decoded once into a file, or block by block from an archive."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable
from typing import BinaryIO

from morphogen.codec.blocks import LEARNED, Block, Strip, size_of
from morphogen.codec.chunks import BLOCK, DONE, ENTRIES, FRAME, INDEX, PROFILE, Damaged, Source
from morphogen.codec.entries import Catalogue
from morphogen.codec.index import END, Row, read_rows
from morphogen.codec.reader import Models
from morphogen.errors import UserError

__all__ = ["Shelf", "Spool", "Strips"]

RECENT = 4  # blocks that are kept decoded
END_BYTES = FRAME + END.size


class Strips:
    """Blocks of strips, each found by the place where it begins; `fetch` gives what the block of a number holds."""

    def __init__(self, fetch: Callable[[int], bytes]) -> None:
        self._fetch = fetch
        self._found: dict[Strip, tuple[list[int], list[int], list[int]]] = {}  # first places, ends, numbers
        self._recent: OrderedDict[int, bytes] = OrderedDict()

    def add(self, strip: Strip, first: int, count: int, number: int) -> None:
        """A block; they come in the order of their places."""
        firsts, ends, numbers = self._found.setdefault(strip, ([], [], []))
        firsts.append(first)
        ends.append(first + count)
        numbers.append(number)

    def need(self, strip: Strip, first: int, count: int) -> None:
        """An error, if any of so many units is in no block: known before a file is begun that could not be finished."""
        firsts, ends, _ = self._found.get(strip, ([], [], []))
        end = first + count
        while first < end:
            which = bisect_right(firsts, first) - 1
            if which < 0 or first >= ends[which]:
                raise Damaged("a block that it needs is missing or damaged")
            first = ends[which]

    def read(self, strip: Strip, first: int, count: int) -> bytes:
        """So many units, or an error where a block is missing."""
        firsts, ends, numbers = self._found.get(strip, ([], [], []))
        size, pieces = size_of(strip), []
        while count:
            which = bisect_right(firsts, first) - 1
            if which < 0 or first >= ends[which]:
                raise Damaged("a block that it needs is missing or damaged")
            some = min(count, ends[which] - first)
            start = (first - firsts[which]) * size
            pieces.append(self._block(numbers[which])[start : start + some * size])
            first, count = first + some, count - some
        return b"".join(pieces)

    def _block(self, number: int) -> bytes:
        if number not in self._recent:
            self._recent[number] = self._fetch(number)
            if len(self._recent) > RECENT:
                self._recent.popitem(last=False)
        self._recent.move_to_end(number)
        return self._recent[number]


class Spool:
    """Decoded blocks in a file, as they came."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._spans: list[tuple[int, int]] = []
        self.strips = Strips(self._fetch)

    def add(self, block: Block, raw: bytes) -> None:
        """The next block."""
        self._spans.append((self._file.seek(0, os.SEEK_END), len(raw)))
        self._file.write(raw)
        self.strips.add(block.strip, block.first, block.count, len(self._spans) - 1)

    def _fetch(self, number: int) -> bytes:
        offset, length = self._spans[number]
        self._file.seek(offset)
        raw = self._file.read(length)
        if len(raw) != length:
            raise UserError("a temporary file was cut off by someone else; try again")
        return raw


class Shelf:
    """An archive that is opened through its index: only what is asked for is read, and each block is checked; not the
    sha256 over everything."""

    def __init__(self, file: BinaryIO, models: Models) -> None:
        self._file, self._models = file, models
        self.catalogue = Catalogue()
        self.strips = Strips(self._fetch)
        self.size = file.seek(0, os.SEEK_END)
        file.seek(0)
        front = Source(file.read)
        models.expect(front.head())
        self._start = front.offset
        self.rows = self._index()
        self._read_rows()

    def _chunk(self, offset: int, name: bytes, end: int) -> bytes:
        """The payload of the chunk at a place, of a known name, that ends before another."""
        if not self._start <= offset < end:
            raise Damaged("the archive is damaged: its index points to nothing")
        self._file.seek(offset)
        source = Source(self._file.read)
        chunk = source.chunk()
        if chunk.name != name or offset + source.offset > end:
            raise Damaged("the archive is damaged: its index points to something else")
        return chunk.payload

    def _index(self) -> list[Row]:
        place = self.size - END_BYTES
        end = self._chunk(place, DONE, self.size)
        if len(end) != END.size:
            raise Damaged("the archive is damaged: its end is too short")
        self._place = END.unpack(end)[0]
        return read_rows(self._chunk(self._place, INDEX, place))

    def _read_rows(self) -> None:
        free, profiles = self._start, 0
        for number, row in enumerate(self.rows):
            if row.offset < free or row.offset + FRAME + row.length > self._place:
                raise Damaged("the archive is damaged: its index points to something else")
            free = row.offset + FRAME + row.length
            if row.name == ENTRIES:
                self.catalogue.add_entries(self._chunk(row.offset, ENTRIES, self._place))
            elif row.name == BLOCK:
                self.catalogue.add_block(row)
                self.strips.add(row.strip, row.first, row.count, number)
            elif row.name == PROFILE and not profiles:
                profiles = 1
            else:
                raise Damaged("the archive is damaged: its index names what is not there")
        self.catalogue.check_end()

    def _fetch(self, number: int) -> bytes:
        row = self.rows[number]
        payload = self._chunk(row.offset, BLOCK, self._place)
        block = Block.from_bytes(payload)
        if Row(BLOCK, row.offset, len(payload), block.codec, block.strip, block.first, block.count) != row:
            raise Damaged("the archive is damaged: its index says something else than a block")
        if block.codec == LEARNED and not self._models.ready:
            for each in self.rows:
                if each.name == PROFILE:
                    self._models.take(self._chunk(each.offset, PROFILE, self._place))
        return block.decode(self._models.learned() if block.codec == LEARNED else None)
