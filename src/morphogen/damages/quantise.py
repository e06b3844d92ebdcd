"""What JPEG does: cosine coefficients of blocks of 8 x 8, rounded to multiples of steps (ITU-T T.81, annex K)."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from morphogen.core import noise
from morphogen.core.build import register
from morphogen.core.damage import Damage
from morphogen.core.space import Image, Space
from morphogen.errors import UserError

__all__ = ["quantise"]

SIDE = 8
STEPS = """16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"""


@register("damages")
class quantise(Damage):
    """Blocks of 8 x 8 as JPEG of this `quality`, 1 to 100, leaves them: the same steps for every colour.

    Inference takes the rounding for noise of the steps' variance, step^2 / 12.

    quality: JPEG quality, 1 to 100
    """

    cosines: Tensor
    steps: Tensor

    def __init__(self, space: Space, /, *, quality: Annotated[int, Field(ge=1, le=100)] = 30) -> None:
        super().__init__(space)
        if not isinstance(space, Image):
            raise UserError(f"quantise is of pictures, and this is a {space.kind}; use noise")
        self.quality = quality
        scale = 50 / quality if quality < 50 else 2 - quality / 50
        table = torch.tensor([float(s) for s in STEPS.split()]).reshape(SIDE, SIDE)
        self.register_buffer("steps", (table * scale).round().clamp(1, 255) / 255, persistent=False)
        self.register_buffer("cosines", _cosines(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        flat = F.pad(x.reshape(-1, 1, height, width), (0, -width % SIDE, 0, -height % SIDE), mode="replicate")
        tall, wide = flat.shape[-2] // SIDE, flat.shape[-1] // SIDE
        blocks = flat.reshape(-1, tall, SIDE, wide, SIDE).transpose(2, 3)
        turned = self.cosines @ blocks @ self.cosines.mT
        back = self.cosines.mT @ ((turned / self.steps).round() * self.steps) @ self.cosines
        whole = back.transpose(2, 3).reshape(-1, tall * SIDE, wide * SIDE)
        return whole[:, :height, :width].reshape(x.shape)

    def echo(self, x: Tensor) -> Tensor:
        return x + self.doubt(x).sqrt() * noise.normal(x.shape, event=len(self.space.shape), like=x)

    def doubt(self, mean: Tensor) -> Tensor:
        return (self.steps.square().mean() / 12).expand_as(mean)

    def told(self) -> str:
        return f"quantise={self.quality}"


def _cosines() -> Tensor:
    """The orthonormal cosine transform."""
    place, wave = torch.arange(SIDE) + 0.5, torch.arange(SIDE)
    rows = torch.cos(math.pi / SIDE * wave[:, None] * place) * math.sqrt(2 / SIDE)
    rows[0] *= 0.5**0.5
    return rows
