"""The smallest archive of some files, the model's own bytes counted: by the model, by deflate of the pixels, or the
files as they are. So an archive is never larger than its files and a small header, whatever the model is worth."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from morphogen.codec.archive import Sink, Writer
from morphogen.codec.blocks import BYTES, Block, Change, Coder, Learned, Strip, size_of
from morphogen.codec.chunks import FRAME, MEBI, deflated
from morphogen.codec.pack import Told, Way, read_back, report, target, written
from morphogen.codec.pictures import AsBytes, Looker
from morphogen.errors import UserError
from morphogen.progress import unheard

__all__ = ["pack_smallest"]

SAMPLE = 1 << 14  # values that are coded to say what the model would make of all
MODEL, PIXELS, FILES = "the model", "deflate of the pixels", "the files as they are, deflated where that helps"


@dataclass
class Tried:
    """An archive that was made, or would be."""

    name: str
    way: Way
    writer: Writer
    told: Told
    digest: bytes


class Nowhere:
    """Takes an archive and keeps nothing: what counts is its size."""

    def write(self, data: bytes, /) -> int:
        """Forget it."""
        return len(data)


@dataclass
class Sampler(Coder):
    """A coder without a model that keeps the first tiles."""

    tiles: NDArray[np.uint8] | None = None

    def block(self, strip: Strip, first: int, raw: bytes) -> tuple[Block, bytes]:
        """The shortest block for these bytes."""
        if strip != BYTES and self.tiles is None:
            few = max(1, min(len(raw), SAMPLE) // size_of(strip))
            self.tiles = np.frombuffer(raw[: few * size_of(strip)], np.uint8).reshape(few, *strip)
        return super().block(strip, first, raw)


def pack_smallest(
    files: Sequence[str | Path],
    out: str | Path,
    learned: Learned,
    *,
    oracle: Learned | None = None,
    paranoid: bool = False,
    exact: bool = False,
    inside: bool = True,
    force: bool = False,
    watch: Callable[[int], None] = unheard,
) -> dict[str, Any]:
    """An archive of files and folders by the way that makes it smallest, and which that was; `-` is standard input, and
    as `out` standard output. `watch` is told how many numbers the model is to code."""
    began = time.perf_counter()
    with _still(files) as still, target(out, force) as place, _place_to_turn_back(place) as file:
        plain = [
            _tried(FILES, Nowhere(), still, out, learned, Way(Coder(None), AsBytes(), True)),
            _tried(PIXELS, Nowhere(), still, out, learned, Way(Sampler(None), Looker(learned, exact), exact)),
        ]
        best = min(plain, key=lambda tried: tried.writer.size)
        model = len(deflated(learned.profile)) + FRAME if inside else 0
        by_model = None
        if plain[1].told.pictures and best.writer.size > model:
            watch(plain[1].told.dims)
            way = Way(Coder(learned, oracle, paranoid), Looker(learned, exact), exact, inside)
            by_model = _tried(MODEL, file, still, out, learned, way)
            if by_model.writer.size < best.writer.size:
                best = by_model
        if best is not by_model:
            file.seek(0)
            file.truncate()
            best = _tried(best.name, file, still, out, learned, best.way)
        read_back(file, best.digest)
    said = report(out, best.writer, best.way.coder, best.told, time.perf_counter() - began)
    said |= {} if best is by_model else {"coded_by_the_model": 0}
    return said | {"choice": _reason(best, plain, by_model, model, learned)}


def _tried(name: str, file: Sink, files: Sequence[str | Path], out: str | Path, learned: Learned, way: Way) -> Tried:
    """Made by this way, with counters of its own."""
    way = replace(way, coder=replace(way.coder, counts=Counter(), fallbacks=Counter(), change=Change()))
    writer, told = written(file, files, out, learned, way)
    return Tried(name, way, writer, told, writer.finish())


def _reason(best: Tried, plain: list[Tried], by_model: Tried | None, model: int, learned: Learned) -> str:
    """Which way won and why, and what a model outside the archive would give."""
    size, rival = f"{best.writer.size:,} bytes", min(tried.writer.size for tried in plain)
    if not plain[1].told.pictures:
        return f"{best.name}: {size}; the model codes none of these files"
    if by_model is None:
        return f"{best.name}: {size}; the model alone takes {model:,}; {_estimate(plain[1], learned, best)}"
    if not by_model.way.coder.counts["learned"]:
        return f"{best.name}: {size}; the model gains nothing on these pictures"
    coded, profile = by_model.writer.size, by_model.writer.profile
    outside = f"; --reference would give {coded - profile:,}" if profile else ""
    held = f", {profile:,} of them the model itself" if profile else ""
    if best is by_model:
        return f"{best.name}: {size}{held}; without it {rival:,}{outside}"
    return f"{best.name}: {size}; by the model {coded:,}{held}{outside}"


def _estimate(pixels: Tried, learned: Learned, best: Tried) -> str:
    """What the model would make of all, by the first of the pixels."""
    tiles = pixels.way.coder.tiles if isinstance(pixels.way.coder, Sampler) else None
    try:
        rate = 0.0 if tiles is None else len(learned.encode(tiles)) / tiles.size
    except UserError as error:
        return f"{error}"
    units = sum(count * size_of(strip) for strip, count in pixels.writer.units.items() if strip != BYTES)
    beside = pixels.writer.size - sum(size for strip, size in pixels.writer.stored.items() if strip != BYTES)
    about = beside + round(rate * units)
    if about >= best.writer.size:
        return "--reference would gain nothing, since the model says these pictures no better"
    return f"--reference would give about {about:,}"


@contextmanager
def _still(files: Sequence[str | Path]) -> Iterator[list[str | Path]]:
    """The same files; standard input, which can be read once, as a file of that name."""
    if not any(str(word) == "-" for word in files):
        yield list(files)
        return
    with tempfile.TemporaryDirectory() as folder:
        spool = Path(folder) / "stdin"
        with spool.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file, MEBI)
        spool.chmod(0o644)
        yield [spool if str(word) == "-" else word for word in files]


@contextmanager
def _place_to_turn_back(place: BinaryIO) -> Iterator[BinaryIO]:
    """The same file; before standard output one that can be begun anew."""
    if place is not sys.stdout.buffer:
        yield place
        return
    with tempfile.TemporaryFile() as spool:
        yield spool
        spool.seek(0)
        shutil.copyfileobj(spool, place, MEBI)
