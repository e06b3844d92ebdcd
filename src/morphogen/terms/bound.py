"""The importance-weighted bound (Burda, Grosse and Salakhutdinov 2016, "Importance weighted autoencoders")."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from morphogen.core.build import register
from morphogen.core.inference import Inference
from morphogen.core.schedule import Weight
from morphogen.core.space import Space
from morphogen.core.term import Term

__all__ = ["bound"]


@register("terms")
class bound(Term):
    """-log 1/S sum_s p(x, z_s) / q(z_s|x): takes the place of distortion and rate; model.samples says S."""

    def __init__(self, space: Space, /, *, weight: Weight = 1.0) -> None:
        super().__init__(space, weight)

    def forward(self, inference: Inference, step: int) -> Tensor:
        log_weight = inference.log_weight
        return math.log(len(log_weight)) - torch.logsumexp(log_weight, 0)
