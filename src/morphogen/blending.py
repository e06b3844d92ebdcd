"""Blends of codes: weighted means, and weighted means as long as their parts (after White 2016, "Sampling generative
networks": the codes of a wide normal lie near a sphere, and their mean does not)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from morphogen.errors import UserError

__all__ = ["blend", "corners", "one", "pairs"]


def blend(codes: Tensor, shares: Tensor, spherical: bool = False) -> Tensor:
    """A row for each row of shares; where codes cancel one another, their mean is all there is."""
    mean = shares @ codes
    if not spherical:
        return mean
    length = shares.abs() @ codes.norm(dim=1, keepdim=True)
    own = mean.norm(dim=1, keepdim=True)
    return torch.where(own > 1e-3 * length, mean * length / own.clamp_min(1e-30), mean)


def one(weights: Sequence[float], count: int) -> Tensor:
    """One blend of all, by weights that are made to sum to one."""
    if len(weights) != count:
        raise UserError(f"there are {len(weights)} weights and {count} examples; give one for each")
    given = torch.tensor([list(weights)])
    if not 1e-6 < float(given.sum()) < float("inf"):
        raise UserError(f"weights sum to {float(given.sum()):g}; give some that sum to a number above 0")
    return given / given.sum()


def corners(steps: int) -> Tensor:
    """A square of blends of four, with one of them in each corner."""
    way = torch.linspace(0, 1, steps) if steps > 1 else torch.full((1,), 0.5)
    down, across = way[:, None].expand(-1, steps).flatten(), way.repeat(steps)
    ends = ((1 - down) * (1 - across), (1 - down) * across, down * (1 - across), down * across)
    return torch.stack(ends, 1)


def pairs(count: int) -> Tensor:
    """Every two of them half and half; of one with itself, itself."""
    eye = torch.eye(count)
    return ((eye[:, None] + eye[None]) / 2).flatten(0, 1)
