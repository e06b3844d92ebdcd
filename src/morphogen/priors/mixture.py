"""A mixture of normals, learned with the rest: clusters in the code (Dilokthanakul et al. 2016 use one to cluster)."""

from __future__ import annotations

import math

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import nn

from morphogen.core.build import register
from morphogen.core.conditional import Conditional
from morphogen.core.distribution import Mixture, Normal
from morphogen.core.full_covariance_mixture import Slanted
from morphogen.core.space import Space

__all__ = ["mixture"]


@register("priors")
class mixture(nn.Module):
    """`components` normals with weights, means and scales of their own, which start `spread` wide and as far apart.

    components: number of normals
    spread: standard deviation of the components, and of their means, at the start
    full: a covariance matrix for each, so that numbers of the code may hang together within one
    """

    def __init__(
        self,
        code: Space,
        data: Space,
        /,
        *,
        components: PositiveInt = 10,
        spread: PositiveFloat = 1.0,
        full: bool = False,
    ) -> None:
        super().__init__()
        self.event = len(code.shape)
        self.weight = nn.Parameter(torch.zeros(components))
        self.mean = nn.Parameter(spread * torch.randn(components, *code.shape))
        self.log_scale = nn.Parameter(torch.full((components, *code.shape), math.log(spread)))
        self.slant = nn.Parameter(torch.zeros(components, code.size, code.size)) if full else None

    def forward(self, posterior: Conditional) -> Mixture | Slanted:
        log_scale = self.log_scale.clamp(-7, 7)
        if self.slant is not None:
            return Slanted(self.weight, self.mean, log_scale, self.slant, self.event)
        return Mixture(self.weight, Normal(self.mean, log_scale, self.event))
