"""A row of a table whose columns are numbers or words, any of which may be missing.

Stored as one float64 a column: a number in its own unit, the place of a word among the column's words, NaN where the
cell is empty. Read as what a model sees: each number on the scale of a standard normal (by the quantiles of the
training rows, so that tails and humps do not matter), each word as one of a group, and for every column whether the
cell is there at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from morphogen.core.space import Space, Vector
from morphogen.errors import UserError

__all__ = ["Column", "Number", "Table", "Word"]

MOST_COLUMNS, MOST_KNOTS, MOST_WORDS, MOST_ELEMENTS = 20_000, 4096, 100_000, 2**20


@dataclass(frozen=True)
class Number:
    """A column of numbers: `knots` in its own unit are read as `scores`, by straight lines between them and beyond;
    written with so many `decimals` (-1: as many as there are), never beyond the outermost knots."""

    name: str
    knots: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()
    decimals: int = -1
    width: ClassVar[int] = 1

    def facts(self) -> dict[str, Any]:
        """As a plain dictionary."""
        said: dict[str, Any] = {"name": self.name, "decimals": self.decimals}
        return said | {"knots": list(self.knots), "scores": list(self.scores)}


@dataclass(frozen=True)
class Word:
    """A column of words (categories): each cell is one of `words`."""

    name: str
    words: tuple[str, ...]

    @property
    def width(self) -> int:
        """Elements that a model sees of it."""
        return len(self.words)

    def facts(self) -> dict[str, Any]:
        """As a plain dictionary."""
        return {"name": self.name, "words": list(self.words)}


Column = Number | Word


@dataclass(frozen=True)
class Table(Space):
    """A row of numbers and words. Read as the elements of each column, in order, then a 1 for each cell that is there
    and a 0 for each that is missing, whose elements are 0."""

    kind: ClassVar[str] = "table"
    plural: ClassVar[str] = "rows"
    gaps: ClassVar[bool] = True
    columns: tuple[Column, ...]
    levels: int = 0

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
        """For each column of words its elements, short ones padded by their first; and which are no padding."""
        if not len(self.words):
            return torch.zeros(0, 1, dtype=torch.int64), torch.zeros(0, 1, dtype=torch.bool)
        widths = torch.tensor([self.columns[i].width for i in self.words.tolist()])
        steps = torch.arange(int(widths.max()))
        real = steps < widths[:, None]
        return self.starts[self.words][:, None] + steps * real, real

    def read(self, stored: Tensor) -> Tensor:
        stored = stored.double()
        seen = ~stored.isnan()
        cells = stored.index_select(-1, self.column_of.to(stored.device))
        x = (cells == self.word_of.to(stored.device)).float()
        if len(self.numbers):
            x[..., self.starts[self.numbers]] = self._as_scores(stored[..., self.numbers]).nan_to_num(0.0)
        return torch.cat([x, seen.float()], -1)

    def write(self, x: Tensor) -> Tensor:
        stored = x.new_full((*x.shape[:-1], len(self.columns)), math.nan, dtype=torch.float64)
        if len(self.numbers):
            stored[..., self.numbers] = self._rounded(self._in_units(x))
        if len(self.words):
            places, real = (part.to(x.device) for part in self.groups)
            stored[..., self.words] = x[..., places].where(real, -math.inf).argmax(-1).double()
        return stored.where(x[..., self.width :] >= 0.5, math.nan)

    def opened(self, x: Tensor) -> Tensor:
        return x.masked_fill(self._cells(x[..., self.width :] < 0.5), math.nan)

    def whole(self, where: Tensor) -> Tensor:
        return self._cells(where[..., self.starts])

    def _cells(self, columns: Tensor) -> Tensor:
        """Of every element what is said of its column."""
        return torch.cat([columns[..., self.column_of], columns], -1)

    def average(self, means: Tensor) -> Tensor:
        """Of numbers the mean in their own units, of words the mean chance."""
        mean = means.float().mean(0)
        if len(self.numbers):
            mean[..., self.starts[self.numbers]] = self._as_scores(self._in_units(means).mean(0))
        return mean

    def _as_scores(self, values: Tensor) -> Tensor:
        """Numbers in their own units, on the scale of a standard normal."""
        return along(values, *self._scale(values.device)).float()

    def _scale(self, device: torch.device) -> tuple[Tensor, Tensor]:
        return self._knots[0].to(device), self._knots[1].to(device)

    @cached_property
    def _knots(self) -> tuple[Tensor, Tensor]:
        """Units and scores of all columns of numbers, short rows drawn on along their last line."""
        knots = [(c.knots, c.scores) if c.knots else ((-1.0, 1.0), (-1.0, 1.0)) for c in self._of_numbers()]
        units, scores = (
            pad_sequence(
                [torch.tensor(pair[i], dtype=torch.float64) for pair in knots], batch_first=True, padding_value=math.nan
            )
            for i in (0, 1)
        )
        for rows in (units, scores):
            for place in range(2, rows.shape[1]):
                on = 2 * rows[:, place - 1] - rows[:, place - 2]
                rows[:, place] = torch.where(rows[:, place].isnan(), on, rows[:, place])
        return units, scores

    def _of_numbers(self) -> list[Number]:
        return [column for column in self.columns if isinstance(column, Number)]

    def _in_units(self, x: Tensor) -> Tensor:
        """The numbers of x in their own units, within the range that was seen."""
        units, scores = self._scale(x.device)
        low, high = (
            units.new_tensor([c.knots[end] if c.knots else away for c in self._of_numbers()])
            for end, away in ((0, -math.inf), (-1, math.inf))
        )
        return along(x[..., self.starts[self.numbers]].double(), scores, units).clamp(low, high)

    def _rounded(self, values: Tensor) -> Tensor:
        """With as many decimals as each column has."""
        decimals = torch.tensor([c.decimals for c in self._of_numbers()], device=values.device)
        tens = 10.0 ** decimals.clamp_min(0).double()
        return torch.where(decimals >= 0, (values * tens).round() / tens, values)

    def facts(self) -> dict[str, Any]:
        return {"kind": self.kind, "columns": [column.facts() for column in self.columns]}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Table:
        """The table that `facts` described; what it cannot have been is refused."""
        columns = facts.get("columns")
        if set(facts) != {"columns"} or not isinstance(columns, (list, tuple)) or not columns:
            raise UserError("a space of kind 'table' is made from its columns, which are a list of at least one")
        if len(columns) > MOST_COLUMNS:
            raise UserError(f"a table of {len(columns):,} columns is wider than the {MOST_COLUMNS:,} that are taken")
        table = cls(tuple(_column(column) for column in columns))
        if len(set(table.names)) < len(columns):
            raise UserError("a space of kind 'table' cannot have two columns of one name")
        if table.size > MOST_ELEMENTS:
            raise UserError(f"a table of {table.size:,} elements is wider than any that can be modelled")
        return table


def along(values: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Each column's values by straight lines from the knots `start` to the knots `end`, both (columns, knots)."""
    rows = values.reshape(-1, values.shape[-1]).T.contiguous()
    place = torch.searchsorted(start, rows.nan_to_num(0.0), right=True).clamp(1, start.shape[1] - 1)
    x0, x1, y0, y1 = (knots.gather(1, at) for knots in (start, end) for at in (place - 1, place))
    return (y0 + (rows - x0) * ((y1 - y0) / (x1 - x0))).T.reshape(values.shape)


