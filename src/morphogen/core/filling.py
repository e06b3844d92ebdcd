"""A first guess of what is missing: a surface over the gaps that bends as little as may be (Damelin and Hoang 2018, "On
surface completion and image inpainting by biharmonic functions")."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from morphogen.core.conjugate import conjugate
from morphogen.core.space import Space

__all__ = ["filled"]

ROUNDS = 10


def filled(y: Tensor, gone: Tensor, space: Space) -> Tensor:
    """y without what is gone: smooth over narrow gaps, and in wide ones as their rims are.

    Where elements have no neighbours that are alike (columns, symbols) it becomes the middle of its range.
    """
    if not bool(gone.any()):
        return y
    middle = 0.5 if space.levels and y.is_floating_point() else 0
    if space.kind not in ("image", "sound"):
        return y.masked_fill(gone, middle)
    shape = (-1, 1, space.sites[0] if len(space.sites) == 2 else 1, space.sites[-1])
    hole = gone.reshape(shape)
    return _smoothed(_from_the_rim(y.masked_fill(gone, 0).reshape(shape), hole, middle), hole).reshape(y.shape)


def _from_the_rim(values: Tensor, hole: Tensor, middle: float) -> Tensor:
    """Each missing element as the mean of its neighbours, from the rim of a hole inwards."""
    known = (~hole).to(values.dtype)
    box = torch.ones(1, 1, 3, 3, dtype=values.dtype, device=values.device)
    for _ in range(sum(values.shape[-2:])):
        weight = nn.functional.conv2d(known, box, padding=1)
        near = nn.functional.conv2d(values, box, padding=1) / weight.clamp_min(1)
        reached = (known == 0) & (weight > 0)
        if not bool(reached.any()):
            break
        values, known = torch.where(reached, near, values), torch.maximum(known, reached.to(known.dtype))
    return torch.where(known > 0, values, middle)


def _smoothed(x: Tensor, hole: Tensor) -> Tensor:
    """Towards the least sum of squares of the Laplacian, by conjugate gradients: a few rounds are all
    that narrow gaps need, and far within wide ones nothing changes in so few."""
    free = hole.to(x.dtype)

    def push(u: Tensor) -> Tensor:
        return free * _laplacian(_laplacian(u))

    moved = conjugate(push, -push(x), (1, 2, 3), start=x, rounds=ROUNDS)
    return moved.clamp(x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True))


def _laplacian(x: Tensor) -> Tensor:
    """Neighbours less the element itself, of those four that lie within: a symmetric map."""
    out = torch.zeros_like(x)
    for axis in (-2, -1):
        slope = x.diff(dim=axis)
        size = slope.shape[axis]
        out.narrow(axis, 0, size).add_(slope)
        out.narrow(axis, 1, size).sub_(slope)
    return out
