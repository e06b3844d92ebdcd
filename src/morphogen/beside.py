"""Labels that lie beside a person's own files: y in an .npz, the folders that pictures are sorted into."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from morphogen.core.batch import BLANK
from morphogen.data.labels import NAMES
from morphogen.errors import UserError

__all__ = ["labels_beside"]


def labels_beside(
    paths: Sequence[Path], names: Sequence[str], classes: Sequence[str]
) -> tuple[Tensor | None, tuple[str, ...]]:
    """The class of each example and what the classes are called: as `classes` are, where these hold all there is.

    `names` are what the files are called that the examples came from, in order.
    """
    words: list[str] = []
    for path in paths:
        mine = [name for name in names[len(words) :] if _of(path, name)]
        words += _in_array(path, len(mine)) if path.suffix.lower() == ".npz" else _by_folder(path, mine)
    kinds = set(words) - {""}
    if len(words) != len(names) or not kinds:
        return None, ()
    called = tuple(classes) if kinds <= set(classes) else tuple(sorted(kinds))
    number = {word: place for place, word in enumerate(called)} | {"": BLANK}
    return torch.tensor([number[word] for word in words]), called


def _of(path: Path, name: str) -> bool:
    return name == str(path) or name.startswith((f"{path}[", f"{path}/"))


def _in_array(path: Path, count: int) -> list[str]:
    """What y says, one whole number or word each; other arrays of that name are something else than classes."""
    try:
        with path.open("rb") as file:
            held = np.load(file, allow_pickle=False)
            y = held["y"] if "y" in held.files else None
    except Exception as error:  # a stranger's bytes may break a reader in any way
        raise UserError(f"the labels of {path} cannot be read: {error}") from None
    if y is None or y.ndim != 1 or y.dtype.kind not in "buiUS":
        return [""] * count
    if len(y) != count:
        raise UserError(f"{path} has {len(y)} labels and {count} examples; give one number or word for each")
    said = [w.decode("utf-8", "replace") if isinstance(w, bytes) else str(w) for w in y.tolist()]
    return ["" if word == str(BLANK) else word for word in said]


def _by_folder(path: Path, mine: Sequence[str]) -> list[str]:
    """The folder below the one that was named; of a single folder none, since it says nothing apart."""
    if not path.is_dir():
        return [""] * len(mine)
    below = [Path(name).relative_to(path).parts for name in mine]
    tops = [parts[0] if len(parts) > 1 else "" for parts in below]
    words = ["" if top.lower() in NAMES else top for top in tops]
    return words if len(set(words) - {""}) > 1 else [""] * len(mine)
