"""What an archive says of its files: a name, a mode, and where its bytes and tiles stand in the strips.

Entries come in their order, and so do their bytes and tiles: each begins in a strip where the one before ended. Only
the first places of a batch are written, so entries that overlap or leave gaps cannot be told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from morphogen.codec.blocks import BYTES, Block, Strip, size_of
from morphogen.codec.chunks import MEBI, Damaged, canonical, deflated, facts_of, inflated
from morphogen.codec.index import Row
from morphogen.codec.names import Names

__all__ = ["Catalogue", "Entry", "fits", "pack_entries"]

KINDS = ("bytes", "png", "hwc", "chw")
COLUMNS = ("names", "modes", "kinds", "sizes", "shapes", "tiles")
LIMIT = 1 << 62
SIDE = 1 << 31
WIDEST = 32 * MEBI  # bytes of a row of tiles
Shape = tuple[int, int, int, int]  # pictures, height, width, channels


@dataclass(frozen=True)
class Entry:
    """A file: `size` bytes in the byte strip (all of it, or what is kept beside its pixels), and pictures cut into
    tiles. `at` and `first` are where they begin."""

    name: str
    mode: int
    kind: str = "bytes"
    size: int = 0
    shape: Shape | None = None
    tile: tuple[int, int] | None = None
    at: int = 0
    first: int = 0

    @property
    def strip(self) -> Strip:
        """Of its tiles; that of bytes, where it has none."""
        return BYTES if self.tile is None or self.shape is None else (*self.tile, self.shape[3])

    @property
    def grid(self) -> tuple[int, int]:
        """Tiles down and across each picture."""
        if self.tile is None or self.shape is None:
            return 0, 0
        return -(-self.shape[1] // self.tile[0]), -(-self.shape[2] // self.tile[1])

    @property
    def count(self) -> int:
        """How many tiles."""
        down, across = self.grid
        return 0 if self.shape is None else self.shape[0] * down * across

    @property
    def raw(self) -> int:
        """Bytes of the file before any compression: those kept, and its pixels."""
        n, height, width, channels = self.shape or (0, 0, 0, 0)
        return self.size + n * height * width * channels

    def check(self) -> None:
        """Every field within its limits."""
        plain = self.kind in KINDS and 0 <= self.mode <= 0o777 and 0 <= self.size < LIMIT
        if not plain or (self.kind == "bytes") != (self.shape is None) or (self.shape is None) != (self.tile is None):
            raise Damaged("the archive is damaged: an entry cannot be what it says")
        if self.shape is not None and self.tile is not None:
            n, height, width, channels = self.shape
            small = 1 <= n < SIDE and 1 <= height < SIDE and 1 <= width < SIDE and channels in (1, 3)
            if not small or not fits(self) or self.count >= LIMIT or (self.kind == "png" and n != 1):
                raise Damaged("the archive is damaged: an entry cannot be what it says")


def fits(entry: Entry) -> bool:
    """Whether its pictures can be read and written a row of tiles at a time, in little memory."""
    if entry.tile is None or not all(1 <= side < 1 << 16 for side in entry.tile) or size_of(entry.strip) > MEBI:
        return False
    return entry.grid[1] * size_of(entry.strip) <= WIDEST


def pack_entries(entries: list[Entry]) -> bytes:
    """The payload of a chunk. Columns, because like things side by side deflate well."""
    at: dict[str, int] = {}
    for entry in entries:
        at.setdefault(_word(BYTES), entry.at)
        at.setdefault(_word(entry.strip), entry.first)
    columns = ([e.name for e in entries], [e.mode for e in entries], [KINDS.index(e.kind) for e in entries],
               [e.size for e in entries], [e.shape for e in entries], [e.tile for e in entries])  # fmt: skip
    return deflated(canonical({"at": at, **dict(zip(COLUMNS, columns, strict=True))}))


def _word(strip: Strip) -> str:
    return "x".join(map(str, strip))


class Catalogue:
    """All entries of an archive and all its blocks so far, each checked against the other."""

    def __init__(self, lost: bool = False) -> None:
        self.entries: list[Entry] = []
        self.told: Counter[Strip] = Counter()  # units of each strip that entries speak of
        self.held: Counter[Strip] = Counter()  # units that blocks hold
        self._names = Names()
        self._lost = lost  # parts may be missing: every batch is taken at its word

    def add_entries(self, payload: bytes) -> None:
        """Those of a chunk."""
        facts = facts_of(inflated(payload, MEBI))
        rows, begin = list(_rows(facts)), _places(facts.get("at"))
        here = Counter(begin) if self._lost else self.told
        if not rows or begin != {strip: here[strip] for strip in (BYTES, *(row.strip for row in rows))}:
            raise Damaged("the archive is damaged: its files do not begin where they should")
        for row in rows:
            self._names.add(row.name)
            self.entries.append(replace(row, at=here[BYTES], first=here[row.strip]))
            here[BYTES] += row.size
            here[row.strip] += row.count

    def add_block(self, block: Block | Row) -> None:
        """The next block of a strip: it begins where the last one ended, and entries have spoken of it."""
        if block.first != self.held[block.strip] or block.first + block.count > self.told[block.strip]:
            raise Damaged("the archive is damaged: a block does not stand where it should")
        self.held[block.strip] += block.count

    def check_end(self) -> None:
        """That everything that was told of has come."""
        if self.told != self.held:
            raise Damaged("the archive is damaged: blocks are missing")


def _rows(facts: dict[str, Any]) -> Iterator[Entry]:
    columns = [column if isinstance(column := facts.get(name), list) else [] for name in COLUMNS]
    if set(facts) != {"at", *COLUMNS} or len({len(column) for column in columns}) > 1:
        raise Damaged("the archive is damaged: its list of files is not what it should be")
    for name, mode, kind, size, shape, tile in zip(*columns, strict=True):
        if not isinstance(name, str) or not _whole([mode, kind, size]) or not 0 <= kind < len(KINDS):
            raise Damaged("the archive is damaged: its list of files is not what it should be")
        entry = Entry(name, mode, KINDS[kind], size, _tuple(shape, 4), _tuple(tile, 2))
        entry.check()
        yield entry


def _whole(values: Iterable[Any]) -> bool:
    return all(type(value) is int for value in values)


def _tuple(value: Any, length: int) -> Any:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != length or not _whole(value):
        raise Damaged("the archive is damaged: its list of files is not what it should be")
    return tuple(value)


def _places(said: Any) -> dict[Strip, int]:
    """Where the strips of a batch begin, by their words."""
    if not isinstance(said, dict) or not all(type(place) is int and 0 <= place < LIMIT for place in said.values()):
        raise Damaged("the archive is damaged: its files do not begin where they should")
    found: dict[Strip, int] = {}
    for word, place in said.items():
        sides = word.split("x")
        if len(sides) != 3 or not all(side.isascii() and side.isdigit() and len(side) <= 5 for side in sides):
            raise Damaged("the archive is damaged: its files do not begin where they should")
        strip = (int(sides[0]), int(sides[1]), int(sides[2]))
        if _word(strip) != word:
            raise Damaged("the archive is damaged: its files do not begin where they should")
        found[strip] = place
    return found
