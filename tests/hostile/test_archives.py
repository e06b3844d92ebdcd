"""Whatever an archive says, a reader answers with its own error or with the right files: no crash, no hang, no lie.

python tests/hostile/test_archives.py 1000000          parsed
python tests/hostile/test_archives.py 100000 deep      decoded, saved, written
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import resource
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))


import archives
import pytest
from archives import Mutator, Parts, seeds, taken_apart

from fake_codec import fake_of
from morphogen.codec import blocks, chunks
from morphogen.codec.reader import Models, Walk
from morphogen.codec.recover import salvage
from morphogen.codec.restore import restore
from morphogen.codec.strips import Shelf, Spool
from morphogen.errors import MorphogenError, UserError

MODEL = b"a profile"
for module in (archives, blocks, chunks):  # half the time goes into sums over parts that nobody changed
    module.crc32c = functools.lru_cache(4096)(module.crc32c)
MEMORY = 256 << 20
SLOW = 2.0


def files(entries, strips):
    """What entries hold; an error where one of them is not whole."""
    held = {}
    for entry in entries:
        out = io.BytesIO()
        restore(entry, strips, out)
        held[entry.name] = (entry.mode, out.getvalue())
    return held


def walked(data):
    """From front to back."""
    walk, spool = Walk(io.BytesIO(data).read, Models(fake_of, MODEL)), Spool(io.BytesIO())
    for block, raw in walk.blocks():
        spool.add(block, raw)
    return files(walk.catalogue.entries, spool.strips)


def shelved(data):
    """By the index."""
    shelf = Shelf(io.BytesIO(data), Models(fake_of, MODEL))
    return files(shelf.catalogue.entries, shelf.strips)


def saved(data):
    """What is left of it."""
    found = salvage(io.BytesIO(data), Models(fake_of, MODEL), Spool(io.BytesIO()))
    held = {}
    for entry in found.entries:
        try:
            held |= files([entry], found.strips)
        except UserError:
            continue
    return held


def parsed(data):
    """The grammar only."""
    walk = Walk(io.BytesIO(data).read, Models(fake_of, MODEL))
    for _ in walk.blocks():
        pass
    return {entry.name for entry in walk.catalogue.entries}


def indexed(data):
    return {entry.name for entry in Shelf(io.BytesIO(data), Models(fake_of, MODEL)).catalogue.entries}


def attack(count, seed, deep):
    """So many changed archives through the readers: how many were refused, how many were accepted."""
    originals = seeds()
    readers = (walked, shelved, saved) if deep else (parsed, indexed)
    right = [[reader(data) for data in originals] for reader in readers]
    mutator, told = Mutator(seed, originals), {"refused": 0, "accepted": 0}
    slowest = 0.0
    for number in range(count):
        which, data, forged = mutator.next()
        turns = range(len(readers)) if deep else [number % len(readers)]
        for reader, answers in [(readers[turn], right[turn]) for turn in turns]:
            began = time.process_time()
            try:
                found = reader(data)
            except MorphogenError:
                told["refused"] += 1
            except BaseException as error:
                Path(f"/tmp/hostile-{seed}-{number}.mgn").write_bytes(data)
                raise AssertionError(f"{reader.__name__}, seed {seed}, number {number}: {error!r}") from error
            else:
                told["accepted"] += 1
                if not forged and reader is not saved:
                    assert found == answers[which], f"{reader.__name__}, seed {seed}, number {number}: wrong files"
                if not forged and reader is saved:  # parts may be gone; what is there is right
                    assert all(answers[which].get(name) == held for name, held in found.items()), (seed, number)
            slowest = max(slowest, time.process_time() - began)
            assert slowest < SLOW, f"{reader.__name__}, seed {seed}, number {number}: {slowest:.1f} s"
    return told | {"slowest": round(slowest, 3)}


@pytest.mark.parametrize("part", range(4))
def test_twenty_thousand_changed_archives(part):
    told = attack(5_000, part, deep=False)
    assert told["refused"] > 3_000
    assert told["accepted"] > 500


def test_changed_archives_decoded():
    told = attack(600, 99, deep=True)
    assert told["refused"] > 500
    assert told["accepted"] > 100


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(20))
def test_a_million_changed_archives(part):
    attack(50_000, 1000 + part, deep=False)


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(10))
def test_a_hundred_thousand_decoded(part):
    attack(10_000, 2000 + part, deep=True)


def test_memory_is_bounded():
    """In a process that may take no more than its imports and 256 MiB."""
    done = subprocess.run([sys.executable, __file__, "300", "deep", "77"], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("path", sorted(Path(__file__).parent.glob("*.mgn")), ids=lambda path: path.stem)
def test_what_was_found_stays_mended(path):
    tracemalloc.start()
    for reader in (walked, shelved, saved):
        with contextlib.suppress(UserError):
            reader(path.read_bytes())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20


def bombs():
    """Few bytes that say much."""
    import zlib

    from morphogen.codec.blocks import Block
    from morphogen.codec.crc32c import crc32c
    from morphogen.codec.entries import Entry, pack_entries

    base = taken_apart(seeds()[3])
    done = base.chunks[-1]
    zeros = bytes(1 << 20)
    squeezed = zlib.compress(zeros, 9)

    def sealed(*chunks):
        return Parts(base.facts, [*chunks, (b"INDX", b""), done]).to_bytes(seal=True)

    def filled(strip, count, first=0):
        one = (strip[0] * strip[1] * strip[2]) or 1
        units = (1 << 20) // one
        raw = zeros[: units * one]
        rows = zlib.compress(bytes(units * strip[0] * (strip[1] * strip[2] + 1)), 9) if one > 1 else squeezed
        crc = crc32c(raw)
        return [(b"BLOK", Block(1, strip, first + i * units, units, crc, rows).to_bytes()) for i in range(count)]

    entry = Entry("z", 0o644, size=64 << 20)
    yield "bytes", sealed((b"ENTR", pack_entries([entry])), *filled((0, 0, 0), 64))
    wide = Entry("w.png", 0o644, "png", 0, (1, 1024, 32 * 1024, 1), (1024, 1024))
    yield "png", sealed((b"ENTR", pack_entries([wide])), *filled((1024, 1024, 1), 32))
    planes = Entry("p.npy", 0o644, "chw", 0, (1, 4096, 4096, 3), (512, 512))
    yield "planes", sealed((b"ENTR", pack_entries([planes])), *filled((512, 512, 3), 64))
    yield "names", sealed((b"ENTR", pack_entries([Entry(f"{i:x}", 0) for i in range(8000)])))
    yield "deep names", sealed((b"ENTR", pack_entries([Entry("/".join([f"{i:x}"] * 64), 0) for i in range(2000)])))
    yield "unfinished", sealed((b"ENTR", pack_entries([entry])))
    facts = Parts(b"{" * (1 << 20), base.chunks)
    yield "braces", facts.to_bytes(seal=True)
    yield "tags", base.to_bytes(seal=False)[:60] + b"BLOK\xff\xff\x0f\x00" * 200_000
    yield "short tags", base.to_bytes(seal=False)[:60] + b"BLOK\0\0\0\0" * 200_000


class Sink(io.RawIOBase):
    """A file that forgets: what is measured is the reader."""

    place = 0

    def write(self, data):
        self.place += len(data)
        return len(data)

    def seek(self, place, whence=0):
        self.place = place
        return place


def test_bombs():
    """Few bytes may say much; they take neither much time nor much memory (main sets the limit of that)."""
    for name, data in bombs():
        assert len(data) < 2 << 20
        for reader in (Walk, Shelf, salvage):
            began = time.process_time()
            with contextlib.suppress(UserError):
                drain(reader, data)
            assert time.process_time() - began < 5, (name, reader.__name__)


def drain(reader, data):
    import tempfile

    models = Models(fake_of, MODEL)
    with tempfile.TemporaryFile() as space:
        spool = Spool(space)
        if reader is Walk:
            walk = Walk(io.BytesIO(data).read, models)
            for block, raw in walk.blocks():
                spool.add(block, raw)
            entries, strips = walk.catalogue.entries, spool.strips
        elif reader is Shelf:
            shelf = Shelf(io.BytesIO(data), models)
            entries, strips = shelf.catalogue.entries, shelf.strips
        else:
            found = salvage(io.BytesIO(data), models, spool)
            entries, strips = found.entries, found.strips
        for entry in entries:
            restore(entry, strips, Sink())


def main(words):
    """By hand: how many, how deep, from which seed."""
    base = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (base + MEMORY, base + MEMORY))
    count, deep = int(words[0]), "deep" in words
    seed, began = int(words[-1]) if len(words) > 2 else 5, time.perf_counter()
    told = attack(count, seed, deep)
    if deep:
        test_bombs()
    took = {"seconds": round(time.perf_counter() - began), "cpu": round(time.process_time())}
    print({"archives": count, "deep": deep, "seed": seed} | told | took)


if __name__ == "__main__":
    main(sys.argv[1:])
