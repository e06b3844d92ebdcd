"""The Laplace distribution: absolute error in place of squared error, so that outliers weigh less."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from morphogen.core import noise
from morphogen.core.build import register
from morphogen.core.conditional import Family
from morphogen.core.distribution import Factorised
from morphogen.core.space import Space

__all__ = ["Laplace", "laplace"]


class Laplace(Factorised):
    """Independent Laplace variables, given as mean and log of the scale b: log p = -|x - m| / b - log 2b."""

    def __init__(self, mean: Tensor, log_scale: Tensor, event: int) -> None:
        self.mean, self.log_scale, self.event = mean, log_scale, event

    def log_each(self, x: Tensor) -> Tensor:
        return -(x - self.mean).abs() * torch.exp(-self.log_scale) - self.log_scale - math.log(2)

    def sample(self, shape: tuple[int, ...] = ()) -> Tensor:
        u = noise.uniform((*shape, *self.mean.shape), event=self.event, like=self.mean) - 0.5
        return self.mean - torch.exp(self.log_scale) * u.sign() * torch.log1p(-2 * u.abs().clamp_max(0.5 - 1e-7))

    @property
    def centre(self) -> Tensor:
        return self.mean

    def moments(self) -> tuple[Tensor, Tensor]:
        return self.mean, 2 * torch.exp(2 * self.log_scale).expand_as(self.mean)


@register("families")
class laplace(Family):
    """A mean and a scale for every element, with heavy tails."""

    def __init__(self, space: Space, /) -> None:
        super().__init__(space, numbers=2)

    def forward(self, said: Tensor) -> Laplace:
        mean, log_scale = self.split(said)
        return Laplace(mean, log_scale.clamp(-7.0, 7.0), self.event)
