"""Pictures of any size by a model of one size: tiles that overlap by half, restored each by itself and blended under
windows that fall to their rims, so that no seam is seen.

Means are averaged. Draws of tiles that overlap are independent, and their average would vary too little: their
distances from the mean are put together so that the variance stays, d = sum w d_i / sqrt(sum w^2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from morphogen.core.damage import Chain, chain, missing
from morphogen.core.space import Image
from morphogen.core.worded import read_damage
from morphogen.errors import UserError
from morphogen.progress import Tally
from morphogen.restoration import Restored, summed

__all__ = ["large_space", "restore_tiles", "window"]

FLOOR = 1e-3  # of a window at its rim
ROWS = 100  # tiles that are restored at once
ROOM = 2**29  # numbers of all draws of one picture


def large_space(space: Image, height: int, width: int) -> Image:
    """The space of larger pictures of the same kind."""
    if height < space.height or width < space.width:
        raise UserError(
            f"pictures of {width} x {height} are smaller than the model's {space.width} x {space.height}; enlarge "
            "them, or leave tiles out"
        )
    return replace(space, height=height, width=width)


def tile_damage(damage: Chain, y: Tensor, tile: Image) -> Chain:
    """The damage of one tile: as strong as that of the whole, and missing is what y lacks."""
    parts = read_damage(damage.learned(y).told())
    given = read_damage("mask=given")[0]
    return chain(tile, [given if part.use == "mask" else part for part in parts])


def restore_tiles(y: Tensor, damage: Chain, tile: Image, undo: Callable[[Tensor, Chain], Restored]) -> Restored:
    """One damaged picture, (1, ...), restored tile by tile; `undo` restores a batch of tiles."""
    space = damage.space
    assert isinstance(space, Image)
    small = tile_damage(damage, y, tile)
    left = small.left
    assert isinstance(left, Image)
    times = tile.height // left.height
    spots = [
        (top, at) for top in _starts(space.height, tile.height, times) for at in _starts(space.width, tile.width, times)
    ]
    cut = [
        y[..., top // times : top // times + left.height, at // times : at // times + left.width] for top, at in spots
    ]
    weight = window(tile)
    total, squares, mean = (torch.zeros(1, *space.shape) for _ in range(3))
    away: Tensor | None = None
    tally = Tally(len(spots), "restore: tiles")
    for first in range(0, len(spots), ROWS):
        found = undo(torch.cat(cut[first : first + ROWS]), small)
        if away is None:
            away = _room(len(found.draws), space)
        for i, (top, at) in enumerate(spots[first : first + ROWS]):
            where = (..., slice(top, top + tile.height), slice(at, at + tile.width))
            total[where] += weight
            squares[where] += weight.square()
            mean[where] += weight * found.mean[i].cpu()
            away[where] += weight * (found.draws[:, i : i + 1] - found.mean[i]).cpu()
        tally(len(cut[first : first + ROWS]))
    assert away is not None
    mean = mean / total
    whole = summed(mean[None], mean + away / squares.sqrt(), space)
    if damage.hides and y.shape == mean.shape:
        whole = replace(whole, mean=torch.where(missing(y), whole.mean, y))
    return whole


def _room(samples: int, space: Image) -> Tensor:
    """A place for all draws of one picture."""
    if samples * space.size > ROOM:
        raise UserError(
            f"{samples} draws of a picture of {space.width} x {space.height} take more memory than is wise; give "
            f"samples of {max(ROOM // space.size, 2)} at most"
        )
    return torch.zeros(samples, 1, *space.shape)


def window(tile: Image) -> Tensor:
    """Highest in the middle, and nearly nothing at the rim (a squared sine)."""
    one = [torch.sin(torch.pi * (torch.arange(size) + 0.5) / size).square() + FLOOR for size in tile.sites]
    return one[0][:, None] * one[1]


def _starts(size: int, tile: int, times: int) -> list[int]:
    """Where tiles begin: half a tile apart, in whole pixels of what is left; the last ends where the picture does."""
    step = max(tile // 2 // times * times, times)
    starts = list(range(0, size - tile + 1, step))
    return starts if starts[-1] == size - tile else [*starts, size - tile]
