"""Directions of a code, learned from examples that have a thing and examples that lack it.

    means          mean(with) - mean(without)  (Larsen et al. 2016, "Autoencoding beyond pixels using a learned
                   similarity metric"): it takes with it whatever goes along with the thing in the examples
    discriminant   S^-1 (mean(with) - mean(without))  (Fisher 1936): it moves the thing and as little else as it can;
                   S, the covariance within, is shrunk (Ledoit and Wolf 2004, "A well-conditioned estimator for
                   large-dimensional covariance matrices")

How well either tells examples apart that it was not learned from is measured by turns on a fifth of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from morphogen.core.noise import Noise
from morphogen.errors import UserError
from morphogen.metrics.separation import Separation, area

__all__ = ["WAYS", "Direction", "discriminant", "learn", "means", "separation", "within"]

FOLDS = 5
FEW, WIDEST = 20, 1024  # examples of either kind that a discriminant needs, numbers of a code that it can hold

Way = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Direction:
    """`step`: one standard deviation of the codes along it, flat; `by`: how it was learned."""

    step: Tensor
    by: str
    separates: dict[str, Separation]

    def facts(self) -> dict[str, Any]:
        """How it was learned, and what each way would have been worth."""
        return {"by": self.by, "separates": {name: asdict(said) for name, said in self.separates.items()}}


def means(a: Tensor, b: Tensor) -> Tensor:
    """From the mean of those without to the mean of those with."""
    return a.mean(0) - b.mean(0)


def discriminant(a: Tensor, b: Tensor) -> Tensor:
    """Across the plane that parts them best; of length one, since nothing else of it is small enough for float32."""
    if a.shape[1] > 4 * WIDEST:
        raise UserError(f"a code of {a.shape[1]:,} numbers is too wide for a discriminant; give --by means")
    way: Tensor = torch.linalg.solve(within(torch.cat([a - a.mean(0), b - b.mean(0)])), means(a, b).double())
    unit: Tensor = way / way.norm().clamp_min(1e-300)
    return unit.float()


def within(apart: Tensor) -> Tensor:
    """The covariance of rows about their means, shrunk to a sphere as far as their number demands; float64."""
    x = apart.double()
    n, width = x.shape
    seen = x.mT @ x / n
    size = seen.trace() / width
    sphere = size * torch.eye(width, dtype=x.dtype)
    spread = (seen - sphere).square().sum()
    noise = (x.square().sum(1).square().sum() / n - seen.square().sum()) / n
    share = (noise / spread).clamp(0, 1) if float(spread) > 0 else x.new_ones(())
    floor = torch.finfo(torch.float32).tiny + 1e-9 * size  # of codes that do not move at all
    return (1 - share) * seen + share * sphere + floor * torch.eye(width, dtype=x.dtype)


WAYS: dict[str, Way] = {"means": means, "discriminant": discriminant}


def learn(a: Tensor, b: Tensor, by: str | None = None) -> Direction:
    """The direction from b to a; by discriminant where there are enough examples, unless one is asked for."""
    enough = min(len(a), len(b)) >= FEW and len(a) + len(b) >= 2 * a.shape[1] and a.shape[1] <= WIDEST
    ways = [by] if by else ["means", "discriminant"] if enough else ["means"]
    judged = {name: said for name in ways if (said := separation(a, b, WAYS[name])) is not None}
    way = _unit(WAYS[ways[-1]](a, b))
    return Direction(way * (torch.cat([a, b]) @ way).std(correction=0), ways[-1], judged)


def separation(a: Tensor, b: Tensor, way: Way) -> Separation | None:
    """How well codes are told apart that the way was not learned from; None where there are too few to hold any."""
    folds = min(FOLDS, len(a), len(b))
    if folds < 2:
        return None
    placed: list[list[Tensor]] = [[], []]
    parts = [_shared_out(len(side), folds) for side in (a, b)]
    for fold in range(folds):
        rest = [side[part != fold] for side, part in zip((a, b), parts, strict=True)]
        w = _unit(way(*rest))
        along = [side @ w for side in rest]
        middle, scale = (along[0].mean() + along[1].mean()) / 2, torch.cat(along).std(correction=0).clamp_min(1e-12)
        for place, side, part in zip(placed, (a, b), parts, strict=True):
            place.append((side[part == fold] @ w - middle) / scale)  # on one scale, so that turns can be put together
    return area(torch.cat(placed[0]), torch.cat(placed[1]))


def _shared_out(count: int, folds: int) -> Tensor:
    draw = Noise(0, "folds").generator(torch.device("cpu"))
    turn: Tensor = torch.randperm(count, generator=draw) % folds
    return turn


def _unit(way: Tensor) -> Tensor:
    unit: Tensor = way / way.norm().clamp_min(1e-30)
    return unit
