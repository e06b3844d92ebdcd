"""What the numbers of an array of pictures stand for: which of them is white, 0 being black. Decided by looking, by one
rule for training and for every task, and refused where two meanings would fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from morphogen.errors import UserError

__all__ = ["Range", "Scale", "scale_for", "scale_of"]

WIDE = 16_384  # 16-bit pictures whose brightest is below this are rather of 10, 12 or 14 bits
WIDEST = 65_535


@dataclass(frozen=True)
class Range:
    """What was seen of the numbers: their type and range; `whole`, whether all are whole numbers."""

    dtype: str
    low: float
    high: float
    whole: bool

    @property
    def real(self) -> bool:
        """Whether they are saved as real numbers."""
        return "float" in self.dtype

    @property
    def words(self) -> str:
        """The range as a message says it."""
        return f"pixels from {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Scale:
    """The number that is white, the levels that pictures are stored in, and that in words."""

    white: float
    levels: int
    note: str

    def stored(self, values: Tensor) -> Tensor:
        """Numbers as levels, rounded to the nearest."""
        top = self.levels - 1
        if self.white != top:
            values = (values.to(torch.float32) * (top / self.white)).round_().clamp_(0, top)
        return values.to(torch.uint8 if top < 256 else torch.int32)


def scale_of(seen: Range, name: str) -> Scale:
    """Of an array to train on: from its numbers alone."""
    if seen.low >= 0 and seen.high <= 1 and (not seen.real or seen.whole):
        return Scale(1, 2, "two levels")
    if seen.real and _within(seen, 1, 255):
        return Scale(1, 256, "floats in 0..1 rounded to 256 levels")
    if seen.low >= 0 and seen.high <= 255 and (not seen.real or seen.whole):
        return Scale(255, 256, "256 levels")
    if seen.dtype == "uint16":
        return _sixteen(seen, 256, name)
    raise _refused(seen, 256, name)


def scale_for(seen: Range, levels: int, name: str, known: Mapping[str, Any]) -> Scale:
    """Of an array for a model of so many levels; `known` is what training remembers of its own (`Dataset.array`), which
    decides where the numbers alone would not: dark pictures, say, of which no number is above 1."""
    top, white = levels - 1, known.get("white")
    mine = str(known.get("dtype", ""))
    alike = (seen.dtype == mine or (seen.real and "float" in mine)) and isinstance(white, (int, float)) and white > 0
    if seen.dtype == "bool":
        return Scale(1, levels, "black and white")
    if alike and white == WIDEST and seen.low >= 0 and seen.high <= WIDEST and levels == 256:
        return Scale(WIDEST, levels, "16 bits rounded to 256 levels")
    if alike and white == top and seen.low >= 0 and seen.high <= top and seen.whole:
        return Scale(top, levels, f"{levels} levels")
    if seen.real and _within(seen, 1, top):
        return Scale(1, levels, f"floats in 0..1 rounded to {levels} levels")
    if seen.low >= 0 and seen.high <= top and (not seen.real or seen.whole):
        return Scale(top, levels, f"{levels} levels")
    if seen.dtype == "uint16" and levels == 256:
        return _sixteen(seen, levels, name)
    raise _refused(seen, levels, name)


def _within(seen: Range, white: float, top: int) -> bool:
    """Whether all numbers come to lie within the levels when they are rounded."""
    half = 0.5 * white / top
    return -half < seen.low and seen.high < white + half


def _sixteen(seen: Range, levels: int, name: str) -> Scale:
    if seen.high < WIDE:
        raise UserError(
            f"{name}: {seen.words} in 16 bits, which go to 65,535: if white is {int(seen.high):,}, save "
            f"x / {int(seen.high)} as float32; if the pictures are as dark as that, x / 65535"
        )
    return Scale(WIDEST, levels, f"16 bits rounded to {levels} levels")


def _refused(seen: Range, levels: int, name: str) -> UserError:
    remedy = "from -1..1: (x + 1) / 2"
    if seen.real and seen.low >= 0 and 1 < seen.high <= 255:
        remedy = "of 0..255: x / 255"
    elif seen.low >= 0 and seen.high > 255:
        remedy = f"if white is {seen.high:g}: x / {seen.high:g}"
    elif levels == 2 and not seen.real:
        remedy = "two levels are 0 and 1: x > 127"
    span = f"0..{levels - 1}"
    return UserError(f"{name}: {seen.words}; save uint8 in {span} or floats in 0..1 ({remedy})")
