"""Pictures laid out for the eye: a near-square sheet, thin gutters, small pictures enlarged by whole pixels."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from morphogen.core.space import Image

__all__ = ["contact_sheet", "enlarge", "pixels"]

Pixels = NDArray[np.uint8]
GUTTER = 2
TILE = 56  # Tiles are enlarged to at least so many pixels a side.
SHEET = 4096  # ... but a sheet is not made larger than this for it.
PAPER = 255
CHECKS = (204, 238)


def pixels(values: Tensor, space: Image) -> Pixels:
    """What a model says of pictures, (N, C, H, W) in [0, 1], as bytes (N, H, W, C) with C one of 1, 3, 4."""
    x = values.detach().float().cpu().nan_to_num(0.0).clamp(0, 1).mul(255).round()
    bytes_ = x.reshape(-1, *space.shape).movedim(1, -1).numpy().astype(np.uint8)
    if space.channels in (1, 3, 4):
        return bytes_
    shown = np.zeros((*bytes_.shape[:-1], 3), np.uint8)
    shown[..., : min(3, space.channels)] = bytes_[..., :3]
    return shown


def enlarge(tiles: Pixels, times: int) -> Pixels:
    """Each pixel a square of `times` by `times`."""
    return tiles.repeat(times, 1).repeat(times, 2)


def contact_sheet(tiles: Pixels, columns: int = 0, times: int = 0, gutter: int = GUTTER) -> Pixels:
    """Tiles (N, H, W, C) as one picture, in reading order; `columns` and `times` 0: chosen to look well.

    >>> contact_sheet(np.zeros((4, 28, 28, 1), np.uint8)).shape
    (118, 118, 1)
    """
    count, height, width, depth = tiles.shape
    columns = columns or squarest(count, height, width)
    rows = -(-count // columns)
    tiles = enlarge(tiles, times or _times(height, width, rows, columns))
    height, width = tiles.shape[1:3]
    paper = np.full((rows * (height + gutter) + gutter, columns * (width + gutter) + gutter, depth), PAPER, np.uint8)
    for number, tile in enumerate(tiles):
        top = gutter + number // columns * (height + gutter)
        left = gutter + number % columns * (width + gutter)
        paper[top : top + height, left : left + width] = tile
    return paper


def squarest(count: int, height: int, width: int) -> int:
    """The columns that make the sheet nearly square, full rows preferred."""
    best, choice = math.inf, 1
    for columns in range(1, count + 1):
        rows = -(-count // columns)
        tall, wide = rows * height, columns * width
        cost = max(tall, wide) / min(tall, wide) + 1.5 * (rows * columns - count) / count
        if cost < best + 1e-9:
            best, choice = cost, columns
    return choice


def _times(height: int, width: int, rows: int, columns: int) -> int:
    wanted = -(-TILE // min(height, width))
    room = SHEET // max(rows * height, columns * width)
    return max(1, min(wanted, room))


def on_checks(tile: Pixels) -> Pixels:
    """RGBA on a grey chequered board, as RGB: for animations, which know no half-transparency."""
    height, width = tile.shape[:2]
    board = (np.add.outer(np.arange(height) // 8, np.arange(width) // 8) % 2)[..., None]
    back = np.where(board == 0, CHECKS[0], CHECKS[1]).astype(np.float32)
    alpha = tile[..., 3:].astype(np.float32) / 255
    blended: Pixels = np.rint(tile[..., :3] * alpha + back * (1 - alpha)).astype(np.uint8)
    return blended
