"""What an array of this shape, type and range is, decided by looking and said in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from morphogen.core.space import Image, Space, Tokens, Vector
from morphogen.data.survey import Survey
from morphogen.errors import UserError

__all__ = ["Look", "look"]

SYMBOLS = 65_536
CHANNELS = (1, 2, 3, 4)


@dataclass
class Look:
    """A space, how the file's rows become its stored examples, the range that this holds for, and why."""

    space: Space
    arrange: Callable[[Tensor], Tensor]
    note: str
    low: float = float("-inf")
    high: float = float("inf")


def look(shape: tuple[int, ...], seen: Survey, name: str) -> Look:
    """Rows of `shape`: two axes or three are a picture, one is a table (floats) or a sequence of symbols (integers)."""
    if 0 in shape or len(shape) not in (1, 2, 3):
        raise UserError(f"{name}: examples of shape {shape} are neither pictures, (H,W) or (H,W,C), nor rows, (D)")
    if len(shape) > 1:
        return _picture(shape, seen, name)
    if seen.kind == "f":
        note = "rows of real numbers, columns standardised by the training split"
        return Look(Vector(shape[0], tuple(f"c{i}" for i in range(shape[0]))), _floats, note)
    if seen.low < 0 or seen.high >= SYMBOLS:
        raise UserError(
            f"{name}: whole numbers from {seen.low:g} to {seen.high:g} are not symbols 0 .. {SYMBOLS - 1}; "
            "if this is a table, save it as float32"
        )
    levels = max(int(seen.high) + 1, 2)
    note = f"sequences of {shape[0]} symbols, {levels} of them"
    return Look(Tokens(shape[0], levels), _narrow(levels), note, 0, levels - 1)


def _floats(stored: Tensor) -> Tensor:
    return stored.to(torch.float32)


def _narrow(levels: int) -> Callable[[Tensor], Tensor]:
    return partial(torch.Tensor.to, dtype=torch.uint8 if levels <= 256 else torch.int32)


def _picture(shape: tuple[int, ...], seen: Survey, name: str) -> Look:
    layout, (height, width, channels), word = _layout(shape, name)
    scale, levels, note = _levels(seen, name)
    top = 1.0 if scale == 255 or levels == 2 else 255.0
    return Look(
        Image(height, width, channels, levels), partial(_pixels, layout, scale), f"pictures {word}, {note}", 0, top
    )


def _layout(shape: tuple[int, ...], name: str) -> tuple[tuple[int, ...], tuple[int, int, int], str]:
    """The axes in the order (N, H, W, C)."""
    if len(shape) == 2:
        return (), (*shape, 1), "(N,H,W)"
    if shape[2] in CHANNELS and not (shape[0] in CHANNELS and shape[0] > shape[2]):
        return (0, 1, 2, 3), (shape[0], shape[1], shape[2]), "(N,H,W,C)"
    if shape[0] in CHANNELS:
        return (0, 2, 3, 1), (shape[1], shape[2], shape[0]), "(N,C,H,W)"
    raise UserError(f"{name}: pictures of shape {shape} have no axis of 1 to 4 channels; save (N,H,W,C) or (N,C,H,W)")


def _levels(seen: Survey, name: str) -> tuple[int, int, str]:
    """What to multiply the values by, how many levels they have then, and that in words."""
    if seen.low >= 0 and seen.high <= 1 and (seen.kind != "f" or seen.whole):
        return 1, 2, "two levels"
    if seen.low >= 0 and seen.high <= 1:
        return 255, 256, "floats in 0..1 rounded to 256 levels"
    if seen.low >= 0 and seen.high <= 255 and (seen.kind != "f" or seen.whole):
        return 1, 256, "256 levels"
    raise UserError(
        f"{name}: pixels from {seen.low:g} to {seen.high:g}; save uint8 in 0..255 or floats in 0..1 "
        "(from -1..1: (x + 1) / 2)"
    )


def _pixels(layout: tuple[int, ...], scale: int, stored: Tensor) -> Tensor:
    values = stored.permute(layout) if layout else stored.unsqueeze(-1)
    if scale != 1:
        values = (values.to(torch.float32) * scale).round_()
    return values.to(torch.uint8).contiguous()
