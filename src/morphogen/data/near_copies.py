"""Copies and near copies among pictures: the same picture saved as JPEG, in another mode, or once more.

Equal pictures are found by a hash of their stored pixels. Near ones are looked for among the pictures whose 8 x 8
thumbnails are nearest (a perceptual hash in numbers), and then compared pixel by pixel in brightness: what compression
leaves is a little noise everywhere, which averages out in every window of four by four; where two drawings differ in
a detail, such a window differs much. The bounds were found on digits, clothes, photographs and sprites: they join
JPEG of quality 75 and WebP of quality 80 with what they were made of, and no two that are different pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d

from morphogen.core.space import Image
from morphogen.data.dataset import Store
from morphogen.data.stores import MemoryStore

__all__ = ["Copies", "Joined", "copies"]

NOISE, DETAIL, COLOUR = 8.0, 10.0, 40.0  # of 255: root mean square, in a window in brightness, and in a colour
CONTRAST = 0.5  # the noise is at most so much of what the picture itself varies by
SIDE, WINDOW = 8, 4
SLACK, DETAIL_SLACK = 0.5, 0.2  # of the bounds for averages over squares, which are not whole windows
PIXELS = 4 << 20  # that are looked at in one go
NEAREST = 16  # pictures that each one is compared with
MOST = 100_000  # pictures among which near ones are looked for; equal ones are among any number
ALIKE, FEW = 0.05, 8  # more pictures than this share (or number) that are near to each other are a kind, no copies

Groups = NDArray[np.int64]


@dataclass(frozen=True)
class Copies:
    """The group of each picture, named by its first member; how many are equal to an earlier picture, and how many
    others near to one."""

    groups: Groups
    equal: int
    near: int

    def told(self) -> str:
        """The numbers, in words."""
        return f"{self.equal:,} exact and {self.near:,} near copies"


class Joined:
    """Several stores one after another."""

    def __init__(self, *stores: Store) -> None:
        self.stores = stores
        self.starts = np.cumsum([0, *map(len, stores)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def in_memory(self) -> bool:
        """Whether none of them is read from a file."""
        return all(isinstance(store, MemoryStore) for store in self.stores)

    def gather(self, rows: Tensor) -> Tensor:
        home = torch.from_numpy(np.searchsorted(self.starts, rows.numpy(), side="right") - 1)
        out: Tensor | None = None
        for number, store in enumerate(self.stores):
            mine = torch.nonzero(home == number).flatten()
            if len(mine) or (out is None and number == len(self.stores) - 1):
                found = store.gather(rows[mine] - int(self.starts[number]))
                out = found.new_empty((len(rows), *found.shape[1:])) if out is None else out
                out[mine] = found
        assert out is not None
        return out

    def to(self, device: torch.device) -> Store:
        return Joined(*(store.to(device) for store in self.stores))


def copies(store: Store, hashes: NDArray[np.unsignedinteger], space: object) -> Copies:
    """Which examples are copies of which; near ones are looked for among pictures alone."""
    first = _equal(store, hashes)
    equal = int((first != np.arange(len(first))).sum())
    kept = np.unique(first)
    if not isinstance(space, Image) or len(kept) > MOST or min(space.height, space.width) < WINDOW:
        return Copies(first, equal, 0)
    home = _bounded(_roots(len(kept), _near(store, kept, space)))
    near = int((home != np.arange(len(kept))).sum())
    return Copies(kept[home[np.searchsorted(kept, first)]], equal, near)


def _equal(store: Store, hashes: NDArray[np.unsignedinteger]) -> Groups:
    """The first example that is equal to each: by hash, and then looked at, since hashes collide."""
    _, places, back = np.unique(hashes, return_index=True, return_inverse=True)
    first: Groups = places[back.reshape(-1)].astype(np.int64)
    again = np.flatnonzero(first != np.arange(len(first)))
    for start in range(0, len(again), 256):
        rows = again[start : start + 256]
        mine, theirs = (store.gather(torch.from_numpy(which)).flatten(1) for which in (rows, first[rows]))
        other = ~(mine == theirs).all(1).numpy()
        first[rows[other]] = rows[other]
    return first


def _near(store: Store, kept: Groups, space: Image) -> Iterator[list[int]]:
    """Pairs of places in `kept` whose pictures are near."""
    small, fine = _thumbs(store, kept, space)
    bound = NOISE * max(SLACK, SIDE / max(SIDE, min(space.height, space.width)))  # noise averages out
    step = max(1, PIXELS // space.size)
    for pairs in _candidates(small, bound):
        likely = pairs[((fine[pairs[:, 0]] - fine[pairs[:, 1]]).abs().amax(1) <= DETAIL / (1 - DETAIL_SLACK))]
        for start in range(0, len(likely), step):
            some = likely[start : start + step]
            one, other = (_seen(store.gather(torch.from_numpy(kept)[side]), space) for side in some.T)
            yield from some[_alike(one, other)].tolist()


def _seen(stored: Tensor, space: Image) -> Tensor:
    """(n, 1 or 3, height, width) as a person sees it, 0 .. 255, transparency on white."""
    x = stored.movedim(-1, 1).float() * (255 / (space.levels - 1))
    return x if x.shape[1] < 4 else x[:, :3] * (x[:, 3:] / 255) + 255 - x[:, 3:]


def _light(x: Tensor) -> Tensor:
    """Brightness."""
    return x[:, :1] if x.shape[1] < 3 else (x * x.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, True)


def _alike(one: Tensor, other: Tensor) -> Tensor:
    """Whether two pictures are near, pair by pair."""
    light, darker = _light(one), _light(other)
    noise = (light - darker).square().mean((1, 2, 3)).sqrt()
    near = (noise <= NOISE) & (noise <= CONTRAST * light.std((1, 2, 3))) & (noise <= CONTRAST * darker.std((1, 2, 3)))
    near &= avg_pool2d(light - darker, WINDOW, 1).abs().amax((1, 2, 3)) <= DETAIL
    return near & (avg_pool2d(one - other, WINDOW, 1).abs().amax((1, 2, 3)) <= COLOUR)


def _thumbs(store: Store, kept: Groups, space: Image) -> tuple[Tensor, Tensor]:
    """Brightness in eight by eight, a row each; and in squares no smaller than a window."""
    sides = space.height, space.width
    sizes = [(min(SIDE, sides[0]), min(SIDE, sides[1])), (min(16, sides[0] // WINDOW), min(16, sides[1] // WINDOW))]
    step = max(1, PIXELS // space.size)
    parts = []
    for start in range(0, len(kept), step):
        light = _light(_seen(store.gather(torch.from_numpy(kept[start : start + step])), space))
        parts.append([adaptive_avg_pool2d(light, size).flatten(1) for size in sizes])
    small, fine = (torch.cat(column) for column in zip(*parts, strict=True))
    return small, fine


def _candidates(thumbs: Tensor, bound: float) -> Iterator[Tensor]:
    """Pairs of places, for each picture the few that are nearest of those after it, in the order along the direction
    that they vary most in: in that order none that is near is far away."""
    thumbs = thumbs - thumbs.mean(0)
    bound *= thumbs.shape[1] ** 0.5
    axis = torch.ones(thumbs.shape[1])
    for _ in range(8):
        axis = torch.nn.functional.normalize(thumbs.T @ (thumbs @ axis) + 1e-9, dim=0)
    along, order = (thumbs @ axis).sort()
    thumbs = thumbs[order]
    ends = torch.searchsorted(along, along + bound, right=True).tolist()
    for start in range(0, len(thumbs), 512):
        stop = min(start + 512, len(thumbs))
        far = torch.cdist(thumbs[start:stop], thumbs[start : ends[stop - 1]])
        far.masked_fill_(torch.ones_like(far, dtype=torch.bool).tril(), torch.inf)  # itself, and those before it
        values, places = far.topk(min(NEAREST, far.shape[1]), largest=False)
        rows, columns = torch.nonzero(values <= bound, as_tuple=True)
        yield torch.stack([order[start + rows], order[start + places[rows, columns]]], 1)


def _roots(count: int, pairs: Iterator[list[int]]) -> Groups:
    """The first of all that are joined to each, over any number of steps."""
    home = list(range(count))

    def root(place: int) -> int:
        while home[place] != place:
            home[place] = home[home[place]]
            place = home[place]
        return place

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        home[high] = low
    return np.array([root(place) for place in range(count)], np.int64)


def _bounded(home: Groups) -> Groups:
    """Without groups that are too large to be copies of one picture: frames of a film, icons on one background."""
    counts = np.bincount(home, minlength=len(home))
    return np.where(counts[home] > max(FEW, ALIKE * len(home)), np.arange(len(home)), home)
