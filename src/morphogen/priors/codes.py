"""A choice beside numbers: the source of InfoGAN (Chen et al. 2016)."""

from __future__ import annotations

import math

import torch
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from morphogen.core import noise
from morphogen.core.build import register
from morphogen.core.conditional import Conditional
from morphogen.core.distribution import Distribution
from morphogen.core.space import Space, Vector
from morphogen.errors import UserError

__all__ = ["Codes", "codes"]


class Codes(Distribution):
    """One of `categories` as a vector of one sqrt(categories), as labels are given to networks, so that the numbers
    beside it do not drown it; then standard normal numbers. Nothing is inferred with it."""

    has_density = False

    def __init__(self, categories: int, zero: Tensor) -> None:
        self.categories, self.zero, self.event = categories, zero, 1

    def sample(self, shape: tuple[int, ...] = ()) -> Tensor:
        pick = (noise.uniform(shape, event=0, like=self.zero) * self.categories).long()
        choice = F.one_hot(pick, self.categories).to(self.zero.dtype) * math.sqrt(self.categories)
        numbers = noise.normal((*shape, len(self.zero) - self.categories), event=1, like=self.zero)
        return torch.cat([choice, numbers], -1)

    @property
    def centre(self) -> Tensor:
        return self.zero


@register("priors")
class codes(nn.Module):
    """The first `categories` numbers of the code are a choice of one, the rest are standard normal: for a gan."""

    zero: Tensor

    def __init__(self, code: Space, data: Space, /, *, categories: PositiveInt = 10) -> None:
        super().__init__()
        if not isinstance(code, Vector) or code.length < categories:
            raise UserError(f"codes needs a code of at least {categories} numbers; set model.latent or categories")
        self.categories = categories
        self.register_buffer("zero", torch.zeros(code.shape), persistent=False)

    def forward(self, posterior: Conditional) -> Codes:
        return Codes(self.categories, self.zero)
