"""The log and the scores of a run, read: records, the last value of everything, the course of the losses. No torch is
needed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from morphogen.errors import MorphogenError, UserError
from morphogen.run_checks import check_scores, sane_record

__all__ = ["course", "last_of", "nested", "records", "scores", "sparkline", "state_of"]

SCORES = "scores.json"

BARS, WIDTH = "▁▂▃▄▅▆▇█", 48


def records(path: Path) -> list[dict[str, Any]]:
    """Every whole line of a log; none where there is no log yet."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        with contextlib.suppress(ValueError, RecursionError):
            if (record := sane_record(json.loads(line))) is not None:
                found.append(record)
    return found


def scores(run: Path) -> list[dict[str, Any]]:
    """The records of RUN/scores.json: each a `metric`, its numbers, and the `protocol` by which they were found."""
    path = run / SCORES
    if not path.is_file():
        return []
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {error}; restore it, or delete it to score anew") from None
    return check_scores(held, path)


def last_of(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The last value of everything that was logged.

    >>> last_of([{"step": 1, "rate": 2.0}, {"step": 2, "valid/loss": 9.0}])
    {'step': 2, 'rate': 2.0, 'valid/loss': 9.0}
    """
    said: dict[str, Any] = {}
    for record in records:
        said |= {k: v for k, v in record.items() if k != "event" and isinstance(v, (int, float))}
    return said


def nested(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record with a table for each part of its names, in words that any language can take as names.

    >>> nested({"step": 2, "valid/loss": 9.0, "valid/rate": 1.0, "images/s": 80.0})
    {'step': 2, 'valid': {'loss': 9.0, 'rate': 1.0}, 'images_per_second': 80.0}
    """
    said: dict[str, Any] = {}
    for name, value in record.items():
        table = said
        *branches, last = name.replace("/s", "_per_second").split("/") if name.endswith("/s") else name.split("/")
        for branch in branches:
            below = table.get(branch)
            table[branch] = below if isinstance(below, dict) else {}
            table = table[branch]
        table[last] = value
    return said


def state_of(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How far a training is, from its log alone: a sealed state would have to be read whole."""
    steps = [r for r in records if isinstance(r.get("fraction"), (int, float))]
    if not steps:
        return {"step": 0, "fraction": 0.0, "finished": False}
    step, fraction = int(steps[-1].get("step", 0)), float(steps[-1]["fraction"])
    ended = any("early stopping" in str(r.get("event", "")) and r.get("step", 0) >= step for r in records)
    return {"step": step, "fraction": min(fraction, 1.0), "finished": fraction >= 1 or ended}


def course(records: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """The losses from the first record to the last: one series a player."""
    series: dict[str, list[float]] = {}
    for record in records:
        for name, value in record.items():
            if name.startswith("loss/") and isinstance(value, (int, float)):
                series.setdefault(name, []).append(float(value))
    return series


def sparkline(values: Sequence[float], width: int = WIDTH) -> str:
    """A series as a line of bars, its first and last value beside it; the first steps may stand out of the picture.

    >>> sparkline([3.0, 2.0, 1.0])
    '3.00 █▅▁ 1.00'
    """
    finite = [v for v in values if v == v and abs(v) != float("inf")]
    if not finite:
        raise MorphogenError("there is nothing to draw")
    step = max(len(finite) / width, 1.0)
    thin = [finite[int(i * step)] for i in range(min(width, len(finite)))]
    ordered = sorted(thin)
    low, high = ordered[0], ordered[-1 - len(ordered) // 20]
    top = len(BARS) - 1
    marks = [BARS[min(top, max(0, int((v - low) / (high - low) * top + 0.5)))] if high > low else BARS[0] for v in thin]
    return f"{finite[0]:.2f} {''.join(marks)} {finite[-1]:.2f}"
