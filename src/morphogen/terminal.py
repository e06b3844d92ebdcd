"""Samples of any Space as text for a terminal: half blocks in colour, an ASCII ramp where there is no colour."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from morphogen.core.space import Image, Sound, Space, Tokens
from morphogen.core.table import Table
from morphogen.data.rows import texts
from morphogen.escape import shown
from morphogen.sheet import pixels

__all__ = ["aligned", "show"]

RAMP = " .:-=+*#%@"
BARS = "▁▂▃▄▅▆▇█"
SIDE = 32  # Larger pictures are thinned to so many columns.
WIDTH = 100
COLUMN = 20


def show(values: Tensor, space: Space, *, colour: bool = False, count: int = 4) -> str:
    """A few of `values` as they would be told to a person; `colour` for terminals that know 24-bit colour."""
    few = values.detach().cpu()[:count]
    if isinstance(space, Image):
        return _blocks(few, space) if colour else _ramp(few, space)
    if isinstance(space, Tokens):
        return "\n".join(shown(text(row, space)) for row in few.tolist())
    if isinstance(space, Sound):
        return "\n".join(_spark(row) for row in few.float().mean(1).numpy())
    if isinstance(space, Table):
        return aligned(space.names, texts(space.write(few), space))
    rows = space.write(few).reshape(len(few), -1).tolist()
    return "\n".join("  ".join(f"{v:9.4g}" for v in row[:8]) + (" ..." if len(row) > 8 else "") for row in rows)


def aligned(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The names of the columns and a line for each row, as many columns as the page is wide."""
    lines = [[shown(cell)[:COLUMN] for cell in row] for row in (names, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    fits = sum(total <= WIDTH for total in accumulate(width + 2 for width in widths)) or 1
    more = " ..." if fits < len(widths) else ""
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line[:fits], widths, strict=False)) + more for line in lines
    )


def text(row: list[int], space: Tokens) -> str:
    """One sequence in its alphabet, or as numbers."""
    if not space.alphabet:
        return " ".join(str(token) for token in row)
    gap = "" if all(len(word) == 1 for word in space.alphabet) else " "
    return gap.join(space.alphabet[token] if 0 <= token < len(space.alphabet) else "?" for token in row)


def _side_by_side(few: Tensor, space: Image) -> NDArray[np.uint8]:
    """The pictures in a row, thinned, RGB, an even number of lines."""
    tiles = pixels(few, space)[..., :3]
    thin = max(1, -(-space.width // SIDE))
    tiles = tiles[:, ::thin, ::thin]
    tiles = tiles.repeat(3, -1) if tiles.shape[-1] == 1 else tiles
    tiles = tiles[: max(1, WIDTH // (tiles.shape[2] + 1))]
    tiles = np.pad(tiles, ((0, 0), (0, tiles.shape[1] % 2), (0, 1), (0, 0)))
    return np.concatenate(list(tiles), axis=1)[:, :-1]


def _blocks(few: Tensor, space: Image) -> str:
    """Two pixels a character: the upper half block in the colour of one on the colour of the other."""
    paper = _side_by_side(few, space)
    lines = []
    for top, bottom in zip(paper[::2].tolist(), paper[1::2].tolist(), strict=True):
        marks = (
            f"\x1b[38;2;{a[0]};{a[1]};{a[2]};48;2;{b[0]};{b[1]};{b[2]}m▀" for a, b in zip(top, bottom, strict=True)
        )
        lines.append("".join(marks) + "\x1b[0m")
    return "\n".join(lines)


def _ramp(few: Tensor, space: Image) -> str:
    paper = _side_by_side(few, space).astype(np.float32).mean(-1)
    paper = (paper[::2] + paper[1::2]) / 2
    steps = (paper * (len(RAMP) - 1) / 255).round().astype(int)
    return "\n".join("".join(RAMP[s] for s in line).rstrip() for line in steps.tolist())


def _spark(wave: NDArray[np.float32]) -> str:
    """The loudest of each stretch of a wave."""
    pieces = np.array_split(np.abs(np.nan_to_num(wave)), min(WIDTH, len(wave)))
    peaks = np.array([piece.max() for piece in pieces])
    steps = (peaks / max(float(peaks.max()), 1e-9) * (len(BARS) - 1)).round().astype(int)
    return "".join(BARS[s] for s in steps)
