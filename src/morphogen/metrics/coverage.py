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

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from morphogen.metrics.features import Seen, comparable, square_distances
from morphogen.metrics.frechet import told
from morphogen.metrics.jackknife import HALVED, blocks_of, half_samples, halves

__all__ = ["Coverage", "coverage", "of_parts", "radii"]

ROWS = 250  # of which distances to a block are held at once: what fits into a core's cache is four times as fast
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
    mine, theirs = _radii(x, k, parts), _radii(y, k, parts)
    inside = [torch.zeros(len(parts), len(block)) for block in x]  # the reference's balls that hold the sample
    caught = [torch.zeros(len(parts), len(block), dtype=torch.bool) for block in y]  # in a sample's ball
    holds = [torch.zeros(len(parts), len(block), dtype=torch.bool) for block in y]  # its own ball holds a sample
    for p, some in enumerate(x):
        for q, others in enumerate(y):
            both = [number for number, part in enumerate(parts) if part[p] and part[q]]
            for at in range(0, len(some), ROWS):
                rows = slice(at, at + ROWS)
                apart = square_distances(some[rows], others)
                for number in both:
                    within = apart <= theirs[q][number]
                    inside[p][number, rows] += within.sum(1)
                    holds[q][number] |= within.any(0)
                    caught[q][number] |= (apart <= mine[p][number, rows, None]).any(0)
    said = {
        "precision": [each > 0 for each in inside], "recall": caught,
        "density": [each / k for each in inside], "coverage": holds,
    }  # fmt: skip
    return {name: [_mean(each, number, part) for number, part in enumerate(parts)] for name, each in said.items()}


def _mean(said: list[Tensor], number: int, part: list[bool]) -> float:
    return float(torch.cat([each[number] for each, kept in zip(said, part, strict=True) if kept]).double().mean())


def _radii(x: list[Tensor], k: int, parts: list[list[bool]]) -> list[Tensor]:
    """The squared distance of each row to its k-th neighbour in each of the parts, (parts, rows) of each block."""
    said = []
    for p, some in enumerate(x):
        near = torch.cat([_nearest(some, others, k, own=p == q) for q, others in enumerate(x)], 1)
        sizes = [min(k, len(others)) for others in x]
        kept = [torch.tensor(part).repeat_interleave(torch.tensor(sizes)) for part in parts]
        said.append(torch.stack([near[:, some].topk(k, largest=False).values[:, -1] for some in kept]))
    return said


def _nearest(x: Tensor, y: Tensor, k: int, own: bool) -> Tensor:
    """The squared distances of each row of x to its k nearest rows of y; nobody is their own neighbour."""
    near = []
    for at in range(0, len(x), ROWS):
        apart = square_distances(x[at : at + ROWS], y)
        if own:
            apart.diagonal(at).fill_(torch.inf)
        near.append(apart.topk(min(k, len(y)), largest=False).values)
    return torch.cat(near)


def radii(x: Tensor, k: int) -> Tensor:
    """The squared distance of each row to its k-th neighbour."""
    return _radii([x], k, [[True]])[0][0]
