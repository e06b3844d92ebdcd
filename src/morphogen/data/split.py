"""Train, valid and test by a hash of each example's content: stable when examples are added, alike for duplicates."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from morphogen.errors import UserError

__all__ = ["UNSPLIT", "by_hash", "content_hash", "row_hashes"]

Hashes = NDArray[np.uint32]
UNSPLIT = "too few distinct examples to split"  # every split is the whole set


def row_hashes(rows: NDArray[np.generic]) -> Hashes:
    """32 bits for each row: multilinear hashing (Lemire and Kaser 2014), every row at once.

    >>> bool((row_hashes(np.zeros((2, 3, 3), np.uint8)) == row_hashes(np.zeros((1, 3, 3), np.uint8))).all())
    True
    """
    flat = np.ascontiguousarray(rows).reshape(len(rows), -1).view(np.uint8)
    short = -flat.shape[1] % 4
    words = (np.pad(flat, ((0, 0), (0, short))) if short else flat).view("<u4").astype(np.uint64)
    keys = _keys(words.shape[1] + 1)
    total: NDArray[np.uint64] = words @ keys[1:] + keys[0]
    return (total >> np.uint64(32)).astype(np.uint32)


def _keys(count: int) -> NDArray[np.uint64]:
    """`count` fixed odd-looking numbers: splitmix64 of 1, 2, 3 ..."""
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def content_hash(content: bytes | memoryview) -> int:
    """64 bits for one example of any size."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def by_hash(hashes: Hashes, valid: float, test: float) -> tuple[dict[str, Tensor], str]:
    """Rows of each split and a sentence on how they were made; numbers from 1 up are counts, kept approximately.

    A set so small that a split came out empty lends it one example; of a single example all splits are that one.
    """
    count = len(hashes)
    test = _share(test, count, "test")
    valid = _share(valid, count, "valid")
    if valid + test >= 1:
        raise UserError(f"valid and test take {valid + test:.0%} of the {count} examples; leave some for training")
    place = hashes.astype(np.float64) / 2.0**32
    distinct = np.unique(place)
    word = f"split by hash of content: valid {valid:.3g}, test {test:.3g}"
    if len(distinct) < 3:
        everything = torch.arange(count)
        return dict.fromkeys(("train", "valid", "test"), everything), f"{UNSPLIT} ({count})"
    low = max(test, (distinct[0] + distinct[1]) / 2) if test else 0.0
    high = low + valid
    if valid and not ((distinct >= low) & (distinct < high)).any():
        first = distinct[distinct >= low][0]
        high = float(np.nextafter(first, 2.0))
    if not (distinct >= high).any():
        return by_rank(place, distinct), f"{word} (a tiny set: one example each)"
    parts = {"train": place >= high, "valid": (place >= low) & (place < high), "test": place < low}
    return {name: torch.from_numpy(np.flatnonzero(chosen)) for name, chosen in parts.items()}, word


def by_rank(place: NDArray[np.float64], distinct: NDArray[np.float64]) -> dict[str, Tensor]:
    """The lowest hash for testing, the next for validation, the rest for training."""
    parts = {"train": place > distinct[1], "valid": place == distinct[1], "test": place == distinct[0]}
    return {name: torch.from_numpy(np.flatnonzero(chosen)) for name, chosen in parts.items()}


def _share(asked: float, count: int, name: str) -> float:
    if not 0 <= asked < max(count, 1):
        raise UserError(f"{name} = {asked:g} is not a share (0 to 1) or a count of the {count} examples")
    return asked if asked < 1 else asked / count
