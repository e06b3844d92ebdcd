"""Elements that are missing: half of them, a box, a share at random, what a picture marks, empty cells of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from PIL import Image as Pictures
from PIL import UnidentifiedImageError
from pydantic import BeforeValidator
from torch import Tensor

from morphogen.core import noise
from morphogen.core.build import register
from morphogen.core.damage import Damage, hidden, missing
from morphogen.core.space import Space
from morphogen.errors import UserError

__all__ = ["mask"]

HALVES = ("half", "left", "right", "top", "bottom")
MAX_PIXELS = 50_000_000


def _what(said: object) -> object:
    """A share as a number, however it was written; anything else as the word that it is."""
    if isinstance(said, str):
        try:
            said = float(said)
        except ValueError:
            return said
    if isinstance(said, (int, float)) and not isinstance(said, bool):
        if not 0 <= said <= 1:
            raise ValueError(f"the share of what is missing goes from 0 to 1, not {said:g}")
        return float(said)
    raise ValueError("half, left, right, top, bottom, box, any, given, a share or a picture is wanted")


@register("damages")
class mask(Damage):
    """Elements are missing: half (left, right, top, bottom), a box in the middle, a share at random, or a picture's.

    `what`: one of these words, a share, or the path of a picture whose white pixels are missing; `any`: a box of any
    size anywhere, another for each example; `given`: only what is not a number (NaN).

    what: half, left, right, top, bottom, box, any, a share, or a picture file
    """

    hides = True
    gone: Tensor | None

    def __init__(self, space: Space, /, *, what: Annotated[str | float, BeforeValidator(_what)] = "half") -> None:
        super().__init__(space)
        self.what = what
        fixed = None if isinstance(what, float) or what in ("given", "any") else _fixed(what, space)
        self.register_buffer("gone", fixed, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.what, float):
            sites = self.space.sites
            u = noise.uniform((len(x), *sites), event=len(sites), like=x)
            lost = (u < self.what).unsqueeze(1).expand(-1, self.space.depth, *sites)
            return hidden(x, self.space.whole(lost.reshape(x.shape)))
        if self.what == "any":
            return hidden(x, self.space.whole(_boxes(x, self.space)))
        return x if self.gone is None else hidden(x, self.space.whole(self.gone.to(x.device)))

    def read(self, y: Tensor) -> Tensor:
        if (isinstance(self.what, float) or self.what == "any") and not bool(missing(y).any()):
            raise UserError(
                f"{self.told()} draws at random what to hide, and nobody knows what was hidden in examples that "
                "are damaged already; give mask=PICTURE, white where something is missing, or values that are NaN there"
            )
        if self.what == "given" and not self.space.gaps and not bool(missing(y).any()):
            raise UserError(
                "mask=given, and nothing is missing in what was given: NaN says so in an array; of pictures name one "
                "that is white where something is missing, mask=hole.png"
            )
        return y if self.gone is None else hidden(y, self.space.whole(self.gone.to(y.device)))

    def told(self) -> str:
        return f"mask={self.what:g}" if isinstance(self.what, float) else f"mask={self.what}"


def _fixed(what: str | float, space: Space) -> Tensor:
    """What is missing of every example alike."""
    gone = torch.zeros(space.depth, *space.sites, dtype=torch.bool)
    if what in HALVES:
        across = what in ("half", "left", "right") or len(space.sites) < 2
        size = space.sites[-1 if across else -2]
        half = (0, size // 2) if what in ("left", "top") else (size - size // 2, size)
        gone.narrow(-1 if across else -2, half[0], half[1] - half[0]).fill_(True)
    elif what == "box":
        part = gone
        for axis, size in enumerate(space.sites):
            part = part.narrow(axis + 1, size // 4, size - 2 * (size // 4) if size < 4 else size // 2)
        part.fill_(True)
    else:
        gone[:] = torch.from_numpy(_marked(str(what), space))
    return gone.reshape(space.shape)


def _boxes(x: Tensor, space: Space) -> Tensor:
    """A box of any size anywhere in each example."""
    gone = torch.ones(len(x), space.depth, *space.sites, dtype=torch.bool, device=x.device)
    for axis, size in enumerate(space.sites):
        long, start = (noise.uniform((len(x), 1), event=1, like=x) for _ in range(2))
        length = (long * size).floor() + 1
        first = (start * (size - length + 1)).floor()
        place = torch.arange(size, device=x.device)
        inside = (place >= first) & (place < first + length)
        gone = gone & inside.reshape(len(x), 1, *(size if a == axis else 1 for a in range(len(space.sites))))
    return gone.reshape(x.shape)


def _marked(path: str, space: Space) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Where a picture is white."""
    if space.kind != "image":
        raise UserError(f"mask={path}: a {space.kind} has no picture of what is missing; use half, box, or a share")
    if not _is_file(path):
        words = ", ".join((*HALVES, "box", "any", "given"))
        raise UserError(f"mask={path}: there is no such picture; use {words}, a share or a picture")
    try:
        with Pictures.open(path, formats=("PNG", "JPEG", "WEBP", "BMP", "GIF")) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise UserError(f"mask={path} has more pixels than any picture here; give one of the model's size")
            if (picture.height, picture.width) != space.sites:
                raise UserError(
                    f"mask={path} is {picture.width} x {picture.height}, the pictures are "
                    f"{space.sites[1]} x {space.sites[0]}; give one of their size"
                )
            white = np.asarray(picture.convert("L")) > 127
    except (OSError, ValueError, UnidentifiedImageError, Pictures.DecompressionBombError, SyntaxError) as error:
        raise UserError(f"mask={path} is no picture that can be read: {error}; give a PNG") from None
    if not white.any():
        raise UserError(f"mask={path} hides nothing: paint what is missing white, and all else black")
    return white


def _is_file(path: str) -> bool:
    """An ordinary file: others may never end."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False
