"""Labels that lie beside a person's own files: y in an .npz, the folders that pictures are sorted into."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from morphogen.core.batch import BLANK
from morphogen.data.class_folders import class_words, split_words
from morphogen.data.labels import read_table
from morphogen.data.npz import Arrays, labels_in
from morphogen.errors import UserError

__all__ = ["labels_at_hand", "labels_beside"]


def labels_beside(
    paths: Sequence[Path],
    names: Sequence[str],
    classes: Sequence[str],
    level: int | None = None,
    table: Path | None = None,
) -> tuple[Tensor | None, tuple[str, ...]]:
    """The class of each example and what the classes are called: as `classes` are, where these hold all there is.

    `names` are what the files are called that the examples came from, in order; `level` says which folders are classes,
    as for training, and `table` names the classes of the files of one folder.
    """
    words: list[str] = []
    for path in paths:
        mine = [name for name in names[len(words) :] if _of(path, name)]
        words += _in_array(path, len(mine)) if path.suffix.lower() == ".npz" else _by_folder(path, mine, level, table)
    return _numbered(words, classes) if len(words) == len(names) else (None, ())


def labels_at_hand(y: Any, classes: Sequence[str], count: int) -> tuple[Tensor | None, tuple[str, ...]]:
    """The same of labels that came with an array: whole numbers or words, -1 or nothing where there is none."""
    said = y.tolist() if hasattr(y, "tolist") else list(y)
    if len(said) != count or not all(isinstance(word, (int, str)) or word is None for word in said):
        raise UserError(f"{len(said)} labels for {count} examples; give one whole number or word for each")
    return _numbered(["" if word in (None, BLANK) else str(word) for word in said], classes)


def _numbered(words: Sequence[str], classes: Sequence[str]) -> tuple[Tensor | None, tuple[str, ...]]:
    kinds = set(words) - {""}
    if not kinds:
        return None, ()
    called = tuple(classes) if kinds <= set(classes) else tuple(sorted(kinds))
    number = {word: place for place, word in enumerate(called)} | {"": BLANK}
    return torch.tensor([number[word] for word in words]), called


def _of(path: Path, name: str) -> bool:
    return name == str(path) or name.startswith((f"{path}[", f"{path}/"))


def _in_array(path: Path, count: int) -> list[str]:
    """What y says, one whole number or word each; other arrays of that name are something else than classes."""
    with Arrays(path) as held:
        parts = [part for part in ("x_test", "x_train") if part in held]
        name = labels_in(held, parts[0] if parts else "x")
        y = None if name is None else held.read(name)
    if y is None or y.ndim != 1 or y.dtype.kind not in "buiUS":
        return [""] * count
    if len(y) != count:
        raise UserError(f"{path} has {len(y)} labels and {count} examples; give one number or word for each")
    said = [w.decode("utf-8", "replace") if isinstance(w, bytes) else str(w) for w in y.tolist()]
    return ["" if word == str(BLANK) else word for word in said]


def _by_folder(path: Path, mine: Sequence[str], level: int | None, table: Path | None) -> list[str]:
    """What the folders below the one that was named say, or the table; of a single class none, since it says nothing
    apart."""
    if not path.is_dir():
        return [""] * len(mine)
    below = [Path(name).relative_to(path).as_posix() for name in mine]
    if table is not None:
        told = read_table(table)
        return [told.get(name, "") for name in below]
    words = class_words(split_words(below)[1], level)
    return words if words is not None and len(set(words) - {""}) > 1 else [""] * len(mine)
