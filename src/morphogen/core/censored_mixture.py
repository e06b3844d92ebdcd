"""Numbers of which some stand for a whole stretch of others: independent mixtures of normals that say a density of most
scores and a probability of those that are an atom's, the normal's between the ends of the atom (as of censored data:
Tobin 1958, "Estimation of relationships for limited dependent variables")."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist

import torch
from torch import Tensor

from morphogen.core import noise
from morphogen.core.distribution import HALF_LOG_TAU
from morphogen.core.quantile_scale import APART, Curves

__all__ = ["Lumps", "log_between", "nodes"]

LEAST = -1e-7  # the log of how much of a tail is left, where it rounds to all


def log_between(low: Tensor, high: Tensor) -> Tensor:
    """log of what a standard normal has between two ends, far out in a tail, too.

    >>> log_between(torch.tensor([-1.0, 9.0]), torch.tensor([1.0, 1e3]))
    tensor([ -0.3817, -43.6281])
    """
    above = low + high > 0  # by symmetry all is done below the middle
    a, b = torch.where(above, -high, low), torch.where(above, -low, high)
    log_b = torch.special.log_ndtr(b)
    between: Tensor = log_b + torch.log(-torch.expm1((torch.special.log_ndtr(a) - log_b).clamp_max(LEAST)))
    return between


def nodes(count: int) -> list[float]:
    """The means of so many equal parts of a standard normal."""
    inner = [NormalDist().pdf(NormalDist().inv_cdf(i / count)) for i in range(1, count)]
    return [count * (low - high) for low, high in pairwise([0.0, *inner, 0.0])]


class Lumps:
    """Mixtures of normals, one a column: mean, log scale and log weight are (..., parts, columns)."""

    def __init__(self, curves: Curves, mean: Tensor, log_scale: Tensor, log_weight: Tensor) -> None:
        self.curves, self.mean, self.log_scale, self.log_weight = curves, mean, log_scale, log_weight

    @property
    def parts(self) -> int:
        """How many normals a column has."""
        return self.mean.shape[-2]

    def log_each(self, x: Tensor) -> Tensor:
        """log p of every score: of an atom its probability, of others the density."""
        scale = torch.exp(-self.log_scale)
        standard = (x.unsqueeze(-2) - self.mean) * scale
        log_p = -0.5 * standard * standard - self.log_scale - HALF_LOG_TAU
        if not self.curves.smooth:
            atom, low, high, _ = (t.unsqueeze(-2) for t in self.curves.around(x))
            low, high = (
                torch.where(atom, end, off) for end, off in ((low, x.unsqueeze(-2) - 1), (high, x.unsqueeze(-2) + 1))
            )
            mass = log_between((low - self.mean) * scale, (high - self.mean) * scale)
            log_p = torch.where(atom, mass, log_p)
        return log_p[..., 0, :] if self.parts == 1 else torch.logsumexp(log_p + self.log_weight, -2)

    def sample(self, shape: tuple[int, ...]) -> Tensor:
        """Draws, those of an atom as its middle."""
        mean, log_scale = self._drawn(shape) if self.parts > 1 else (self.mean[..., 0, :], self.log_scale[..., 0, :])
        eps = noise.normal((*shape, *self.mean[..., 0, :].shape), event=1, like=self.mean)
        drawn = torch.addcmul(mean, eps.to(mean.dtype), torch.exp(log_scale))
        return drawn if self.curves.smooth else self.snapped(drawn)

    def _drawn(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Of every column one of its normals."""
        u = noise.uniform((*shape, *self.mean.shape), event=2, like=self.mean)
        pick = (self.log_weight - torch.log(-torch.log(u.clamp_min(1e-20)).clamp_min(1e-20))).argmax(-2, keepdim=True)
        return tuple(t.expand(*shape, *t.shape).gather(-2, pick)[..., 0, :] for t in (self.mean, self.log_scale))  # type: ignore[return-value]

    def snapped(self, scores: Tensor) -> Tensor:
        """Scores that are an atom's, or stand in the crack between two, as the middle of the atom."""
        atom, low, _, middle = self.curves.around(scores)
        return torch.where(atom | ((low - scores).abs() < 2 * APART), middle, scores)

    @property
    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance of the scores."""
        weight = torch.exp(self.log_weight)
        mean = (weight * self.mean).sum(-2)
        square = (weight * (self.mean.square() + torch.exp(2 * self.log_scale))).sum(-2)
        plain = torch.exp(2 * self.log_scale[..., 0, :])
        return mean, plain if self.parts == 1 else (square - mean.square()).clamp_min(1e-12)

    @property
    def centre(self) -> Tensor:
        """The mean of the heaviest of each column's normals."""
        heaviest = self.log_weight.expand_as(self.mean).argmax(-2, keepdim=True)
        return self.mean.gather(-2, heaviest)[..., 0, :]

    def spread(self, standard: Sequence[float]) -> tuple[Tensor, Tensor]:
        """Scores at places of a standard normal, of each of the normals, in front of all; and what each counts."""
        places = self.mean.new_tensor(standard)[(..., *[None] * self.mean.dim())]
        scores = torch.addcmul(self.mean, places, torch.exp(self.log_scale)).movedim(-2, 0)
        weight = (torch.exp(self.log_weight) * self.parts).expand_as(self.mean).movedim(-2, 0).unsqueeze(1)
        return scores.flatten(0, 1), weight.expand_as(scores).flatten(0, 1)


def even(parts: int, like: Tensor) -> Tensor:
    """Log weights of normals that count alike."""
    return like.new_full((parts, 1), -math.log(parts))
