"""A trained network as one of integers: the ranges of its values are found on examples. Floats end here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from torch import Tensor

from morphogen.codec.emit import Emitter, bits_for
from morphogen.codec.graph import Graph, Ints, Shape
from morphogen.codec.melt import melted, reached
from morphogen.codec.notes import traced
from morphogen.codec.proof import proven
from morphogen.codec.trace import Tape
from morphogen.errors import UserError

__all__ = ["Function", "freeze"]


@dataclass(frozen=True)
class Function:
    """A part of a model by name, and the names of what flows in and out."""

    name: str
    call: Callable[..., Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def freeze(
    functions: Sequence[Function],
    examples: Mapping[str, Tensor],
    given: Mapping[str, int | Fraction],
    wide: frozenset[str] = frozenset(),
) -> tuple[dict[str, Graph], dict[str, Ints]]:
    """Integer graphs of float functions, and their arrays.

    `examples` has values of every port, as many of each; `given` prescribes a port's bits or, as a Fraction, what its
    integers count (levels: 1/255); ports of `wide` get up to 24 bits, as nothing multiplies them later.
    """
    units = {name: 2.0 ** -bits_for(float(x.abs().max()), name in wide) for name, x in examples.items()}
    units |= {name: 2.0**-said if isinstance(said, int) else float(said) for name, said in given.items()}
    arrays: dict[str, Ints] = {}
    graphs = {}
    for function in functions:
        known, said = ([examples[port] for port in ports] for ports in (function.inputs, function.outputs))
        tape, shapes = _traced(function, known)
        tape = melted(tape)
        emitter = Emitter(function.name, function.inputs, function.outputs, units, wide, arrays)
        graphs[function.name] = emitter.graph(tape, reached(function.name, tape, known, said), shapes)
    proven(graphs, arrays)
    return graphs, arrays


def _traced(function: Function, examples: Sequence[Tensor]) -> tuple[Tape, list[Shape]]:
    """The steps, and the shapes of inputs: sides that no step depends on are free."""
    sizes = [tuple(x.shape[1:]) for x in examples]
    tape = traced(function.name, function.call, sizes)
    try:
        larger = traced(function.name, function.call, [s if len(s) < 3 else (s[0], 2 * s[1], 2 * s[2]) for s in sizes])
    except (UserError, RuntimeError):
        return tape, list(sizes)
    free = [(n.do, n.of, n.numbers) for n in tape.nodes] == [(n.do, n.of, n.numbers) for n in larger.nodes]
    free = free and not any(n.do == "shape" for n in tape.nodes)
    return tape, [(s[0], None, None) if free and len(s) == 3 else s for s in sizes]
