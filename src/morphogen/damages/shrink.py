"""Too small a picture: each of its pixels is the mean of a square. To undo it is to enlarge (superresolution)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from morphogen.core.build import register
from morphogen.core.damage import Damage
from morphogen.core.space import Image, Space
from morphogen.errors import UserError

__all__ = ["shrink"]


@register("damages")
class shrink(Damage):
    """A `factor`-th of the size on each side: means of squares.

    factor: how many times smaller each side becomes
    """

    def __init__(self, space: Space, /, *, factor: Annotated[int, Field(ge=2)] = 2) -> None:
        if not isinstance(space, Image):
            raise UserError(f"shrink is of pictures, and this is a {space.kind}; use mask")
        if space.height % factor or space.width % factor:
            fits = [f for f in range(2, min(space.sites) + 1) if not space.height % f and not space.width % f]
            raise UserError(
                f"shrink: factor = {factor} does not divide {space.width} x {space.height}; "
                + (f"use one of {', '.join(map(str, fits))}" if fits else "no factor does; use blur")
            )
        super().__init__(space, Image(space.height // factor, space.width // factor, space.channels, space.levels))
        self.factor = factor

    def turn(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x.reshape(-1, *self.space.shape), self.factor).reshape(*x.shape[:-3], *self.left.shape)

    def spread(self, variance: Tensor) -> Tensor:
        return self.turn(variance) / self.factor**2

    def back(self, y: Tensor) -> Tensor:
        size = (self.space.sites[0], self.space.sites[1])
        return F.interpolate(y, size=size, mode="bicubic", align_corners=False)

    def told(self) -> str:
        return f"shrink={self.factor}"
