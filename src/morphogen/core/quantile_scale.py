"""Curves of straight pieces between the numbers of several columns, in their own units, and scores on the scale of a
standard normal. A flat piece is an atom: all scores along it are one number, which is read as their middle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import torch
from torch import Tensor

from morphogen.core.column import Number

__all__ = ["APART", "Curves", "along"]

APART = 1e-5  # scores between two atoms that touch
FAR = 1e3  # a score beyond all others: whatever is past the last atom is written as the last atom


class Curves:
    """One curve a column; tensors are (columns, knots) or (columns, atoms), padded."""

    def __init__(self, columns: Sequence[Number]) -> None:
        knots = [_drawn_on(c.knots, c.scores) if c.knots else ([-1.0, 1.0], [-1.0, 1.0]) for c in columns]
        self.units, self.scores = (_padded([pair[i] for pair in knots]) for i in (0, 1))
        ends = [(c.knots[0], c.knots[-1]) if c.knots else (-math.inf, math.inf) for c in columns]
        self.least, self.most = (torch.tensor([end[i] for end in ends], dtype=torch.float64) for i in (0, 1))
        atoms = [_atoms(c) for c in columns]
        most = max((len(some) for some in atoms), default=0)
        none = (math.inf,) * 4
        table = torch.tensor([[*some, *[none] * (most - len(some))] for some in atoms], dtype=torch.float64)
        self.at, self.middle, self.low, self.high = (
            t.contiguous() for t in table.reshape(len(columns), most, 4).unbind(-1)
        )

    @property
    def smooth(self) -> bool:
        """Whether no column has an atom."""
        return not self.at.shape[1]

    def scores_of(self, values: Tensor) -> Tensor:
        """Numbers in their own units as scores; an atom as the one with half of it below."""
        scores = along(values, self.units.to(values.device), self.scores.to(values.device))
        if not self.smooth:
            at, middle = self.at.to(values.device), self.middle.to(values.device)
            place = _place(at, values)
            scores = torch.where(_picked(at, place) == values, _picked(middle, place), scores)
        return scores.to(torch.get_default_dtype())

    def units_of(self, scores: Tensor) -> Tensor:
        """Scores as numbers in their own units, within the range that was seen, in float64."""
        values = along(scores.double(), self.scores.to(scores.device), self.units.to(scores.device))
        return values.clamp(self.least.to(scores.device), self.most.to(scores.device))

    def around(self, scores: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Which scores are those of an atom; and the lowest, the highest and the middle of its scores."""
        low, high, middle = (t.to(scores) for t in (self.low, self.high, self.middle))
        place = _place(high, scores)
        low, high, middle = (_picked(t, place) for t in (low, high, middle))
        return (low <= scores) & (scores <= high), low, high, middle


def along(values: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Each column's values by straight lines from the knots `start` to the knots `end`, both (columns, knots)."""
    rows = values.reshape(-1, values.shape[-1]).T.contiguous()
    place = torch.searchsorted(start, rows.nan_to_num(0.0), right=True).clamp(1, start.shape[1] - 1)
    x0, x1, y0, y1 = (knots.gather(1, at) for knots in (start, end) for at in (place - 1, place))
    return (y0 + (rows - x0) * ((y1 - y0) / (x1 - x0))).T.reshape(values.shape)


def _place(edges: Tensor, values: Tensor) -> Tensor:
    """Of every value the first of its column's edges that is not below it."""
    rows = values.reshape(-1, values.shape[-1]).T.contiguous()
    place = torch.searchsorted(edges, rows.nan_to_num(0.0)).clamp_max(edges.shape[1] - 1)
    return place.T.reshape(values.shape)


def _picked(table: Tensor, place: Tensor) -> Tensor:
    return table[torch.arange(len(table), device=table.device), place]


def _drawn_on(units: Sequence[float], scores: Sequence[float]) -> tuple[list[float], list[float]]:
    """The knots with one more at either end, along the outermost line; along the line from end to end where that is
    flat."""
    slope = (units[-1] - units[0]) / (scores[-1] - scores[0]) or 1.0
    found = []
    for at, next_to, sign in ((0, 1, -1), (-1, -2, 1)):
        step = abs(units[at] - units[next_to]), abs(scores[at] - scores[next_to])
        up, along_scores = step if step[0] else (slope, 1.0)
        found.append((units[at] + sign * up, scores[at] + sign * along_scores))
    (first, first_score), (last, last_score) = found
    return [first, *units, last], [first_score, *scores, last_score]


def _padded(rows: list[list[float]]) -> Tensor:
    """Rows of different lengths, short ones drawn on along their last line."""
    wide = max((len(row) for row in rows), default=0)
    drawn = [[*row, *(row[-1] + (row[-1] - row[-2]) * (i + 1) for i in range(wide - len(row)))] for row in rows]
    return torch.tensor(drawn, dtype=torch.float64)


def _atoms(column: Number) -> list[tuple[float, float, float, float]]:
    """Of each atom the number, the score with half of it below, and the ends of its scores; outermost atoms have all
    scores beyond."""
    knots, scores, last, normal = column.knots, column.scores, len(column.knots) - 1, NormalDist()
    found = []
    for i in range(last):
        if knots[i] == knots[i + 1]:
            low, high = scores[i] if i else -FAR, scores[i + 1] if i + 1 < last else FAR
            half = min(max((normal.cdf(low) + normal.cdf(high)) / 2, 1e-12), 1 - 1e-12)
            middle = min(max(normal.inv_cdf(half), scores[i]), scores[i + 1])
            found.append((knots[i], middle, low, high))
    return found
