"""Probabilities as integers: what a coder may be told on every machine alike.

Floats are used here once, when a model is frozen, to fill tables; the tables travel with the model. At coding time
there are only integers: multiplications, shifts, look-ups. A table of a function has knots at equal steps, and what
lies between two of them is interpolated, rounded down: so it is as monotone as the function.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BITS", "FINE", "PARTS", "STEPS", "Bells", "Curve", "bells", "curve", "even_bells"]

Ints = NDArray[np.int64]
BITS = 24  # of every frequency: they sum to 2^24
FINE = 16  # bits after the point of most arguments
STEPS = 32  # scales of bells to a factor of e
PARTS = 16  # places of a bell's centre between two points of the grid
REACH = 6  # deviations beyond which a bell is nothing
SHRINK = 1083069521826238951  # e^(-2 / STEPS) of 60 bits: how 1 / r^2 falls from a scale to the next


@dataclass(frozen=True)
class Curve:
    """A function's values at knots of 2^step, from `low` on (all in units of the argument's last bit)."""

    values: Ints
    low: int
    step: int

    def __call__(self, x: Ints) -> Ints:
        """Interpolated; beyond its ends a curve is flat."""
        x = np.clip(x - self.low, 0, (len(self.values) - 1) << self.step)
        knot = np.minimum(x >> self.step, len(self.values) - 2)
        left = self.values[knot]
        between: Ints = left + (((self.values[knot + 1] - left) * (x - (knot << self.step))) >> self.step)
        return between


def curve(
    function: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    low: float,
    high: float,
    *,
    bits: int,
    step: int,
    unit: int,
) -> Curve:
    """`function` from low to high: arguments with `bits` after the point, values with `unit`, a knot each 2^step."""
    knots = np.arange(round(low * 2**bits), round(high * 2**bits) + (1 << step), 1 << step)
    return Curve(np.rint(function(knots / 2.0**bits) * 2.0**unit).astype(np.int64), int(knots[0]), step)


@dataclass(frozen=True)
class Bells:
    """Normals on a grid of ones, cut off beyond REACH deviations: a row for each of `first ..` scales (log, in
    1/STEPS) and each of PARTS places of the centre; `edges` are cumulated frequencies, a row from `starts[row]` on."""

    edges: Ints
    starts: Ints
    first: int

    def row(self, centre: Ints, log_scale: Ints) -> tuple[Ints, Ints]:
        """The row of a centre (in 1/PARTS) and a log scale (in 1/STEPS), and the grid point at which it begins."""
        scales = (len(self.starts) - 1) // PARTS
        row = np.clip(log_scale - self.first, 0, scales - 1) * PARTS + centre % PARTS
        return row, centre // PARTS - (self.width(row) - 1) // 2

    def width(self, row: Ints) -> Ints:
        """How many points a row has."""
        return self.starts[row + 1] - self.starts[row] - 1

    def at(self, row: Ints, place: Ints) -> tuple[Ints, Ints]:
        """Start and frequency of the so-manieth point of a row; a point beyond its end has frequency 0."""
        inside = (place >= 0) & (place < self.width(row))
        index = self.starts[row] + np.where(inside, place, 0)
        start = self.edges[index]
        return start, np.where(inside, self.edges[index + 1] - start, 0)

    def find(self, row: Ints, slot: Ints) -> Ints:
        """Which point of the row a slot lies in: halving."""
        low, high = self.starts[row], self.starts[row + 1] - 1
        for _ in range(int((high - low).max()).bit_length()):
            middle = (low + high) >> 1
            above = self.edges[middle] <= slot
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        return low - self.starts[row]


def bells(falling: Curve, first: int, last: int) -> Bells:
    """Rows for log scales `first` to `last`, made of integers alone: e^-x of 30 bits, of x with FINE after the point.

    With d the distance in 1/PARTS and r = e^(i / STEPS), x = d^2 / (2 r^2 PARTS^2): the factor of d^2 has 40 bits.
    """
    factor = (1 << 40) // (2 * PARTS * PARTS)
    for _ in range(abs(first)):
        factor = (factor << 60) // SHRINK if first < 0 else factor * SHRINK >> 60
    rows: list[Ints] = []
    ends = [0]
    for _ in range(first, last + 1):
        half = math.isqrt(((REACH * REACH) << 39) // (factor * PARTS * PARTS)) + 2
        away = np.arange(-half, half + 1) * PARTS - np.arange(PARTS)[:, None]
        rows.append(_cumulated(falling(-((away * away * factor) >> (40 - FINE)))).reshape(-1))
        factor = factor * SHRINK >> 60
        ends += [ends[-1] + part * (2 * half + 2) for part in range(1, PARTS + 1)]
    return Bells(np.concatenate(rows), np.array(ends), first)


def even_bells(falling: Curve, fineness: int, reach: int) -> tuple[Ints, int]:
    """The standard normal on a grid of 2^-fineness out to `reach`: cumulated frequencies, and its first point."""
    half = reach << fineness
    away = np.arange(-half, half + 1)
    return _cumulated(falling(-((away * away) << FINE >> (2 * fineness + 1)))[None])[0], -half


def _cumulated(weight: Ints) -> Ints:
    """Rows of frequencies of at least one that sum to 2^BITS, cumulated; the heaviest takes what rounding leaves."""
    count = weight.shape[1]
    freq = weight * ((1 << BITS) - count) // weight.sum(1, keepdims=True) + 1
    heaviest = weight.argmax(1)[:, None]
    rest = (1 << BITS) - freq.sum(1, keepdims=True)
    np.put_along_axis(freq, heaviest, np.take_along_axis(freq, heaviest, 1) + rest, 1)
    return np.concatenate([np.zeros((len(freq), 1), np.int64), np.cumsum(freq, 1)], 1)
