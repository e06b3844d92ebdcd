"""Conjugate gradients (Hestenes and Stiefel 1952, "Methods of conjugate gradients for solving linear systems"), many
systems at once, each with steps of its own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["conjugate"]

TINY = 1e-12  # what is smaller is rounding, and steps along it would wander


def conjugate(
    push: Callable[[Tensor], Tensor],
    left: Tensor,
    axes: tuple[int, ...],
    *,
    rounds: int,
    start: Tensor | None = None,
    near: float = 0.0,
    scale: Tensor | float = 1.0,
) -> Tensor:
    """`start` (0 without it) and u for which push(u) = left, where push is linear, symmetric and positive; each system
    lies along `axes`. Ends after so many rounds, or when of every system no more than `near` is left; `scale` is about
    push's diagonal."""
    found = torch.zeros_like(left) if start is None else start
    first = left.square().sum(axes, keepdim=True)
    way = ready = left / scale
    power = (left * ready).sum(axes, keepdim=True)
    for _ in range(rounds):
        if bool((left.square().sum(axes, keepdim=True) <= near**2 * first).all()):
            break
        met = push(way)
        step = power / (way * met).sum(axes, keepdim=True).clamp_min(TINY)
        found, left = found + step * way, left - step * met
        ready = left / scale
        before, power = power, (left * ready).sum(axes, keepdim=True)
        way = ready + power / before.clamp_min(TINY) * way
    return found
