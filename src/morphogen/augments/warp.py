"""Pictures bent a little, as hands and lenses bend them (Simard, Steinkraus and Platt 2003, "Best practices for
convolutional neural networks"): turned, stretched, sheared, moved, and pulled about by a smooth field; a square of each
may be hidden (DeVries and Taylor 2017, "Cutout") and its tones changed."""

from __future__ import annotations

import math
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

__all__ = ["warp"]

KNOTS = 5  # the field is drawn at so many places along each side, and is smooth between them
Degrees = Annotated[float, Field(ge=0, le=180)]


@register("augments")
class warp(Augment):
    """Each picture by its own warp: up to `turn` degrees, `stretch`, `shear` and `shift` of its size, pulled by `pull`;
    a square of up to `cut` of its size hidden, tones changed by up to `tone`, mirrored half the time if `mirror`.

    turn: largest turn, in degrees
    stretch: largest change of width and height, as a share
    shear: largest shear, as a share
    shift: largest shift, as a share of the size
    pull: strength of the smooth elastic distortion, as a share of the size
    cut: largest side of the hidden square, as a share of the size
    tone: largest change of brightness and contrast
    """

    def __init__(
        self,
        space: Space,
        /,
        *,
        turn: Degrees = 15.0,
        stretch: Share = 0.15,
        shear: Share = 0.15,
        shift: Share = 0.1,
        pull: Share = 0.06,
        cut: Share = 0.3,
        tone: Share = 0.0,
        mirror: bool = False,
    ) -> None:
        super().__init__()
        pictures("warp", space)
        self.turn, self.stretch, self.shear, self.shift = math.radians(turn), stretch, shear, shift
        self.pull, self.cut, self.tone, self.mirror = pull, cut, tone, mirror

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            bent = F.grid_sample(x.contiguous(), self.grid(x).to(x.dtype), padding_mode="border", align_corners=False)
            return self.shaded(self.hidden(bent))

    def grid(self, x: Tensor) -> Tensor:
        """Where each pixel comes from, (n, height, width, 2), from -1 to 1."""
        angle, stretch, across, shear, right, down, flip = (2 * u(x, 7) - 1).unbind(1)
        angle, shear = self.turn * angle, self.shear * shear
        wide, high = torch.exp(self.stretch * stretch), torch.exp(self.stretch * across)
        wide = torch.where(flip < 0, -wide, wide) if self.mirror else wide
        cos, sin = angle.cos(), angle.sin()
        rows = [wide * cos, shear - high * sin, 2 * self.shift * right, wide * sin, high * cos, 2 * self.shift * down]
        grid = F.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(x.shape), align_corners=False)
        knots = noise.uniform((len(x), 2, KNOTS, KNOTS), event=3, like=x)
        field = F.interpolate(2 * knots - 1, x.shape[2:], mode="bicubic", align_corners=True)
        return grid + 2 * self.pull * field.permute(0, 2, 3, 1)

    def hidden(self, x: Tensor) -> Tensor:
        """A square of each, laid over with its own mean."""
        size, down, across = u(x, 3).unbind(1)
        masks = []
        for side, place in ((x.shape[2], down), (x.shape[3], across)):
            at = (torch.arange(side, device=x.device, dtype=x.dtype) + 0.5) / side
            masks.append((at - place[:, None]).abs() < 0.5 * self.cut * size[:, None])
        there = masks[0][:, None, :, None] & masks[1][:, None, None, :]
        return torch.where(there, x.mean((1, 2, 3), keepdim=True), x)

    def shaded(self, x: Tensor) -> Tensor:
        """Brighter or darker, with more or less contrast."""
        if not self.tone:
            return x
        contrast, light = (self.tone * (2 * u(x, 2) - 1)).view(-1, 2, 1, 1, 1).unbind(1)
        middle = x.mean((1, 2, 3), keepdim=True)
        return middle + (x - middle) * (1 + contrast) + 0.5 * light


def u(x: Tensor, count: int) -> Tensor:
    """So many uniform numbers for each picture."""
    return noise.uniform((len(x), count), event=1, like=x)
