"""How sure a score of two sets is: the jackknife over blocks (Quenouille 1949; Tukey 1958; Kunsch 1989).

    var = (B - 1) / B  sum_b (s_b - mean)^2,   s_b: the score without block b of either set

A bootstrap would draw rows twice, which biases distances between sets: copies look like a smaller support. The interval
says how the score would vary with other samples and other held-out examples; it says nothing of a score's own bias.

Scores that are not smooth in their rows, nearest neighbours, say, vary more without a block than they should; there
half of the rows are left out at a time (Shao and Wu 1989, "A general theory for jackknife variance estimation").

    var = mean_h (s_h - mean)^2,   s_h: the score of half of the blocks of either set, and of the other half

The 19 ways to halve 20 blocks are those of a Hadamard matrix (Paley 1933; McCarthy 1969), whose columns are orthogonal:
so of a mean the variance is that between the blocks, as if each had been left out alone.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import torch
from torch import Tensor

from morphogen.metrics.features import shuffled

__all__ = ["BLOCKS", "HALVED", "blocks_of", "half_samples", "halves", "jackknife", "student"]

BLOCKS = 10
HALVED = 20  # blocks, of which half are left out at a time
# the 97.5 % quantile of Student's t for 1 .. 30 degrees of freedom; the normal's beyond
T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


def student(freedom: int) -> float:
    """How many standard errors reach to either side of a 95 % interval.

    >>> student(9)
    2.262
    """
    return T[freedom - 1] if 1 <= freedom <= len(T) else 1.96


def blocks_of(x: Tensor, seed: int, count: int = BLOCKS) -> list[Tensor]:
    """The rows of x in blocks as equal as can be, shuffled by their content."""
    return list(shuffled(x, seed).tensor_split(count))


def jackknife(without: Callable[[int], float], value: float, count: int = BLOCKS) -> tuple[float, float]:
    """The 95 % interval about `value`; `without(b)` is the score when block b is left out."""
    left = torch.tensor([without(block) for block in range(count)], dtype=torch.float64)
    error = sqrt((count - 1) / count * float((left - left.mean()).square().sum()))
    reach = student(count - 1) * error
    return value - reach, value + reach


def halves() -> list[list[bool]]:
    """Which of 20 blocks are kept, 38 times: half of them, then the other half."""
    order = HALVED - 1
    squares = {i * i % order for i in range(1, order)}
    ways = [[False] + [c == r or (r - c) % order in squares for c in range(order)] for r in range(order)]
    return [half for way in ways for half in (way, [not kept for kept in way])]


def half_samples(said: list[float], value: float) -> tuple[float, float]:
    """The 95 % interval about `value`; `said` are the scores of the halves, in their order."""
    scores = torch.tensor(said, dtype=torch.float64)
    reach = student(HALVED - 1) * float((scores - scores.mean()).square().mean().sqrt())
    return value - reach, value + reach
