"""Train, valid and test of a person's own examples: exact shares, by class, with copies on one side.

Groups of copies are put in the order of a hash of their content, so that a split is the same however the files are
named and in whatever order they come. In a large set a hash below a bound decides instead: there an example stays
where it is when others are added, and the shares come out right by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from morphogen.data.split import UNSPLIT
from morphogen.errors import UserError

__all__ = ["FEWEST", "divided", "rough"]

LARGE = 10_000  # examples from which on a bound decides
FEWEST = 50  # test examples below which a score is rough
LEAST = 3  # groups of a class that is divided by itself

Groups = NDArray[np.int64]
Hashes = NDArray[np.unsignedinteger]
NAMES = ("test", "valid", "train")


def divided(
    hashes: Hashes, groups: Groups, valid: float, test: float, labels: Tensor | None = None
) -> tuple[dict[str, Tensor], str]:
    """Rows of each split and a sentence on how they were made. `groups`: a number for each row, the same for
    rows that must not be parted; shares from 1 up are counts of examples."""
    count = len(hashes)
    shares = _share(test, count, "test"), _share(valid, count, "valid")
    if sum(shares) >= 1:
        raise UserError(f"valid and test take {sum(shares):.0%} of the {count} examples; leave some for training")
    leaders, first, sizes = np.unique(groups, return_index=True, return_counts=True)
    if len(leaders) < 3:
        everything = torch.arange(count)
        return dict.fromkeys(("train", "valid", "test"), everything), f"{UNSPLIT} ({count})"
    key = _keys(hashes, groups, leaders)
    if count > LARGE:
        where, how = _by_bound(key, shares), "by hash of the stored content"
    else:
        kinds = np.zeros(len(leaders), np.int64) if labels is None else labels.numpy()[first].astype(np.int64)
        where, how = _in_order(key, sizes, kinds, shares), "in the order of hashes of the stored content"
        how += ", class by class" if labels is not None else ""
    split = where[np.searchsorted(leaders, groups)]
    rows = {name: torch.from_numpy(np.flatnonzero(split == NAMES.index(name))) for name in ("train", "valid", "test")}
    told = ", ".join(f"{name} {len(rows[name])}" for name, share in zip(NAMES, shares, strict=False) if share)
    return rows, f"split {how}: {told} of {count}"


def rough(count: int) -> str:
    """What is to be said of a test part that is small."""
    return f"{count} test examples: scores on so few are rough; give more, or a larger data.test" * (count < FEWEST)


def _keys(hashes: Hashes, groups: Groups, leaders: Groups) -> NDArray[np.float64]:
    """From 0 to 1 for each group: the least hash of its members, so that their order does not matter."""
    least = np.full(len(leaders), np.inf)
    np.minimum.at(least, np.searchsorted(leaders, groups), hashes / 2.0 ** (8 * hashes.dtype.itemsize))
    return least


def _by_bound(key: NDArray[np.float64], shares: tuple[float, float]) -> Groups:
    test, valid = shares
    return np.where(key < test, 0, np.where(key < test + valid, 1, 2))


def _in_order(key: NDArray[np.float64], sizes: Groups, kinds: Groups, shares: tuple[float, float]) -> Groups:
    """0, 1 or 2 for each group; of each class the groups with the lowest keys, whole groups as far as they fit."""
    where = np.full(len(key), 2)
    done = np.zeros(2)  # examples up to this class, times the shares: a class of five lends one every second time
    given = np.zeros(2, np.int64)
    for members in _strata(key, kinds):
        done += sizes[members].sum() * np.cumsum(shares)
        wanted = np.floor(done + 0.5).astype(np.int64)
        both = wanted - given
        given = wanted
        for part, quota in ((0, both[0]), (1, both[1] - both[0])):
            for place in members:
                if where[place] == 2 and sizes[place] <= quota:
                    where[place], quota = part, quota - sizes[place]
    for part, share in enumerate(shares):  # of a tiny set one group each, the smallest first
        if share and not (where == part).any():
            free = np.flatnonzero(where == 2)
            where[free[np.lexsort((key[free], sizes[free]))[0]]] = part
    return where


def _strata(key: NDArray[np.float64], kinds: Groups) -> Iterator[Groups]:
    """The groups of each class, the lowest keys first; classes of one or two groups are taken together."""
    _, back, counts = np.unique(kinds, return_inverse=True, return_counts=True)
    back = np.where(counts[back] < LEAST, -1, back)
    for kind in np.unique(back):
        members = np.flatnonzero(back == kind)
        yield members[np.argsort(key[members], kind="stable")]


def _share(asked: float, count: int, name: str) -> float:
    if not 0 <= asked < max(count, 1):
        raise UserError(f"{name} = {asked:g} is not a share (0 to 1) or a count of the {count} examples")
    return asked if asked < 1 else asked / count
