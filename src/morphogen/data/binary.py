"""Pictures of two levels from pictures of many: dynamic, static or threshold binarisation, said in the protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from morphogen.core import noise
from morphogen.core.noise import Noise
from morphogen.core.space import Image
from morphogen.data.dataset import Dataset, Store
from morphogen.data.stamp import restamp
from morphogen.data.stores import Mapped, MemoryStore
from morphogen.errors import UserError

__all__ = ["Above", "Binary", "binarise", "mapped"]

Binary = Literal["dynamic", "static", "threshold"]
BLOCK = 4096


@dataclass(frozen=True)
class Coin:
    """Each pixel becomes 1 as often as it is bright. The stored pixels, 0 .. top, were read as they are."""

    top: int

    def __call__(self, x: Tensor) -> Tensor:
        return noise.bernoulli(x * (1.0 / self.top), event=3)


@dataclass(frozen=True)
class Above:
    """Each pixel becomes 1 where it is at least half as bright as can be."""

    top: int

    def __call__(self, stored: Tensor) -> Tensor:
        return (stored.to(torch.int32) * 2 >= self.top).to(torch.uint8)

    def dark(self, value: int) -> bool:
        """Whether a pixel of this value becomes 0."""
        return value * 2 < self.top


def binarise(data: Dataset, how: Binary) -> Dataset:
    """The same pictures with two levels."""
    space = data.space
    if not isinstance(space, Image):
        raise UserError(f"binary = {how!r} is for pictures; {data.name} holds {space.kind}")
    if space.levels == 2:
        return data
    top = space.levels - 1
    view: Callable[[Tensor], Tensor] | None = None
    splits = data.splits
    if how == "dynamic":
        view, word = Coin(top), "dynamic binarisation (drawn anew each time)"
    elif how == "static":
        seed = int(data.fingerprint[:12], 16)
        splits = {name: replace(part, x=_drawn(part.x, top, seed, name)) for name, part in splits.items()}
        word = "static binarisation (drawn once, seed from the fingerprint)"
    else:
        splits = {name: replace(part, x=mapped(part.x, Above(top))) for name, part in splits.items()}
        word = "binarised at one half"
    protocol = f"{data.protocol}; {word}" if data.protocol else word
    return replace(
        data,
        space=replace(space, levels=2),
        splits=splits,
        view=view,
        protocol=protocol,
        fingerprint=restamp(data.fingerprint, binary=how),
    )


def mapped(store: Store, function: Callable[[Tensor], Tensor]) -> Store:
    """A store whose examples went through a function: at once where they are in memory."""
    return MemoryStore(function(store.values)) if isinstance(store, MemoryStore) else Mapped(store, function)


def _drawn(store: Store, top: int, seed: int, name: str) -> Store:
    if not isinstance(store, MemoryStore):
        raise UserError("static binarisation needs the set in memory; take binary = 'dynamic' or 'threshold'")
    drawn, coin = torch.empty_like(store.values, dtype=torch.uint8), Coin(top)
    for block, begin in enumerate(range(0, len(store), BLOCK)):
        with noise.source(Noise(seed, f"static/{name}", block)):
            drawn[begin : begin + BLOCK] = coin(store.values[begin : begin + BLOCK].float()).to(torch.uint8)
    return MemoryStore(drawn)
