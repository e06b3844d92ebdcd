"""Are samples like the data, and is all of the data among them? Two numbers each, from neighbours.

    precision   share of samples within the data's balls           } Kynkaanniemi, Karras, Laine, Lehtinen, Aila 2019,
    recall      share of the data within the samples' balls        } "Improved precision and recall metric ..."
    density     in how many of the data's balls a sample lies, / k } Naeem, Oh, Uh, Choi, Yoo 2020, "Reliable fidelity
    coverage    share of the data's balls that hold a sample       } and diversity metrics for generative models"

A ball is about a row and reaches to its k-th neighbour in its own set. Distances are computed in blocks: what is kept
grows with n, not with n^2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from morphogen.metrics.features import Seen, comparable, square_distances
from morphogen.metrics.frechet import told
from morphogen.metrics.likelihood import interval

__all__ = ["Coverage", "coverage", "radii"]

ROWS, COLUMNS = 250, 1000  # distances that are held at once: what fits into a core's cache is four times as fast
MEANING = {
    "precision": "share of samples within the reference's balls",
    "recall": "share of the reference within the samples' balls",
    "density": "mean number of the reference's balls that a sample lies in, over k",
    "coverage": "share of the reference's balls that hold a sample",
}


@dataclass(frozen=True)
class Coverage:
    """What is said of each sample (precision, density) and of each reference example (recall, coverage)."""

    precision: Tensor
    recall: Tensor
    density: Tensor
    coverage: Tensor
    k: int
    samples: Seen
    reference: Seen
    seed: int

    def facts(self, name: str) -> dict[str, Any]:
        """One of the four numbers with its protocol."""
        each: Tensor = getattr(self, name)
        where = interval(each.sort().values, seed=self.seed)  # sorted: the order that rows came in is nothing
        how = {
            "estimator": f"{MEANING[name]}; k = {self.k}",
            "interval": "95 % percentile bootstrap of the mean, balls kept, 2000 draws",
        }
        return told(float(each.mean()), where, how, self.samples, self.reference, self.seed)


def coverage(samples: Seen, reference: Seen, *, k: int = 5, seed: int = 0) -> Coverage:
    """All four, with balls that reach to the k-th neighbour."""
    comparable("precision, recall, density and coverage", samples, reference, k + 1)
    mine, theirs = radii(samples.x, k), radii(reference.x, k)
    inside = torch.zeros(len(samples), dtype=torch.float64)  # the reference's balls that hold the sample
    caught = torch.zeros(len(reference), dtype=torch.bool)  # in a sample's ball
    holds = torch.zeros(len(reference), dtype=torch.bool)  # its own ball holds a sample
    for at in range(0, len(samples), ROWS):
        rows = slice(at, at + ROWS)
        for start in range(0, len(reference), COLUMNS):
            columns = slice(start, start + COLUMNS)
            apart = square_distances(samples.x[rows], reference.x[columns])
            within = apart <= theirs[columns]
            inside[rows] += within.sum(1)
            holds[columns] |= within.any(0)
            caught[columns] |= (apart <= mine[rows, None]).any(0)
    return Coverage((inside > 0).double(), caught.double(), inside / k, holds.double(), k, samples, reference, seed)


def radii(x: Tensor, k: int) -> Tensor:
    """The squared distance of each row to its k-th neighbour."""
    said = []
    for at in range(0, len(x), ROWS):
        rows, near = x[at : at + ROWS], []
        for start in range(0, len(x), COLUMNS):
            apart = square_distances(rows, x[start : start + COLUMNS])
            own = torch.arange(at, at + len(rows)) - start
            here = (own >= 0) & (own < apart.shape[1])
            apart[torch.nonzero(here).flatten(), own[here]] = torch.inf  # nobody is their own neighbour
            near.append(apart.topk(min(k, apart.shape[1]), largest=False).values)
        said.append(torch.cat(near, 1).topk(k, largest=False).values[:, -1])
    return torch.cat(said)
