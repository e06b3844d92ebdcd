"""Photon noise: a picture in dim light counts few photons, and the brighter a place is the more its count varies."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from morphogen.core import noise
from morphogen.core.build import register
from morphogen.core.damage import Damage
from morphogen.core.space import Space
from morphogen.errors import UserError

__all__ = ["poisson"]


@register("damages")
class poisson(Damage):
    """Counts of photons, `peak` of them where the example is brightest: the variance is the mean / peak.

    Drawn as normals of that variance, which counts of ten and more are near to.

    peak: photons where the example is brightest
    """

    def __init__(self, space: Space, /, *, peak: Annotated[float, Field(ge=0.1)] = 30.0) -> None:
        super().__init__(space)
        if not space.levels:
            raise UserError(f"poisson counts light, and this {space.kind} goes below 0; use noise")
        self.peak = peak

    def forward(self, x: Tensor) -> Tensor:
        return x + self.doubt(x).sqrt() * noise.normal(x.shape, event=len(self.space.shape), like=x)

    def doubt(self, mean: Tensor) -> Tensor:
        return torch.clamp(mean, min=1 / self.peak**2) / self.peak

    def told(self) -> str:
        return f"poisson={self.peak:g}"