def _places(flags: Any) -> Tensor:
    return torch.tensor([place for place, flag in enumerate(flags) if flag], dtype=torch.int64)


def _column(facts: Any) -> Column:
    """One column of what may be a hostile file."""
    if not isinstance(facts, Mapping) or not isinstance(facts.get("name"), str):
        raise UserError("a column of a table needs a name")
    name = facts["name"]
    if set(facts) == {"name", "words"}:
        words = facts["words"]
        if not isinstance(words, (list, tuple)) or not 1 <= len(words) <= MOST_WORDS:
            raise UserError(f"column {name!r} needs a list of words")
        if not all(isinstance(word, str) for word in words) or len(set(words)) < len(words):
            raise UserError(f"the words of column {name!r} are not all words, or not all different")
        return Word(name, tuple(words))
    if set(facts) != {"name", "knots", "scores", "decimals"}:
        raise UserError(f"column {name!r} is neither of numbers nor of words")
    knots, scores, decimals = (facts[key] for key in ("knots", "scores", "decimals"))
    if type(decimals) is not int or not -1 <= decimals <= 12:
        raise UserError(f"column {name!r} cannot be written with {decimals!r} decimals")
    if not _rises(knots) or not _rises(scores) or len(knots) != len(scores) or len(knots) == 1:
        raise UserError(f"the knots of column {name!r} do not rise side by side")
    return Number(name, tuple(map(float, knots)), tuple(map(float, scores)), decimals)


def _rises(values: Any) -> bool:
    if not isinstance(values, (list, tuple)) or len(values) > MOST_KNOTS:
        return False
    if not all(type(v) in (int, float) and abs(v) < 1e300 for v in values):
        return False
    return all(a < b for a, b in pairwise(values))
