"""A network of integers as data: ports, steps, and the rules that each step must keep (Ballé, Johnston and Minnen 2019,
"Integer networks for data compression with latent-variable models").

An integer n of a port stands for n * 2^-bits. Values are numbered: first the inputs, then what each step gives; a step
may only use what is numbered before it, so that no graph can go in circles. A shape is that of one example, `None`
where a side is free: the same rules serve when a graph is read, and when it runs, with the sides at hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from morphogen.errors import UserError

__all__ = ["Arrays", "Graph", "Ints", "Op", "Port", "Shape", "shapes_of"]

Ints = NDArray[np.int64]
Arrays = Mapping[str, NDArray[np.integer]]
Shape = tuple[int | None, ...]
LARGEST = 1 << 24  # numbers of one value of one example
WORK = 1 << 37  # products and numbers of one example
SIDE, STEPS, OUTPUTS = 1 << 16, 2048, 256
NARROW, WIDE = (1 << 15) - 1, (1 << 23) - 1  # what a value reaches that is multiplied later, and one that is not


@dataclass(frozen=True)
class Port:
    """What enters or leaves a graph; what enters is clamped to `range`."""

    name: str
    bits: int
    shape: Shape
    range: tuple[int, int] = (-NARROW, NARROW)


@dataclass(frozen=True)
class Op:
    """One step: what it does, of which values, with which numbers, and the name of its arrays."""

    do: str
    of: tuple[int, ...]
    numbers: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    uses: str = ""

    @property
    def limits(self) -> tuple[int, int]:
        """What its result is clamped to."""
        least, most = self.numbers["range"]
        return least, most


@dataclass(frozen=True)
class Graph:
    """Steps from inputs to outputs; `gives` are the numbers of the values that leave."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    ops: tuple[Op, ...]
    gives: tuple[int, ...]


class Unfit(Exception):
    """Why a step cannot be."""


def need(fine: bool, why: str) -> None:
    """Stop unless `fine`."""
    if not fine:
        raise Unfit(why)


# Numbers that a step takes: how many of them, and their limits --------------------------------------------------------

_PAIR = {"stride": (2, 1, 64), "padding": (2, 0, 64)}
_CLAMP = {"range": (2, -WIDE, WIDE)}
NUMBERS: dict[str, dict[str, tuple[int, int, int]]] = {
    "dense": _CLAMP,
    "conv": _PAIR | _CLAMP,
    "deconv": _PAIR | _CLAMP | {"more": (2, 0, 64)},
    "affine": _CLAMP,
    "sum": _CLAMP | {"lifts": (0, 0, 28), "shift": (1, 0, 28)},
    "leaky": {"slope": (1, 0, 1 << 15)},
    "table": _CLAMP | {"low": (1, -WIDE, WIDE), "step": (1, 0, 16), "more": (1, 0, 12)},
    "cat": {},
    "part": {"axis": (1, 1, 3), "from": (1, 0, SIDE), "to": (1, 1, SIDE)},
    "pad": {"sides": (4, 0, 256)},
    "shuffle": {"factor": (1, 1, 64)},
    "unshuffle": {"factor": (1, 1, 64)},
    "shape": {"sides": (0, 1, LARGEST)},
    "turn": {"order": (3, 1, 3)},
}  # 0 of them: any number
PLUS = {"up": (1, -28, 8)}  # of a dense step or a convolution that adds a second value


def _numbers(op: Op) -> None:
    need(op.do in NUMBERS, "a newer morphogen made this; update to read it")
    told = dict(NUMBERS[op.do]) | (PLUS if op.do in ("dense", "conv") and len(op.of) == 2 else {})
    need(set(told) == set(op.numbers), f"its numbers are {sorted(op.numbers)}, not {sorted(told)}")
    for name, (count, low, high) in told.items():
        said = op.numbers[name]
        need(len(said) == count or (not count and len(said) <= 64), f"{name} has {len(said)} numbers")
        need(all(low <= n <= high for n in said), f"{name} = {list(said)} is not from {low} to {high}")
    if "range" in told:
        need(op.numbers["range"][0] <= op.numbers["range"][1], "nothing lies in its range")


