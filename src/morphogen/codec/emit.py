"""Float steps written as integer steps: weights of 12 bits, activations of 16 (Jacob et al. 2018, "Quantization and
training of neural networks for efficient integer-arithmetic-only inference").

Every value has bits after its point, such that twice what the examples reach still fits; every row of weights an
exponent of its own. Smooth activations become tables.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from morphogen.codec.graph import NARROW, WIDE, Graph, Ints, Op, Port, Shape, shapes_of
from morphogen.codec.melt import WEIGHTED, activated
from morphogen.codec.proof import ranges_of
from morphogen.codec.trace import Node, Tape
from morphogen.errors import UserError

__all__ = ["Emitter", "bits_for"]

Floats = NDArray[np.float64]
ROOM, WIDE_ROOM = 2.0, 4.0  # how much farther than its examples a value may reach
FINEST, COARSEST = 16, -12  # bits after a value's point
SHARPEST = (1 << 11) - 1  # what a row's largest weight becomes: 4 bits more cost a fifth in size, and saved 0.001 %
SHIFTS = (1, 28)  # of a row of weights
UP = (-28, 8)  # of what is added to it
KNOT, FINER = 5, 4  # bits between two knots of a table; bits that a knot has beyond its result
SHAPED = ("shape", "turn", "part", "pad", "shuffle", "unshuffle")


def bits_for(reach: float, wide: bool = False) -> int:
    """As many bits after the point as leave room."""
    if not math.isfinite(reach):
        raise UserError("this network cannot be frozen: it says numbers that are not finite")
    most, room = (WIDE, WIDE_ROOM) if wide else (NARROW, ROOM)
    return max(min(math.floor(math.log2(most / (room * max(reach, 1e-9)))), FINEST), COARSEST)


@dataclass
class Emitter:
    """Writes the integer steps of one function, whose inputs and outputs are the ports named."""

    name: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    units: Mapping[str, float]  # what one unit of a port stands for
    wide: frozenset[str]
    arrays: dict[str, Ints]
    ops: list[Op] = field(default_factory=list)
    unit: list[float] = field(default_factory=list)  # of every value of the graph

    def graph(self, tape: Tape, reach: Sequence[float], shapes: Sequence[Shape]) -> Graph:
        """The whole graph, of a tape whose values reach so far."""
        self.unit = [self.units[port] for port in self.inputs]
        place, wanted = list(range(tape.inputs)), self._wanted(tape)
        for i, node in enumerate(tape.nodes, tape.inputs):
            bits, most = wanted.get(i) or (bits_for(reach[i]), NARROW)
            place.append(self._emit(node, [place[j] for j in node.of], bits, most))
        gives = tuple(
            self._rescaled(place[j], self._bits(port), WIDE if port in self.wide else NARROW)
            for j, port in zip(tape.gives, self.outputs, strict=True)
        )
        ins = tuple(Port(port, _bits(self.units[port]) or 0, s) for port, s in zip(self.inputs, shapes, strict=True))
        bare = Graph(ins, (), tuple(self.ops), gives)
        told = shapes_of(self.name, bare, self.arrays, shapes)
        ranges = ranges_of(self.name, bare, self.arrays)
        outs = (Port(p, self._bits(p), told[j], ranges[j]) for p, j in zip(self.outputs, gives, strict=True))
        return replace(bare, outputs=tuple(outs))

    def _bits(self, port: str) -> int:
        bits = _bits(self.units[port])
        if bits is None:
            raise UserError(f"{self.name} cannot be frozen: it says {port}, whose unit is no power of two")
        return bits

    def _wanted(self, tape: Tape) -> dict[int, tuple[int, int]]:
        """Bits and limit of the values that leave, and of those that are only laid out anew before they do."""
        uses = Counter([j for node in tape.nodes for j in node.of] + tape.gives)
        wanted: dict[int, tuple[int, int]] = {}
        for j, port in zip(tape.gives, self.outputs, strict=True):
            wide = port in self.wide
            while j >= tape.inputs and j not in wanted and (uses[j] == 1 or not wide):
                wanted[j] = (self._bits(port), WIDE if wide else NARROW)
                node = tape.nodes[j - tape.inputs]
                if node.do not in SHAPED:
                    break
                j = node.of[0]
        return wanted

    # Steps ------------------------------------------------------------------------------------------------------------

    def _add(self, op: Op, unit: float) -> int:
        self.ops.append(op)
        self.unit.append(unit)
        return len(self.unit) - 1

    def _emit(self, node: Node, of: list[int], bits: int, most: int) -> int:
        """The place of what a step gives."""
        if node.do in SHAPED:
            return self._add(Op(node.do, (of[0],), node.numbers), self.unit[of[0]])
        if node.do in (*WEIGHTED, "affine"):
            return self._weighted(node, of, bits, most)
        if node.do == "scale":
            a, b = (torch.tensor([v], dtype=torch.float64) for v in node.factors)
            return self._weighted(Node("affine", (), {}, {"weight": a, "bias": b}), of, bits, most)
        of = [self._fixed(j) for j in of]
        if node.do == "sum":
            return self._sum(of, bits, (-most, most))
        if node.do == "relu":
            return self._sum(of, _known(self.unit[of[0]]), (0, most))
        if node.do == "leaky":
            slope = round(node.factors[0] * 2**15)
            return self._add(Op("leaky", (of[0],), {"slope": (slope,)}), self.unit[of[0]])
        if node.do == "cat":
            common = min(_known(self.unit[j]) for j in of)
            return self._add(Op("cat", tuple(self._rescaled(j, common, most) for j in of)), 2.0**-common)
        return self._table(node, of[0], bits, most)

    def _fixed(self, j: int) -> int:
        """The value with a power of two as its unit."""
        if _bits(self.unit[j]) is not None:
            return j
        one = {"weight": torch.ones(1, dtype=torch.float64), "bias": torch.zeros(1, dtype=torch.float64)}
        return self._weighted(Node("affine", (), {}, one), [j], bits_for(self.unit[j] * NARROW / ROOM), NARROW)

    def _rescaled(self, j: int, bits: int, most: int) -> int:
        j = self._fixed(j)
        return j if _known(self.unit[j]) == bits else self._sum([j], bits, (-most, most))

    def _sum(self, of: Sequence[int], bits: int, limits: tuple[int, int]) -> int:
        have = [_known(self.unit[j]) for j in of]
        finest = max(*have, bits)
        numbers = {"lifts": tuple(finest - b for b in have), "shift": (finest - bits,), "range": limits}
        return self._add(Op("sum", tuple(of), numbers), 2.0**-bits)

    def _weighted(self, node: Node, of: list[int], bits: int, most: int) -> int:
        """Weights and biases in units of what they multiply, as many bits for each row as its largest leaves."""
        lead, numbers = SHIFTS[0], {k: v for k, v in node.numbers.items() if k != "plus"}
        if len(of) > 1:
            plus = self._fixed(of[1])
            if not UP[0] <= bits - _known(self.unit[plus]) <= UP[1]:
                plus = self._rescaled(plus, bits, most)
            up = bits - _known(self.unit[plus])
            of, numbers["up"], lead = [of[0], plus], (up,), max(lead, -up)
        weight = node.tensors["weight"].numpy() * self.unit[of[0]]
        out = 1 if node.do == "deconv" else 0
        rows = np.moveaxis(weight, out, 0)
        largest = np.abs(rows.reshape(len(rows), -1)).max(1)
        exponent = np.floor(np.log2(SHARPEST / np.maximum(largest, 1e-30))).astype(np.int64)
        exponent = np.clip(exponent, bits + lead, bits + SHIFTS[1])
        scale = 2.0 ** exponent.astype(np.float64)
        column = [-1 if axis == out else 1 for axis in range(weight.ndim)]
        name = f"{self.name}/{len(self.ops)}"
        self.arrays[f"{name}/weight"] = np.rint(weight * scale.reshape(column)).astype(np.int64)
        self.arrays[f"{name}/bias"] = np.rint(
            np.clip(node.tensors["bias"].numpy() * scale, -(2.0**51), 2.0**51)
        ).astype(np.int64)
        self.arrays[f"{name}/shift"] = exponent - bits
        numbers["range"] = (0 if "relu" in node.tensors else -most, most)
        return self._add(Op(node.do, tuple(of), numbers, name), 2.0**-bits)

    def _table(self, node: Node, j: int, bits: int, most: int) -> int:
        have = _known(self.unit[j])
        name = "/".join(["table", node.do, *map(str, node.factors), str(have), str(bits)])
        knots = torch.arange(-(1 << 15), (1 << 15) + 1, 1 << KNOT, dtype=torch.float64) * 2.0**-have
        said = activated(node, knots).numpy() * 2.0 ** (bits + FINER)
        self.arrays[name] = np.rint(np.clip(said, -(2.0**30), 2.0**30)).astype(np.int64)
        numbers = {"low": (-(1 << 15),), "step": (KNOT,), "more": (FINER,), "range": (-most, most)}
        return self._add(Op("table", (j,), numbers, name), 2.0**-bits)


def _bits(unit: float) -> int | None:
    """Bits after the point, where one unit stands for a power of two."""
    mantissa, exponent = math.frexp(unit)
    return 1 - exponent if mantissa == 0.5 else None


def _known(unit: float) -> int:
    bits = _bits(unit)
    assert bits is not None
    return bits
