"""A folder of pictures of any size, mode and channel count: what to make of them is found by looking.

Class folders become labels (`unlabelled/` has none; `train/`, `valid/` and `test/` at the top become splits), or a
table says them. Pictures of one size keep it, up to 256 pixels; others are resized and cut to their median size. All
grey: one channel; transparency is laid on white. Bad files are skipped and listed. What does not fit in memory is
decoded once, into the cache, and streamed.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from morphogen.core.build import register
from morphogen.core.space import Image
from morphogen.data.album import Album, album
from morphogen.data.dataset import Dataset, Split
from morphogen.data.labels import NAMES, numbered, read_table
from morphogen.data.pictures import FOREIGN, SUFFIXES, Refused, Seen, decode, glance, quiet, shown
from morphogen.data.split import by_hash, content_hash
from morphogen.data.stamp import digest, fingerprint
from morphogen.data.stores import subset
from morphogen.errors import UserError

__all__ = ["folder"]

Channels = Literal[1, 3, 4]
Decoded = tuple[NDArray[np.uint8], int] | Refused
CAP = 256
WORKERS = min(8, os.cpu_count() or 1)
SPLITS = {"train": "train", "training": "train", "valid": "valid", "val": "valid", "validation": "valid"} | {
    "test": "test",
    "testing": "test",
}
IGNORED = {"__macosx", "thumbs.db", "desktop.ini"}


@dataclass
class Found:
    """The picture files of a folder, by relative path, with what their headers say, and those that were refused."""

    root: Path
    files: list[str]
    seen: list[Seen]
    skipped: list[tuple[str, str]]


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
    strict: bool = False,
) -> Dataset:
    """A folder of your own pictures (PNG, JPEG, WebP, BMP, GIF), of any size; class folders, or a table of files and
    labels, become labels."""
    with quiet():
        found = _search(Path(path), strict)
        told = None if table is None else read_table(Path(table), {*found.files, *(name for name, _ in found.skipped)})
        width, height, sizes = _size(found.seen, size)
        depth, tones = _channels(found.seen, channels)
        read = partial(_decode, found.root, width, height, depth)
        pages = album(
            _all(read, found.files), len(found.files), (height, width, depth), memory, _key(found, width, height, depth)
        )
    lost = [(found.files[i], why) for i, why in pages.refused]
    _complain(found.root, lost, strict)
    if not len(pages.store):
        raise UserError(f"{shown(found.root)}: none of the {len(found.files)} pictures could be read: {lost[0][1]}")
    return _assemble(found, pages, Image(height, width, depth), f"{sizes}; {tones}", lost, (valid, test), told)


def _assemble(
    found: Found,
    pages: Album,
    space: Image,
    protocol: str,
    lost: list[tuple[str, str]],
    shares: tuple[float, float],
    told: dict[str, str] | None,
) -> Dataset:
    bad = {name for name, _ in lost}
    good = [name for name in found.files if name not in bad]
    rows, how, words = _split(good, pages.hashes, *shares)
    if told is not None:
        words = [told.get(name, "") for name in good]
    labels, classes = (None, ()) if words is None else numbered(words)
    splits = {
        name: Split(subset(pages.store, part), None if labels is None else labels[part]) for name, part in rows.items()
    }
    skipped = sorted((shown(name), why) for name, why in found.skipped + lost)
    if skipped:
        protocol += f"; {len(skipped)} files skipped"
    names = {name: digest(part) for name, part in rows.items()}
    stamp = fingerprint(space, [pages.digest, digest(labels), names], {"valid": shares[0], "test": shares[1]})
    return Dataset(
        shown(found.root.name) or "folder",
        space,
        splits,
        stamp,
        classes=tuple(map(shown, classes)),
        protocol=f"{protocol}; {how}",
        skipped=skipped,
    )


def _search(root: Path, strict: bool) -> Found:
    if not root.is_dir():
        raise UserError(f"{shown(root)} is not a folder; give the path of a folder of pictures")
    files = sorted(_walk(root))
    with ThreadPoolExecutor(WORKERS) as pool:
        looks = list(pool.map(partial(_glance, root), files))
    skipped = [(name, str(look)) for name, look in zip(files, looks, strict=True) if isinstance(look, Refused)]
    _complain(root, skipped, strict)
    good = [(name, look) for name, look in zip(files, looks, strict=True) if isinstance(look, Seen)]
    if not good:
        first = f": {shown(skipped[0][0])}: {skipped[0][1]}" if skipped else ""
        raise UserError(
            f"{shown(root)} holds no picture that can be read ({len(skipped)} files skipped{first}); "
            f"put {', '.join(sorted(SUFFIXES))} files in it or in folders inside it"
        )
    return Found(root, [name for name, _ in good], [look for _, look in good], skipped)


def _complain(root: Path, bad: Sequence[tuple[str, str]], strict: bool) -> None:
    if strict and bad:
        raise UserError(f"{shown(root / bad[0][0])}: {bad[0][1]} (strict is on; without it bad files are skipped)")


def _walk(root: Path) -> Iterator[str]:
    """Relative posix paths of what may be pictures. Links to folders are not followed, so loops are no danger."""
    for here, folders, files in os.walk(root):
        folders[:] = [f for f in folders if not f.startswith(".") and f.lower() not in IGNORED]
        for name in files:
            ending = os.path.splitext(name)[1].lower()
            if not name.startswith(".") and name.lower() not in IGNORED and ending in SUFFIXES | FOREIGN:
                yield Path(os.path.relpath(os.path.join(here, name), root)).as_posix()


def _glance(root: Path, name: str) -> Seen | Refused:
    try:
        return glance(root / name)
    except Refused as reason:
        return reason


def _decode(root: Path, width: int, height: int, depth: int, name: str) -> Decoded:
    try:
        pixels, own = decode(root / name, width, height, depth)
    except Refused as reason:
        return reason
    return pixels, content_hash(own)


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
    return depth, word


def _split(
    good: Sequence[str], hashes: NDArray[np.uint32], valid: float, test: float
) -> tuple[dict[str, Tensor], str, list[str] | None]:
    """Rows of each split, how, and the class of each: by the folders' names where they say it, by hash otherwise."""
    paths = [name.split("/")[:-1] for name in good]
    tops = {parts[0].lower() if parts else "" for parts in paths}
    given = tops <= set(SPLITS) and {"train"} < {SPLITS[top] for top in tops}
    if given:
        where = np.array([SPLITS[parts[0].lower()] for parts in paths])
        rows = {
            n: torch.from_numpy(np.flatnonzero(where == n)) for n in ("train", "valid", "test") if (where == n).any()
        }
        how, paths = f"splits as in the folders {', '.join(sorted(tops))}", [parts[1:] for parts in paths]
        if "valid" not in rows:
            inner, word = by_hash(hashes[rows["train"].numpy()], valid, 0.0)
            rows |= {"train": rows["train"][inner["train"]], "valid": rows["train"][inner["valid"]]}
            how += f", valid {word.removeprefix('split ').replace(', test 0', '')}"
    else:
        rows, how = by_hash(hashes, valid, test)
    tops = {parts[0] if parts else "" for parts in paths}
    if "" in tops:
        return rows, how, None
    return rows, how, ["" if parts[0].lower() in NAMES else parts[0] for parts in paths]


def _key(found: Found, width: int, height: int, depth: int) -> str:
    """What the decoded pixels depend on, short of reading every file."""
    facts = [f"{width} {height} {depth}"]
    for name in found.files:
        entry = (found.root / name).stat()
        facts.append(f"{name} {entry.st_size} {entry.st_mtime_ns}")
    return f"{found.root.resolve()}\n" + "\n".join(facts)
