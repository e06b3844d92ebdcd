"""Does made data help a classifier? Paired: every repetition draws labelled examples anew and teaches two classifiers,
alike in first weights, steps and order of draws, one on the examples alone, one on them and what was made of them. The
interval is Student's, of the differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

import torch
from torch import Tensor

from morphogen.core import noise
from morphogen.core.batch import Batch
from morphogen.core.noise import Noise
from morphogen.core.space import Space
from morphogen.errors import UserError
from morphogen.metrics.classifier import BATCH, accuracy, teach
from morphogen.metrics.jackknife import student

__all__ = ["Study", "Trial", "classical", "interval", "labelled_subset", "mixed_batches", "verdict"]

Change = Callable[[Tensor], Tensor]
Pair = tuple[Tensor, Tensor]  # examples and their classes


@dataclass
class Trial:
    """What repetitions have found so far: the share right without and with made data, of each."""

    without: list[float] = field(default_factory=list)
    with_made: list[float] = field(default_factory=list)

    def add(self, without: float, with_made: float) -> None:
        """One more repetition."""
        self.without.append(without)
        self.with_made.append(with_made)

    def facts(self) -> dict[str, Any]:
        """The means, the difference with its interval, and the verdict."""
        gains = [b - a for a, b in zip(self.without, self.with_made, strict=True)]
        gain, low, high = interval(gains)
        said = {"accuracy_without": _mean(self.without), "accuracy_with": _mean(self.with_made), "gain": gain}
        return said | {"interval": [low, high], "verdict": verdict(low, high), "gains": gains}


def interval(gains: list[float]) -> tuple[float, float, float]:
    """The mean and its 95 % interval.

    >>> [round(x, 3) for x in interval([0.01, 0.02, 0.03])]
    [0.02, -0.005, 0.045]
    """
    if len(gains) < 2:
        raise UserError("one repetition has no interval; give seeds of 2 or more")
    mean = _mean(gains)
    error = sqrt(sum((gain - mean) ** 2 for gain in gains) / (len(gains) - 1) / len(gains))
    reach = student(len(gains) - 1) * error
    return mean, mean - reach, mean + reach


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def verdict(low: float, high: float) -> str:
    """In a word or two."""
    return "helps" if low > 0 else "harms" if high < 0 else "cannot tell"


@dataclass(frozen=True)
class Study:
    """`examples` gives those of a repetition, `made` what is made of them; `change` is what is done to all of them."""

    space: Space
    classes: int
    examples: Callable[[int], Pair]
    made: Callable[[int], Pair]
    test: Sequence[Batch]
    steps: int
    share: float
    change: Change

    def repeat(self, seed: int) -> tuple[float, float]:
        """The share of test examples that is right, without made examples and with them."""
        real, right = self.examples(seed), []
        for made in (None, self.made(seed)):
            batch = mixed_batches(real, made, seed=seed, share=self.share, change=self.change)
            net = teach(self.space, self.classes, batch, steps=self.steps, seed=seed)
            right.append(accuracy(net, self.test))
        return right[0], right[1]


def mixed_batches(real: Pair, made: Pair | None, *, seed: int, share: float, change: Change) -> Callable[[int], Batch]:
    """The batch of a step: rows drawn with replacement, a share of them from what was made, all changed as usual."""
    few = round(share * BATCH) if made is not None else 0

    def batch(step: int) -> Batch:
        draw = Noise(seed, "worth/batch", step)
        parts = [_some(real, BATCH - few, draw)] + ([_some(made, few, draw)] if made is not None else [])
        with noise.source(Noise(seed, "worth/change", step)):
            x = change(torch.cat([x for x, _ in parts]))
        return Batch(x, torch.cat([y for _, y in parts]))

    return batch


def _some(held: Pair, count: int, draw: Noise) -> Pair:
    rows = torch.randint(0, len(held[0]), (count,), generator=draw.generator(torch.device("cpu")))
    return held[0][rows], held[1][rows]


def labelled_subset(y: Tensor, each: int, seed: int) -> Tensor:
    """Rows of `each` examples of every class, drawn by the seed."""
    draw = Noise(seed, "worth/labels").generator(torch.device("cpu"))
    order = torch.randperm(len(y), generator=draw)
    kinds = y[y >= 0].bincount().nonzero().flatten()
    chosen = [order[y[order] == kind][:each] for kind in kinds]
    short = min(len(rows) for rows in chosen) if chosen else 0
    if short < each:
        raise UserError(f"the smallest class has {short} labelled, and {each} of each are asked for; ask for fewer")
    return torch.cat(chosen).sort().values


def classical(space: Space) -> tuple[Change, str]:
    """The usual small changes of examples on a grid, and what they are in words; of others none."""
    if len(space.sites) != 2:
        return (lambda x: x), "none"
    from morphogen.augments.moves import moves

    change: Change = moves(space)
    return change, "shifts by up to 7 %, turns by up to 10 degrees, scalings by up to 10 %"
