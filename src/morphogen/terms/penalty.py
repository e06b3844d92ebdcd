"""L1 and L2 on codes and on weights (L2 on the codes of a plain autoencoder: Ghosh et al. 2020)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from morphogen.core.build import register
from morphogen.core.distribution import sum_event
from morphogen.core.inference import Inference
from morphogen.core.schedule import Weight
from morphogen.core.space import Space
from morphogen.core.term import Term

__all__ = ["latent_penalty", "weight_penalty"]


def _cost(x: Tensor, norm: int) -> Tensor:
    """|x| for L1, x^2 / 2 for L2."""
    return x.abs() if norm == 1 else 0.5 * x * x


@register("terms", "latent-penalty")
class latent_penalty(Term):
    """L1 or L2 of the codes, summed over their dimensions.

    norm: 1 for L1, 2 for L2
    """

    def __init__(self, space: Space, /, *, norm: Literal[1, 2] = 2, weight: Weight = 1.0) -> None:
        super().__init__(space, weight)
        self.norm = norm

    def forward(self, inference: Inference, step: int) -> Tensor:
        costs = [sum_event(_cost(latent.z, self.norm), latent.q.event) for latent in inference.latents]
        return sum(costs[1:], start=costs[0])


@register("terms", "weight-penalty")
class weight_penalty(Term):
    """L1 or L2 of every weight matrix and kernel of the model (biases and scales are left alone).

    norm: 1 for L1, 2 for L2
    """

    def __init__(self, space: Space, /, *, norm: Literal[1, 2] = 2, weight: Weight = 1e-5) -> None:
        super().__init__(space, weight)
        self.norm = norm

    def forward(self, inference: Inference, step: int) -> Tensor:
        weights = (w for name, w in inference.model.named_parameters() if name.endswith("weight") and w.dim() > 1)
        costs = [_cost(w, self.norm).sum() for w in weights]
        return sum(costs[1:], start=costs[0])
