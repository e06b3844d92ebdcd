"""How much fine detail there is: the power of a picture or a sound beyond a quarter of the sampling rate, where blur
takes it away first and noise puts it (Durall, Keuper and Keuper 2020 look at the same end of the spectrum)."""

from __future__ import annotations

import torch
from torch import Tensor

from morphogen.core.space import Space

__all__ = ["fine", "has_detail"]

FINE = 0.25  # cycles a pixel; a picture holds none beyond 0.5 either way


def has_detail(space: Space) -> bool:
    """Whether neighbours in it are near one another: columns of a table and symbols have no spectrum."""
    return space.kind in ("image", "sound") and min(space.sites) >= 4


def fine(x: Tensor, space: Space) -> Tensor:
    """The power of each example beyond `FINE`, per element.

    >>> from morphogen.core.space import Image
    >>> stripes = (torch.arange(8) % 2).float().expand(2, 1, 8, 8)
    >>> fine(stripes, Image(8, 8)).tolist(), fine(torch.ones(1, 1, 8, 8), Image(8, 8)).tolist()
    ([0.25, 0.25], [0.0])
    """
    axes = tuple(range(-len(space.sites), 0))
    power = torch.fft.fftn(x.double(), dim=axes, norm="ortho").abs().square()
    grids = torch.meshgrid(*(torch.fft.fftfreq(size, dtype=torch.float64) for size in space.sites), indexing="ij")
    beyond = torch.stack(grids).square().sum(0).sqrt() > FINE
    said: Tensor = (power * beyond.to(x.device)).flatten(1).sum(1) / space.size
    return said
