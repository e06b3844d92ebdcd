"""Networks of integers, carried by float64: the same numbers as int64, as fast as this machine multiplies matrices.

Every sum is below 2^53 and scaled by powers of two alone, so that no float is ever rounded: threads, batches, fused
multiply-adds and instruction sets may add in any order. Only products of matrices are used, never a library's
convolution, which may go by way of Winograd's or Fourier's transform and does round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from morphogen.codec.graph import Arrays, Graph, Ints, Op
from morphogen.codec.integers import Engine
from morphogen.codec.proof import WEIGHTED, spread

__all__ = ["Carried"]

MANY = 64  # sites of a picture from which on a product for each row of the kernel is faster than one for all


@dataclass(frozen=True)
class _Ready:
    """What a step needs besides its values, in units of its result."""

    weight: Tensor
    bias: Tensor
    kernel: tuple[int, int] = (1, 1)


class Carried(Engine[Tensor]):
    """Pictures lie channels-last; weights are laid out once."""

    def __init__(self, graphs: Mapping[str, Graph], arrays: Arrays) -> None:
        super().__init__(graphs, arrays)
        self.ready: dict[tuple[str, int], _Ready] = {}
        self.tables: dict[tuple[str, int, int], Tensor] = {}

    def enter(self, x: Ints, least: int, most: int) -> Tensor:
        carried = torch.from_numpy(np.require(x, np.int64, "W")).clamp(least, most).double()
        return carried.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else carried

    def leave(self, x: Tensor) -> Ints:
        whole: Ints = x.to(torch.int64).numpy()
        return whole

    def step(self, name: str, index: int, op: Op, of: list[Tensor]) -> Tensor:
        if op.do in WEIGHTED:
            ready = self.ready.get((name, index)) or self.ready.setdefault((name, index), _prepared(op, self.arrays))
            return _clamped(_SUMS[op.do](op, ready, *of), op)
        if op.do == "sum":
            shift = op.numbers["shift"][0]
            total = of[0] * 2.0 ** (op.numbers["lifts"][0] - shift)
            for x, lift in zip(of[1:], op.numbers["lifts"][1:], strict=True):
                total.add_(x, alpha=2.0 ** (lift - shift))
            return _clamped(total.add_(0.5) if shift else total, op)
        if op.do == "leaky":
            return torch.where(of[0] < 0, (of[0] * (op.numbers["slope"][0] / 2**15)).add_(0.5).floor_(), of[0])
        if op.do == "table":
            return self._looked_up(op, of[0], *self.ranges[name][op.of[0]])
        return _moved(op, of)

    def _looked_up(self, op: Op, x: Tensor, least: int, most: int) -> Tensor:
        key = (f"{op.uses} {sorted(op.numbers.items())}", least, most)
        if key not in self.tables:
            self.tables[key] = torch.from_numpy(spread(op, self.arrays[op.uses].astype(np.int64), least, most)).double()
        places = _rows(x).to(torch.int32).sub_(least).view(-1)
        return _like(self.tables[key].index_select(0, places), x)


def _prepared(op: Op, arrays: Arrays) -> _Ready:
    """Weights as a matrix (taps, outputs), and a bias that knows the half of rounding."""
    weight, bias, shift = (arrays[f"{op.uses}/{part}"].astype(np.float64) for part in ("weight", "bias", "shift"))
    scale = 2.0**-shift
    base = torch.from_numpy((bias + np.floor(2.0 ** (shift - 1))) * scale)
    if op.do == "affine":
        return _Ready(torch.from_numpy(weight * scale), base)
    if op.do == "deconv":  # (inputs, kernel x outputs)
        laid = (weight * scale[:, None, None]).transpose(0, 2, 3, 1)
        return _Ready(_matrix(laid, weight.shape[0]), base, (weight.shape[2], weight.shape[3]))
    laid = np.moveaxis((weight.T * scale).T, 0, -1)
    if op.do == "dense":
        return _Ready(_matrix(laid, weight.shape[1]), base)
    return _Ready(_matrix(np.moveaxis(laid, 0, 2), -1, weight.shape[0]), base, (weight.shape[2], weight.shape[3]))


def _matrix(laid: np.ndarray[tuple[int, ...], np.dtype[np.float64]], rows: int, columns: int = -1) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(laid.reshape(rows, columns)))


def _clamped(x: Tensor, op: Op) -> Tensor:
    return x.floor_().clamp_(*op.limits)


def _rows(x: Tensor) -> Tensor:
    """Values in the order in which they lie, channels last."""
    return x.permute(0, 2, 3, 1).contiguous() if x.dim() == 4 else x.contiguous()


def _like(rows: Tensor, x: Tensor) -> Tensor:
    """The inverse of `_rows`."""
    if x.dim() != 4:
        return rows.view(x.shape)
    n, c, h, w = x.shape
    return rows.view(n, h, w, c).permute(0, 3, 1, 2)


# Sums that are not rounded yet ----------------------------------------------------------------------------------------


def _base(op: Op, ready: _Ready, plus: tuple[Tensor, ...], shape: tuple[int, ...]) -> Tensor:
    """What products are added to."""
    if plus:
        return torch.add(ready.bias, _rows(plus[0]), alpha=2.0 ** op.numbers["up"][0]).view(shape)
    return ready.bias.expand(shape).clone(memory_format=torch.contiguous_format)


def _dense(op: Op, ready: _Ready, x: Tensor, *plus: Tensor) -> Tensor:
    return _base(op, ready, plus, (len(x), len(ready.bias))).addmm_(x, ready.weight)


def _affine(op: Op, ready: _Ready, x: Tensor) -> Tensor:
    column = (-1, *[1] * (x.dim() - 2))
    return (x * ready.weight.view(column)).add_(ready.bias.view(column))


def _conv(op: Op, ready: _Ready, x: Tensor, *plus: Tensor) -> Tensor:
    (tall, wide), (down, across), (top, left) = ready.kernel, op.numbers["stride"], op.numbers["padding"]
    x = F.pad(_rows(x), (0, 0, left, left, top, top)) if top or left else _rows(x)
    n, h, w, c = x.shape
    height, width, depth = (h - tall) // down + 1, (w - wide) // across + 1, len(ready.bias)
    s = x.stride()
    if down == across == 1 and wide > 1 and height * width >= MANY:
        taps = x.as_strided((n, h, width, wide * c), (s[0], s[1], c, 1)).contiguous()  # of each row of the kernel
        said = _base(op, ready, plus, (n, height * width, depth))
        for i in range(tall):
            seen = taps[:, i : i + height].view(n, height * width, wide * c)
            said.baddbmm_(seen, ready.weight[i * wide * c : (i + 1) * wide * c].expand(n, -1, -1))
    else:
        seen = x.as_strided((n, height, width, tall, wide * c), (s[0], down * s[1], across * c, s[1], 1))
        said = _base(op, ready, plus, (n * height * width, depth))
        said.addmm_(seen.reshape(n * height * width, tall * wide * c), ready.weight)
    return said.view(n, height, width, depth).permute(0, 3, 1, 2)


def _deconv(op: Op, ready: _Ready, x: Tensor) -> Tensor:
    (tall, wide), (down, across), (top, left) = ready.kernel, op.numbers["stride"], op.numbers["padding"]
    x, depth = _rows(x), len(ready.bias)
    n, h, w, c = x.shape
    parts = (x.view(-1, c) @ ready.weight).view(n, h, w, tall, wide, depth)
    height, width = (
        (m - 1) * s + k + o for m, s, k, o in zip((h, w), (down, across), (tall, wide), op.numbers["more"], strict=True)
    )
    whole = ready.bias.expand(n, height, width, depth).clone(memory_format=torch.contiguous_format)
    for i in range(tall):
        for j in range(wide):
            whole[:, i : i + (h - 1) * down + 1 : down, j : j + (w - 1) * across + 1 : across] += parts[:, :, :, i, j]
    return whole[:, top : height - top, left : width - left].contiguous().permute(0, 3, 1, 2)


_SUMS: dict[str, Callable[..., Tensor]] = {"dense": _dense, "conv": _conv, "deconv": _deconv, "affine": _affine}


def _moved(op: Op, of: list[Tensor]) -> Tensor:
    """Steps that only lay numbers out anew."""
    x, said = of[0], op.numbers
    if op.do == "cat":
        return torch.cat(of, 1)
    if op.do == "part":
        return x.narrow(said["axis"][0], said["from"][0], said["to"][0] - said["from"][0])
    if op.do == "pad":
        return F.pad(x, said["sides"])
    if op.do == "shape":
        return x.reshape(len(x), *said["sides"])
    if op.do == "turn":
        return x.permute(0, *said["order"])
    return F.pixel_shuffle(x, said["factor"][0]) if op.do == "shuffle" else F.pixel_unshuffle(x, said["factor"][0])
