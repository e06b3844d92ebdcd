"""How unlikely an example is (Bishop 1994, "Novelty detection and neural network validation").

By itself it is a trap: simple examples of quite another kind are often more likely than any normal one (Nalisnick et
al. 2019, "Do deep generative models know what they don't know?"). So nobody looks at it unasked: see typicality.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from morphogen.core.build import register
from morphogen.core.oddity import Look, Oddity

__all__ = ["likelihood", "surprise"]


def surprise(look: Look) -> Tensor:
    """-log p(x) in nats, by importance sampling with a few draws."""
    weight = look.inference.log_weight
    return math.log(len(weight)) - torch.logsumexp(weight, 0)


@register("oddities")
class likelihood(Oddity):
    """-log p(x): only the unlikely is odd."""

    words = "the model finds it unlikely"

    def see(self, look: Look) -> Tensor:
        return surprise(look)[:, None]
