"""Numbers and words side by side, each column by what it is (Nazabal et al. 2020, "Handling incomplete heterogeneous
data using VAEs"): a normal for a number, chances for the words of a group. A cell that is missing counts nothing."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import NormalDist
from typing import ClassVar

import torch
from pydantic import PositiveFloat
from torch import Tensor

from morphogen.core import noise
from morphogen.core.build import register
from morphogen.core.conditional import Family
from morphogen.core.distribution import HALF_LOG_TAU, Factorised
from morphogen.core.space import Space, Vector
from morphogen.core.table import Table
from morphogen.errors import UserError

__all__ = ["Mixed", "mixed"]

WIDEST = 7.0
HEIGHTS = [0.0, *[NormalDist().pdf(NormalDist().inv_cdf(i / 32)) for i in range(1, 32)], 0.0]
NODES = [32 * (low - high) for low, high in pairwise(HEIGHTS)]  # the means of a standard normal's 32 equal parts


class Mixed(Factorised):
    """Independent columns of a table: mean and log scale of each number, log chances of all words."""

    event = 1

    def __init__(self, space: Table, mean: Tensor, log_scale: Tensor, logits: Tensor) -> None:
        self.space, self.mean, self.log_scale = space, mean, log_scale
        self.log_p = _log_chances(space, logits)

    def _elements(self, numbers: Tensor, words: Tensor, seen: Tensor) -> Tensor:
        """A row from what stands in its columns of numbers, in its words, and in what says which cells are there."""
        space = self.space
        whole = numbers.new_empty(*numbers.shape[:-1], space.width)
        whole[..., _numbers(space)] = numbers
        whole[..., _words(space)] = words
        return torch.cat([whole, seen.expand(*numbers.shape[:-1], len(space.columns))], -1)

    def log_each(self, x: Tensor) -> Tensor:
        """log p of a number; of a word x log p, which is 0 but for the word that stands there."""
        space, seen = self.space, x[..., self.space.width :]
        standard = (x[..., _numbers(space)] - self.mean) * torch.exp(-self.log_scale)
        numbers = -0.5 * standard * standard - self.log_scale - HALF_LOG_TAU
        words = x[..., _words(space)] * self.log_p
        whole = self._elements(numbers, words, x.new_zeros(1))
        there = torch.cat([seen[..., space.column_of], torch.zeros_like(seen)], -1)
        return whole * there

    def sample(self, shape: tuple[int, ...] = ()) -> Tensor:
        eps = noise.normal((*shape, *self.mean.shape), event=1, like=self.mean)
        numbers = torch.addcmul(self.mean, eps.to(self.mean.dtype), torch.exp(self.log_scale))
        u = noise.uniform((*shape, *self.log_p.shape), event=1, like=self.log_p)
        gumbel = -torch.log((-torch.log(u.clamp_min(1e-20))).clamp_min(1e-20))
        return self._elements(numbers, _largest(self.space, self.log_p + gumbel), self.mean.new_ones(1))

    def moments(self) -> tuple[Tensor, Tensor]:
        chance = torch.exp(self.log_p)
        ones = self.mean.new_ones(1)
        mean = self._elements(self.mean, chance, ones)
        return mean, self._elements(torch.exp(2 * self.log_scale), chance * (1 - chance), 0 * ones)

    @property
    def guess(self) -> Tensor:
        """Of a number the score of its mean in its own unit, (1/n) sum f(m + s e_i) over n equal parts of the normal: f
        bends, so that for a long tail this is far above f(m). Of words their chances."""
        space, nodes = self.space, self.mean.new_tensor(NODES)[(..., *[None] * self.mean.dim())]
        numbers = torch.addcmul(self.mean, nodes, torch.exp(self.log_scale))
        words = torch.exp(self.log_p).expand(*numbers.shape[:-1], -1)
        return space.average(self._elements(numbers, words, self.mean.new_ones(1)))

    @property
    def centre(self) -> Tensor:
        return self._elements(self.mean, _largest(self.space, self.log_p), self.mean.new_ones(1))


def _numbers(space: Table) -> Tensor:
    return space.starts[space.numbers]


def _words(space: Table) -> Tensor:
    places, real = space.groups
    return places[real]


def _grouped(space: Table, values: Tensor) -> Tensor:
    """All words' values as one row a column, minus infinity where a column has fewer words than others."""
    _, real = space.groups
    wide = values.new_full((*values.shape[:-1], *real.shape), -math.inf)
    wide[..., real] = values
    return wide


def _log_chances(space: Table, logits: Tensor) -> Tensor:
    return torch.log_softmax(_grouped(space, logits), -1)[..., space.groups[1]]


def _largest(space: Table, values: Tensor) -> Tensor:
    """A 1 for the largest of each group, 0 for the others."""
    wide = _grouped(space, values)
    first = wide.argmax(-1, keepdim=True)
    return torch.zeros_like(wide).scatter_(-1, first, 1.0)[..., space.groups[1]]


@register("families")
class mixed(Family):
    """For tables: a mean and a scale of its own (never below `floor`) for every number, a chance for every word."""

    cells: ClassVar[bool] = True
    drawn: ClassVar[bool] = True

    def __init__(self, space: Space, /, *, floor: PositiveFloat = 0.2) -> None:
        if not isinstance(space, Table):
            raise UserError(f"mixed is for the columns of a table, and this is a {space.kind}; use normal or bernoulli")
        super().__init__(space, numbers=2)
        self.table, self.floor = space, math.log(floor)
        self.out = Vector(2 * len(space.numbers) + len(_words(space)))

    def forward(self, said: Tensor) -> Mixed:
        count = len(self.table.numbers)
        mean, log_scale, logits = said[..., :count], said[..., count : 2 * count], said[..., 2 * count :]
        return Mixed(self.table, mean, log_scale.clamp(self.floor, WIDEST), logits)
