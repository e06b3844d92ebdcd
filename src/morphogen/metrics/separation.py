"""How well a number tells two kinds of examples apart: the area under the curve (Hanley and McNeil 1982, "The meaning
and use of the area under a receiver operating characteristic curve"). Its interval is Newcombe's (2006, "Confidence
intervals for an effect size measure based on the Mann-Whitney statistic", method 5), which stays honest for few
examples and for none that overlap."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Separation", "area", "chance", "placed"]


@dataclass(frozen=True)
class Separation:
    """P(one of the first lies above one of the second), with its 95 % interval."""

    area: float
    low: float
    high: float

    @property
    def nothing(self) -> bool:
        """Whether chance would do as well."""
        return self.low <= 0.5


def placed(x: Tensor, y: Tensor) -> Tensor:
    """For each of x, the share of y that is below, ties by half."""
    line = y.sort().values
    below = torch.searchsorted(line, x) + torch.searchsorted(line, x, right=True)
    return below.double() / (2 * len(y))


def chance(above: Tensor, below: Tensor) -> float:
    """P(above > below), ties by half.

    >>> chance(torch.tensor([0.0, 3.0]), torch.tensor([1.0, 2.0]))
    0.5
    """
    return float(placed(above, below).mean())


def area(above: Tensor, below: Tensor) -> Separation:
    """The chance, and which true values are within 1.96 standard errors of what was seen.

    >>> area(torch.tensor([2.0, 3.0]), torch.tensor([0.0, 1.0])).low < 0.6
    True
    """
    seen = chance(above, below)
    true = torch.linspace(0, 1, 20_001, dtype=torch.float64)
    more = (len(above) + len(below)) / 2 - 1
    error = true * (1 - true) * (1 + more * (1 - true) / (2 - true) + more * true / (1 + true))
    near = true[(true - seen).abs() <= 1.96 * (error / (len(above) * len(below))).sqrt() + 1e-4]
    return Separation(seen, float(near.min()), float(near.max()))
