"""Checks of what a run's files say, before anything is made of it: a run may come from a stranger, or from a disk that
fails. What is not as it should be is named by file and key."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from morphogen import recipe as recipes
from morphogen.errors import UserError

__all__ = ["check_facts", "check_recipe", "check_scores", "check_state", "sane_record"]

Check = Callable[[Any], bool]
LARGEST = 2**63


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST


def _real(value: Any) -> bool:
    """A number that a float can hold, or one that is none (a loss may be)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return isinstance(value, float) or abs(value) < LARGEST


def _finite(value: Any) -> bool:
    return _real(value) and math.isfinite(value)


def _part(value: Any) -> bool:
    return isinstance(value, Mapping) and _text(value.get("use"))


def _sizes(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_whole, value.values()))


def _names(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(map(_text, value))


PART = "a table with use = NAME"
RECIPE: dict[str, tuple[Check, str]] = {
    "data": (_part, PART), "model": (_part, PART), "train": (lambda v: isinstance(v, Mapping), "a table"),
    "device": (_text, "a word"), "precision": (_text, "a word"),
}  # fmt: skip
FACTS: dict[str, tuple[Check, str]] = {
    "name": (_text, "a name"), "space": (lambda v: isinstance(v, Mapping), "a table"), "fingerprint": (_text, "text"),
    "classes": (_names, "names"), "protocol": (_text, "text"), "licence": (_text, "text"),
    "sizes": (_sizes, "a count for each split"), "skipped": (_whole, "a count"),
}  # fmt: skip
NEEDED = ("space", "fingerprint")  # other facts a run of an earlier version may lack
STATE: dict[str, tuple[Check, str]] = {
    "step": (_whole, "a count"), "elapsed": (_finite, "seconds"), "caution": (_finite, "a factor"),
    "shunned": (lambda v: isinstance(v, list) and all(map(_whole, v)), "steps"), "micro": (_whole, "a count"),
    "counted": (_whole, "a count"), "best": (lambda v: v is None or _real(v), "a number"), "stale": (_whole, "a count"),
    "valid": (lambda v: isinstance(v, Mapping) and all(map(_real, v.values())), "a table of numbers"),
    "finished": (lambda v: isinstance(v, bool), "true or false"),
}  # fmt: skip


def check_recipe(recipe: Mapping[str, Any], where: Path) -> None:
    """Of a recipe that a run keeps, with every default filled in."""
    for key in (*RECIPE, "seed"):
        if key not in recipe:
            raise UserError(f"{where} says nothing of {key!r}: it is damaged, or not of a run")
    _check(recipe, RECIPE, where)
    recipes.seed(recipe["seed"])


def check_facts(facts: Mapping[str, Any], where: Path) -> None:
    """Of the data."""
    for key in NEEDED:
        if key not in facts:
            raise UserError(f"{where} says nothing of {key!r}: it is damaged, or not of a run")
    _check(facts, FACTS, where)


def check_state(facts: Mapping[str, Any], needed: Iterable[str], where: Path) -> None:
    """Of a training's state: what stands beside the tensors."""
    for key in needed:
        if key not in facts:
            raise UserError(f"{where}: the state of step {facts.get('step')} says nothing of {key!r}: it is damaged")
    _check(facts, STATE, where)


def _check(said: Mapping[str, Any], known: Mapping[str, tuple[Check, str]], where: Path) -> None:
    for key, (fine, wanted) in known.items():
        if key in said and not fine(said[key]):
            raise UserError(f"{where}: {key} = {_short(said[key])} is not {wanted}; the file is damaged: restore it")


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python spells out
        return "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:57]}..."


def sane_record(record: Any) -> dict[str, Any] | None:
    """A line of the log, without what is neither a number nor an event; None where it has no place in a training."""
    if not isinstance(record, dict):
        return None
    if not all(_finite(record[key]) and record[key] >= 0 for key in ("step", "fraction", "time") if key in record):
        return None
    return {k: v for k, v in record.items() if _real(v) or (k == "event" and _text(v))}


def check_scores(scores: Any, where: Path) -> list[dict[str, Any]]:
    """Scores as a list: each a table with its metric, and a protocol that is a table."""
    if isinstance(scores, dict):  # by name, as an earlier version wrote them
        scores = list(scores.values())
    if not isinstance(scores, list):
        raise UserError(f"{where} is damaged: it is not a list; restore it, or delete it to score anew")
    for number, score in enumerate(scores):
        if not isinstance(score, dict) or not _text(score.get("metric")):
            raise UserError(f"{where}: record {number} is no score with a metric; restore the file, or delete it")
        if not isinstance(score.get("protocol", {}), dict):
            raise UserError(f"{where}: the protocol of record {number} is no table; restore the file, or delete it")
    return scores
