"""The prior that is the posterior of learned pseudo-examples (Tomczak and Welling 2018, "VAE with a VampPrior")."""

from __future__ import annotations

import torch
from pydantic import PositiveInt
from torch import nn

from morphogen.core.build import register
from morphogen.core.conditional import Conditional
from morphogen.core.distribution import Mixture, Normal
from morphogen.core.space import Space
from morphogen.errors import UserError

__all__ = ["vamp"]


@register("priors")
class vamp(nn.Module):
    """1/K sum_k q(z | u_k): `components` pseudo-examples u_k, learned with the rest.

    components: number of pseudo-examples
    """

    def __init__(self, code: Space, data: Space, /, *, components: PositiveInt = 100) -> None:
        super().__init__()
        if data.kind == "tokens":
            raise UserError("a vamp prior learns pseudo-examples by gradient, which tokens do not have; use mixture")
        self.unit = data.levels > 0
        self.weight = nn.Parameter(torch.zeros(components))
        self.pseudo = nn.Parameter(torch.randn(components, *data.shape) - (1.0 if self.unit else 0.0))

    def forward(self, posterior: Conditional) -> Mixture:
        if posterior.condition is not None:
            raise UserError("a vamp prior asks the posterior about examples without labels; use mixture with labels")
        q = posterior(torch.sigmoid(self.pseudo) if self.unit else self.pseudo)
        if not isinstance(q, Normal):
            raise UserError("a vamp prior mixes normal posteriors; set model.posterior=normal")
        return Mixture(self.weight, q)
