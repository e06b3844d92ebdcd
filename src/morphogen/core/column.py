"""Columns of a table: numbers and words, as a model knows them, and back from what may be a hostile file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor

from morphogen.errors import UserError

__all__ = ["Column", "Number", "Word", "column_from_facts"]

MOST_KNOTS, MOST_WORDS, MOST_BITS, MOST_FORM = 4096, 100_000, 256, 60
LENGTH = 2.0  # of a word's code, beside 1 of a word that has an element of its own


@dataclass(frozen=True)
class Number:
    """A column of numbers: `knots` in its own unit are read as `scores`, by straight lines between them and beyond;
    written with so many `decimals` (-1: as many as there are), never beyond the outermost knots.

    A knot that stands there twice is an atom: a value that many rows have, and all scores between its two are that
    value. `gaps`: some training rows had no cell here, so new rows may have none. `form`: how the file writes them,
    where not as programs do: $1,234.5, or %d/%m/%Y of dates.
    """

    name: str
    knots: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()
    decimals: int = -1
    gaps: bool = False
    form: str = ""
    width: ClassVar[int] = 1

    def facts(self) -> dict[str, Any]:
        """As a plain dictionary."""
        said: dict[str, Any] = {"name": self.name, "decimals": self.decimals}
        form = {"form": self.form} if self.form else {}
        return said | {"knots": list(self.knots), "scores": list(self.scores)} | _gaps(self.gaps) | form


@dataclass(frozen=True)
class Word:
    """A column of words (categories): each cell is one of `words`, an element each, or a code of `bits` elements for
    each where they are many."""

    name: str
    words: tuple[str, ...]
    bits: int = 0
    gaps: bool = False

    @property
    def width(self) -> int:
        """Elements that a model sees of it."""
        return self.bits or len(self.words)

    @cached_property
    def codes(self) -> Tensor:
        """For each word a row of `bits` signs, by the sha256 of the word (feature hashing: Weinberger et al. 2009)."""
        rows = [hashlib.shake_256(word.encode("utf-8", "surrogatepass")).digest(self.bits) for word in self.words]
        signs: Tensor = torch.tensor([list(row) for row in rows], dtype=torch.float32).remainder(2) * 2 - 1
        return signs.mul(LENGTH / float(self.bits) ** 0.5)

    def facts(self) -> dict[str, Any]:
        """As a plain dictionary."""
        bits = {"bits": self.bits} if self.bits else {}
        return {"name": self.name, "words": list(self.words)} | bits | _gaps(self.gaps)


Column = Number | Word


def _gaps(gaps: bool) -> dict[str, Any]:
    return {"gaps": True} if gaps else {}


def column_from_facts(facts: Any) -> Column:
    """One column of what may be a hostile file."""
    if not isinstance(facts, Mapping) or not isinstance(facts.get("name"), str):
        raise UserError("a column of a table needs a name")
    name, gaps = facts["name"], facts.get("gaps", False)
    if not isinstance(gaps, bool):
        raise UserError(f"column {name!r} has gaps or has none, and {gaps!r} is neither")
    kept = set(facts) - {"name", "gaps"}
    if kept in ({"words"}, {"words", "bits"}):
        return _word(name, facts["words"], facts.get("bits", 0), gaps)
    if kept - {"form"} != {"knots", "scores", "decimals"}:
        raise UserError(f"column {name!r} is neither of numbers nor of words")
    knots, scores, decimals = (facts[key] for key in ("knots", "scores", "decimals"))
    if type(decimals) is not int or not -1 <= decimals <= 12:
        raise UserError(f"column {name!r} cannot be written with {decimals!r} decimals")
    if not _rises(knots, twice=True) or not _rises(scores) or len(knots) != len(scores) or len(knots) == 1:
        raise UserError(f"the knots of column {name!r} do not rise side by side")
    form = facts.get("form", "")
    if not isinstance(form, str) or len(form) > MOST_FORM:
        raise UserError(f"column {name!r} cannot be written as {form!r}")
    return Number(name, tuple(map(float, knots)), tuple(map(float, scores)), decimals, gaps, form)


def _word(name: str, words: Any, bits: Any, gaps: bool) -> Word:
    if not isinstance(words, (list, tuple)) or not 1 <= len(words) <= MOST_WORDS:
        raise UserError(f"column {name!r} needs a list of words")
    if not all(isinstance(word, str) for word in words) or len(set(words)) < len(words):
        raise UserError(f"the words of column {name!r} are not all words, or not all different")
    if type(bits) is not int or not 0 <= bits <= MOST_BITS:
        raise UserError(f"column {name!r} cannot have codes of {bits!r} bits")
    return Word(name, tuple(words), bits, gaps)


def _rises(values: Any, twice: bool = False) -> bool:
    """Whether numbers rise from each to the next; with `twice`, whether each may stand there twice."""
    if not isinstance(values, (list, tuple)) or len(values) > MOST_KNOTS:
        return False
    if not all(type(v) in (int, float) and abs(v) < 1e300 for v in values):
        return False
    if twice:
        return all(a <= b for a, b in pairwise(values)) and all(a < b for a, b in zip(values, values[2:], strict=False))
    return all(a < b for a, b in pairwise(values))
