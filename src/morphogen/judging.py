"""The scores of samples by name, and what each of them needs of the data and of what looks at it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from morphogen.core.batch import BLANK, Batch
from morphogen.core.noise import Noise
from morphogen.core.space import Vector
from morphogen.data.dataset import Split
from morphogen.errors import UserError, did_you_mean
from morphogen.examples import ROWS, Data
from morphogen.metrics.classifier import Own
from morphogen.metrics.copies import copies
from morphogen.metrics.coverage import Coverage, coverage
from morphogen.metrics.features import Extractor, Seen, see, shuffled
from morphogen.metrics.frechet import WIDEST, frechet
from morphogen.metrics.inception_score import inception_score
from morphogen.metrics.kernel import kernel
from morphogen.metrics.modes import Modes, centres_of, count_centres, count_classes, stacked
from morphogen.metrics.sliced import sliced

__all__ = ["SCORES", "Case", "some"]

CAP = 60_000  # training examples that copies are looked for among


@dataclass(frozen=True)
class Case:
    """Samples, the examples they are held against, and what looks at both."""

    x: Tensor
    data: Data
    extractor: Extractor
    seed: int

    @cached_property
    def samples(self) -> Seen:
        """The samples as they are seen."""
        return see(self.extractor, (Batch(piece) for piece in torch.split(self.x, ROWS)), "samples")

    @cached_property
    def reference(self) -> Seen:
        """The examples as they are seen."""
        return self._see(self.data)

    @cached_property
    def neighbours(self) -> Coverage:
        """Four numbers that are found at once, of equally many: more samples would lie in more balls."""
        count = min(len(self.samples), len(self.reference))
        some, others = (seen.rows(shuffled(seen.x, self.seed)[:count]) for seen in (self.samples, self.reference))
        return coverage(some, others, seed=self.seed)

    def _see(self, data: Data) -> Seen:
        return see(self.extractor, data.batches(), f"{data.data.name}/{data.split}")

    @property
    def train(self) -> Split | None:
        """The training examples, if there are any."""
        return self.data.data.splits.get("train")

    def scores(self, asked: str | None) -> dict[str, dict[str, Any]]:
        """Each score that was asked for (names with commas), or that fits; what all share is said once, at the end."""
        chosen = {name: SCORES[name](self) for name in self._chosen(asked)}
        sets = {"n": len(self.samples), "reference": self.reference.of, "reference_n": len(self.reference)}
        shared = self.extractor.facts() | sets | {"seed": self.seed}
        return {name: _without(facts, shared) for name, facts in chosen.items()} | {"protocol": shared}

    def _chosen(self, asked: str | None) -> list[str]:
        if asked is None:
            return [name for name in SCORES if self._fits(name)]
        chosen = list(dict.fromkeys(word.strip() for word in asked.split(",") if word.strip()))
        for word in chosen:
            if word not in SCORES:
                raise UserError(f"scores has no {word!r}; {did_you_mean(word, SCORES)}")
        if not chosen:
            raise UserError(f"scores is empty; name some of {', '.join(SCORES)}, or leave it out")
        return chosen

    def _fits(self, name: str) -> bool:
        if name == "fid":
            return self.samples.x.shape[1] <= WIDEST
        if name == "is":
            return self.samples.chances is not None and _channels(self.extractor) == 1
        if name == "modes":
            return isinstance(self.extractor, Own)
        if name == "copies":  # not through a large network: all training examples would have to pass it
            return self.train is not None and self.data.split != "train" and not self.extractor.name.startswith("inc")
        return True

    def inception_score(self) -> dict[str, Any]:
        """By the classes of one classifier."""
        if _channels(self.extractor) > 1:
            raise UserError(
                f"is needs one class an example, and {self.extractor.name} gives one a channel; leave it out"
            )
        return inception_score(self.samples, seed=self.seed).facts()

    def copies(self) -> dict[str, Any]:
        """Held against the training examples."""
        if self.train is None or self.data.split == "train":
            raise UserError("copies needs training examples and others that were held out; name a set with both")
        train = self._see(some(Data(self.data.data, "train"), CAP, self.seed))
        return copies(self.samples, self.reference, train, seed=self.seed).facts()

    def modes(self) -> Modes:
        """Centres where the data is rows of numbers with labels, else classes that a classifier says."""
        space, name, train = self.data.data.space, self.data.data.name, self.train
        if isinstance(space, Vector) and train is not None and train.y is not None:
            return self._centres(space, train, train.y)
        judge, chances = self.extractor, self.samples.chances
        if not isinstance(judge, Own) or chances is None:
            raise UserError(f"modes needs classes, which {judge.name} does not know; give features = own")
        own = judge.tested["data"] == name and train is not None and train.y is not None
        expected = _counts(train.y, judge.classes) if own and train is not None and train.y is not None else None
        how = f"class {'of each channel ' if judge.channels > 1 else ''}by {judge.name}"
        how += f"; kl to {'the classes of the training examples' if own else 'the uniform distribution'}"
        labels = stacked(judge.labels(chances), judge.net.classes)
        return count_classes(labels, judge.classes, expected=expected, how=how, seed=self.seed)

    def _centres(self, space: Vector, train: Split, y: Tensor) -> Modes:
        count = max(len(self.data.data.classes), 1 + int(y.max()))
        if count < 2:
            raise UserError(f"{self.data.data.name} has one class only, so it has no modes to count; leave modes out")
        told = (y != BLANK).nonzero().flatten()
        centres, scale = centres_of(space.read(train.x.gather(told)), y[told], count)
        how = "centres and deviations of the training examples of each class; kl to their counts"
        x = self.x.flatten(1)
        return count_centres(x, centres, scale, expected=_counts(y, count), how=how, seed=self.seed)


def _counts(y: Tensor, classes: int) -> Tensor:
    return torch.bincount(y[y != BLANK].long(), minlength=classes)


def _channels(extractor: Extractor) -> int:
    return extractor.channels if isinstance(extractor, Own) else 1


def _without(facts: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    """A score without what all of them share."""
    own = {key: value for key, value in facts["protocol"].items() if shared.get(key) != value}
    return {key: value for key, value in facts.items() if key != "protocol"} | {"protocol": own}


def _of_two(score: Callable[..., Any]) -> Callable[[Case], dict[str, Any]]:
    def facts(case: Case) -> dict[str, Any]:
        said: dict[str, Any] = score(case.samples, case.reference, seed=case.seed).facts()
        return said

    return facts


def _neighbours(name: str) -> Callable[[Case], dict[str, Any]]:
    return lambda case: case.neighbours.facts(name)


SCORES: dict[str, Callable[[Case], dict[str, Any]]] = {
    "fid": _of_two(frechet),
    "kid": _of_two(kernel),
    **{name: _neighbours(name) for name in ("precision", "recall", "density", "coverage")},
    "swd": _of_two(sliced),
    "is": Case.inception_score,
    "modes": lambda case: case.modes().facts(),
    "copies": Case.copies,
}


def some(data: Data, n: int, seed: int) -> Data:
    """At most n of the examples, drawn by the seed and kept in order: the first ones may be all of one class."""
    if len(data) <= n:
        return data
    part, draw = data.data.splits[data.split], Noise(seed, "reference").generator(torch.device("cpu"))
    rows = torch.randperm(len(part), generator=draw)[:n].sort().values
    few = part.rows(rows)
    return Data(replace(data.data, splits=data.data.splits | {data.split: few}), data.split)
