"""Does a model repeat its training examples, and does it repeat itself?

Samples are held against examples that the model has not seen (Meehan, Chaudhuri and Dasgupta 2020, "A non-parametric
test to detect data-copying in generative models"): a sample may be as near to its nearest training example as a
held-out one is to its own, and not nearer.

    nearer  = P( sample's distance < held-out example's distance ), ties by half: 0.5 where nothing is copied, -> 1
    copied  = share of samples nearer than all but 1 in 100 held-out examples are: 0.01 where nothing is copied

And the birthday test (Arora, Risteski and Zhang 2018, "Do GANs learn the distribution? Some theory and empirics"): of n
draws from s equally likely things, about n (n - 1) / 2s pairs are the same. Two are taken for the same if nearer than
all but 1 in 100 held-out examples are to their nearest among themselves. So the data's own count stands beside.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch
from torch import Tensor

from morphogen.metrics.features import Seen, comparable, shuffled, square_distances
from morphogen.metrics.frechet import told
from morphogen.metrics.separation import placed

__all__ = ["Copies", "copies", "nearer", "nearest", "same_pairs"]

RARE = 0.01
ROWS, COLUMNS = 250, 1000


@dataclass(frozen=True)
class Copies:
    """Distance of each sample and each held-out example to its nearest training example, and which that is."""

    apart: Tensor
    nearest: Tensor  # row of the training set
    held_apart: Tensor
    pairs: int  # of samples that are the same
    held_pairs: int  # of as many held-out examples
    drawn: int  # among how many both were counted
    samples: Seen
    held_out: Seen
    train: Seen
    seed: int

    @property
    def copied(self) -> Tensor:
        """1 for each sample that is nearer to the training set than 99 in 100 held-out examples are."""
        return (self.apart < torch.quantile(self.held_apart, RARE)).double()

    @property
    def exact(self) -> int:
        """Samples that are a training example."""
        return int((self.apart == 0).sum())

    def facts(self) -> dict[str, Any]:
        """The numbers with their protocol."""
        closer, error = nearer(self.apart, self.held_apart)
        how = {
            "estimator": "P(a sample is nearer to its nearest training example than a held-out one): 0.5 is right",
            "interval": "95 %, normal, from the placements (DeLong et al. 1988)",
            "train": self.train.of,
            "train_n": len(self.train),
            "same": "nearer than 99 % of the held-out examples are to their nearest among themselves",
        }
        where = (max(closer - 1.96 * error, 0.0), min(closer + 1.96 * error, 1.0))
        said = told(closer, where, how, self.samples, self.held_out, self.seed)
        protocol = said.pop("protocol")
        row = int(self.apart.argmin())
        found = {
            "copied": float(self.copied.mean()),
            "exact": self.exact,
            "nearest_pair": [row, int(self.nearest[row])],
        }
        birthdays = {"support": _support(self.drawn, self.pairs), "reference": _support(self.drawn, self.held_pairs)}
        return said | found | {"birthday": birthdays, "protocol": protocol}


def copies(samples: Seen, held_out: Seen, train: Seen, *, seed: int = 0) -> Copies:
    """How near samples are to training examples, as against examples that were held out; and to one another."""
    comparable("copies", samples, held_out, 2)
    comparable("copies", samples, train, 1)
    apart, place = nearest(samples.x, train.x)
    held_apart, _ = nearest(held_out.x, train.x)
    drawn = min(len(samples), len(held_out))
    some, others = (seen.x[shuffled(seen.x, seed)[:drawn]] for seen in (samples, held_out))
    among, _ = nearest(others, others, same=True)
    close = float(torch.quantile(among, RARE))
    pairs, held_pairs = same_pairs(some, close), same_pairs(others, close)
    return Copies(apart.sqrt(), place, held_apart.sqrt(), pairs, held_pairs, drawn, samples, held_out, train, seed)


def nearest(x: Tensor, y: Tensor, *, same: bool = False) -> tuple[Tensor, Tensor]:
    """The squared distance of each row of x to its nearest row of y, and which; `same`: y is x, nobody is their own."""
    best = torch.full((len(x),), torch.inf, dtype=torch.float64)
    place = torch.zeros(len(x), dtype=torch.int64)
    for at in range(0, len(x), ROWS):
        rows = slice(at, at + ROWS)
        for start in range(0, len(y), COLUMNS):
            apart = square_distances(x[rows], y[start : start + COLUMNS])
            if same:
                apart[_oneself(at, start, apart)] = torch.inf
            near, which = apart.min(1)
            better = near < best[rows]
            best[rows] = torch.where(better, near, best[rows])
            place[rows] = torch.where(better, which + start, place[rows])
    return best, place


def _oneself(at: int, start: int, apart: Tensor) -> Tensor:
    rows, columns = torch.arange(apart.shape[0]) + at, torch.arange(apart.shape[1]) + start
    return rows[:, None] == columns[None]


def same_pairs(x: Tensor, close: float) -> int:
    """Pairs of rows whose squared distance is at most `close`."""
    found = 0
    for at in range(0, len(x), ROWS):
        for start in range(0, len(x), COLUMNS):
            apart = square_distances(x[at : at + ROWS], x[start : start + COLUMNS])
            found += int((apart <= close).sum()) - int((_oneself(at, start, apart) & (apart <= close)).sum())
    return found // 2


def _support(n: int, pairs: int) -> dict[str, Any]:
    """How many different things there are, if `pairs` of n draws are the same; a bound where none is."""
    trials = n * (n - 1) / 2
    if not pairs:
        return {"n": n, "same_pairs": 0, "at_least": trials / 3.0}  # the rule of three
    low, high = max(pairs - 1.96 * sqrt(pairs), 0.5), pairs + 1.96 * sqrt(pairs)
    return {"n": n, "same_pairs": pairs, "about": trials / pairs, "interval": [trials / high, trials / low]}


def nearer(x: Tensor, y: Tensor) -> tuple[float, float]:
    """P(x < y) + P(x = y) / 2, and its standard error."""
    mine, theirs = 1 - placed(x, y), placed(y, x)
    value = float(mine.sort().values.mean())
    return value, sqrt(float(mine.var()) / len(x) + float(theirs.var()) / len(y))
