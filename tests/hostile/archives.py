"""Archives that somebody changed: by the grammar, with checksums made right again as far as they go, and by chance."""

from __future__ import annotations

import hashlib
import json
import random
import struct
import tempfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fake_codec import Fake, picture, smooth
from morphogen.codec.blocks import HEAD, Block
from morphogen.codec.chunks import DONE, INDEX, MAGIC, Source
from morphogen.codec.crc32c import crc32c
from morphogen.codec.index import END, ROW
from morphogen.codec.pack import pack
from morphogen.errors import UserError

EDGES = [0, 1, 2, 3, 7, 8, 9, 127, 128, 255, 256, 65535, 65536, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (1 << 31) - 1,
         1 << 31, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]  # fmt: skip
WORDS = [
    "",
    "/",
    "..",
    "../x",
    "/etc/passwd",
    "a/../b",
    "a\0",
    "\ud800",
    "A.PNG",
    "a.png",
    "a.png/b",
    "x" * 300,
    "a\\b",
]
ODD = [None, True, -1, 1.5, [], {}, "1", [1], [[]], [0, 0, 0, 0], [1, 1, 1, 1], "8x8x1", *WORDS[:6]]
BOMB = b"\1" + zlib.compress(bytes(3 << 20))  # more than a list of files may be
NAMES = [
    b"PROF",
    b"ENTR",
    b"BLOK",
    b"INDX",
    b"DONE",
    b"NEWS",
    b"news",
    b"bLOK",
    b"\0\0\0\0",
    b"1234",
    b"\xff\xfe\xfd\xfc",
]


@dataclass
class Parts:
    """An archive, taken apart."""

    facts: bytes
    chunks: list[tuple[bytes, bytes]]
    major: int = 1
    minor: int = 0

    def to_bytes(self, seal: bool) -> bytes:
        """Put together, each checksum made right; `seal`: the index and the end too, as far as they can be."""
        body = MAGIC + struct.pack("<HHI", self.major & 65535, self.minor & 65535, len(self.facts)) + self.facts
        out = bytearray(body + struct.pack("<I", crc32c(body)))
        rows, raw, size, place = bytearray(), hashlib.sha256(), 0, 0
        for name, payload in self.chunks:
            if seal and name == INDEX:
                payload, place = bytes(rows), len(out)
            if seal and name == DONE and len(payload) == END.size:
                payload = END.pack(place, size, raw.digest(), hashlib.sha256(out).digest())
            row, held = _row(name, payload, len(out))
            rows += row
            raw.update(held)
            size += len(held)
            chunk = name + struct.pack("<I", len(payload)) + payload
            out += chunk + struct.pack("<I", crc32c(chunk))
        return bytes(out)


def _row(name: bytes, payload: bytes, place: int) -> tuple[bytes, bytes]:
    """What the index says of a chunk, and what a block decodes to, if it does."""
    if name != b"BLOK" or len(payload) < HEAD.size:
        return ROW.pack(name[:4], place, len(payload), 0, 0, 0, 0, 0, 0, 0), b""
    codec, _, channels, height, width, first, count, _ = HEAD.unpack_from(payload)
    try:
        held = Block.from_bytes(payload).decode(Fake())
    except UserError:
        held = b""
    return ROW.pack(name, place, len(payload), codec, 0, channels, height, width, first, count), held


def taken_apart(data: bytes) -> Parts:
    """The parts of a good archive."""
    at = 0

    def read(count: int) -> bytes:
        nonlocal at
        at += count
        return data[at - count : at]

    source = Source(read)
    facts = source.head()
    said = json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()
    return Parts(said, [(chunk.name, chunk.payload) for chunk in source.chunks()])


def seeds() -> list[bytes]:
    """A few small archives that have everything between them."""
    made = []
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        picture(home / "a.png", smooth(9, 10, 1))
        (home / "t").write_text("words and words and words and words and words")
        (home / "r").write_bytes(bytes(range(17)))
        np.save(home / "n.npy", smooth(2, 8, 8, 3).transpose(0, 3, 1, 2).copy())
        for number, (files, more) in enumerate(
            [
                ("a.png t", {}),
                ("a.png r", {"exact": True}),
                ("n.npy", {}),
                ("t r", {"inside": False}),
                ("a.png n.npy", {}),
            ]
        ):
            out = home / f"{number}.mgn"
            pack([home / each for each in files.split()], out, Fake(), **more)
            made.append(out.read_bytes())
    return made


