"""A row of a table whose columns are numbers or words, any of which may be missing.

Stored as one float64 a column: a number in its own unit, the place of a word among the column's words, NaN where the
cell is empty. Read as what a model sees: each number on the scale of a standard normal (by the quantiles of the
training rows, so that tails and humps do not matter), each word as one of a group or, where they are many, as a code
of signs, and for every column whether the cell is there at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from morphogen.core.column import Column, Number, Word, column_from_facts
from morphogen.core.derived_columns import Derived, derived_from_facts
from morphogen.core.quantile_scale import Curves
from morphogen.core.space import Space, Vector
from morphogen.errors import UserError

__all__ = ["Column", "Number", "Table", "Word"]

MOST_COLUMNS, MOST_ELEMENTS = 20_000, 2**20
MOST_AT_ONCE = 2**24  # scores of words, of rows that are told at once


@dataclass(frozen=True)
class Table(Space):
    """A row of numbers and words. Read as the elements of each column, in order, then a 1 for each cell that is there;
    0 for each that is not known, whose elements are 0; -1 where a cell is empty as some of the training rows' were; 2
    where a model says a row and the cell follows from others: it is worked out when the row is written."""

    kind: ClassVar[str] = "table"
    plural: ClassVar[str] = "rows"
    gaps: ClassVar[bool] = True
    columns: tuple[Column, ...]
    levels: int = 0
    derived: tuple[Derived, ...] = ()  # columns that follow from others
    missing: tuple[str, ...] = ()  # cells of its files that mean that nothing is there, beside the usual ones

    @cached_property
    def width(self) -> int:
        """Elements of all columns, without what says which of them are there."""
        return sum(column.width for column in self.columns)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.width + len(self.columns),)

    @property
    def names(self) -> tuple[str, ...]:
        """What the columns are called."""
        return tuple(column.name for column in self.columns)

    def features(self, count: int) -> Vector:
        return Vector(self.size * count)

    @cached_property
    def numbers(self) -> Tensor:
        """Which columns are numbers."""
        return _places(isinstance(column, Number) for column in self.columns)

    @cached_property
    def words(self) -> Tensor:
        """Which columns are words."""
        return _places(isinstance(column, Word) for column in self.columns)

    @cached_property
    def narrow(self) -> Tensor:
        """Which columns are words with an element each."""
        return _places(isinstance(column, Word) and not column.bits for column in self.columns)

    @cached_property
    def wide(self) -> list[tuple[int, slice]]:
        """Which columns are words with a code each, and their elements."""
        starts = self.starts.tolist()
        wide = [i for i, column in enumerate(self.columns) if isinstance(column, Word) and column.bits]
        return [(i, slice(starts[i], starts[i] + self.columns[i].width)) for i in wide]

    @cached_property
    def gappy(self) -> Tensor:
        """Which columns had empty cells in the training rows."""
        return _places(column.gaps for column in self.columns)

    @cached_property
    def column_of(self) -> Tensor:
        """The column that each element belongs to."""
        widths = torch.tensor([column.width for column in self.columns], dtype=torch.int64)
        return torch.arange(len(self.columns)).repeat_interleave(widths)

    @cached_property
    def word_of(self) -> Tensor:
        """Which of its column's words each element stands for; of a number, 0."""
        return torch.cat([torch.arange(column.width) for column in self.columns])

    @cached_property
    def starts(self) -> Tensor:
        """The first element of each column."""
        return (self.word_of == 0).nonzero()[:, 0]

    @cached_property
    def groups(self) -> tuple[Tensor, Tensor]:
        """For each narrow column of words its elements, short ones padded by their first; and which are no padding."""
        if not len(self.narrow):
            return torch.zeros(0, 1, dtype=torch.int64), torch.zeros(0, 1, dtype=torch.bool)
        widths = torch.tensor([self.columns[i].width for i in self.narrow.tolist()])
        steps = torch.arange(int(widths.max()))
        real = steps < widths[:, None]
        return self.starts[self.narrow][:, None] + steps * real, real

    @cached_property
    def curves(self) -> Curves:
        """Between the numbers of all columns, in their own units, and their scores."""
        return Curves(self._of_numbers())

    def read(self, stored: Tensor) -> Tensor:
        stored = stored.double()
        seen = (~stored.isnan()).to(torch.get_default_dtype())
        cells = stored.index_select(-1, self.column_of.to(stored.device))
        x = (cells == self.word_of.to(stored.device)).to(torch.get_default_dtype())
        if len(self.numbers):
            x[..., self.starts[self.numbers]] = self.curves.scores_of(stored[..., self.numbers]).nan_to_num(0.0)
        for place, elements in self.wide:
            column = cast("Word", self.columns[place])
            codes = column.codes.to(stored.device)[stored[..., place].nan_to_num(0.0).long()]
            x[..., elements] = codes * seen[..., place, None]
        if len(self.gappy):
            seen[..., self.gappy] = 2 * seen[..., self.gappy] - 1
        return torch.cat([x, seen], -1)

    def write(self, x: Tensor) -> Tensor:
        stored = x.new_full((*x.shape[:-1], len(self.columns)), math.nan, dtype=torch.float64)
        if len(self.numbers):
            stored[..., self.numbers] = self._rounded(self.curves.units_of(x[..., self.starts[self.numbers]]))
        if len(self.narrow):
            places, real = (part.to(x.device) for part in self.groups)
            stored[..., self.narrow] = x[..., places].where(real, -math.inf).argmax(-1).double()
        for place, elements in self.wide:
            stored[..., place] = self.spelt(place, x[..., elements]).double()
        flags = x[..., self.width :]
        stored = stored.where(flags >= 0.5, math.nan)
        for each in self.derived:
            follows = flags[..., each.place] > 1.5
            stored[..., each.place] = torch.where(follows, each.work_out(stored), stored[..., each.place])
        return self._with_decimals(stored) if self.derived else stored

    def spelt(self, place: int, codes: Tensor) -> Tensor:
        """Of the codes of a wide column, the number of the word whose own is nearest."""
        own = cast("Word", self.columns[place]).codes.to(codes)
        flat = codes.reshape(-1, codes.shape[-1])
        found = [(some @ own.T).argmax(-1) for some in torch.split(flat, max(1, MOST_AT_ONCE // len(own)))]
        return torch.cat(found).reshape(codes.shape[:-1])

    def full(self, x: Tensor) -> Tensor:
        """Rows with every cell there, where x is drawn from a model: it says something of each."""
        return torch.cat([x[..., : self.width], self.flags.to(x).expand_as(x[..., self.width :])], -1)

    def following(self, x: Tensor) -> Tensor:
        """Rows of a model in which cells that follow from others are worked out when they are written."""
        return torch.cat([x[..., : self.width], torch.where(self.flags.to(x) > 1, 2.0, x[..., self.width :])], -1)

    @cached_property
    def flags(self) -> Tensor:
        """What stands for the cells of a whole row that a model says: 1, or 2 where a cell follows from others."""
        flags = torch.ones(len(self.columns))
        flags[[each.place for each in self.derived]] = 2.0
        return flags

    def opened(self, x: Tensor) -> Tensor:
        return x.masked_fill(self._cells(x[..., self.width :] < 0.5), math.nan)

    def whole(self, where: Tensor) -> Tensor:
        return self._cells(where[..., self.starts])

    def _cells(self, columns: Tensor) -> Tensor:
        """Of every element what is said of its column."""
        return torch.cat([columns[..., self.column_of], columns], -1)

    def average(self, means: Tensor, weight: Tensor | None = None) -> Tensor:
        """Of numbers the mean in their own units, of words the mean chance. `weight`: of each number of each of `means`
        (the mean of all is 1), where they do not count alike."""
        mean = means.float().mean(0)
        if len(self.numbers):
            values = self.curves.units_of(means[..., self.starts[self.numbers]])
            values = values if weight is None else values * weight
            mean[..., self.starts[self.numbers]] = self.curves.scores_of(values.mean(0))
        return mean

    def _of_numbers(self) -> list[Number]:
        return [column for column in self.columns if isinstance(column, Number)]

    def _with_decimals(self, stored: Tensor) -> Tensor:
        if len(self.numbers):
            stored[..., self.numbers] = self._rounded(stored[..., self.numbers])
        return stored

    def _rounded(self, values: Tensor) -> Tensor:
        """With as many decimals as each column has."""
        decimals = torch.tensor([c.decimals for c in self._of_numbers()], device=values.device)
        tens = 10.0 ** decimals.clamp_min(0).double()
        return torch.where(decimals >= 0, (values * tens).round() / tens, values)

    def facts(self) -> dict[str, Any]:
        missing: dict[str, Any] = {"missing": list(self.missing)} if self.missing else {}
        missing |= {"derived": [each.facts() for each in self.derived]} if self.derived else {}
        return {"kind": self.kind, "columns": [column.facts() for column in self.columns]} | missing

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Table:
        """The table that `facts` described; what it cannot have been is refused."""
        columns, missing = facts.get("columns"), facts.get("missing", [])
        if not isinstance(missing, (list, tuple)) or not all(isinstance(cell, str) for cell in missing):
            raise UserError("the cells of a table that mean nothing are a list of words")
        if set(facts) - {"missing", "derived"} != {"columns"} or not isinstance(columns, (list, tuple)) or not columns:
            raise UserError("a space of kind 'table' is made from its columns, which are a list of at least one")
        if len(columns) > MOST_COLUMNS:
            raise UserError(f"a table of {len(columns):,} columns is wider than the {MOST_COLUMNS:,} that are taken")
        made = tuple(column_from_facts(column) for column in columns)
        widths = [len(column.words) if isinstance(column, Word) else 0 for column in made]
        table = cls(made, 0, derived_from_facts(facts.get("derived", []), widths), tuple(missing))
        if len(set(table.names)) < len(columns):
            raise UserError("a space of kind 'table' cannot have two columns of one name")
        if table.size > MOST_ELEMENTS:
            raise UserError(f"a table of {table.size:,} elements is wider than any that can be modelled")
        return table


def _places(flags: Any) -> Tensor:
    return torch.tensor([place for place, flag in enumerate(flags) if flag], dtype=torch.int64)
