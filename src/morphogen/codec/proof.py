"""That integers stay exact in float64, shown before any network runs: row by row, no sum can reach 2^53.

A weighted step is (sum w x + b + half) >> shift, clamped; half is 2^shift / 2. If sum |w| max|x| + |b| + half < 2^53,
then float64 holds every partial sum, in whatever order a machine adds them. Profiles may come from anyone: each is
proven anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from morphogen.codec.graph import LARGEST, OUTPUTS, STEPS, WIDE, Arrays, Graph, Ints, Op, shapes_of
from morphogen.errors import UserError

__all__ = ["WEIGHTED", "proven", "ranges_of", "rounded", "spread"]

EXACT = 1 << 53
WEIGHTED = ("dense", "conv", "deconv", "affine")
WEIGHTS = 1 << 26  # of all steps together
SPREAD = 1 << 17  # numbers that a table may be looked up at
KNOTS = 1 << 40  # what a table's values stay below
TABLES = 1 << 24  # places of all tables together
HALF = 1 << 14  # of a leaky step
Range = tuple[int, int]


def rounded(x: Ints, shift: Ints | int) -> Ints:
    """x / 2^shift, to the nearest integer."""
    return (x + ((np.int64(1) << np.asarray(shift, np.int64)) >> 1)) >> shift


def spread(op: Op, knots: Ints, least: int, most: int) -> Ints:
    """All values of a table from `least` to `most`: between two knots on the straight line."""
    low, step, more = (op.numbers[name][0] for name in ("low", "step", "more"))
    x = np.clip(np.arange(least, most + 1, dtype=np.int64) - low, 0, (len(knots) - 1) << step)
    knot = np.minimum(x >> step, len(knots) - 2)
    left = knots[knot].astype(np.int64)
    line = (left << step) + (knots[knot + 1] - left) * (x - (knot << step))
    return np.clip(rounded(line, step + more), *op.limits)


def proven(graphs: Mapping[str, Graph], arrays: Arrays) -> dict[str, list[Range]]:
    """What every value of every graph lies between; a graph that could leave the exact integers is refused."""
    sizes = [arrays[f"{op.uses}/weight"].size for g in graphs.values() for op in g.ops if f"{op.uses}/weight" in arrays]
    if sum(len(g.ops) for g in graphs.values()) > STEPS * 8 or sum(sizes) > WEIGHTS:
        raise UserError("a profile does not fit: it has too many steps, or uses its weights too often")
    ranges = {name: _proven(name, graph, arrays) for name, graph in graphs.items()}
    looked = {(op.uses, ranges[n][op.of[0]]) for n, g in graphs.items() for op in g.ops if op.do == "table"}
    if sum(most - least + 1 for _, (least, most) in looked) > TABLES:
        raise UserError("a profile does not fit: its tables are too many")
    return ranges


def _proven(name: str, graph: Graph, arrays: Arrays) -> list[Range]:
    if len(graph.ops) > STEPS or not 1 <= len(graph.inputs) <= OUTPUTS or not 1 <= len(graph.outputs) <= OUTPUTS:
        raise UserError(f"{name} does not fit: it has {len(graph.ops)} steps, {len(graph.inputs)} inputs")
    for port in (*graph.inputs, *graph.outputs):
        fits = len(port.shape) in (1, 3) and port.shape[0] is not None
        sides = [n for n in port.shape if n is not None]
        fits = fits and math.prod(sides) <= LARGEST and min(sides) > 0
        if not fits or not -WIDE <= port.range[0] <= port.range[1] <= WIDE or abs(port.bits) > 64:
            raise UserError(f"{name} does not fit: its port {port.name} cannot be")
    shapes = shapes_of(name, graph, arrays, [port.shape for port in graph.inputs])
    ranges = ranges_of(name, graph, arrays)
    if len(graph.gives) != len(graph.outputs) or not all(0 <= j < len(shapes) for j in graph.gives):
        raise UserError(f"{name} does not fit: it gives what is not there")
    for port, j in zip(graph.outputs, graph.gives, strict=True):
        if port.shape != shapes[j] or port.range[0] > ranges[j][0] or port.range[1] < ranges[j][1]:
            raise UserError(f"{name} does not fit: {port.name} is not what it gives")
    return ranges


def ranges_of(name: str, graph: Graph, arrays: Arrays) -> list[Range]:
    """What every value lies between, of a graph whose shapes fit."""
    ranges = [port.range for port in graph.inputs]
    for i, op in enumerate(graph.ops):
        try:
            ranges.append(_range(op, arrays, [ranges[j] for j in op.of]))
        except OverflowError as error:
            raise UserError(f"{name}, step {i} ({op.do}), does not fit: {error}") from None
    return ranges


def _range(op: Op, arrays: Arrays, x: Sequence[Range]) -> Range:
    """What a step's values lie between; OverflowError where a sum might not be exact."""
    far = [max(-least, most) for least, most in x]
    if op.do in WEIGHTED:
        _bounded(op, arrays, far)
    if op.do == "sum" and sum(f << lift for f, lift in zip(far, op.numbers["lifts"], strict=True)) >= EXACT // 2:
        raise OverflowError("its sums are not exact")
    if op.do == "table" and (x[0][1] - x[0][0] >= SPREAD or np.abs(arrays[op.uses].astype(np.float64)).max() >= KNOTS):
        raise OverflowError("its table is too wide or too high")
    if op.do == "leaky" and far[0] > WIDE:
        raise OverflowError("its products are not exact")
    if "range" in op.numbers:
        return op.limits
    if op.do == "leaky":
        return min((x[0][0] * op.numbers["slope"][0] + HALF) >> 15, 0), max(x[0][1], 0)
    zero = [(0, 0)] if op.do == "pad" else []
    return min(least for least, _ in [*x, *zero]), max(most for _, most in [*x, *zero])


def _bounded(op: Op, arrays: Arrays, far: Sequence[int]) -> None:
    """sum |w| max|x| + |b| + half + what is added < 2^53, for every row."""
    weight, bias, shift = (arrays[f"{op.uses}/{name}"] for name in ("weight", "bias", "shift"))
    if np.abs(weight.astype(np.float64)).max() > 1 << 31 or np.abs(bias.astype(np.float64)).max() >= EXACT:
        raise OverflowError("its weights are too large")
    if shift.min() < 0 or shift.max() > 40:
        raise OverflowError("its shifts are too large")
    rows = np.moveaxis(weight, 1, 0) if op.do == "deconv" else weight
    taps = np.abs(rows.astype(np.int64)).reshape(len(rows), -1).sum(1)
    up = op.numbers["up"][0] if len(far) > 1 else 0
    for w, b, s in zip(taps.tolist(), bias.tolist(), shift.tolist(), strict=True):
        if s + up < 0:
            raise OverflowError("it would add fractions")
        if w * far[0] + abs(b) + (1 << s) + (far[1] << (s + up) if len(far) > 1 else 0) >= EXACT:
            raise OverflowError("its sums are not exact")
