"""What the code costs: KL(q(z|x) || p(z)), and the ways to hold it.

`rate` with a weight is the beta-VAE (Higgins et al. 2017); a ramp or a cycle as weight is annealing (Bowman et al.
2016, Fu et al. 2019); free bits are Kingma et al. 2016; capacity is Burgess et al. 2018.
"""

from __future__ import annotations

from torch import Tensor

from morphogen.core.build import register
from morphogen.core.inference import Inference
from morphogen.core.schedule import Weight, schedule
from morphogen.core.space import Space
from morphogen.core.term import Term
from morphogen.errors import UserError

__all__ = ["capacity", "dimension_rate", "free_bits", "rate"]


@register("terms")
class rate(Term):
    """KL(q || p) of all latents."""

    def __init__(self, space: Space, /, *, weight: Weight = 1.0) -> None:
        super().__init__(space, weight)

    def forward(self, inference: Inference, step: int) -> Tensor:
        return inference.rate


@register("terms", "free-bits")
class free_bits(Term):
    """The rate, of which each dimension gets `floor` nats (averaged over the batch) for nothing.

    floor: nats of each dimension that cost nothing
    """

    def __init__(self, space: Space, /, *, floor: float = 0.05, weight: Weight = 1.0) -> None:
        super().__init__(space, weight)
        self.floor = floor

    def forward(self, inference: Inference, step: int) -> Tensor:
        costs = [
            each.flatten(0, each.dim() - latent.q.event - 1).mean(0).clamp_min(self.floor).sum()
            for latent in inference.latents
            for each in [latent.rate_each]
        ]
        return sum(costs[1:], start=costs[0])


@register("terms")
class capacity(Term):
    """|rate - target|: the rate is held at a capacity that grows as its schedule says.

    target: nats at which the rate is held; a number or a schedule
    """

    def __init__(self, space: Space, /, *, target: Weight = 25.0, weight: Weight = 10.0) -> None:
        super().__init__(space, weight)
        self.target = schedule(target)

    def forward(self, inference: Inference, step: int) -> Tensor:
        return (inference.rate.mean() - self.target(step)).abs()


@register("terms", "dimension-rate")
class dimension_rate(Term):
    """The rate with a weight of its own for each dimension of the code (the last one counts for all that follow).

    weights: weight of each dimension of the code; the last counts for all that follow
    """

    def __init__(self, space: Space, /, *, weights: list[float], weight: Weight = 1.0) -> None:
        super().__init__(space, weight)
        if not weights:
            raise UserError("dimension-rate needs at least one weight, e.g. weights = [4.0, 1.0]")
        self.weights = weights

    def forward(self, inference: Inference, step: int) -> Tensor:
        each = [latent.rate_each.flatten(-latent.q.event) for latent in inference.latents]
        costs = []
        for cost in each:
            padded = (self.weights + self.weights[-1:] * cost.shape[-1])[: cost.shape[-1]]
            costs.append((cost * cost.new_tensor(padded)).sum(-1))
        return sum(costs[1:], start=costs[0])
