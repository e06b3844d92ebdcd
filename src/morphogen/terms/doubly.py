"""The importance-weighted bound with doubly reparametrised gradients (Tucker, Lawson, Gu and Maddison 2019, "Doubly
reparameterized gradient estimators for Monte Carlo objectives"). With one sample it is "sticking the landing" (Roeder,
Wu and Duvenaud 2017): the posterior learns through its draws alone, and stops being noisy when it is right."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from morphogen.core.build import register
from morphogen.core.distribution import Normal
from morphogen.core.inference import Inference, Latent
from morphogen.core.schedule import Weight
from morphogen.core.space import Space
from morphogen.core.term import Term
from morphogen.errors import UserError

__all__ = ["doubly_bound"]


def _still(latent: Latent) -> Latent:
    """The same draw of a posterior whose parameters stand still."""
    if not isinstance(latent.q, Normal):
        raise UserError("doubly-bound needs a normal posterior; use the term bound with this one")
    return Latent(latent.z, Normal(latent.q.mean.detach(), latent.q.log_scale.detach(), latent.q.event), latent.p)


@register("terms", "doubly-bound")
class doubly_bound(Term):
    """-log 1/S sum_s p(x, z_s) / q(z_s|x), whose gradient reaches the posterior through z alone, weighted twice."""

    def __init__(self, space: Space, /, *, weight: Weight = 1.0) -> None:
        super().__init__(space, weight)

    def forward(self, inference: Inference, step: int) -> Tensor:
        latents = [_still(latent) for latent in inference.latents]
        log_weight = sum((latent.log_ratio for latent in latents), start=-inference.distortion)
        share = torch.softmax(log_weight.detach(), 0)
        for latent in latents:
            if latent.z.requires_grad:  # the second weight: the path through z counts share^2
                spread = share.reshape(*share.shape, *[1] * latent.q.event)
                latent.z.register_hook(lambda gradient, spread=spread: gradient * spread)  # type: ignore[no-untyped-call]
        value = math.log(len(log_weight)) - torch.logsumexp(log_weight.detach(), 0)
        cost = -(share * log_weight).sum(0)
        return value + cost - cost.detach()
