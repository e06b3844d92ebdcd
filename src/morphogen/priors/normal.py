"""The standard normal prior."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from morphogen.core.build import register
from morphogen.core.conditional import Conditional
from morphogen.core.distribution import Normal
from morphogen.core.space import Space

__all__ = ["normal"]


@register("priors")
class normal(nn.Module):
    """N(0, 1) in every dimension."""

    zero: Tensor

    def __init__(self, code: Space, data: Space, /) -> None:
        super().__init__()
        self.event = len(code.shape)
        self.register_buffer("zero", torch.zeros(code.shape), persistent=False)

    def forward(self, posterior: Conditional) -> Normal:
        return Normal(self.zero, self.zero, self.event)
