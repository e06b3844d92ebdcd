"""What a float network does, as a list of steps, found by running it once on a tensor that takes notes.

The tensor lives on torch's `meta` device: it has a shape and no numbers, so that a network can only do to it what it
does to every example. A step that integers cannot imitate is refused by name, rather than guessed at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.overrides import resolve_name

from morphogen.errors import UserError

__all__ = ["Call", "Node", "Recorded", "Tape", "records", "shaped", "tape_of"]


@dataclass(frozen=True)
class Node:
    """One step: what it does, of which values, with which whole numbers, factors and tensors."""

    do: str
    of: tuple[int, ...]
    numbers: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    factors: tuple[float, ...] = ()  # of `scale`: x a + b; of an activation: its own


@dataclass
class Tape:
    """Steps in order; inputs are values 0 .. inputs - 1, steps the next ones; `gives` leave."""

    inputs: int
    nodes: list[Node] = field(default_factory=list)
    gives: list[int] = field(default_factory=list)


class Recorded(Tensor):
    """A tensor of a shape, and the place of its value on a tape."""

    tape: Tape
    place: int
    recorders: ClassVar[dict[Any, Callable[..., Any]]] = {}  # filled by notes.py

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in cls.recorders:
            return cls.recorders[func](Call(func), *args, **kwargs)
        said = shaped(func, args, kwargs) if func in _HARMLESS else None
        if said is None or isinstance(said, Tensor):
            name = resolve_name(func) or getattr(func, "__name__", str(func))
            raise UserError(
                f"this network uses {name}, which cannot be frozen to integers; use the nets mlp, conv, resnet, "
                "dcgan, or a ladder"
            )
        return said


def shaped(func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """What a function says of shapes alone."""

    def bare(x: Any) -> Any:
        if isinstance(x, Tensor):
            return torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device="meta")
        return type(x)(map(bare, x)) if type(x) in (list, tuple) else x

    with torch._C.DisableTorchFunctionSubclass():
        return func(*map(bare, args), **{k: bare(v) for k, v in kwargs.items()})


def _recorded(like: Tensor, tape: Tape, place: int) -> Recorded:
    with torch._C.DisableTorchFunctionSubclass():
        x = like.as_subclass(Recorded)
    x.tape, x.place = tape, place
    return x


@dataclass(frozen=True)
class Call:
    """One call of a function on recorded tensors."""

    func: Callable[..., Any]

    def refuse(self, why: str) -> UserError:
        return UserError(f"this network cannot be frozen to integers: {resolve_name(self.func)} {why}")

    def note(self, x: Recorded, like: Tensor, do: str, *more: Recorded, **said: Any) -> Recorded:
        """Write a step on the tape."""
        x.tape.nodes.append(Node(do, (x.place, *(m.place for m in more)), **said))
        return _recorded(like, x.tape, x.tape.inputs + len(x.tape.nodes) - 1)


def records(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Mark what writes down calls of these functions."""

    def kept(recorder: Callable[..., Any]) -> Callable[..., Any]:
        Recorded.recorders |= dict.fromkeys(functions, recorder)
        return recorder

    return kept


_FIELDS = ("shape", "dtype", "device", "ndim", "itemsize", "layout", "is_cuda", "is_mkldnn", "is_quantized")
_HARMLESS = {
    Tensor.dim, Tensor.size, Tensor.__len__, Tensor.numel, Tensor.is_floating_point, Tensor.is_contiguous,
    Tensor.stride, *(getattr(Tensor, name).__get__ for name in _FIELDS),
}  # fmt: skip


def tape_of(call: Callable[..., Any], shapes: Sequence[tuple[int, ...]]) -> Tape:
    """The steps of a function of tensors of these shapes, as far as `recorders` know them."""
    tape = Tape(len(shapes))
    inputs = [_recorded(torch.empty(shape, device="meta"), tape, i) for i, shape in enumerate(shapes)]
    with torch.no_grad():
        said = call(*inputs)
    for out in said if isinstance(said, (list, tuple)) else [said]:
        if not isinstance(out, Recorded):
            raise UserError("this network cannot be frozen to integers: what it says does not come from its inputs")
        tape.gives.append(out.place)
    return tape
