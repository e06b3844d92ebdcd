"""Gaussian noise, of a strength that is given or learned from the example itself: the median of its finest wavelet
details, of which a clean one has few (Donoho and Johnstone 1994, "Ideal spatial adaptation by wavelet shrinkage")."""

from __future__ import annotations

import copy

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from morphogen.core import noise as draws
from morphogen.core.build import register
from morphogen.core.damage import Damage
from morphogen.core.space import Space
from morphogen.errors import UserError

__all__ = ["learn_sigma", "noise"]

MEDIAN = 0.6745  # of the absolute value of a standard normal
ENOUGH = 16  # details that a median is taken of


@register("damages")
class noise(Damage):
    """Normal noise of deviation `sigma`, in the units that a model sees (pictures go from 0 to 1); none: learned.

    `to`: each example draws a deviation of its own, between `sigma` and this.

    sigma: standard deviation; none: learned from the data
    to: largest standard deviation, where a range is trained on
    """

    sigma: Tensor | None

    def __init__(
        self, space: Space, /, *, sigma: NonNegativeFloat | None = None, to: NonNegativeFloat | None = None
    ) -> None:
        super().__init__(space)
        self.unknown, self.most = sigma is None or to is not None, to
        self.register_buffer("sigma", None if sigma is None else torch.tensor(float(sigma)), persistent=False)

    def _strength(self) -> Tensor:
        if self.sigma is None:
            raise UserError("how strong is the noise? it was not said; give it, e.g. noise=0.1")
        return self.sigma

    def forward(self, x: Tensor) -> Tensor:
        sigma = self._strength()
        if self.most is not None:
            ones = (len(x), *[1] * len(self.space.shape))
            sigma = sigma + (self.most - sigma) * draws.uniform(ones, event=len(self.space.shape), like=x)
        return x + sigma * draws.normal(x.shape, event=len(self.space.shape), like=x)

    def doubt(self, mean: Tensor) -> Tensor:
        return self._strength().square().expand_as(mean)

    def learned(self, y: Tensor) -> Damage:
        if not self.unknown:
            return self
        it = copy.copy(self)
        it._buffers = {"sigma": learn_sigma(y, self.space).reshape(-1, *[1] * len(self.space.shape))}
        it.unknown, it.most = False, None
        return it

    def told(self) -> str:
        if self.sigma is None:
            return "noise"
        return f"noise={float(self.sigma.median()):.3g}" + (f", to={self.most:g}" if self.most is not None else "")


def learn_sigma(y: Tensor, space: Space) -> Tensor:
    """The deviation of the noise in each example.

    >>> from morphogen.core.space import Image
    >>> y = 0.1 * torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    >>> round(float(learn_sigma(y, Image(64, 64))), 2)
    0.1
    """
    if space.kind not in ("image", "sound") or min(space.sites) < 2:
        raise UserError(
            f"the strength of noise is learned from neighbours that are alike, and a {space.kind} of "
            f"{tuple(space.sites)} has none; give it, e.g. noise=0.1"
        )
    details = y.reshape(len(y), space.depth, *space.sites)
    for axis in range(2, details.dim()):
        size = details.shape[axis] // 2 * 2
        even = torch.arange(0, size, 2, device=y.device)
        details = (details.index_select(axis, even) - details.index_select(axis, even + 1)) * 0.5**0.5
    flat = details.flatten(1)
    if int((~flat.isnan()).sum(1).min()) < ENOUGH:
        raise UserError("too little is seen to learn the strength of the noise from; give it, e.g. noise=0.1")
    return flat.abs().nanmedian(1).values / MEDIAN
