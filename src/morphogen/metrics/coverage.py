"""Are samples like the data, and is all of the data among them? Two numbers each, from neighbours.

    precision   share of samples within the data's balls           } Kynkaanniemi, Karras, Laine, Lehtinen, Aila 2019,
    recall      share of the data within the samples' balls        } "Improved precision and recall metric ..."
    density     in how many of the data's balls a sample lies, / k } Naeem, Oh, Uh, Choi, Yoo 2020, "Reliable fidelity
    coverage    share of the data's balls that hold a sample       } and diversity metrics for generative models"

A ball is about a row and reaches to its k-th neighbour in its own set. The intervals come from halves of both sets
(jackknife.py): a bootstrap that keeps the balls would take one set for the whole truth, and a jackknife that leaves out
a tenth is too wide, since neighbours jump. Distances are computed once, in tiles, and compared with the balls of each
half: what is kept grows with n, not with n^2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from morphogen.metrics.features import Seen, comparable, square_distances
from morphogen.metrics.frechet import told
from morphogen.metrics.jackknife import HALVED, blocks_of, half_samples, halves

__all__ = ["Coverage", "coverage", "of_parts", "radii"]

ROWS, COLUMNS = 250, 1000  # distances that are held at once: what fits into a core's cache is four times as fast
MEANING = {
    "precision": "share of samples within the reference's balls",
    "recall": "share of the reference within the samples' balls",
    "density": "mean number of the reference's balls that a sample lies in, over k",
    "coverage": "share of the reference's balls that hold a sample",
}


@dataclass(frozen=True)
class Coverage:
    """The four numbers, and where each would lie for other rows."""

    values: dict[str, float]
    intervals: dict[str, tuple[float, float]] | None
    k: int
    samples: Seen
    reference: Seen
    seed: int

    def facts(self, name: str) -> dict[str, Any]:
        """One of the four numbers with its protocol."""
        where = None if self.intervals is None else self.intervals[name]
        how = {
            "estimator": f"{MEANING[name]}; k = {self.k}",
            "interval": f"95 %, halves of {HALVED} blocks of both sets left out" if where else "none: too few rows",
        }
        return told(self.values[name], where, how, self.samples, self.reference, self.seed)


def coverage(samples: Seen, reference: Seen, *, k: int = 5, seed: int = 0) -> Coverage:
    """All four, with balls that reach to the k-th neighbour."""
    comparable("precision, recall, density and coverage", samples, reference, k + 1)
    sure = min(len(samples), len(reference)) >= max(2 * HALVED, 2 * k + HALVED)
    x, y = ([seen.x[rows] for rows in blocks_of(seen.x, seed, HALVED if sure else 1)] for seen in (samples, reference))
    said = of_parts(x, y, k, [[True] * len(x), *(halves() if sure else [])])
    values = {name: numbers[0] for name, numbers in said.items()}
    if not sure:
        return Coverage(values, None, k, samples, reference, seed)
    intervals = {name: half_samples(numbers[1:], values[name]) for name, numbers in said.items()}
    within = {
        name: (max(low, 0.0), high if name == "density" else min(high, 1.0)) for name, (low, high) in intervals.items()
    }
    return Coverage(values, within, k, samples, reference, seed)


def of_parts(x: list[Tensor], y: list[Tensor], k: int, parts: list[list[bool]]) -> dict[str, list[float]]:
    """The four numbers of some blocks of both sets, for each of the parts."""
    (x_all, x_kept), (y_all, y_kept) = _whole(x, parts), _whole(y, parts)
    mine, theirs = _radii(x_all, k, x_kept), _radii(y_all, k, y_kept)
    inside = torch.zeros(x_kept.shape)  # the reference's balls that hold the sample
    caught, holds = torch.zeros(y_kept.shape).bool(), torch.zeros(y_kept.shape).bool()  # in a ball; its own holds one
    for rows, columns, apart in _tiles(x_all, y_all):
        for part in range(len(parts)):
            down, across = (each[part].nonzero().squeeze(1) for each in (x_kept[:, rows], y_kept[:, columns]))
            near = apart[down][:, across]
            down, across = down + rows.start, across + columns.start
            within = near <= theirs[part, across]
            inside[part, down] += within.sum(1)
            holds[part, across] |= within.any(0)
            caught[part, across] |= (near <= mine[part, down, None]).any(0)
    said = {
        "precision": (inside > 0, x_kept), "recall": (caught, y_kept),
        "density": (inside / k, x_kept), "coverage": (holds, y_kept),
    }  # fmt: skip
    return {
        name: [float(each[part, kept[part]].double().mean()) for part in range(len(parts))]
        for name, (each, kept) in said.items()
    }


def _whole(blocks: list[Tensor], parts: list[list[bool]]) -> tuple[Tensor, Tensor]:
    """All rows of the blocks, and which of them are in each of the parts."""
    sizes = torch.tensor([len(block) for block in blocks])
    return torch.cat(blocks), torch.tensor(parts).repeat_interleave(sizes, 1)


def _tiles(x: Tensor, y: Tensor) -> Iterator[tuple[slice, slice, Tensor]]:
    """The squared distances of all rows of x to all of y, a few at a time, and where they belong."""
    for at in range(0, len(x), ROWS):
        for start in range(0, len(y), COLUMNS):
            rows, columns = slice(at, at + ROWS), slice(start, start + COLUMNS)
            yield rows, columns, square_distances(x[rows], y[columns])


def _radii(x: Tensor, k: int, kept: Tensor) -> Tensor:
    """The squared distance of each row to its k-th neighbour in each of the parts, (parts, rows)."""
    best = torch.full((*kept.shape, k), torch.inf, dtype=torch.float64)
    for rows, columns, apart in _tiles(x, x):
        own = torch.arange(len(apart)) + rows.start - columns.start
        here = (own >= 0) & (own < apart.shape[1])
        apart[here.nonzero().squeeze(1), own[here]] = torch.inf  # nobody is their own neighbour
        for part in range(len(kept)):
            near = apart[:, kept[part, columns]]
            near = near.topk(min(k, near.shape[1]), largest=False).values
            best[part, rows] = torch.cat([best[part, rows], near], 1).topk(k, largest=False).values
    return best[:, :, -1]


def radii(x: Tensor, k: int) -> Tensor:
    """The squared distance of each row to its k-th neighbour."""
    return _radii(x, k, torch.ones(1, len(x), dtype=torch.bool))[0]
