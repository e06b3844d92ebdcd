"""Pictures moved by some pixels, and mirrored: the mildest change that a critic should not mind."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from morphogen.core import noise
from morphogen.core.build import register
from morphogen.core.game import Augment
from morphogen.core.space import Image, Space
from morphogen.errors import UserError

__all__ = ["pictures", "shift", "shifted"]

Share = Annotated[float, Field(ge=0, le=1)]


def pictures(name: str, space: Space) -> Image:
    """The space, if it is one of pictures."""
    if not isinstance(space, Image):
        raise UserError(f"{name} changes pictures, and this data is {space.kind}; use augment=none")
    return space


def shifted(x: Tensor, share: float) -> Tensor:
    """Each picture moved by up to `share` of its size, with black where nothing was."""
    n, _, height, width = x.shape
    down = _whole(n, height, share, x)
    across = _whole(n, width, share, x)
    rows, there = _taken(down, height)
    columns, here = _taken(across, width)
    index = torch.arange(n, device=x.device)[:, None, None]
    moved = x.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return moved * (there[:, None, :, None] & here[:, None, None, :])


def _whole(n: int, size: int, share: float, like: Tensor) -> Tensor:
    """A whole number of pixels for each picture, up to `share` of `size` either way."""
    most = round(share * size)
    return (noise.uniform((n,), event=0, like=like) * (2 * most + 1)).floor().long() - most


def _taken(by: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Which line lands at each place, and whether there is one."""
    line = torch.arange(size, device=by.device) - by[:, None]
    return line.clamp(0, size - 1), (line >= 0) & (line < size)


@register("augments")
class shift(Augment):
    """Up to `share` of the size up, down, left and right; `mirror`: left and right may be exchanged.

    share: largest shift, as a share of the size
    """

    def __init__(self, space: Space, /, *, share: Share = 0.125, mirror: bool = False) -> None:
        super().__init__()
        pictures("shift", space)
        self.share, self.mirror = share, mirror

    def forward(self, x: Tensor) -> Tensor:
        if self.mirror:
            turn = noise.uniform((len(x), 1, 1, 1), event=3, like=x) < 0.5
            x = torch.where(turn, x.flip(3), x)
        return shifted(x, self.share)
