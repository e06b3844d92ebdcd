"""Convolutions as matrix products, for autograd: what `kernels` chooses from.

A picture is laid out as a matrix in one of two ways: *patches*, a row of taps x channels for every place where the
kernel stands, or *planes*, the same turned, which copies whole lines of pixels where channels are few. Forward and
backward are plain differentiable operations, so that a gradient can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Pair", "by_patches", "collected", "each"]

Pair = tuple[int, int]


def each(rule: Callable[..., int], *pairs: Pair) -> Pair:
    """`rule` for the height and for the width.

    >>> each(lambda pixels, stride: pixels // stride, (8, 6), (2, 3))
    (4, 2)
    """
    height, width = (rule(*numbers) for numbers in zip(*pairs, strict=True))
    return height, width


def by_patches(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, more: Pair | None
) -> Tensor:
    """A convolution, transposed where `more` (its output padding) is said; its weight gradient is one product."""
    said: Tensor = _ByPatches.apply(x, weight, bias, stride, padding, more)  # type: ignore[no-untyped-call]
    return said


def collected(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, size: Pair) -> Tensor:
    """A transposed convolution to few channels of `size`, collected from what each tap of each pixel adds."""
    said: Tensor = _Collected.apply(x, weight, bias, stride, padding, size)  # type: ignore[no-untyped-call]
    return said


def _rows(x: Tensor) -> Tensor:
    """(pixels of all pictures, channels): free where the picture lies channels-last."""
    return x.permute(0, 2, 3, 1).flatten(0, 2)


def _patches(x: Tensor, kernel: Pair, stride: Pair, padding: Pair) -> Tensor:
    """What the kernel sees at every place where it stands: (places of all pictures, taps x channels)."""
    h = x.permute(0, 2, 3, 1)
    if any(padding):
        h = F.pad(h, (0, 0, padding[1], padding[1], padding[0], padding[0]))
    seen = h.unfold(1, kernel[0], stride[0]).unfold(2, kernel[1], stride[1])
    return seen.permute(0, 1, 2, 4, 5, 3).flatten(3).flatten(0, 2)


def _planes(x: Tensor, kernel: Pair, stride: Pair, padding: Pair) -> Tensor:
    """The same, turned: (taps x channels, places)."""
    h = x.transpose(0, 1)
    if any(padding):
        h = F.pad(h, (padding[1], padding[1], padding[0], padding[0]))
    seen = h.unfold(2, kernel[0], stride[0]).unfold(3, kernel[1], stride[1])
    return seen.permute(4, 5, 0, 1, 2, 3).flatten(3).flatten(0, 2)


def _phases(taps: int, stride: int, padding: int) -> list[list[Pair]]:
    """Of output places with each remainder by `stride`: the taps that add to them, from how many pixels further on."""
    far = [[(tap, place + padding - tap) for tap in range(taps)] for place in range(stride)]
    return [[(tap, pixels // stride) for tap, pixels in phase if pixels % stride == 0] for phase in far]


def _collect(parts: Tensor, stride: Pair, padding: Pair, size: Pair) -> Tensor:
    """The transposed convolution, from what each tap of each pixel adds: (*kernel, out, n, h, w) -> (out, n, *size)."""
    down, across = (_phases(parts.shape[i], stride[i], padding[i]) for i in (0, 1))
    height, width = each(lambda n, s: -(-n // s), size, stride)
    margins = []
    for phases, there, here in ((across, width, parts.shape[5]), (down, height, parts.shape[4])):
        shifts = [shift for phase in phases for _, shift in phase]
        margins += [max(0, -min(shifts)), max(0, there + max(shifts) - here)]
    parts, left, top = F.pad(parts, margins), margins[0], margins[2]
    nothing = parts.new_zeros(())

    def total(rows: list[Pair], columns: list[Pair]) -> Tensor:
        terms = [parts[a, b].narrow(2, top + i, height).narrow(3, left + j, width) for a, i in rows for b, j in columns]
        return sum(terms[1:], start=terms[0]) if terms else nothing.expand(*parts.shape[2:4], height, width)

    sums = [total(rows, columns) for rows in down for columns in across]
    if len(sums) == 1:
        return sums[0]
    woven = torch.stack(sums, -1).reshape(*sums[0].shape, *stride).permute(0, 1, 2, 4, 3, 5)
    return woven.flatten(4, 5).flatten(2, 3)[:, :, : size[0], : size[1]]


def _bias_gradient(g: Tensor, wanted: torch.dtype | None) -> Tensor | None:
    """The sum over all pixels, as a product: that accumulates bfloat16 in float32 at twice the speed of `sum`."""
    if wanted is None:
        return None
    rows = _rows(g)
    return (rows.new_ones(1, len(rows)) @ rows).squeeze(0).to(wanted)


class _ByPatches(torch.autograd.Function):
    """A native convolution (transposed where `more` is said), its weight gradient by patches and one product."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, *how: Any) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.bias, ctx.how = None if bias is None else bias.dtype, how
        stride, padding, more = how
        given = None if bias is None else bias.to(x.dtype)
        if more is None:
            return torch.convolution(x, weight, given, stride, padding, (1, 1), False, (0, 0), 1)
        said = torch.convolution(x, weight, None, stride, padding, (1, 1), True, more, 1)
        return said if given is None else said.add_(given.reshape(-1, 1, 1))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight), (stride, padding, more), (g,) = ctx.saved_tensors, ctx.how, gradients
        dx = None
        if ctx.needs_input_grad[0]:
            how = (stride, padding, (1, 1), more is not None, more or (0, 0), 1)
            dx = torch.ops.aten.convolution_backward(g, x, weight, None, *how, (True, False, False))[0]
        if not ctx.needs_input_grad[1]:
            return dx, None, _bias_gradient(g, ctx.bias if ctx.needs_input_grad[2] else None), None, None, None
        rowed, patched, kernel = (g, x, weight.shape[2:]) if more is None else (x, g, weight.shape[2:])
        flat = _rows(rowed).t() @ _patches(patched, kernel, stride, padding)
        dw = flat.reshape(rowed.shape[1], *kernel, patched.shape[1]).permute(0, 3, 1, 2)
        return dx, dw, _bias_gradient(g, ctx.bias), None, None, None


class _Collected(torch.autograd.Function):
    """A transposed convolution to few channels: `_collect` after one product; backward by `_planes` and two."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, *how: Any) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.bias, ctx.how = None if bias is None else bias.dtype, how
        (stride, padding, size), (inp, out, *kernel) = how, weight.shape
        parts = weight.permute(2, 3, 1, 0).reshape(-1, inp) @ _rows(x).t()
        said = _collect(parts.reshape(*kernel, out, len(x), *x.shape[2:]), stride, padding, size).transpose(0, 1)
        return said if bias is None else said + bias.to(x.dtype).reshape(-1, 1, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight), (stride, padding, _), (g,) = ctx.saved_tensors, ctx.how, gradients
        inp, out, *kernel = weight.shape
        seen, dx = _planes(g, kernel, stride, padding), None
        if ctx.needs_input_grad[0]:
            flat = seen.t() @ weight.permute(2, 3, 1, 0).reshape(-1, inp)
            dx = flat.reshape(len(x), *x.shape[2:], inp).permute(0, 3, 1, 2)
        dw = (seen @ _rows(x)).reshape(*kernel, out, inp).permute(3, 2, 0, 1)
        return dx, dw, _bias_gradient(g, ctx.bias), None, None, None
