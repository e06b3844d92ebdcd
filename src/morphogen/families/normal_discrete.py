"""A discretised normal for pictures of many levels, its scale learned for each colour and shared by all sites: the
"sigma-VAE" (Rybkin, Daniilidis and Levine 2021) with probabilities of levels, so that bits mean something. The decoder
says one number an element, as for a squared error, and mean and scale begin at those of the data: pictures show early.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from morphogen.core import noise
from morphogen.core.build import register
from morphogen.core.conditional import Family
from morphogen.core.distribution import HALF_LOG_TAU, Factorised
from morphogen.core.space import Space
from morphogen.errors import UserError

__all__ = ["DiscreteNormal", "discrete_normal"]

SPEED = 10.0  # Adam moves a weight by the learning rate a step, and a scale has some e-foldings to go in a few hundred
WIDEST = 5.0


class DiscreteNormal(Factorised):
    """The whole level that a normal falls on; levels in [0, 1], and as many beyond as are likely, which no picture has:
    were they gathered at black and white, as in `Logistics`, a mean far beyond black would cost nothing, and a decoder
    of sprites on black would learn little else at first (docs/LOG.md). A scale is no smaller than the distance of two
    levels, for which `log_each` is right to 3e-3, and to 1e-4 from five levels on."""

    def __init__(self, mean: Tensor, log_scale: Tensor, levels: int, event: int) -> None:
        self.mean, self.log_scale, self.levels, self.event = mean, log_scale, levels, event

    def log_each(self, x: Tensor) -> Tensor:
        half = 0.5 / (self.levels - 1)
        inverse = torch.exp(-self.log_scale)
        away, wide = (x - self.mean) * inverse, half * inverse
        # phi(a) times the integral of exp(-a s - s^2 / 2), s from -w to w; the first factor of it
        # is sinh(a w) / a, the second is told by the mean square of s, w^2 (1 - 2 / sqrt(9 + (a w)^2)) nearly
        lean = away * wide
        steep = lean.abs().clamp_min(1e-3)
        bulge = steep - math.log(2) + torch.log(-torch.expm1(-2 * steep)) - torch.log(steep)
        thin = wide.square() * (0.5 - torch.rsqrt(9 + lean.square()))
        return bulge + torch.log(2 * wide) - HALF_LOG_TAU - 0.5 * away.square() - thin

    def sample(self, shape: tuple[int, ...] = ()) -> Tensor:
        eps = noise.normal((*shape, *self.mean.shape), event=self.event, like=self.mean)
        return self._level(torch.addcmul(self.mean, eps.to(self.mean.dtype), torch.exp(self.log_scale)))

    def _level(self, x: Tensor) -> Tensor:
        return (x.clamp(0, 1) * (self.levels - 1)).round() / (self.levels - 1)

    @property
    def centre(self) -> Tensor:
        return self._level(self.mean)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Of a normal whose ends are gathered at black and white."""
        scale = torch.exp(self.log_scale)
        low, high = -self.mean / scale, (1 - self.mean) / scale
        bell = [torch.exp(-0.5 * t.square() - HALF_LOG_TAU) for t in (low, high)]
        below, above = torch.special.ndtr(low), torch.special.ndtr(-high)
        inside = 1 - below - above
        mean = self.mean * inside + scale * (bell[0] - bell[1]) + above
        square = (self.mean.square() + scale.square()) * inside + above
        square = square + scale * (self.mean * bell[0] - (self.mean + 1) * bell[1])
        return mean, (square - mean.square()).clamp_min(0.0)


@register("families", "normal-discrete")
class discrete_normal(Family):
    """A mean for every element and one learned scale for each colour, of the levels that the data has."""

    start: Tensor
    unit: Tensor

    def __init__(self, space: Space, /) -> None:
        if space.levels < 3:
            raise UserError(
                f"normal-discrete needs data of three or more ordered levels, this {space.kind} has {space.levels}; "
                "use bernoulli for two levels, normal-shared for real numbers"
            )
        super().__init__(space, numbers=1)
        self.log_scale = nn.Parameter(torch.zeros(space.depth))
        first = torch.stack([torch.full((space.depth,), 0.5), torch.full((space.depth,), math.log(0.3))])
        self.register_buffer("start", first)  # mean and log scale of each colour
        self.register_buffer("unit", torch.tensor(0.3))  # what the decoder's numbers are told in

    @property
    def mass(self) -> bool:
        return True

    @torch.no_grad()
    def begin(self, x: Tensor) -> None:
        """Start at the mean and the spread of examples."""
        colours = x.float().reshape(len(x), self.space.depth, -1).movedim(1, 0).flatten(1)
        spread = colours.std(1, correction=0).clamp_min(1 / (self.space.levels - 1))
        self.start.copy_(torch.stack([colours.mean(1), torch.log(spread)]))
        self.unit.copy_(spread.square().mean().sqrt())

    def scales(self) -> Tensor:
        """The log scale of each colour, as it is now."""
        return (self.start[1] + SPEED * self.log_scale).clamp(-math.log(self.space.levels - 1), WIDEST)

    def forward(self, said: Tensor) -> DiscreteNormal:
        lead, wide = said.shape[: said.dim() - len(self.out.shape)], [1] * len(self.space.sites)
        mean = said.reshape(*lead, self.space.depth, *self.space.sites) * self.unit + self.start[0].reshape(-1, *wide)
        scale = self.scales().to(mean.dtype).reshape(-1, *wide)
        shape = self.space.shape
        return DiscreteNormal(
            mean.reshape(*lead, *shape),
            scale.expand(mean.shape[len(lead) :]).reshape(shape),
            self.space.levels,
            self.event,
        )
