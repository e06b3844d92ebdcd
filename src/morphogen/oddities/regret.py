"""Likelihood regret (Xiao, Yan and Amit 2020, "Likelihood regret: an out-of-distribution detection score for
variational auto-encoder"): how much likelier an example becomes when its posterior is fitted to it alone. The encoder
has learned to serve normal examples; of others it guesses badly, however simple they are."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from morphogen.core.build import register
from morphogen.core.conditional import Conditional, one_hot
from morphogen.core.distribution import Normal
from morphogen.core.inference import Inference, Latent
from morphogen.core.oddity import Look, Oddity
from morphogen.errors import UserError

__all__ = ["regret"]


@register("oddities")
class regret(Oddity):
    """What `steps` of Adam on the mean and scale of q(z|x) add to the ELBO, in nats.

    steps: steps of Adam
    rate: learning rate of Adam
    """

    words = "the encoder does not know how to read it"

    def __init__(self, model: Any, /, *, steps: PositiveInt = 30, rate: PositiveFloat = 0.05) -> None:
        super().__init__(model)
        self.steps, self.rate = steps, rate

    def see(self, look: Look) -> Tensor:
        first = look.inference.latents[0]
        if not isinstance(getattr(look.model, "likelihood", None), Conditional) or not isinstance(first.q, Normal):
            raise UserError("regret needs a model of one code with a normal posterior, as vae has; use typicality")
        given = one_hot(getattr(look.model, "labels", None), look.batch.y)
        mean, log_scale = (t.detach().clone().requires_grad_() for t in (first.q.mean, first.q.log_scale))
        sign = torch.sign(first.z[:1] - first.q.mean)
        corners = torch.cat([sign, -sign])  # two fixed draws at one deviation: of a quadratic, the very expectation
        optimiser = torch.optim.Adam([mean, log_scale], lr=self.rate)

        def cost() -> Tensor:
            q = Normal(mean, log_scale, first.q.event)
            z = torch.addcmul(mean, corners, torch.exp(log_scale))
            said = Inference(look.x, look.model.likelihood(z, given), [Latent(z, q, first.p)], look.model)
            return said.costs()["loss"]

        with torch.no_grad():
            start = least = cost()
        for _ in range(self.steps):
            with torch.enable_grad():
                each = cost()
                mean.grad, log_scale.grad = torch.autograd.grad(each.sum(), [mean, log_scale])
            least = torch.minimum(least, each.detach())
            optimiser.step()
        with torch.no_grad():
            return (start - torch.minimum(least, cost()))[:, None]
