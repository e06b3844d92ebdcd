"""What an array of this shape, type and range is, decided by looking and said in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from morphogen.core.space import Image, Space, Tokens, Vector
from morphogen.data.scales import Range, Scale, scale_of
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
    white: float | None = None  # of pictures: the number that is white


def look(shape: tuple[int, ...], seen: Survey, name: str, dtype: str) -> Look:
    """Rows of `shape`: two axes or three are a picture, one is a table (floats) or a sequence of symbols (integers)."""
    if 0 in shape or len(shape) not in (1, 2, 3):
        raise UserError(f"{name}: examples of shape {shape} are neither pictures, (H,W) or (H,W,C), nor rows, (D)")
    if len(shape) > 1:
        return _picture(shape, seen, name, dtype)
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


def _picture(shape: tuple[int, ...], seen: Survey, name: str, dtype: str) -> Look:
    layout, (height, width, channels), word = _layout(shape, name)
    scale = scale_of(Range(dtype, seen.low, seen.high, seen.whole), name)
    space = Image(height, width, channels, scale.levels)
    arrange, note = partial(_pixels, layout, scale), f"pictures {word}, {scale.note}"
    return Look(space, arrange, note, 0, scale.white, scale.white)


def _layout(shape: tuple[int, ...], name: str) -> tuple[tuple[int, ...], tuple[int, int, int], str]:
    """The axes in the order (N, H, W, C)."""
    if len(shape) == 2:
        return (), (*shape, 1), "(N,H,W)"
    if shape[2] in CHANNELS and not (shape[0] in CHANNELS and shape[0] > shape[2]):
        return (0, 1, 2, 3), (shape[0], shape[1], shape[2]), "(N,H,W,C)"
    if shape[0] in CHANNELS:
        return (0, 2, 3, 1), (shape[1], shape[2], shape[0]), "(N,C,H,W)"
    raise UserError(f"{name}: pictures of shape {shape} have no axis of 1 to 4 channels; save (N,H,W,C) or (N,C,H,W)")


def _pixels(layout: tuple[int, ...], scale: Scale, stored: Tensor) -> Tensor:
    values = stored.permute(layout) if layout else stored.unsqueeze(-1)
    return scale.stored(values).contiguous()
