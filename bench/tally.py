"""What was taken, and what two that took turns amount to: medians of the ratios of pairs."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Ratio", "Took", "median", "paired", "parity", "rounds"]


@dataclass(frozen=True)
class Took:
    """One measurement: seconds on the wall and of processor, for so many units (steps, images, processes)."""

    wall: float
    cpu: float
    units: int = 1
    peak: float = 0.0  # MiB


@dataclass(frozen=True)
class Ratio:
    """Theirs over ours: the median of the ratios of pairs, and the smallest and the largest of them."""

    median: float
    low: float
    high: float
    pairs: int

    def __str__(self) -> str:
        return f"{self.median:.2f}x ({self.low:.2f} to {self.high:.2f})"

    def facts(self) -> dict[str, Any]:
        """As a plain dictionary."""
        return asdict(self)


def paired(theirs: Sequence[float], ours: Sequence[float]) -> Ratio:
    """The ratios of what was measured side by side.

    >>> str(paired([2.0, 4.0, 9.0], [1.0, 1.0, 3.0]))
    '3.00x (2.00 to 4.00)'
    """
    if not theirs or len(theirs) != len(ours):
        raise ValueError(f"{len(theirs)} of theirs and {len(ours)} of ours are no pairs")
    if min(*theirs, *ours) <= 0:
        raise ValueError("a measurement must be above 0")
    each = [a / b for a, b in zip(theirs, ours, strict=True)]
    return Ratio(statistics.median(each), min(each), max(each), len(each))


def median(taken: Sequence[Took], what: Literal["wall", "cpu", "peak"]) -> float:
    """The median of one quantity, per unit where it is a time."""
    values = {"wall": [t.wall / t.units for t in taken], "cpu": [t.cpu / t.units for t in taken]}
    return statistics.median(values.get(what) or [t.peak for t in taken])


def rounds(
    who: Mapping[str, Callable[[], Took]], count: int, seconds: float = math.inf, least: int = 3
) -> dict[str, list[Took]]:
    """Everybody in turn, A B A B, `count` times; fewer on a busy machine: `least`, and no more after `seconds`."""
    taken: dict[str, list[Took]] = {name: [] for name in who}
    began = time.monotonic()
    for done in range(count):
        if done >= least and time.monotonic() - began > seconds:
            break
        for name, measure in who.items():
            taken[name].append(measure())
    return taken


def parity(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """The largest relative difference of two courses of losses; infinite where they cannot be compared."""
    if not theirs or len(theirs) != len(ours) or not all(map(math.isfinite, [*theirs, *ours])):
        return math.inf
    return max(abs(a - b) / max(abs(a), 1e-12) for a, b in zip(theirs, ours, strict=True))