# Shapes ---------------------------------------------------------------------------------------------------------------


def _per(shape: Shape, change: Callable[[int, int], int]) -> Shape:
    """Each side changed, where it is known; the axis comes first."""
    return tuple(None if n is None else change(i, n) for i, n in enumerate(shape))


def _weighted(op: Op, arrays: Arrays, rank: int, out: int) -> tuple[int, ...]:
    """The shape of the weights, which the bias and shifts must fit."""
    weight = arrays[f"{op.uses}/weight"].shape
    need(len(weight) == rank and min(weight) > 0, "its weights have a wrong shape")
    for name in ("bias", "shift"):
        need(arrays[f"{op.uses}/{name}"].shape == (weight[out],), f"its {name} does not fit its weights")
    return weight


def _dense(op: Op, arrays: Arrays, x: Shape, *plus: Shape) -> Shape:
    out, inp = _weighted(op, arrays, 2, 0)
    need(x == (inp,), f"it takes {inp} numbers and gets {x}")
    need(not plus or plus[0] == (out,), "what it adds has another shape")
    return (out,)


def _conv(op: Op, arrays: Arrays, x: Shape, *plus: Shape) -> Shape:
    out, inp, *kernel = _weighted(op, arrays, 4, 0)
    need(len(x) == 3 and x[0] == inp, f"it takes {inp} channels and gets {x}")
    stride, padding = op.numbers["stride"], op.numbers["padding"]
    sides = _per(x[1:], lambda i, n: (n + 2 * padding[i] - kernel[i]) // stride[i] + 1)
    need(not plus or _meet(plus[0], (out, *sides)), "what it adds has another shape")
    return (out, *sides)


def _deconv(op: Op, arrays: Arrays, x: Shape) -> Shape:
    inp, out, *kernel = _weighted(op, arrays, 4, 1)
    need(len(x) == 3 and x[0] == inp, f"it takes {inp} channels and gets {x}")
    stride, padding, more = op.numbers["stride"], op.numbers["padding"], op.numbers["more"]
    need(all(m < s for m, s in zip(more, stride, strict=True)), "it has more sites than strides reach")
    return (out, *_per(x[1:], lambda i, n: (n - 1) * stride[i] - 2 * padding[i] + kernel[i] + more[i]))


def _affine(op: Op, arrays: Arrays, x: Shape) -> Shape:
    (count,) = _weighted(op, arrays, 1, 0)
    need(count in (1, x[0]), f"it has {count} factors for {x[0]} channels")
    return x


def _meet(a: Shape, b: Shape) -> bool:
    return len(a) == len(b) and all(m == n or m is None or n is None for m, n in zip(a, b, strict=True))


def _sum(op: Op, arrays: Arrays, *x: Shape) -> Shape:
    need(len(op.numbers["lifts"]) == len(x), "its lifts do not fit what it adds")
    need(all(_meet(x[0], other) for other in x), "it adds values of several shapes")
    return x[0]


def _table(op: Op, arrays: Arrays, x: Shape) -> Shape:
    need(arrays[op.uses].ndim == 1 and 2 <= arrays[op.uses].size <= SIDE, "its table is too short or too long")
    return x


def _cat(op: Op, arrays: Arrays, *x: Shape) -> Shape:
    need(all(_meet(x[0][1:], other[1:]) for other in x), "it joins values of several sizes")
    channels = [other[0] for other in x if other[0] is not None]
    need(len(channels) == len(x), "it joins values of unknown depth")
    return (sum(channels), *x[0][1:])


def _part(op: Op, arrays: Arrays, x: Shape) -> Shape:
    axis, start, to = (op.numbers[name][0] for name in ("axis", "from", "to"))
    need(axis <= len(x) and start < to, "it takes nothing")
    side = x[axis - 1]
    need(side is not None and to <= side, f"it takes {start} to {to} of {side}")
    return (*x[: axis - 1], to - start, *x[axis:])


def _pad(op: Op, arrays: Arrays, x: Shape) -> Shape:
    left, right, top, bottom = op.numbers["sides"]
    need(len(x) == 3, "it pads what is no picture")
    return (x[0], *_per(x[1:], lambda i, n: n + (left + right if i else top + bottom)))


def _shuffle(op: Op, arrays: Arrays, x: Shape) -> Shape:
    f = op.numbers["factor"][0]
    need(len(x) == 3 and x[0] is not None and x[0] % f**2 == 0, "its channels do not make patches")
    return (*_per(x[:1], lambda i, n: n // f**2), *_per(x[1:], lambda i, n: n * f))


def _unshuffle(op: Op, arrays: Arrays, x: Shape) -> Shape:
    f = op.numbers["factor"][0]
    need(len(x) == 3 and all(n is None or n % f == 0 for n in x[1:]), f"{x[1:]} cannot be cut into patches of {f}")
    return (*_per(x[:1], lambda i, n: n * f**2), *_per(x[1:], lambda i, n: n // f))


def _shape(op: Op, arrays: Arrays, x: Shape) -> Shape:
    sides = op.numbers["sides"]
    need(len(sides) in (1, 3), "it gives neither a picture nor a vector")
    need(None not in x and math.prod(n or 0 for n in x) == math.prod(sides), f"{x} cannot be laid out as {sides}")
    return sides


def _turn(op: Op, arrays: Arrays, x: Shape) -> Shape:
    order = op.numbers["order"]
    need(len(x) == 3 and sorted(order) == [1, 2, 3], "it turns what cannot be turned")
    return tuple(x[i - 1] for i in order)


_RULES: dict[str, Callable[..., Shape]] = {
    "dense": _dense, "conv": _conv, "deconv": _deconv, "affine": _affine, "sum": _sum, "leaky": lambda op, arrays, x: x,
    "table": _table, "cat": _cat, "part": _part, "pad": _pad, "shuffle": _shuffle, "unshuffle": _unshuffle,
    "shape": _shape, "turn": _turn,
}  # fmt: skip
_COUNTS = {"dense": (1, 2), "conv": (1, 2), "sum": (1, 8), "cat": (1, 64)}


def shapes_of(name: str, graph: Graph, arrays: Arrays, inputs: Sequence[Shape]) -> list[Shape]:
    """The shape of every value of one example, or a refusal that names the step."""
    shapes, work = list(inputs), 0
    for i, op in enumerate(graph.ops):
        try:
            _numbers(op)
            low, high = _COUNTS.get(op.do, (1, 1))
            need(low <= len(op.of) <= high, f"it takes {len(op.of)} values")
            need(all(0 <= j < len(shapes) for j in op.of), "it uses what is not there yet")
            shape = _RULES[op.do](op, arrays, *(shapes[j] for j in op.of))
            known = [n for n in shape if n is not None]
            need(min(known, default=1) > 0 and math.prod(known) <= LARGEST, f"it gives {shape} numbers")
            work += math.prod(known)
            if op.do in ("dense", "conv", "deconv"):
                sites = shapes[op.of[0]] if op.do == "deconv" else shape
                work += arrays[f"{op.uses}/weight"].size * math.prod(n for n in sites[1:] if n is not None)
            need(work <= WORK, "it is too much work")
        except Unfit as why:
            raise UserError(f"{name}, step {i} ({op.do}), does not fit: {why}") from None
        except KeyError as missing:
            raise UserError(f"{name}, step {i} ({op.do}), lacks the array {missing}") from None
        shapes.append(shape)
    return shapes