class Mutator:
    """Changed archives, from a seed; says what a reader may make of each."""

    def __init__(self, seed: int, originals: list[bytes]) -> None:
        self.rng = random.Random(seed)
        self.originals = originals
        self.parts = [taken_apart(data) for data in originals]

    def next(self) -> tuple[int, bytes, bool]:
        """Which original, the changed bytes, and whether its checksums were made right again."""
        rng = self.rng
        which = rng.randrange(len(self.originals))
        data = self.originals[which]
        if rng.random() < 0.25:
            return which, self._noise(data), False
        parts = replace(self.parts[which], chunks=list(self.parts[which].chunks))
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            rng.choice([self._facts, self._chunks, self._block, self._block, self._entries, self._entries, self._index,
                        self._end, self._payload, self._head])(parts)  # fmt: skip
        changed = parts.to_bytes(seal=rng.random() < 0.6)
        return which, self._noise(changed) if rng.random() < 0.05 else changed, True

    def _noise(self, data: bytes) -> bytes:
        rng, bad = self.rng, bytearray(data)
        kind = rng.randrange(5)
        if kind == 0:
            return bytes(bad[: rng.randrange(len(bad))])
        if kind == 1:
            start, stop = sorted(rng.randrange(len(bad) + 1) for _ in range(2))
            return bytes(bad[:start] + bad[stop:])
        if kind == 2:
            start, stop = sorted(rng.randrange(len(bad) + 1) for _ in range(2))
            return bytes(bad[:stop] + bad[start:stop] + bad[stop:])
        for _ in range(rng.choice([1, 1, 2, 5, 40])):
            bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8) if kind == 3 else rng.randrange(1, 256)
        return bytes(bad)

    def _number(self, value: int) -> int:
        return self.rng.choice(
            [self.rng.choice(EDGES), value + 1, value - 1, value * 2, value ^ 1 << self.rng.randrange(32)]
        )

    def _json(self, value: object) -> object:
        """Some value in it changed."""
        rng = self.rng
        if isinstance(value, dict) and value and rng.random() < 0.95:
            key = rng.choice(sorted(value))
            kind = rng.randrange(12)
            if kind == 0:
                return {k: v for k, v in value.items() if k != key}
            if kind == 1:
                return value | {rng.choice(["8x8x1", "0x0x0", "9x9x3", "new", "08x8x1", "99999x1x1"]): value[key]}
            return value | {key: self._json(value[key])}
        if isinstance(value, list) and value and rng.random() < 0.9:
            place = rng.randrange(len(value))
            kind = rng.randrange(8)
            if kind == 0:
                return value[:place] + value[place + 1 :]
            if kind == 1:
                return [*value[:place], value[place], *value[place:]]
            return [*value[:place], self._json(value[place]), *value[place + 1 :]]
        if type(value) is int and rng.random() < 0.8:
            return self._number(value)
        if isinstance(value, str) and rng.random() < 0.8:
            return rng.choice([*WORDS, value[::-1], value + "/", value.upper(), value[:-1]])
        return rng.choice(ODD)

    def _spelt(self, value: object) -> bytes:
        """JSON, now and then in a way that is not the one that is accepted."""
        said = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
        kind = self.rng.randrange(30)
        if kind == 0:
            return said.replace(b":", b": ", 1)
        if kind == 1:
            return said[:-1] + b',"at":{}}'
        if kind == 2:
            return self.rng.choice([b"", b"[]", b"{", b"null", b"NaN", b"{\"a\":NaN}", b"[" * 5000, b'{"a":' * 3000,
                                    b'{"a":1e999}', b'{"a":' + b"9" * 5000 + b"}", b"\xff", said + b" "])  # fmt: skip
        return said

    def _facts(self, parts: Parts) -> None:
        try:
            parts.facts = self._spelt(self._json(json.loads(parts.facts)))
        except (ValueError, RecursionError):
            parts.facts = b"{}"

    def _head(self, parts: Parts) -> None:
        if self.rng.random() < 0.5:
            parts.major = self.rng.choice([0, 2, 65535, 1])
        else:
            parts.minor = self.rng.choice([1, 2, 65535])

    def _chunks(self, parts: Parts) -> None:
        rng, chunks = self.rng, parts.chunks
        if not chunks:
            return
        place, other = rng.randrange(len(chunks)), rng.randrange(len(chunks))
        kind = rng.randrange(6)
        if kind == 0:
            del chunks[place]
        elif kind == 1:
            chunks.insert(other, chunks[place])
        elif kind == 2:
            chunks[place], chunks[other] = chunks[other], chunks[place]
        elif kind == 3:
            chunks[place] = (rng.choice(NAMES), chunks[place][1])
        elif kind == 4:
            chunks.insert(place, (rng.choice(NAMES), rng.randbytes(rng.choice([0, 1, 24, 36, 80]))))
        else:
            chunks.append(chunks[place])

    def _of(self, parts: Parts, name: bytes) -> int | None:
        places = [at for at, (each, _) in enumerate(parts.chunks) if each == name]
        return self.rng.choice(places) if places else None

    def _block(self, parts: Parts) -> None:
        at = self._of(parts, b"BLOK")
        if at is None or len(parts.chunks[at][1]) < HEAD.size:
            return
        payload = parts.chunks[at][1]
        fields, data = list(HEAD.unpack_from(payload)), payload[HEAD.size :]
        if self.rng.random() < 0.3:
            fields[0] = self.rng.randrange(4)
        else:
            which = self.rng.randrange(8)
            fields[which] = self._number(fields[which]) & ((1 << 8 * (1, 1, 2, 2, 2, 8, 4, 4)[which]) - 1)
        parts.chunks[at] = (b"BLOK", HEAD.pack(*fields) + data)

    def _payload(self, parts: Parts) -> None:
        """Coded bytes that are others, with the checksum of whatever they decode to, where they do."""
        at = self._of(parts, b"BLOK")
        if at is None or len(parts.chunks[at][1]) <= HEAD.size:
            return
        payload = bytearray(parts.chunks[at][1])
        place = self.rng.randrange(HEAD.size, len(payload))
        payload[place] ^= 1 << self.rng.randrange(8)
        if self.rng.random() < 0.2:
            payload = payload[:place]
        if self.rng.random() < 0.2:
            payload[HEAD.size :] = zlib.compress(self.rng.randbytes(self.rng.choice([1, 100, 5000])))
        if payload[0] == 0 and len(payload) > HEAD.size:
            payload[HEAD.size - 4 : HEAD.size] = struct.pack("<I", crc32c(bytes(payload[HEAD.size :])))
        parts.chunks[at] = (b"BLOK", bytes(payload))

    def _entries(self, parts: Parts) -> None:
        at = self._of(parts, b"ENTR")
        if at is None:
            return
        payload = parts.chunks[at][1]
        try:
            facts = json.loads(zlib.decompress(payload[1:]) if payload[:1] == b"\1" else payload[1:])
            said = self._spelt(self._json(facts))
        except (ValueError, RecursionError, zlib.error):
            return
        kind = self.rng.randrange(20)
        packed = b"\1" + zlib.compress(said) if kind % 2 else b"\0" + said
        if kind == 3:
            packed = BOMB
        if kind == 5:
            packed = bytes([self.rng.randrange(256)]) + packed[1:]
        parts.chunks[at] = (b"ENTR", packed)

    def _index(self, parts: Parts) -> None:
        at = self._of(parts, INDEX)
        if at is None:
            return
        rows = [
            list(row) for row in ROW.iter_unpack(parts.chunks[at][1][: len(parts.chunks[at][1]) // ROW.size * ROW.size])
        ]
        for row in rows[:1] if self.rng.random() < 0.5 else rows[-1:]:
            which = self.rng.randrange(1, 10)
            row[which] = self._number(row[which]) & ((1 << 8 * (8, 4, 1, 1, 2, 2, 2, 8, 4)[which - 1]) - 1)
        payload = b"".join(ROW.pack(*row) for row in rows)
        parts.chunks[at] = (INDEX, payload[: -self.rng.randrange(1, 40)] if self.rng.random() < 0.1 else payload)

    def _end(self, parts: Parts) -> None:
        at = self._of(parts, DONE)
        if at is None or len(parts.chunks[at][1]) != END.size:
            return
        place, size, raw, file = END.unpack(parts.chunks[at][1])
        kind = self.rng.randrange(5)
        if kind == 0:
            place = self._number(place) & ((1 << 64) - 1)
        elif kind == 1:
            size = self._number(size) & ((1 << 64) - 1)
        elif kind == 2:
            raw = self.rng.randbytes(32)
        elif kind == 3:
            file = self.rng.randbytes(32)
        payload = END.pack(place, size, raw, file)
        parts.chunks[at] = (DONE, payload[: self.rng.randrange(80)] if kind == 4 else payload)
