"""Splits and classes of pictures by the folders that they are in.

Folders that hold all pictures say nothing apart and are passed over, as `faces/` is in an unpacked `faces/anna/1.png`.
Of the others the topmost are the classes; where only the deepest hold pictures, all at one depth, those are, under
their whole name: `greek/alpha`, `greek/beta`. `level` says otherwise: 1 is the topmost.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from morphogen.data.labels import NAMES
from morphogen.errors import UserError

__all__ = ["class_words", "split_words"]

SPLITS = {"train": "train", "training": "train", "valid": "valid", "val": "valid", "validation": "valid"} | {
    "test": "test",
    "testing": "test",
}
Folders = tuple[str, ...]


def split_words(names: Sequence[str]) -> tuple[list[str] | None, list[Folders]]:
    """The split of each file, where the topmost folders that tell files apart are named for splits (train, and valid or
    test), and the folders below those; else None, and all folders."""
    folders = [tuple(name.split("/")[:-1]) for name in names]
    folders = [path[len(_shared(folders)) :] for path in folders]
    tops = {path[0].lower() if path else "" for path in folders}
    if not (tops <= set(SPLITS) and {"train"} < {SPLITS[top] for top in tops}):
        return None, folders
    return [SPLITS[path[0].lower()] for path in folders], [path[1:] for path in folders]


def class_words(folders: Sequence[Folders], level: int | None = None) -> list[str] | None:
    """The class of each file by its folders, "" where it has none; None where folders tell no two classes apart."""
    labelled = [path for path in folders if not _blank(path)]
    shared = len(_shared(labelled))
    paths = [path[shared:] for path in labelled]
    if not paths:
        return None
    while len({path[-1:] for path in paths}) == 1 and min(map(len, paths)) > 1:  # dog/images, cat/images
        paths = [path[:-1] for path in paths]
    depths = {len(path) for path in paths}
    if level is not None and level > max(depths):
        raise UserError(
            f"class_level = {level}, and the folders that tell pictures apart are {max(depths)} deep; give less"
        )
    depth = level or (max(depths) if len(depths) == 1 else 1)
    if level is None and 0 in depths:
        return None
    words = iter("/".join(path[:depth]) for path in paths)
    return ["" if _blank(path) else next(words) for path in folders]


def _blank(path: Folders) -> bool:
    return any(part.lower() in NAMES for part in path)


def _shared(folders: Sequence[Folders]) -> Folders:
    """The folders that all of them begin with."""
    first, last = (min(folders), max(folders)) if folders else ((), ())
    return tuple(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))
