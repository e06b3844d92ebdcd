"""log p(x) of each row for itself: what is said of one depends neither on the rows beside it nor on their order.

Every row is scored with the same draws of noise (common random numbers), so that scores are a function, as an
estimator's must be; over those draws the importance-weighted bound (Burda, Grosse and Salakhutdinov 2016) is as ever.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from morphogen.core.model import Scores
from morphogen.core.noise import Noise

__all__ = ["Alike", "log_density"]


class Alike(Noise):
    """The same draw for every datum of a batch."""

    def draw(self, kind: Callable[..., Tensor], size: Sequence[int], event: int, device: torch.device) -> Tensor:
        axis = len(size) - event - 1
        if axis < 0:
            return super().draw(kind, size, event, device)
        one = kind([*size[:axis], 1, *size[axis + 1 :]], generator=self.generator(device), device=device)
        return one.expand(*size)


def log_density(model: Scores, x: Tensor, draws: int) -> Tensor:
    """log 1/S sum_s p(x, z_s) / q(z_s|x); what overflows is as unlikely as a number can say."""
    weight = model.infer(x, None, draws).log_weight
    least = torch.finfo(weight.dtype).min
    return torch.nan_to_num(torch.logsumexp(weight, 0) - math.log(draws), nan=least, neginf=least)
