"""Examples of any kind with elements missing and a little noise (Vincent et al. 2008, "Extracting and composing robust
features with denoising autoencoders")."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from morphogen.core import noise as draws
from morphogen.core.build import register
from morphogen.core.game import Augment
from morphogen.core.space import Space

__all__ = ["veil"]

Share = Annotated[float, Field(ge=0, le=1)]


@register("augments")
class veil(Augment):
    """`drop`: this share of the elements says nothing, the middle of numbers, any of symbols; `noise`: a normal of this
    width is added to numbers, whose own width is about one, or a fifth of their range.

    drop: share of the elements that is hidden
    noise: standard deviation of the noise that is added to numbers
    """

    def __init__(self, space: Space, /, *, drop: Share = 0.15, noise: Share = 0.1) -> None:
        super().__init__()
        self.event, self.levels, self.symbols = len(space.shape), space.levels, space.kind == "tokens"
        self.drop, self.noise = drop, noise * (0.2 if space.levels else 1.0)

    def forward(self, x: Tensor) -> Tensor:
        like = x.float() if self.symbols else x
        gone = draws.uniform(x.shape, event=self.event, like=like) < self.drop
        if self.symbols:
            any_of = (draws.uniform(x.shape, event=self.event, like=like) * self.levels).long()
            return torch.where(gone, any_of.clamp_max(self.levels - 1), x)
        noisy = x + self.noise * draws.normal(x.shape, event=self.event, like=like).to(x.dtype)
        return noisy.masked_fill(gone, 0.5 if self.levels else 0.0)
