"""Comparison of runs: settings that differ, last losses, and scores of the same protocol side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from morphogen.catalogue import RunFolder
from morphogen.facts import Facts
from morphogen.history import last_of, scores, state_of

__all__ = ["compared", "flat"]

PASSING = ("weights", "command", "run", "morphogen", "precision", "device")  # of a protocol, what may differ
QUIET = ("fraction",)


def compared(folders: Sequence[RunFolder]) -> Facts:
    """What differs between runs; a setting that one of them lacks is None there."""
    names = [str(folder.path) for folder in folders]
    recipes = [flat({k: v for k, v in f.recipe.items() if k != "summary"}) for f in folders]
    data = [{"data.fingerprint": str(f.facts.get("fingerprint", ""))[:16]} for f in folders]
    settings = _differing(names, [recipe | found for recipe, found in zip(recipes, data, strict=True)])
    numbers = [_numbers(folder) for folder in folders]
    scores = {key: {n: said.get(key) for n, said in zip(names, numbers, strict=True)} for key in _keys(numbers)}
    protocols = [_protocols(folder) for folder in folders]
    apart = [metric for metric in _keys(protocols) if len({p[metric] for p in protocols if metric in p}) > 1]
    facts = {"runs": names, "settings": settings, "scores": scores, "different_protocols": apart}
    view: dict[str, Any] = {"settings that differ": _rows("setting", settings) if settings else "none"}
    view["last losses and scores"] = _rows("score", scores) if scores else "none"
    if apart:
        view["not comparable"] = f"{', '.join(apart)}: measured by different protocols"
    return Facts(facts, view)


def flat(tree: Any, path: str = "") -> dict[str, Any]:
    """A tree of settings as names with dots.

    >>> flat({"model": {"use": "vae", "terms": ["rate"]}, "seed": 0})
    {'model.use': 'vae', 'model.terms.0': 'rate', 'seed': 0}
    """
    if isinstance(tree, Mapping):
        pairs = [(str(key), value) for key, value in tree.items()]
    elif isinstance(tree, list) and any(isinstance(value, (Mapping, str)) for value in tree):
        pairs = [(str(place), value) for place, value in enumerate(tree)]
    else:
        return {path: tree}
    said: dict[str, Any] = {}
    for key, value in pairs:
        said |= flat(value, f"{path}.{key}" if path else key)
    return said


def _keys(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for table in tables for key in table))


def _differing(names: Sequence[str], tables: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    said = {}
    for key in _keys(tables):
        values = [table.get(key) for table in tables]
        if any(value != values[0] for value in values):
            said[key] = dict(zip(names, values, strict=True))
    return said


def _numbers(folder: RunFolder) -> dict[str, Any]:
    """The last numbers of the log, and every number of scores.json."""
    log = folder.log()
    said: dict[str, Any] = {k: v for k, v in last_of(log).items() if k not in QUIET}
    said["finished"] = state_of(log)["finished"]
    for metric, facts in _scores(folder).items():
        said |= {
            f"{metric}.{k}": v for k, v in facts.items() if isinstance(v, (int, float)) and not isinstance(v, bool)
        }
    return said


def _scores(folder: RunFolder) -> dict[str, dict[str, Any]]:
    return {str(record["metric"]): record for record in scores(folder.path)}


def _protocols(folder: RunFolder) -> dict[str, str]:
    said = {}
    for metric, facts in _scores(folder).items():
        protocol = facts.get("protocol")
        known = {k: v for k, v in protocol.items() if k not in PASSING} if isinstance(protocol, dict) else {}
        said[metric] = json.dumps(known, sort_keys=True, default=str)
    return said


def _rows(head: str, table: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    from morphogen.said import cell

    return [{head: key} | {name: cell(value) for name, value in values.items()} for key, values in table.items()]
