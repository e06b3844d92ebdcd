"""Numbers and words side by side, each column by what it is (Nazabal et al. 2020, "Handling incomplete heterogeneous
data using VAEs"): normals for a number, chances for the words of a group. A cell that is not known counts nothing;
where some training rows had empty cells, whether a cell is empty is learned with the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from morphogen.core import noise
from morphogen.core.build import register
from morphogen.core.censored_mixture import Lumps, nodes
from morphogen.core.conditional import Family
from morphogen.core.distribution import Factorised
from morphogen.core.low_rank_softmax import Vocabulary
from morphogen.core.space import Space, Vector
from morphogen.core.table import Table
from morphogen.errors import UserError

__all__ = ["Mixed", "mixed"]

WIDEST = 7.0
NODES = 32  # scores of all normals of a number that its mean is taken over


class Mixed(Factorised):
    """Independent columns of a table: normals of each number, log chances of all words, of those of wide columns as
    `wide` says, and the logit of each cell's being there, of columns that had empty ones."""

    event = 1

    def __init__(self, space: Table, numbers: Lumps, logits: Tensor, wide: Sequence[Vocabulary], there: Tensor) -> None:
        self.space, self.numbers, self.wide, self.there = space, numbers, wide, there
        self.log_p = _log_chances(space, logits)

    def _elements(self, numbers: Tensor, words: Tensor, wide: Sequence[Tensor], seen: Tensor) -> Tensor:
        """A row from what stands in its columns of numbers, in its words, and in what says which cells are there."""
        space = self.space
        whole = numbers.new_empty(*numbers.shape[:-1], space.width)
        whole[..., _numbers(space)] = numbers
        whole[..., _words(space)] = words
        for (_, elements), said in zip(space.wide, wide, strict=True):
            whole[..., elements] = said
        return torch.cat([whole, seen.expand(*numbers.shape[:-1], len(space.columns))], -1)

    def log_each(self, x: Tensor) -> Tensor:
        """log p of a number; of a word x log p, which is 0 but for the word that stands there; of a word with a code
        all of it at the code's first element; of what says which cells are there, where that is learned."""
        space, seen = self.space, x[..., self.space.width :]
        numbers = self.numbers.log_each(x[..., _numbers(space)])
        words = x[..., _words(space)] * self.log_p
        wide = []
        for (place, elements), said in zip(space.wide, self.wide, strict=True):
            log_p = said.log_prob(space.spelt(place, x[..., elements]))
            wide.append(nn.functional.pad(log_p[..., None], (0, elements.stop - elements.start - 1)))
        known = (seen > 0).to(numbers.dtype)
        whole = self._elements(numbers, words, wide, x.new_zeros(1))[..., : space.width] * known[..., space.column_of]
        there = whole.new_zeros(*whole.shape[:-1], len(space.columns))
        if len(space.gappy):
            flag = seen[..., space.gappy]
            there[..., space.gappy] = logsigmoid(flag.sign() * self.there) * flag.sign().abs()
        return torch.cat([whole, there], -1)

    def sample(self, shape: tuple[int, ...] = ()) -> Tensor:
        numbers = self.numbers.sample(shape)
        u = noise.uniform((*shape, *self.log_p.shape), event=1, like=self.log_p)
        gumbel = -torch.log((-torch.log(u.clamp_min(1e-20))).clamp_min(1e-20))
        wide = [said.sample(shape) for said in self.wide]
        seen = self.space.flags.to(numbers).repeat(*numbers.shape[:-1], 1)
        if len(self.space.gappy):
            u = noise.uniform((*shape, *self.there.shape), event=1, like=self.there)
            seen[..., self.space.gappy] = torch.where(u < torch.sigmoid(self.there), seen[..., self.space.gappy], -1.0)
        return self._elements(numbers, _largest(self.space, self.log_p + gumbel), wide, seen)

    def complete(self, x: Tensor, seen: Tensor) -> Tensor:
        return torch.where(seen, x, self.space.full(self.sample()))

    def moments(self) -> tuple[Tensor, Tensor]:
        (mean, variance), chance = self.numbers.moments, torch.exp(self.log_p)
        wide = [said.moments for said in self.wide]
        ones = self.space.flags.to(mean)
        return (
            self._elements(mean, chance, [mean for mean, _ in wide], ones),
            self._elements(variance, chance * (1 - chance), [variance for _, variance in wide], 0 * ones),
        )

    @property
    def guess(self) -> Tensor:
        """Of a number the score of its mean in its own unit, (1/n) sum f(m + s e_i) over n equal parts of the normal: f
        bends, so that for a long tail this is far above f(m). Of words their chances."""
        numbers, weight = self.numbers.spread(nodes(max(NODES // self.numbers.parts, 8)))
        words = torch.exp(self.log_p).expand(*numbers.shape[:-1], -1)
        wide = [said.moments[0].expand(*numbers.shape[:-1], -1) for said in self.wide]
        return self.space.average(self._elements(numbers, words, wide, self.space.flags.to(numbers)), weight)

    @property
    def centre(self) -> Tensor:
        numbers = self.numbers.centre
        wide = [said.centre for said in self.wide]
        return self._elements(numbers, _largest(self.space, self.log_p), wide, self.space.flags.to(numbers))


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
    """For tables: `parts` normals with means and scales of their own (never below `floor`) for every number, a chance
    for every word; of a wide column by `rank` numbers that weigh what was learned of each of its words.

    parts: normals in the mixture of each number
    rank: numbers that describe each word of a wide column
    floor: smallest standard deviation of a number, in units of its column's spread
    """

    cells: ClassVar[bool] = True
    drawn: ClassVar[bool] = True

    def __init__(
        self, space: Space, /, *, floor: PositiveFloat = 0.2, parts: PositiveInt = 1, rank: PositiveInt = 16
    ) -> None:
        if not isinstance(space, Table):
            raise UserError(f"mixed is for the columns of a table, and this is a {space.kind}; use normal or bernoulli")
        super().__init__(space, numbers=2)
        self.table, self.floor, self.parts = space, math.log(floor), parts
        columns = [space.columns[place] for place, _ in space.wide]
        self.embedding = nn.ParameterList(nn.Parameter(0.1 * torch.randn(len(c.words), rank)) for c in columns)  # type: ignore[union-attr]
        self.bias = nn.ParameterList(nn.Parameter(torch.zeros(len(c.words))) for c in columns)  # type: ignore[union-attr]
        normals = parts * len(space.numbers)
        self.sizes = [
            normals,
            normals,
            normals if parts > 1 else 0,
            len(_words(space)),
            *[rank] * len(columns),
            len(space.gappy),
        ]
        self.out = Vector(sum(self.sizes))

    def forward(self, said: Tensor) -> Mixed:
        mean, log_scale, weight, logits, *wide, there = torch.split(said, self.sizes, -1)
        lead = said.shape[:-1]
        mean, log_scale = (
            t.reshape(*lead, self.parts, len(self.table.numbers)) for t in (mean, log_scale.clamp(self.floor, WIDEST))
        )
        log_weight = torch.log_softmax(weight.reshape(mean.shape), -2) if self.parts > 1 else 0 * mean
        words = [
            Vocabulary(said, embedding, bias, self.table.columns[place].codes)  # type: ignore[union-attr]
            for said, embedding, bias, (place, _) in zip(wide, self.embedding, self.bias, self.table.wide, strict=True)
        ]
        return Mixed(self.table, Lumps(self.table.curves, mean, log_scale, log_weight), logits, words, there)
