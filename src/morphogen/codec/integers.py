"""Networks of integers, evaluated by NumPy alone: slow, and the word on what every other engine must give."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from morphogen.codec.graph import STEPS, Arrays, Graph, Ints, Op, Port, Shape, shapes_of
from morphogen.codec.proof import WEIGHTED, proven, rounded, spread
from morphogen.errors import UserError

__all__ = ["Engine", "Graph", "Op", "Oracle", "Port", "proven"]

AT_ONCE = 1 << 19  # numbers of the largest value that are in memory at once: caches are small
Value = TypeVar("Value")


class Engine(ABC, Generic[Value]):
    """Runs proven graphs, a few examples at a time, whatever its values are made of."""

    def __init__(self, graphs: Mapping[str, Graph], arrays: Arrays) -> None:
        self.graphs, self.arrays = dict(graphs), arrays
        self.ranges = proven(graphs, arrays)

    def run(self, name: str, *inputs: Ints) -> list[Ints]:
        """The outputs of a graph: integers (n, channels, height, width) or (n, length), for any n."""
        graph = self.graphs[name]
        counts = {len(x) for x in inputs}
        if len(inputs) != len(graph.inputs) or len(counts) != 1:
            raise UserError(f"{name} takes {', '.join(p.name for p in graph.inputs)}, of equally many examples")
        for x, port in zip(inputs, graph.inputs, strict=True):
            fits = x.ndim == len(port.shape) + 1 and all(
                w in (None, n) for w, n in zip(port.shape, x.shape[1:], strict=True)
            )
            if not fits:
                raise UserError(f"{name} takes {port.name} of {port.shape}, not {x.shape[1:]}")
        shapes = shapes_of(name, graph, self.arrays, [x.shape[1:] for x in inputs])
        most = max(math.prod(n or 1 for n in shape) for shape in shapes)
        count, at_once = counts.pop(), max(AT_ONCE // most, 1)
        if not count:
            return [np.zeros((0, *(n or 0 for n in shapes[j])), np.int64) for j in graph.gives]
        parts = [self._part(name, shapes, [x[i : i + at_once] for x in inputs]) for i in range(0, count, at_once)]
        return parts[0] if len(parts) == 1 else [np.concatenate(part) for part in zip(*parts, strict=True)]

    def _part(self, name: str, shapes: Sequence[Shape], inputs: Sequence[Ints]) -> list[Ints]:
        graph = self.graphs[name]
        values: dict[int, Value] = {
            i: self.enter(x, *p.range) for i, (x, p) in enumerate(zip(inputs, graph.inputs, strict=True))
        }
        last = {j: i for i, op in enumerate(graph.ops) for j in op.of} | dict.fromkeys(graph.gives, STEPS)
        for i, op in enumerate(graph.ops):
            values[len(inputs) + i] = self.step(name, i, op, [values[j] for j in op.of])
            for j in op.of:
                if last[j] == i:
                    values.pop(j, None)
        return [self.leave(values[j]) for j in graph.gives]

    @abstractmethod
    def enter(self, x: Ints, least: int, most: int) -> Value:
        """Integers, clamped, as this engine holds them."""

    @abstractmethod
    def leave(self, x: Value) -> Ints:
        """The inverse of `enter`."""

    @abstractmethod
    def step(self, name: str, index: int, op: Op, of: list[Value]) -> Value:
        """What a step makes of values."""


class Oracle(Engine[Ints]):
    """int64 and nothing else."""

    def enter(self, x: Ints, least: int, most: int) -> Ints:
        return np.clip(x.astype(np.int64), least, most)

    def leave(self, x: Ints) -> Ints:
        return np.ascontiguousarray(x)

    def step(self, name: str, index: int, op: Op, of: list[Ints]) -> Ints:
        if op.do in WEIGHTED:
            return self._weighted(op, *of)
        if op.do == "sum":
            total = sum(x << lift for x, lift in zip(of, op.numbers["lifts"], strict=True))
            return np.clip(rounded(np.asarray(total), op.numbers["shift"][0]), *op.limits)
        if op.do == "leaky":
            return np.where(of[0] < 0, rounded(of[0] * op.numbers["slope"][0], 15), of[0])
        if op.do == "table":
            least, most = self.ranges[name][op.of[0]]
            return spread(op, self.arrays[op.uses].astype(np.int64), least, most)[of[0] - least]
        return _moved(op, of)

    def _weighted(self, op: Op, x: Ints, plus: Ints | None = None) -> Ints:
        weight, bias, shift = (
            self.arrays[f"{op.uses}/{part}"].astype(np.int64) for part in ("weight", "bias", "shift")
        )
        column = (-1, *[1] * (x.ndim - 2))
        products = x * weight.reshape(column) if op.do == "affine" else _PRODUCTS[op.do](op, x, weight)
        total = products + bias.reshape(column)
        if plus is not None:
            total = total + (plus << (shift + op.numbers["up"][0]).reshape(column))
        return np.clip(rounded(total, shift.reshape(column)), *op.limits)


def _dense(op: Op, x: Ints, weight: Ints) -> Ints:
    return x @ weight.T


def _conv(op: Op, x: Ints, weight: Ints) -> Ints:
    (down, across), (top, left) = op.numbers["stride"], op.numbers["padding"]
    x = np.pad(x, ((0, 0), (0, 0), (top, top), (left, left)))
    seen = sliding_window_view(x, weight.shape[2:], (2, 3))[:, :, ::down, ::across]
    n, _, height, width = seen.shape[:4]
    rows = seen.transpose(0, 2, 3, 1, 4, 5).reshape(n * height * width, -1)
    return (rows @ weight.reshape(len(weight), -1).T).reshape(n, height, width, -1).transpose(0, 3, 1, 2)


def _deconv(op: Op, x: Ints, weight: Ints) -> Ints:
    (down, across), (top, left), more = (op.numbers[name] for name in ("stride", "padding", "more"))
    n, _, height, width = x.shape
    _, depth, tall, wide = weight.shape
    whole = np.zeros((n, depth, (height - 1) * down + tall + more[0], (width - 1) * across + wide + more[1]), np.int64)
    for i in range(tall):
        for j in range(wide):
            said = np.tensordot(x, weight[:, :, i, j], (1, 0)).transpose(0, 3, 1, 2)
            whole[:, :, i : i + (height - 1) * down + 1 : down, j : j + (width - 1) * across + 1 : across] += said
    return whole[:, :, top : whole.shape[2] - top, left : whole.shape[3] - left]


_PRODUCTS: dict[str, Callable[[Op, Ints, Ints], Ints]] = {"dense": _dense, "conv": _conv, "deconv": _deconv}


def _moved(op: Op, of: list[Ints]) -> Ints:
    """Steps that only lay numbers out anew."""
    x, said = of[0], op.numbers
    if op.do == "cat":
        return np.concatenate(of, 1)
    if op.do == "part":
        return np.take(x, np.arange(said["from"][0], said["to"][0]), said["axis"][0])
    if op.do == "pad":
        left, right, top, bottom = said["sides"]
        return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    if op.do == "shape":
        return x.reshape(len(x), *said["sides"])
    if op.do == "turn":
        return x.transpose(0, *said["order"])
    n, c, h, w = x.shape
    f = said["factor"][0]
    if op.do == "shuffle":
        return x.reshape(n, c // f**2, f, f, h, w).transpose(0, 1, 4, 2, 5, 3).reshape(n, c // f**2, h * f, w * f)
    return x.reshape(n, c, h // f, f, w // f, f).transpose(0, 1, 3, 5, 2, 4).reshape(n, c * f**2, h // f, w // f)
