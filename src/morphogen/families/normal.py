"""Normal likelihoods and posteriors, and the point: what a plain autoencoder's code and "MSE" really are.

The mean squared error is a normal of fixed scale; with one scale learned for all elements it is the "sigma-VAE"
(Rybkin, Daniilidis and Levine 2021, "Simple and effective VAE training with calibrated decoders"), which balances
rate and distortion by itself.
"""

from __future__ import annotations

import math

import torch
from pydantic import PositiveFloat
from torch import Tensor, nn

from morphogen.core.build import register
from morphogen.core.conditional import Family
from morphogen.core.distribution import Distribution, Normal
from morphogen.core.space import Space

__all__ = ["Point", "bounded_normal", "fixed_normal", "normal", "point", "shared_normal", "within"]

LOG_SCALES = (-7.0, 7.0)


def within(value: Tensor, space: Space) -> Tensor:
    """By tanh from black to white where the data has levels; black is then said easily, which a critic looks at."""
    return 0.5 + 0.5 * torch.tanh(value) if space.levels else value


@register("families")
class normal(Family):
    """A mean and a scale for every element."""

    def __init__(self, space: Space, /) -> None:
        super().__init__(space, numbers=2)

    def forward(self, said: Tensor) -> Normal:
        mean, log_scale = self.split(said)
        return Normal(mean, log_scale.clamp(*LOG_SCALES), self.event)


@register("families", "normal-bounded")
class bounded_normal(Family):
    """A mean that stays within +-`bound` and a scale for every element: a code that fits on a page.

    bound: largest distance of a mean from 0
    """

    def __init__(self, space: Space, /, *, bound: PositiveFloat = 3.0) -> None:
        super().__init__(space, numbers=2)
        self.bound = bound

    def forward(self, said: Tensor) -> Normal:
        mean, log_scale = self.split(said)
        return Normal(self.bound * torch.tanh(mean / self.bound), log_scale.clamp(*LOG_SCALES), self.event)


@register("families", "normal-shared")
class shared_normal(Family):
    """A mean for every element and one learned scale for all of them: MSE that finds its own weight.

    `squash`: the mean goes by tanh from black to white where the data has levels, as a generator's picture does.

    scale: standard deviation at the start of training
    squash: keep means between the darkest and the brightest level
    """

    def __init__(self, space: Space, /, *, scale: PositiveFloat = 0.3, squash: bool = False) -> None:
        super().__init__(space, numbers=1)
        self.squash = squash
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))

    def forward(self, said: Tensor) -> Normal:
        (mean,) = self.split(said)
        mean = within(mean, self.space) if self.squash else mean
        return Normal(mean, self.log_scale.clamp(*LOG_SCALES), self.event)


@register("families", "normal-fixed")
class fixed_normal(Family):
    """A mean for every element and one given scale: MSE divided by 2 scale^2, plus a constant. `squash` as above.

    scale: standard deviation of every element
    squash: keep means between the darkest and the brightest level
    """

    log_scale: Tensor

    def __init__(self, space: Space, /, *, scale: PositiveFloat = 1.0, squash: bool = False) -> None:
        super().__init__(space, numbers=1)
        self.squash = squash
        self.register_buffer("log_scale", torch.tensor(math.log(scale)), persistent=False)

    def forward(self, said: Tensor) -> Normal:
        (mean,) = self.split(said)
        mean = within(mean, self.space) if self.squash else mean
        return Normal(mean, self.log_scale, self.event)


class Point(Distribution):
    """All probability on one value: no density, nothing to draw."""

    has_density = False

    def __init__(self, value: Tensor, event: int) -> None:
        self.value, self.event = value, event

    def sample(self, shape: tuple[int, ...] = ()) -> Tensor:
        return self.value.expand(*shape, *self.value.shape)

    @property
    def centre(self) -> Tensor:
        return self.value

    def moments(self) -> tuple[Tensor, Tensor]:
        return self.value, torch.zeros_like(self.value)


@register("families")
class point(Family):
    """One value and no doubt: the code of a plain autoencoder. It has no rate and no likelihood."""

    def __init__(self, space: Space, /) -> None:
        super().__init__(space, numbers=1)

    def forward(self, said: Tensor) -> Distribution:
        (value,) = self.split(said)
        return Point(value, self.event)
