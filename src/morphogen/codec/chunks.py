"""The grammar of an archive: a head, then chunks, each with its own CRC32C, and nothing after the last one.

Every number is little-endian. A reader refuses what it does not know, unless the name of the chunk begins with a small
letter; so later minor versions can add what older readers may skip. docs/format.md says it in full.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from morphogen.codec.crc32c import crc32c
from morphogen.errors import UserError

__all__ = [
    "BLOCK",
    "DONE",
    "ENTRIES",
    "FRAME",
    "INDEX",
    "MAGIC",
    "MEBI",
    "MOST",
    "PROFILE",
    "Chunk",
    "Damaged",
    "Read",
    "Source",
    "canonical",
    "check_frame",
    "deflated",
    "facts_of",
    "head",
    "inflated",
    "unzipped",
]

MAGIC = b"\x89MGN\r\n\x1a\n"
MAJOR, MINOR = 1, 0
PROFILE, ENTRIES, BLOCK, INDEX, DONE = b"PROF", b"ENTR", b"BLOK", b"INDX", b"DONE"
MEBI = 1 << 20
MOST = {PROFILE: 64 * MEBI, ENTRIES: MEBI, BLOCK: MEBI + 24, INDEX: 16 * MEBI, DONE: 80}
FRAME = 12  # bytes of a chunk beside its payload

Read = Callable[[int], bytes]


class Damaged(UserError):
    """The archive is not what was written, or not an archive."""


@dataclass(frozen=True)
class Chunk:
    """One chunk, checked; `offset` is where its name stands in the file."""

    name: bytes
    payload: bytes
    offset: int = 0

    def to_bytes(self) -> bytes:
        """As it stands in the file."""
        body = self.name + struct.pack("<I", len(self.payload)) + self.payload
        return body + struct.pack("<I", crc32c(body))


def head(facts: dict[str, Any]) -> bytes:
    """How an archive begins."""
    said = canonical(facts)
    body = MAGIC + struct.pack("<HHI", MAJOR, MINOR, len(said)) + said
    return body + struct.pack("<I", crc32c(body))


class Source:
    """An archive, read from front to back, and sha256 of all before the last chunk."""

    def __init__(self, read: Read) -> None:
        self._read, self._sha = read, hashlib.sha256()
        self.offset, self.before = 0, b""

    def take(self, count: int) -> bytes:
        """Exactly so many bytes; asked for by the mebibyte, so that a false length costs no memory."""
        pieces, left = [], count
        while left:
            piece = self._read(min(left, MEBI))
            if not piece:
                raise Damaged("the archive is cut off; get another copy, or --recover what it holds")
            pieces.append(piece)
            left -= len(piece)
        data = b"".join(pieces)
        self._sha.update(data)
        self.offset += count
        return data

    def head(self) -> dict[str, Any]:
        """The facts at the front."""
        start = self.take(16)
        if start[:8] != MAGIC:
            raise Damaged("this is no .mgn archive, or one that was changed on its way (as text, for example)")
        major, _, length = struct.unpack("<HHI", start[8:])
        if major != MAJOR:
            raise UserError(f"the archive is of format {major}, which this version does not know; get a newer one")
        if length > MEBI:
            raise Damaged("the head of the archive is damaged")
        said = self.take(length)
        (crc,) = struct.unpack("<I", self.take(4))
        if crc32c(start + said) != crc:
            raise Damaged("the head of the archive is damaged")
        return facts_of(said)

    def chunks(self) -> Iterator[Chunk]:
        """All that are known, up to the last, behind which nothing may stand."""
        while True:
            chunk = self.chunk()
            if chunk.name in MOST:
                yield chunk
            if chunk.name == DONE:
                break
        if self._read(1):
            raise Damaged("something stands behind the end of the archive")

    def chunk(self) -> Chunk:
        """The next one."""
        self.before, offset, frame = self._sha.digest(), self.offset, self.take(8)
        name, length = frame[:4], int.from_bytes(frame[4:], "little")
        check_frame(name, length)
        payload = self.take(length)
        if crc32c(frame + payload) != int.from_bytes(self.take(4), "little"):
            raise Damaged(f"the archive is damaged at byte {offset:,}: a checksum is wrong; --recover saves the rest")
        return Chunk(name, payload, offset)


def check_frame(name: bytes, length: int) -> None:
    """A name that is known or may be skipped, and a length within its limit."""
    if not name.isalpha() or not name.isascii():
        raise Damaged("the archive is damaged: a chunk has no name")
    if name not in MOST and name[:1].isupper():
        raise UserError(f"the archive holds {name.decode()!r}, which this version does not know; get a newer one")
    if length > MOST.get(name, MEBI):
        raise Damaged(f"the archive is damaged: {name.decode()} is too long")


# Facts ------------------------------------------------------------------------------------------------------------


def canonical(facts: Any) -> bytes:
    """JSON in the one way that is accepted."""
    return json.dumps(facts, sort_keys=True, separators=(",", ":")).encode("ascii")


def facts_of(said: bytes) -> dict[str, Any]:
    """A JSON object of text, whole numbers, yes and no, lists and objects, spelt as `canonical` spells it.

    >>> facts_of(b'{"a":1,"a":1}')
    Traceback (most recent call last):
    morphogen.codec.chunks.Damaged: the archive is damaged: its facts are not spelt as they must be
    """

    def refuse(word: str) -> Any:
        raise ValueError(word)

    try:
        facts = json.loads(said.decode("ascii"), parse_constant=refuse, parse_float=refuse)
        if isinstance(facts, dict) and canonical(facts) == said:
            return facts
    except (ValueError, RecursionError):
        pass
    raise Damaged("the archive is damaged: its facts are not spelt as they must be")


def deflated(data: bytes) -> bytes:
    """A codec byte and the bytes: 1 deflate (zlib), or 0 as they are where that is no longer."""
    small = zlib.compress(data, 9)
    return b"\1" + small if len(small) < len(data) else b"\0" + data


def inflated(data: bytes, most: int) -> bytes:
    """What `deflated` took, of at most so many bytes."""
    if data[:1] == b"\0" and len(data) - 1 <= most:
        return data[1:]
    if data[:1] != b"\1":
        raise Damaged("the archive is damaged: bytes are stored in a way that is not known")
    return unzipped(data[1:], most)


def unzipped(data: bytes, most: int) -> bytes:
    """A whole zlib stream, with nothing behind it."""
    pump = zlib.decompressobj()
    try:
        raw = pump.decompress(data, most + 1)
    except zlib.error:
        raise Damaged("the archive is damaged: its deflated bytes are not whole") from None
    if len(raw) > most or not pump.eof or pump.unused_data:
        raise Damaged("the archive is damaged: its deflated bytes are not whole")
    return raw
