"""The index of an archive: a line for each chunk, so that a reader can go to any block; and what stands at the end."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from morphogen.codec.blocks import BYTES, HEAD, Block, Strip
from morphogen.codec.chunks import BLOCK, Chunk, Damaged

__all__ = ["END", "ROW", "Row", "read_rows"]

ROW = struct.Struct("<4sQIBBHHHQI")
END = struct.Struct("<QQ32s32s")  # where the index is, bytes of all blocks decoded, sha256 of those, sha256 of the file


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the index: a chunk, and for a block what it holds."""

    name: bytes
    offset: int
    length: int
    codec: int = 0
    strip: Strip = BYTES
    first: int = 0
    count: int = 0

    @classmethod
    def of(cls, chunk: Chunk) -> Row:
        """Of a chunk as it stands in the file."""
        at = (chunk.name, chunk.offset, len(chunk.payload))
        if chunk.name != BLOCK:
            return cls(*at)
        block = Block.from_bytes(chunk.payload)
        return cls(*at, block.codec, block.strip, block.first, block.count)

    def to_bytes(self) -> bytes:
        """As it stands in the index."""
        height, width, channels = self.strip
        return ROW.pack(
            self.name, self.offset, self.length, self.codec, 0, channels, height, width, self.first, self.count
        )

    @property
    def stored(self) -> int:
        """Bytes of a block as it is stored."""
        return self.length - HEAD.size


def read_rows(payload: bytes) -> list[Row]:
    """The index."""
    if len(payload) % ROW.size:
        raise Damaged("the archive is damaged: its index is cut off")
    rows = []
    for name, offset, length, codec, _, channels, height, width, first, count in ROW.iter_unpack(payload):
        rows.append(Row(name, offset, length, codec, (height, width, channels), first, count))
    if b"".join(row.to_bytes() for row in rows) != payload:
        raise Damaged("the archive is damaged: its index is not what it should be")
    return rows
