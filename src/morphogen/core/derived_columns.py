"""Columns that follow from others to the last digit: a sum of numbers with weights (hour x 100 + minute), or what
always stands beside a word (the name beside its abbreviation). They are worked out where a model's rows are written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from morphogen.errors import UserError

__all__ = ["Derived", "derived_from_facts"]

MOST = 100_000  # of what a column is looked up in


@dataclass(frozen=True)
class Derived:
    """The column at `place` among those of a table: `constant` plus `weights` times the columns `of`; or, of the one
    column of words in `of`, for each of its words what is listed in `beside`."""

    place: int
    of: tuple[int, ...]
    weights: tuple[float, ...] = ()
    constant: float = 0.0
    beside: tuple[float, ...] = ()

    def work_out(self, stored: Tensor) -> Tensor:
        """The column of stored rows, NaN where one of the others is missing."""
        if self.beside:
            cells = stored[..., self.of[0]]
            listed = stored.new_tensor([*self.beside, math.nan])
            return listed[cells.nan_to_num(len(self.beside)).long()]
        return stored[..., list(self.of)] @ stored.new_tensor(self.weights) + self.constant

    def facts(self) -> dict[str, Any]:
        """As a plain dictionary."""
        said: dict[str, Any] = {"place": self.place, "of": list(self.of)}
        if self.beside:
            return said | {"beside": list(self.beside)}
        return said | {"weights": list(self.weights), "constant": self.constant}


def derived_from_facts(facts: Any, widths: Sequence[int]) -> tuple[Derived, ...]:
    """Derived columns of what may be a hostile file; `widths`: of each column of the table its words, 0 of numbers."""
    if not isinstance(facts, (list, tuple)) or len(facts) > len(widths):
        raise UserError("the derived columns of a table are a list")
    found = tuple(_one(each, widths) for each in facts)
    places = [each.place for each in found]
    if len(set(places)) < len(places) or any(place in each.of for place in places for each in found):
        raise UserError("a derived column follows from columns that are none, and once only")
    return found


def _one(facts: Any, widths: Sequence[int]) -> Derived:
    kinds = ({"place", "of", "weights", "constant"}, {"place", "of", "beside"})
    if not isinstance(facts, Mapping) or set(facts) not in kinds:
        raise UserError(
            "a derived column has a place, others that it is of, and weights or what stands beside each word"
        )
    place, of = facts["place"], facts["of"]
    if not isinstance(of, (list, tuple)) or not of or not all(_is_place(i, widths) for i in (place, *of)):
        raise UserError("a derived column is of columns that the table has")
    listed = facts.get("beside", facts.get("weights"))
    numbers: list[Any] = [*listed, facts.get("constant", 0.0)] if isinstance(listed, (list, tuple)) else [None]
    if not all(type(v) in (int, float) and abs(v) < 1e300 for v in numbers) or len(numbers) > MOST:
        raise UserError(f"column {place} does not follow from others by numbers")
    if "beside" in facts:
        top = widths[place]
        fits = len(of) == 1 and widths[of[0]] == len(listed) > 0
        if not fits or (top and not all(0 <= v < top and v == int(v) for v in listed)):
            raise UserError(f"column {place} is not listed beside each word of another")
        return Derived(place, tuple(of), beside=tuple(map(float, listed)))
    if len(listed) != len(of) or widths[place] or any(widths[i] for i in of):
        raise UserError(f"column {place} is no sum of numbers with weights")
    return Derived(place, tuple(of), tuple(map(float, listed)), float(facts["constant"]))


def _is_place(value: Any, widths: Sequence[int]) -> bool:
    return type(value) is int and 0 <= value < len(widths)
