"""What is written on a tape for each function of torch that our networks call."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from morphogen.codec.trace import Call, Recorded, Tape, records, shaped, tape_of
from morphogen.errors import UserError

__all__ = ["traced"]


def traced(name: str, call: Any, shapes: Sequence[Sequence[int]]) -> Tape:
    """The steps of a function of examples of these shapes; what depends on how many there are is refused."""
    few, many = (tape_of(call, [(n, *shape) for shape in shapes]) for n in (3, 5))
    if [(n.do, n.of, n.numbers) for n in few.nodes] != [(n.do, n.of, n.numbers) for n in many.nodes]:
        raise UserError(f"{name} cannot be frozen: what it does depends on how many examples it is given")
    return few


# Steps with weights ---------------------------------------------------------------------------------------------------


def _weights(weight: Tensor, bias: Tensor | None, out: int) -> dict[str, Tensor]:
    none = torch.zeros(weight.shape[out], dtype=torch.float64)
    return {"weight": weight.detach().cpu().double(), "bias": none if bias is None else bias.detach().cpu().double()}


def _two(x: int | Sequence[int]) -> tuple[int, int]:
    return (x, x) if isinstance(x, int) else (int(x[0]), int(x[-1]))


@records(F.linear)
def _linear(call: Call, x: Recorded, weight: Tensor, bias: Tensor | None = None) -> Recorded:
    like = shaped(F.linear, (x, weight), {})
    if like.dim() != 2:
        raise call.refuse("is given more than one row of numbers an example")
    return call.note(x, like, "dense", tensors=_weights(weight, bias, 0))


@records(F.conv2d)
def _conv(
    call: Call, x: Recorded, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Recorded:  # fmt: skip
    if isinstance(padding, str) or groups != 1 or _two(dilation) != (1, 1):
        raise call.refuse("has groups, dilation or a padding by name")
    like = shaped(F.conv2d, (x, weight, None, stride, padding), {})
    numbers = {"stride": _two(stride), "padding": _two(padding)}
    return call.note(x, like, "conv", numbers=numbers, tensors=_weights(weight, bias, 0))


@records(F.conv_transpose2d)
def _deconv(
    call: Call, x: Recorded, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Recorded:  # fmt: skip
    if groups != 1 or _two(dilation) != (1, 1):
        raise call.refuse("has groups or dilation")
    like = shaped(F.conv_transpose2d, (x, weight, None, stride, padding, output_padding), {})
    numbers = {"stride": _two(stride), "padding": _two(padding), "more": _two(output_padding)}
    return call.note(x, like, "deconv", numbers=numbers, tensors=_weights(weight, bias, 1))


@records(F.batch_norm)
def _batch_norm(
    call: Call, x: Recorded, mean: Tensor | None, var: Tensor | None, weight: Tensor | None = None,
    bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Recorded:  # fmt: skip
    if training or mean is None or var is None:
        raise call.refuse("is still learning its statistics; call model.eval() first")
    spread = 1 / (var.detach().cpu().double() + eps).sqrt()
    factor = spread if weight is None else weight.detach().cpu().double() * spread
    offset = (0 if bias is None else bias.detach().cpu().double()) - mean.detach().cpu().double() * factor
    return call.note(x, shaped(torch.clone, (x,), {}), "affine", tensors={"weight": factor, "bias": offset})


# Arithmetic and activations -------------------------------------------------------------------------------------------


def _scale(call: Call, x: Recorded, a: float, b: float) -> Recorded:
    return call.note(x, shaped(torch.clone, (x,), {}), "scale", factors=(float(a), float(b)))


@records(torch.add, Tensor.add, Tensor.__add__, Tensor.__radd__, Tensor.add_, Tensor.__iadd__)
def _add(call: Call, x: Any, y: Any, *, alpha: float = 1) -> Recorded:
    if alpha != 1:
        raise call.refuse("has an alpha")
    if isinstance(x, Recorded) and isinstance(y, Recorded):
        if x.shape != y.shape:
            raise call.refuse("adds tensors of different shapes")
        return call.note(x, shaped(torch.clone, (x,), {}), "sum", y)
    return _scale(call, x, 1, y) if isinstance(x, Recorded) else _scale(call, y, 1, x)


@records(torch.sub, Tensor.sub, Tensor.__sub__)
def _sub(call: Call, x: Recorded, y: Any) -> Recorded:
    return _scale(call, x, 1, -_number(call, y))


@records(torch.rsub, Tensor.__rsub__)
def _rsub(call: Call, x: Recorded, y: Any) -> Recorded:
    return _scale(call, x, -1, _number(call, y))


@records(torch.mul, Tensor.mul, Tensor.__mul__, Tensor.__rmul__)
def _mul(call: Call, x: Any, y: Any) -> Recorded:
    x, y = (x, y) if isinstance(x, Recorded) else (y, x)
    return _scale(call, x, _number(call, y), 0)


@records(torch.div, Tensor.div, Tensor.__truediv__)
def _div(call: Call, x: Recorded, y: Any) -> Recorded:
    return _scale(call, x, 1 / _number(call, y), 0)


@records(torch.neg, Tensor.neg, Tensor.__neg__)
def _neg(call: Call, x: Recorded) -> Recorded:
    return _scale(call, x, -1, 0)


def _number(call: Call, y: Any) -> float:
    if isinstance(y, Recorded) or (isinstance(y, Tensor) and y.numel() != 1):
        raise call.refuse("is of two tensors, not of a tensor and a number")
    return float(y)


def _activation(name: str, *functions: Any, **defaults: Any) -> None:
    @records(*functions)
    def record(call: Call, x: Recorded, *args: Any, **kwargs: Any) -> Recorded:
        said = defaults | dict(zip(defaults, args, strict=False)) | {k: v for k, v in kwargs.items() if k in defaults}
        if said.get("approximate", "none") != "none":
            raise call.refuse("is approximate")
        factors = tuple(float(v) for v in said.values() if isinstance(v, (int, float)))
        return call.note(x, shaped(torch.clone, (x,), {}), name, factors=factors)


_activation("relu", F.relu, torch.relu, Tensor.relu)
_activation("leaky", F.leaky_relu, negative_slope=0.01)
_activation("silu", F.silu)
_activation("gelu", F.gelu, approximate="none")
_activation("elu", F.elu, alpha=1.0)
_activation("tanh", torch.tanh, Tensor.tanh, F.tanh)
_activation("sigmoid", torch.sigmoid, Tensor.sigmoid, F.sigmoid)


# Layout ---------------------------------------------------------------------------------------------------------------


@records(Tensor.contiguous, Tensor.clone, Tensor.detach, Tensor.float, Tensor.double, Tensor.to)
def _same(call: Call, x: Recorded, *args: Any, **kwargs: Any) -> Recorded:
    return x


@records(torch.cat)
def _cat(call: Call, tensors: Sequence[Recorded], dim: int = 0) -> Recorded:
    if dim % tensors[0].dim() != 1 or not all(isinstance(x, Recorded) for x in tensors):
        raise call.refuse("joins something else than channels of what it is given")
    return call.note(tensors[0], shaped(torch.cat, (list(tensors), dim), {}), "cat", *tensors[1:])


@records(torch.reshape, Tensor.reshape, Tensor.view, Tensor.flatten, torch.flatten, Tensor.unflatten)
def _reshape(call: Call, x: Recorded, *args: Any, **kwargs: Any) -> Recorded:
    like = shaped(call.func, (x, *args), kwargs)
    if like.shape[:1] != x.shape[:1] or like.dim() not in (2, 4):
        raise call.refuse(f"lays {tuple(x.shape[1:])} out as {tuple(like.shape[1:])}")
    return x if like.shape == x.shape else call.note(x, like, "shape", numbers={"sides": tuple(like.shape[1:])})


@records(torch.permute, Tensor.permute)
def _permute(call: Call, x: Recorded, *dims: Any) -> Recorded:
    order = tuple(int(d) % x.dim() for d in (dims[0] if len(dims) == 1 else dims))
    if order[0] != 0 or len(order) != 4:
        raise call.refuse("moves the examples")
    return call.note(x, shaped(torch.permute, (x, order), {}), "turn", numbers={"order": order[1:]})


@records(F.pixel_shuffle, F.pixel_unshuffle)
def _shuffle(call: Call, x: Recorded, factor: int) -> Recorded:
    do = "shuffle" if call.func is F.pixel_shuffle else "unshuffle"
    return call.note(x, shaped(call.func, (x, factor), {}), do, numbers={"factor": (factor,)})


@records(F.pad)
def _pad(call: Call, x: Recorded, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Recorded:
    sides = (*map(int, pad), 0, 0)[:4]
    if mode != "constant" or value or len(pad) > 4 or min(sides) < 0 or x.dim() != 4:
        raise call.refuse("pads with something else than zeros")
    return call.note(x, shaped(F.pad, (x, sides), {}), "pad", numbers={"sides": sides})


def _part(call: Call, x: Recorded, axis: int, start: int, to: int) -> Recorded:
    if (start, to) == (0, x.shape[axis]):
        return x
    like = shaped(torch.narrow, (x, axis, start, to - start), {})
    return call.note(x, like, "part", numbers={"axis": (axis,), "from": (start,), "to": (to,)})


@records(Tensor.__getitem__)
def _slice(call: Call, x: Recorded, key: Any) -> Recorded:
    keys = list(key) if isinstance(key, tuple) else [key]
    if Ellipsis in keys:
        i = keys.index(Ellipsis)
        keys[i : i + 1] = [slice(None)] * (x.dim() - len(keys) + 1)
    if not all(isinstance(k, slice) and k.step in (None, 1) for k in keys) or keys[:1] not in ([], [slice(None)]):
        raise call.refuse("takes something else than a part of each example")
    for axis, k in enumerate(keys):
        if k != slice(None):
            start, to, _ = k.indices(x.shape[axis])
            x = _part(call, x, axis, start, to)
    return x


@records(Tensor.chunk, torch.chunk)
def _chunk(call: Call, x: Recorded, chunks: int, dim: int = 0) -> tuple[Recorded, ...]:
    axis = dim % x.dim()
    if axis == 0:
        raise call.refuse("cuts the examples apart")
    each = math.ceil(x.shape[axis] / chunks)
    cuts = range(0, x.shape[axis], each)
    return tuple(_part(call, x, axis, i, min(i + each, x.shape[axis])) for i in cuts)
