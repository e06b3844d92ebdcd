"""What one example is: its shape, its range, its levels.

Data is *stored* compactly (uint8 pixels, int tokens, float columns) and *read* as the tensor that a model sees. Only
this file, `nets/`, `data/` and `files.py` know what a picture is; everything else asks the Space.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from morphogen.errors import UserError, did_you_mean

__all__ = ["Image", "Sound", "Space", "Tokens", "Vector", "space_from_facts"]


class Space:
    """One example as a tensor of `shape`; `levels` is the number of values an element can take, 0 for real numbers."""

    kind: ClassVar[str]
    plural: ClassVar[str] = "examples"  # what many of them are called
    gaps: ClassVar[bool] = False  # whether a stored value may be missing (NaN)
    levels: int

    @property
    def shape(self) -> tuple[int, ...]:
        raise TypeError("Space is abstract: use Image, Tokens, Sound or Vector")

    @property
    def size(self) -> int:
        """Elements in one example: the `dimensions` of bits per dimension."""
        return math.prod(self.shape)

    @property
    def sites(self) -> tuple[int, ...]:
        """Where the elements stand: pixels, moments, columns. An example views as (depth, *sites)."""
        return self.shape

    @property
    def depth(self) -> int:
        """Elements at each site: colours of a pixel, channels of a sound."""
        return self.size // math.prod(self.sites)

    def features(self, count: int) -> Space:
        """The space of `count` real numbers at every site: a tensor of it views as (count, *self.sites)."""
        raise TypeError(f"a {self.kind} cannot be widened")

    def times(self, count: int) -> Space:
        """The space of `count` real numbers for every element: a tensor of it views as (count, *self.shape)."""
        return self.features(count * self.depth)

    def read(self, stored: Tensor) -> Tensor:
        """Stored values, as they lie in memory or in a file, to what a model sees."""
        return stored.to(torch.get_default_dtype())

    def write(self, x: Tensor) -> Tensor:
        """What a model says, to values as they are stored: the inverse of `read` on the data's own values."""
        return x

    def opened(self, x: Tensor) -> Tensor:
        """x with NaN where nothing was stored: what a damage calls missing."""
        return x

    def whole(self, where: Tensor) -> Tensor:
        """Elements to hide, as whole as they are hidden: with one element of a cell go the others."""
        return where

    def average(self, means: Tensor) -> Tensor:
        """The mean of what can be x, of the means given each code, which are in front."""
        return means.float().mean(0)

    def facts(self) -> dict[str, Any]:
        """A plain dictionary from which `space_from_facts` makes this space again."""
        return {"kind": self.kind} | asdict(cast("Any", self))


@dataclass(frozen=True)
class Image(Space):
    """A picture. Stored (height, width, channels), read (channels, height, width) in [0, 1], laid out channels-last."""

    kind: ClassVar[str] = "image"
    plural: ClassVar[str] = "images"
    height: int
    width: int
    channels: int = 1
    levels: int = 256

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.channels, self.height, self.width)

    @property
    def sites(self) -> tuple[int, ...]:
        return (self.height, self.width)

    def features(self, count: int) -> Image:
        return Image(self.height, self.width, count, levels=0)

    def read(self, stored: Tensor) -> Tensor:
        top = max(self.levels - 1, 1)
        return stored.movedim(-1, -3).to(torch.get_default_dtype()).mul_(1.0 / top)

    def write(self, x: Tensor) -> Tensor:
        top = max(self.levels - 1, 1)
        kind = torch.uint8 if top < 256 else torch.uint16
        return (x.movedim(-3, -1).float() * top).round_().clamp_(0, top).to(kind)


@dataclass(frozen=True)
class Tokens(Space):
    """A sequence of symbols 0 .. levels-1; `alphabet`, if any, is what each symbol looks like."""

    kind: ClassVar[str] = "tokens"
    plural: ClassVar[str] = "sequences"
    length: int
    levels: int
    alphabet: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length,)

    def features(self, count: int) -> Sound:
        return Sound(self.length, channels=count)

    def read(self, stored: Tensor) -> Tensor:
        return stored.to(torch.int64)

    def write(self, x: Tensor) -> Tensor:
        return x.to(torch.int64)


@dataclass(frozen=True)
class Sound(Space):
    """A waveform or any series of real numbers, (channels, length), in [-1, 1]; `rate` in hertz, 0 if it is none."""

    kind: ClassVar[str] = "sound"
    plural: ClassVar[str] = "sounds"
    length: int
    channels: int = 1
    rate: int = 0
    levels: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.channels, self.length)

    @property
    def sites(self) -> tuple[int, ...]:
        return (self.length,)

    def features(self, count: int) -> Sound:
        return Sound(self.length, count, self.rate)


@dataclass(frozen=True)
class Vector(Space):
    """A row of a table, or a latent code. `centre` and `scale`, where given, standardise the stored columns."""

    kind: ClassVar[str] = "vector"
    plural: ClassVar[str] = "rows"
    length: int
    columns: tuple[str, ...] = ()
    centre: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    levels: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length,)

    def features(self, count: int) -> Vector:
        return Vector(self.length * count)

    def read(self, stored: Tensor) -> Tensor:
        x = stored.to(torch.get_default_dtype())
        return (x - x.new_tensor(self.centre)) / x.new_tensor(self.scale) if self.centre else x

    def write(self, x: Tensor) -> Tensor:
        x = x.float()
        return x * x.new_tensor(self.scale) + x.new_tensor(self.centre) if self.centre else x


_KINDS: dict[str, type[Space]] = {space.kind: space for space in (Image, Tokens, Sound, Vector)}


def space_from_facts(facts: dict[str, Any]) -> Space:
    """The space that `Space.facts` described.

    >>> space_from_facts(Image(28, 28).facts())
    Image(height=28, width=28, channels=1, levels=256)
    """
    facts = dict(facts) if isinstance(facts, dict) else {}
    kind = facts.pop("kind", None)
    if kind == "table":
        from morphogen.core.table import Table  # it is built upon this file

        return Table.from_facts(facts)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise UserError(f"unknown kind of space {kind!r}; {did_you_mean(str(kind), _KINDS)}")
    facts = {k: tuple(v) if isinstance(v, list) else v for k, v in facts.items()}
    of: dict[str, tuple[type, ...]] = {"int": (int,), "tuple[str, ...]": (str,), "tuple[float, ...]": (int, float)}
    try:
        space = _KINDS[kind](**facts)
    except TypeError as error:
        raise UserError(f"a space of kind {kind!r} cannot be made from {sorted(facts)}: {error}") from None
    for field in fields(cast("Any", space)):
        value = getattr(space, field.name)
        single = str(field.type) == "int"
        values = (value,) if single else value
        if not isinstance(values, tuple) or not all(isinstance(v, of[str(field.type)]) for v in values):
            raise UserError(f"a space of kind {kind!r} cannot have {field.name} = {value!r}")
        if single and not (0 if field.name in ("levels", "rate") else 1) <= value < 2**31:
            raise UserError(f"a space of kind {kind!r} cannot have {field.name} = {value!r}")
    if space.size >= 2**31:
        raise UserError(f"a space of kind {kind!r} of {space.size:,} elements is larger than any that can be modelled")
    return space
