"""Distributions without ceremony: no argument checks, parameters as they come from a network.

A datum is the last `event` dimensions; everything before them is batch. `log_prob` is a number per datum, in nats.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from morphogen.core import noise
from morphogen.errors import UserError

__all__ = ["Choice", "Distribution", "Factorised", "Mixture", "Normal", "sum_event", "tempered"]

HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


def sum_event(each: Tensor, event: int) -> Tensor:
    """Sum over the dimensions of one datum."""
    return each.sum(dim=tuple(range(-event, 0))) if event else each


class Distribution:
    """p(x) over data of `event` dimensions."""

    event: int
    has_density: bool = True

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x), one number per datum."""
        raise NotImplementedError

    def sample(self, shape: tuple[int, ...] = ()) -> Tensor:
        """Draws of size (*shape, *batch, *datum), with gradients where the family allows them."""
        raise NotImplementedError

    @property
    def centre(self) -> Tensor:
        """The one value that stands for all: the mean of numbers, the most likely of symbols."""
        raise NotImplementedError

    @property
    def guess(self) -> Tensor:
        """The value that is off by the least square, in the units that the data is kept in."""
        return self.moments()[0]

    def kl_each(self, other: Distribution) -> Tensor | None:
        """KL(self || other) for each element in closed form, None where there is none."""
        return None

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance of every element."""
        raise UserError(
            f"{type(self).__name__} speaks of symbols, which have no mean; only masks can be undone, use mask"
        )

    def log_seen(self, x: Tensor, seen: Tensor) -> Tensor:
        """log p of the elements of x that are seen, one number per datum; the others can be anything."""
        raise NotImplementedError

    def complete(self, x: Tensor, seen: Tensor) -> Tensor:
        """A draw, given the elements of x that are seen."""
        return torch.where(seen, x, self.sample())


def tempered(p: Distribution, n: int, temperature: float) -> Tensor:
    """n draws, pulled towards the centre (temperature below 1) or pushed away from it."""
    return p.centre + temperature * (p.sample((n,)) - p.centre)


class Factorised(Distribution):
    """Independent elements."""

    def log_each(self, x: Tensor) -> Tensor:
        """log p of every element."""
        raise NotImplementedError

    def log_prob(self, x: Tensor) -> Tensor:
        return sum_event(self.log_each(x), self.event)

    def log_seen(self, x: Tensor, seen: Tensor) -> Tensor:
        return sum_event(torch.where(seen, self.log_each(x), 0), self.event)


class Normal(Factorised):
    """Independent normals, given as mean and log of the standard deviation.

    >>> Normal(torch.zeros(3), torch.zeros(3), event=1).log_prob(torch.zeros(3))
    tensor(-2.7568)
    """

    def __init__(self, mean: Tensor, log_scale: Tensor, event: int) -> None:
        self.mean, self.log_scale, self.event = mean, log_scale, event

    def log_each(self, x: Tensor) -> Tensor:
        standard = (x - self.mean) * torch.exp(-self.log_scale)
        return -0.5 * standard * standard - self.log_scale - HALF_LOG_TAU

    def sample(self, shape: tuple[int, ...] = ()) -> Tensor:
        eps = noise.normal((*shape, *self.mean.shape), event=self.event, like=self.mean)
        return torch.addcmul(self.mean, eps.to(self.mean.dtype), torch.exp(self.log_scale))

    @property
    def centre(self) -> Tensor:
        return self.mean

    def moments(self) -> tuple[Tensor, Tensor]:
        return self.mean, torch.exp(2 * self.log_scale).expand_as(self.mean)

    def kl_each(self, other: Distribution) -> Tensor | None:
        """1/2 (s^2/t^2 + (m - n)^2/t^2 - 1) - log s/t for q = N(m, s), p = N(n, t)."""
        if not isinstance(other, Normal):
            return None
        log_ratio = self.log_scale - other.log_scale
        shift = (self.mean - other.mean) * torch.exp(-other.log_scale)
        return 0.5 * (torch.exp(2 * log_ratio) + shift * shift - 1) - log_ratio


class Choice(Distribution):
    """One of several kinds, as a row with a one in its place."""

    event = 1

    def __init__(self, log_p: Tensor) -> None:
        self.log_p = log_p

    def log_prob(self, x: Tensor) -> Tensor:
        return (x * self.log_p).sum(-1)

    def sample(self, shape: tuple[int, ...] = ()) -> Tensor:
        """By the Gumbel trick: the largest of log p - log(-log u)."""
        u = noise.uniform((*shape, *self.log_p.shape), event=1, like=self.log_p)
        gumbel = -torch.log((-torch.log(u.clamp_min(1e-20))).clamp_min(1e-20))
        return one_hot((self.log_p + gumbel).argmax(-1), self.log_p.shape[-1]).to(self.log_p.dtype)

    @property
    def centre(self) -> Tensor:
        return torch.exp(self.log_p)

    def kl_each(self, other: Distribution) -> Tensor | None:
        """q (log q - log p)."""
        return torch.exp(self.log_p) * (self.log_p - other.log_p) if isinstance(other, Choice) else None


class Mixture(Distribution):
    """sum_k w_k N(x; m_k, s_k): one mixture for all data, components along the first dimension of `parts`."""

    def __init__(self, log_weight: Tensor, parts: Normal) -> None:
        self.log_weight, self.event = torch.log_softmax(log_weight, 0), parts.event
        self.parts = Normal(parts.mean, parts.log_scale.expand_as(parts.mean), parts.event)

    def log_prob(self, x: Tensor) -> Tensor:
        """By two matrix products: the quadratic form expands as x^2 a - 2 x a m + m^2 a, with a = 1 / 2 s^2.

        The trap: it cancels, by nats where components are narrow or products run in TF32, so it runs in float64.
        """
        exact = torch.float32 if x.device.type == "mps" else torch.float64  # MPS knows no float64, and no TF32 either
        with torch.autocast(x.device.type, enabled=False):
            flat = x.flatten(-self.event).to(exact)
            mean, log_scale = self.parts.mean.to(exact).flatten(1), self.parts.log_scale.to(exact).flatten(1)
            half = 0.5 * torch.exp(-2 * log_scale)
            constant = self.log_weight - (mean * mean * half + log_scale + HALF_LOG_TAU).sum(1)
            quadratic = flat @ (2 * mean * half).mT - (flat * flat) @ half.mT
            return torch.logsumexp(quadratic + constant, -1).to(self.parts.mean.dtype)

    def sample(self, shape: tuple[int, ...] = ()) -> Tensor:
        like = self.parts.mean
        u = noise.uniform(shape, event=0, like=like)
        edges = torch.cumsum(torch.exp(self.log_weight), 0)
        which = torch.searchsorted(edges, u.to(edges.dtype).contiguous()).clamp_max(len(edges) - 1)
        return Normal(self.parts.mean[which], self.parts.log_scale[which], self.event).sample()

    @property
    def centre(self) -> Tensor:
        weight = torch.exp(self.log_weight)
        return (weight.reshape(-1, *[1] * self.event) * self.parts.mean).sum(0)
