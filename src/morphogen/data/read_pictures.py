"""Pictures of a person's as a model takes them: of files that were named, and of whole folders, as training finds them.

In a folder, what cannot be read is left out with a reason; a file that was named itself must be good.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from morphogen.core.space import Image
from morphogen.data.decoding import decode
from morphogen.data.folder import WORKERS
from morphogen.data.picture_files import search
from morphogen.data.pictures import Refused, Seen, glance, quiet, shown
from morphogen.errors import UserError

__all__ = ["picture", "pictures_in"]

AT_ONCE = 64


def picture(path: Path, space: Image, fit: bool, remedy: str) -> Tensor:
    """The picture of one file; `fit` resizes and crops it, and where it is of another size otherwise, `remedy` is what
    to do."""
    try:
        with quiet():
            seen = glance(path)
            if not fit:
                _same_size([shown(path)], [seen], space, remedy)
            return _levels(_decoded(space, path)[None], space)
    except Refused as reason:
        raise UserError(f"{shown(path)}: {reason}") from None


def pictures_in(root: Path, space: Image, fit: bool, remedy: str) -> tuple[Tensor, list[str], list[tuple[str, str]]]:
    """All pictures of a folder, their relative names, and what was left out with the reason."""
    with quiet():
        found = search(root)
        if not fit:
            _same_size([shown(root / name) for name in found.files], found.seen, space, remedy)
        kept, names, lost = [], [], list(found.skipped)
        with ThreadPoolExecutor(WORKERS) as pool:
            for start in range(0, len(found.files), AT_ONCE):
                some = found.files[start : start + AT_ONCE]
                for name, page in zip(some, pool.map(partial(_tried, space, root), some), strict=True):
                    if isinstance(page, Refused):
                        lost.append((name, str(page)))
                    else:
                        kept.append(page)
                        names.append(name)
    if not kept:
        raise UserError(f"{shown(root)}: none of the {len(found.files)} pictures could be read: {lost[0][1]}")
    return _levels(np.stack(kept), space), names, [(shown(name), why) for name, why in sorted(lost)]


def _same_size(names: Sequence[str], seen: Sequence[Seen], space: Image, remedy: str) -> None:
    """Refuse pictures of another size than the model's."""
    other = [i for i, look in enumerate(seen) if (look.width, look.height) != (space.width, space.height)]
    if other:
        first = seen[other[0]]
        more = f" ({len(other)} of the {len(seen)} pictures have another size)" if len(seen) > 1 else ""
        raise UserError(
            f"{names[other[0]]} is {first.width} x {first.height}, the model's pictures are {space.width} x "
            f"{space.height}{more}; {remedy}"
        )


def _tried(space: Image, root: Path, name: str) -> NDArray[np.uint8] | Refused:
    try:
        return _decoded(space, root / name)
    except Refused as reason:
        return reason


def _decoded(space: Image, path: Path) -> NDArray[np.uint8]:
    return decode(path, space.width, space.height, space.channels)[0]


def _levels(pixels: NDArray[np.uint8], space: Image) -> Tensor:
    """Stored values of as many levels as the model knows."""
    stored = torch.from_numpy(pixels)
    if space.levels == 256:
        return stored
    kind = torch.uint8 if space.levels < 256 else torch.uint16
    return stored.float().mul_((space.levels - 1) / 255).round_().to(kind)
