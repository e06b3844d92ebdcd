"""A folder of pictures of any size, mode and channel count: what to make of them is found by looking.

Class folders become labels (`unlabelled/` has none; `train/`, `valid/` and `test/` at the top become splits), or a
table says them. Pictures of one size keep it, up to 256 pixels; others are resized and cut to their median size. All
grey: one channel; only black and white: two levels; transparency is laid on white. Bad files are skipped and listed.
Copies of a picture stay in one split. What does not fit in memory is decoded once, into the cache, and streamed.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt

from morphogen.core.build import register
from morphogen.core.space import Image
from morphogen.data.album import album
from morphogen.data.dataset import Dataset
from morphogen.data.decoding import decode
from morphogen.data.labels import read_table
from morphogen.data.picture_dataset import assembled
from morphogen.data.picture_files import Found, complain, search
from morphogen.data.pictures import Refused, Seen, quiet, shown
from morphogen.data.two_levels import two_levels
from morphogen.errors import UserError

__all__ = ["folder"]

Channels = Literal[1, 3, 4]
Decoded = tuple[NDArray[np.uint8], NDArray[np.bool_]] | Refused
CAP = 256
WORKERS = min(8, os.cpu_count() or 1)


@register("data")
def folder(
    *,
    path: str,
    size: int | tuple[int, int] | None = None,
    channels: Channels | None = None,
    valid: float = 0.1,
    test: float = 0.1,
    memory: float = 2.0,
    table: str | None = None,
    class_level: PositiveInt | None = None,
    strict: bool = False,
) -> Dataset:
    """A folder of your own pictures (PNG, JPEG, WebP, AVIF, TIFF, BMP, GIF), of any size; class folders, or a table of
    files and labels, become labels.

    size: side of the pictures in pixels, or height and width; none: found by looking
    channels: 1 for grey, 3 for colour; none: found by looking
    memory: gigabytes of pictures that are held in memory; more are streamed from a cache on disk
    table: a .csv of files and labels
    class_level: which level of nested folders is the class; none: found by looking
    """
    with quiet():
        found = search(Path(path), strict)
        told = None if table is None else read_table(Path(table), {*found.files, *(name for name, _ in found.skipped)})
        width, height, sizes = _size(found.seen, size)
        depth, tones = _channels(found.seen, channels)
        read = partial(_decode, found.root, width, height, depth)
        pages = album(
            _all(read, found.files), len(found.files), (height, width, depth), memory, _key(found, width, height, depth)
        )
    lost = [(found.files[i], why) for i, why in pages.refused]
    complain(found.root, lost, strict)
    if not len(pages.store):
        raise UserError(f"{shown(found.root)}: none of the {len(found.files)} pictures could be read: {lost[0][1]}")
    space, store, levels, remarks = two_levels(pages, Image(height, width, depth))
    protocol = f"{sizes}; {tones}{levels}"
    return assembled(found, pages, store, space, protocol, lost, (valid, test), told, class_level, remarks)


def _decode(root: Path, width: int, height: int, depth: int, name: str) -> Decoded:
    try:
        return decode(root / name, width, height, depth)
    except Refused as reason:
        return reason


def _all(read: partial[Decoded], files: Sequence[str]) -> Iterator[Decoded]:
    """Every file decoded, in order, a few at a time."""
    with ThreadPoolExecutor(WORKERS) as pool:
        for begin in range(0, len(files), 64):
            yield from pool.map(read, files[begin : begin + 64])


def _size(seen: Sequence[Seen], asked: int | tuple[int, int] | None) -> tuple[int, int, str]:
    """Width, height, and why."""
    if asked is not None:
        height, width = (asked, asked) if isinstance(asked, int) else asked
        if min(height, width) < 1 or max(height, width) > 4096:
            raise UserError(f"size = {asked} is not a height and a width between 1 and 4096")
        return width, height, f"resized and centre-cropped to {width} x {height} as asked"
    sizes = {(look.width, look.height) for look in seen}
    width = int(statistics.median_low(look.width for look in seen))
    height = int(statistics.median_low(look.height for look in seen))
    shrink = min(1.0, CAP / max(width, height))
    width, height = max(1, round(width * shrink)), max(1, round(height * shrink))
    if sizes == {(width, height)}:
        return width, height, f"{width} x {height} as found"
    return width, height, f"{len(sizes)} sizes found, resized and centre-cropped to {width} x {height}"


def _channels(seen: Sequence[Seen], asked: Channels | None) -> tuple[int, str]:
    """How many channels, and why."""
    depth = asked or (1 if all(look.grey for look in seen) else 3)
    word = {1: "grey", 3: "RGB", 4: "RGBA"}[depth]
    if depth != 4 and (clear := sum(look.alpha for look in seen)):
        word += f", {clear} with transparency laid on white"
    if deep := sum(look.deep for look in seen):
        word += f", {deep} of 16 bits reduced to 8"
    if pages := sum(look.pages for look in seen):
        word += f", {pages} of several pages or frames, of which the first is taken"
    return depth, word


def _key(found: Found, width: int, height: int, depth: int) -> str:
    """What the decoded pixels depend on, short of reading every file."""
    facts = [f"2 {width} {height} {depth}"]
    for name in found.files:
        entry = (found.root / name).stat()
        facts.append(f"{name} {entry.st_size} {entry.st_mtime_ns}")
    return f"{found.root.resolve()}\n" + "\n".join(facts)
