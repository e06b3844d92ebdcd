"""Precision: what is compared, summed or logged has single precision at the least, double where it came in double.

What is said of an example depends on the examples beside it by rounding: a product over many rows adds up in another
order than one over few. Where it is then compared, as a verdict is, that may turn it. So it is found in double
precision and put on a grid that is far coarser than the rounding: a function of the example alone."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

__all__ = ["at_least_single", "in_double", "like_weights", "on_grid"]

GRID = 20  # bits that are kept of a number above 1, and after the binary point of one below

Net = TypeVar("Net", bound=nn.Module)


def at_least_single(x: Tensor) -> Tensor:
    """x in float32, or in float64 where it is so already: what autocast made shorter is widened.

    >>> at_least_single(torch.zeros(2, dtype=torch.bfloat16)).dtype, at_least_single(torch.zeros(2).double()).dtype
    (torch.float32, torch.float64)
    """
    return x if x.dtype == torch.float64 else x.float()


def in_double(model: Net) -> Net:
    """The model in double precision: a copy, where it is not yet. On a device that has none (MPS) it stays as it is."""
    first = _weight(model)
    if first is None or first.dtype == torch.float64 or first.device.type == "mps":
        return model
    return copy.deepcopy(model).double()


def like_weights(model: nn.Module, x: Tensor) -> Tensor:
    """Real numbers in the precision of the model's weights; symbols as they are."""
    first = _weight(model)
    return x if first is None or not x.is_floating_point() else x.to(first.dtype)


def _weight(model: nn.Module) -> Tensor | None:
    return next((t for t in (*model.parameters(), *model.buffers()) if t.is_floating_point()), None)


def on_grid(x: Tensor) -> Tensor:
    """x, in double precision, to a millionth of itself, and to a millionth where it is below 1.

    >>> bool(on_grid(torch.tensor(0.3).double()) == on_grid(torch.tensor(0.3).double() + 1e-12))
    True
    """
    _, size = torch.frexp(x.double().abs().clamp_min(1.0))
    step = torch.exp2((size - GRID).double())
    return (x.double() / step).round() * step
