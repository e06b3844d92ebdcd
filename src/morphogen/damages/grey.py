"""Colour is lost: to undo it is to colourise."""

from __future__ import annotations

import torch
from torch import Tensor

from morphogen.core.build import register
from morphogen.core.damage import Damage
from morphogen.core.space import Image, Space
from morphogen.errors import UserError

__all__ = ["grey"]

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


@register("damages")
class grey(Damage):
    """Red, green and blue as one grey, weighed as the eye does."""

    weights: Tensor

    def __init__(self, space: Space, /) -> None:
        if not isinstance(space, Image) or space.channels != 3:
            raise UserError(
                f"grey takes the colour off pictures of three channels, not off {tuple(space.shape)}; use blur"
            )
        super().__init__(space, Image(space.height, space.width, 1, space.levels))
        self.register_buffer("weights", torch.tensor(LUMA).reshape(3, 1, 1), persistent=False)

    def turn(self, x: Tensor) -> Tensor:
        return (x * self.weights.to(x.dtype)).sum(-3, keepdim=True)

    def spread(self, variance: Tensor) -> Tensor:
        return (variance * self.weights.to(variance.dtype).square()).sum(-3, keepdim=True)

    def back(self, y: Tensor) -> Tensor:
        return y.expand(*y.shape[:-3], 3, *y.shape[-2:]).contiguous()
