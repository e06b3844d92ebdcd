"""A frozen model as bytes: facts, graphs and arrays of integers, nothing else.

    magic, u16 major, u16 minor; then, deflated: u32 length of the head, the head, arrays in the order of their names

The head is JSON in its one canonical spelling; an array is little-endian, of the smallest of three types that holds it.
The same profile is the same bytes, but for how zlib packs them, so `digest` is of what was packed. A reader checks
every field and proves every graph again: a profile may come from anyone, and must never crash, hang or lie.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from morphogen.codec.chunks import Damaged, canonical, deflated, facts_of, inflated
from morphogen.codec.graph import Arrays, Graph, Op, Port, Shape
from morphogen.codec.proof import proven
from morphogen.errors import UserError

__all__ = ["Profile"]

MAGIC = b"\x89MGP\r\n\x1a\n"
MAJOR, MINOR = 1, 0
MOST, MOST_HEAD = 96 << 20, 8 << 20  # bytes, unpacked
GRAPHS, ARRAYS, NAME, FAR = 512, 8192, 200, 1 << 53
TYPES: dict[str, np.dtype[Any]] = {"i2": np.dtype("<i2"), "i4": np.dtype("<i4"), "i8": np.dtype("<i8")}


@dataclass(frozen=True)
class Profile:
    """What is known of a model, its networks, and their numbers."""

    facts: dict[str, Any]
    graphs: dict[str, Graph]
    arrays: Arrays

    def canonical(self) -> bytes:
        """What is packed."""
        small = {name: _smallest(array) for name, array in sorted(self.arrays.items())}
        told = {name: [array.dtype.str[1:], *array.shape] for name, array in small.items()}
        graphs = {name: _told(graph) for name, graph in self.graphs.items()}
        head = canonical({"arrays": told, "facts": self.facts, "graphs": graphs})
        return struct.pack("<I", len(head)) + head + b"".join(array.tobytes() for array in small.values())

    def to_bytes(self) -> bytes:
        """The whole file."""
        body = self.canonical()
        if len(body) > MOST:
            raise UserError(
                f"this model is too large for a profile: {len(body) >> 20} MiB, and {MOST >> 20} is the limit"
            )
        return MAGIC + struct.pack("<HH", MAJOR, MINOR) + deflated(body)

    @property
    def digest(self) -> bytes:
        """sha256 of what it says, however it is packed."""
        return hashlib.sha256(self.canonical()).digest()

    @staticmethod
    def from_bytes(data: bytes) -> Profile:
        """What `to_bytes` wrote, every network of it proven; anything else is refused."""
        if data[:8] != MAGIC or len(data) < 13:
            raise Damaged("this is no profile of a model")
        if int.from_bytes(data[8:10], "little") != MAJOR:
            raise UserError("the profile is of a format that this version does not know; get a newer morphogen")
        try:
            body = inflated(data[12:], MOST)
            length = int.from_bytes(body[:4], "little")
            if length > min(MOST_HEAD, len(body) - 4):
                _refuse("its head is cut off")
            head = facts_of(body[4 : 4 + length])
        except Damaged:
            raise Damaged("the profile is damaged") from None
        if set(head) != {"arrays", "facts", "graphs"} or not all(isinstance(part, dict) for part in head.values()):
            _refuse("its head is not a profile's")
        arrays = _arrays(head["arrays"], body, 4 + length)
        if len(head["graphs"]) > GRAPHS:
            _refuse("it has too many graphs")
        graphs = {_name(name): _graph(said) for name, said in head["graphs"].items()}
        proven(graphs, arrays)
        return Profile(head["facts"], graphs, arrays)


def _refuse(why: str) -> NoReturn:
    raise Damaged(f"the profile is damaged: {why}")


# Arrays ---------------------------------------------------------------------------------------------------------------


def _smallest(array: NDArray[np.integer]) -> NDArray[np.integer]:
    """The same numbers in as few bytes as hold them."""
    least, most = (int(array.min()), int(array.max())) if array.size else (0, 0)
    for dtype in TYPES.values():
        if np.iinfo(dtype).min <= least and most <= np.iinfo(dtype).max:
            return np.ascontiguousarray(array, dtype)
    raise AssertionError("an int64 fits in eight bytes")


def _arrays(told: Mapping[str, Any], body: bytes, at: int) -> Arrays:
    """Every array, read-only views of the bytes; all bytes belong to one."""
    arrays: dict[str, NDArray[np.integer]] = {}
    if len(told) > ARRAYS:
        _refuse("it has too many arrays")
    for name, said in told.items():  # canonical JSON has them in order
        kind, *shape = said if isinstance(said, list) and said else [None]
        if not isinstance(kind, str) or kind not in TYPES or len(shape) > 4:
            _refuse(f"{_name(name)} is of an unknown type")
        sides = _ints(shape, 0, MOST)
        dtype = TYPES[kind]
        size = math.prod(sides) * dtype.itemsize
        if size > len(body) - at:
            _refuse(f"{_name(name)} is cut off")
        array = np.frombuffer(body, dtype, math.prod(sides), at).reshape(sides)
        if _smallest(array).dtype != dtype:
            _refuse(f"{name} takes more room than it must")
        arrays[name], at = array, at + size
    if at != len(body):
        _refuse("something stands behind its arrays")
    return arrays


# Graphs ---------------------------------------------------------------------------------------------------------------


def _told(graph: Graph) -> dict[str, Any]:
    def ports(of: tuple[Port, ...]) -> list[Any]:
        return [[p.name, p.bits, list(p.shape), list(p.range)] for p in of]

    ops = [[op.do, list(op.of), {name: list(n) for name, n in op.numbers.items()}, op.uses] for op in graph.ops]
    return {"inputs": ports(graph.inputs), "outputs": ports(graph.outputs), "ops": ops, "gives": list(graph.gives)}


def _graph(said: Any) -> Graph:
    """A graph whose fields are of the right kinds; whether they fit together is for the proof."""
    if not isinstance(said, dict) or set(said) != {"inputs", "outputs", "ops", "gives"}:
        _refuse("a graph lacks a part")
    inputs, outputs = (tuple(map(_port, _list(said[side], 4))) for side in ("inputs", "outputs"))
    ops = tuple(map(_op, _list(said["ops"], 4)))
    return Graph(inputs, outputs, ops, _ints(said["gives"], 0, FAR))


def _port(said: list[Any]) -> Port:
    name, bits, shape, limits = said
    low, high = [*_ints(limits, -FAR, FAR), 0, 0][:2]
    sides: Shape = tuple(None if n is None else _ints([n], 1, FAR)[0] for n in _plain(shape))
    return Port(_name(name), _ints([bits], -64, 64)[0], sides, (low, high))


def _op(said: list[Any]) -> Op:
    do, of, numbers, uses = said
    if not isinstance(numbers, dict) or len(numbers) > 16:
        _refuse("a step has no numbers")
    told = {_name(name): _ints(n, -FAR, FAR) for name, n in numbers.items()}
    return Op(_name(do), _ints(of, 0, FAR), told, _name(uses) if uses else "")


def _plain(said: Any) -> list[Any]:
    if not isinstance(said, list) or len(said) > 64:
        _refuse("it has something else where a short list must be")
    return said


def _list(said: Any, width: int) -> Iterator[list[Any]]:
    """Rows of `width`."""
    if not isinstance(said, list):
        _refuse("it has something else where a list must be")
    for row in said:
        if len(_plain(row)) != width:
            _refuse("a row of it is too short or too long")
        yield row


def _ints(said: Any, low: int, high: int) -> tuple[int, ...]:
    if not all(type(n) is int and low <= n <= high for n in _plain(said)):
        _refuse("it has something else where whole numbers must be")
    return tuple(said)


def _name(said: Any) -> str:
    if not isinstance(said, str) or not 0 < len(said) <= NAME or not said.isascii() or not said.isprintable():
        _refuse("it has something else where a name must be")
    return said
