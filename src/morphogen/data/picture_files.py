"""The picture files in a folder, found by their names and looked at: which can be read, which cannot, and what else
lies there. Training and every task that is given a folder find the same files in the same order."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from morphogen.data.pictures import FOREIGN, SUFFIXES, Refused, Seen, glance, shown
from morphogen.errors import UserError

__all__ = ["Found", "complain", "holds_pictures", "others", "search"]

IGNORED = {"__macosx", "thumbs.db", "desktop.ini"}
LOOKING = 4  # headers that are read at a time: each may unpack 64 MB of notes
SOUNDS = {".wav", ".mp3", ".flac", ".ogg", ".m4a", ".aac"}
NUMBERS = {".csv", ".tsv", ".parquet", ".npy", ".npz"}


@dataclass
class Found:
    """The picture files of a folder, by relative path, with what their headers say; those that were refused; and how
    many others there are, by their ending."""

    root: Path
    files: list[str]
    seen: list[Seen]
    skipped: list[tuple[str, str]]
    others: Counter[str]


def search(root: Path, strict: bool = False) -> Found:
    """All pictures of a folder and of the folders in it; refused where there are none."""
    if not root.is_dir():
        raise UserError(f"{shown(root)} is not a folder; give the path of a folder of pictures")
    files, rest = _walk(root)
    with ThreadPoolExecutor(LOOKING) as pool:
        looks = list(pool.map(partial(_glance, root), files))
    skipped = [(name, str(look)) for name, look in zip(files, looks, strict=True) if isinstance(look, Refused)]
    complain(root, skipped, strict)
    good = [(name, look) for name, look in zip(files, looks, strict=True) if isinstance(look, Seen)]
    if not good:
        raise UserError(_nothing(root, skipped, rest))
    return Found(root, [name for name, _ in good], [look for _, look in good], skipped, rest)


def holds_pictures(root: Path) -> bool:
    """Whether there is a picture by its name in a folder, or nothing else either."""
    files, rest = _walk(root)
    return bool(files) or not set(rest) & NUMBERS


def complain(root: Path, bad: Sequence[tuple[str, str]], strict: bool) -> None:
    """Refuse the first bad file, where none is forgiven."""
    if strict and bad:
        raise UserError(f"{shown(root / bad[0][0])}: {bad[0][1]} (strict is on; without it bad files are skipped)")


def others(rest: Counter[str]) -> str:
    """What lies there beside pictures, in words."""
    kinds = [f"{count} {ending or 'without an ending'}" for ending, count in rest.most_common(5)]
    return f"{', '.join(kinds)}{', ...' * (len(rest) > 5)}"


def _nothing(root: Path, skipped: Sequence[tuple[str, str]], rest: Counter[str]) -> str:
    """Why there is no picture, and what to do."""
    first = f": {shown(skipped[0][0])}: {skipped[0][1]}" if skipped else ""
    words = f"{shown(root)} holds no picture that can be read"
    words += f" ({len(skipped)} files skipped{first})" if skipped else ""
    words += f"; there is {others(rest)}" if rest else ""
    if set(rest) & SOUNDS:
        return f"{words}; sounds are not read: make spectrograms of them, an array (N, height, width) in a .npy file"
    if set(rest) & NUMBERS:
        return f"{words}; name the array or table itself, not its folder"
    return f"{words}; put {', '.join(sorted(SUFFIXES))} files in it or in folders inside it"


def _walk(root: Path) -> tuple[list[str], Counter[str]]:
    """Relative paths of what may be pictures, in order, and the endings of other files. Hidden files and those of
    systems count as neither. Links to folders are not followed, so loops are no danger."""
    found, rest = [], Counter[str]()
    for here, folders, files in os.walk(root):
        folders[:] = [f for f in folders if not f.startswith(".") and f.lower() not in IGNORED]
        for name in files:
            if name.startswith(".") or name.lower() in IGNORED:
                continue
            ending = os.path.splitext(name)[1].lower()
            if ending in SUFFIXES | FOREIGN:
                found.append(Path(os.path.relpath(os.path.join(here, name), root)).as_posix())
            else:
                rest[shown(ending)] += 1
    return sorted(found), rest


def _glance(root: Path, name: str) -> Seen | Refused:
    try:
        return glance(root / name)
    except Refused as reason:
        return reason
