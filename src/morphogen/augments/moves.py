"""Pictures shifted, turned and scaled a little (Simard, Steinkraus and Platt 2003, "Best practices for convolutional
neural networks applied to visual document analysis"): the classical augmentation of a classifier."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from morphogen.augments.shift import Share, pictures
from morphogen.core import noise
from morphogen.core.build import register
from morphogen.core.game import Augment
from morphogen.core.space import Space

__all__ = ["moves"]


@register("augments")
class moves(Augment):
    """Each picture shifted by up to `share` of its size, turned by up to `degrees`, scaled by up to `scale`.

    share: largest shift, as a share of the size
    degrees: largest turn, in degrees
    scale: largest change of size, as a share
    """

    def __init__(
        self,
        space: Space,
        /,
        *,
        share: Share = 0.07,
        degrees: Annotated[float, Field(ge=0, le=180)] = 10.0,
        scale: Annotated[float, Field(ge=0, le=0.9)] = 0.1,
    ) -> None:
        super().__init__()
        pictures("moves", space)
        self.share, self.turn, self.scale = share, degrees * torch.pi / 180, scale

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        angle, size, down, across = (2 * noise.uniform((n,), event=0, like=x) - 1 for _ in range(4))
        angle, size = self.turn * angle, 1 + self.scale * size
        cosine, sine = angle.cos() / size, angle.sin() / size
        rows = (
            (cosine, sine * height / width, 2 * self.share * across),
            (-sine * width / height, cosine, 2 * self.share * down),
        )
        grid = F.affine_grid(torch.stack([torch.stack(row, 1) for row in rows], 1), list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
