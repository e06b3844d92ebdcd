"""log p(x) of each row for itself: what is said of one depends neither on the rows beside it nor on their order.

Every row is scored with the same draws of noise (common random numbers), so that scores are a function, as an
estimator's must be; over those draws the importance-weighted bound (Burda, Grosse and Salakhutdinov 2016) is as ever.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from morphogen.core.model import Scores

__all__ = ["DENSITY", "log_density"]


DENSITY: Mapping[str, Any] = {
    "terms": ["bound"],
    "samples": 5,
    "prior": {"use": "mixture", "components": 10, "full": True},
}


def log_density(model: Scores, x: Tensor, draws: int) -> Tensor:
    """log 1/S sum_s p(x, z_s) / q(z_s|x); what overflows is as unlikely as a number can say."""
    weight = model.infer(x, None, draws).log_weight
    least = torch.finfo(weight.dtype).min
    return torch.nan_to_num(torch.logsumexp(weight, 0) - math.log(draws), nan=least, neginf=least)
