"""Which examples are odd: several ideas of it, made into one p-value by examples that are known to be normal.

    detector = Detector.fit(model, batches to learn from, held-out batches)
    found = detector.score(batch)
    odd = found.p <= 0.05            # of new normal examples at most 5 % are called odd, on average

What is found of an example is a function of it alone, the same bits whatever stands beside it: the model runs in double
precision, and its numbers are put on a grid (core/precision.py). For any model and any space; what a model cannot do
(a gan has no likelihood) is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from morphogen.calibration import Calibration, Numbers, p_values
from morphogen.core import noise
from morphogen.core.batch import Batch
from morphogen.core.build import names, part
from morphogen.core.noise import Alike
from morphogen.core.oddity import Look, Oddity
from morphogen.core.precision import in_double, like_weights, on_grid
from morphogen.errors import Failure, UserError
from morphogen.oddities.residual import heat

__all__ = ["USUAL", "Detector", "Found"]

USUAL = ("typicality", "complexity", "residual", "neighbours", "resemblance")  # what is looked at unasked
NOISE = 0


@dataclass(frozen=True)
class Found:
    """What was found of each example: its p-value, how odd it is (which still tells apart what no p-value can), and how
    surprising it is to each idea (n, ideas)."""

    p: Tensor
    oddness: Tensor
    surprises: Tensor
    names: tuple[str, ...]
    words: tuple[str, ...]  # what is odd about each, by the idea that is the most surprised


class Detector:
    """Ideas that have learned what is normal, and the held-out normal examples that they are measured by."""

    def __init__(
        self, model: Any, ideas: Mapping[str, Oddity], learned: Mapping[str, dict[str, Tensor]], normal: Tensor
    ) -> None:
        self.model, self.ideas, self.normal = model, dict(ideas), normal
        self.learned = {name: {word: value.double() for word, value in said.items()} for name, said in learned.items()}
        self.calibration = Calibration(normal.double().numpy(), [idea.low for idea in self.ideas.values()])

    @classmethod
    def fit(
        cls,
        model: Any,
        learn: Iterable[Batch],
        held_out: Iterable[Batch],
        scores: Sequence[str] | None = None,
    ) -> Detector:
        """Learn from normal examples, and measure by others. `scores` are names of the oddities shelf; without it, the
        usual ones that the model can give."""
        model, first = in_double(model), iter(learn)
        begin = next(first, None)
        if begin is None or not len(begin):
            raise UserError("there are no normal examples to learn from; give some")
        ideas = _ideas(model, begin, scores)
        rows = _seen(model, ideas, _chain(begin, first))
        learned = {name: idea.learn(rows[name]) for name, idea in ideas.items()}
        del rows
        normal = _numbers(ideas, learned, _seen(model, ideas, held_out))
        if len(normal) < 3:
            raise UserError(
                f"{len(normal)} held-out normal examples are too few to measure by; give 3 or more, better 500"
            )
        return cls(model, ideas, learned, normal)

    @property
    def names(self) -> tuple[str, ...]:
        """The ideas, in the order of `Found.surprises`."""
        return tuple(self.ideas)

    @property
    def least(self) -> float:
        """The smallest false-alarm rate that can be promised: more held-out examples make it smaller."""
        return self.calibration.least

    def only(self, scores: Sequence[str]) -> Detector:
        """The same with fewer ideas; nothing has to be learned again."""
        places = [self.names.index(name) for name in scores]
        ideas = {name: self.ideas[name] for name in scores}
        return Detector(self.model, ideas, {name: self.learned[name] for name in scores}, self.normal[:, places])

    def numbers(self, batch: Batch) -> Tensor:
        """What each idea says of each example (n, ideas)."""
        return _numbers(self.ideas, self.learned, _seen(self.model, self.ideas, [batch]))

    def score(self, batch: Batch) -> Found:
        """What is found of each example."""
        return self.judged(self.numbers(batch))

    def judged(self, numbers: Tensor) -> Found:
        """The same of numbers that were said before."""
        said: Numbers = numbers.double().numpy()
        made = (self.calibration.p(said), self.calibration.oddness(said), self.calibration.surprises(said))
        p, oddness, surprises = (torch.from_numpy(np.ascontiguousarray(array)) for array in made)
        return Found(p, oddness, surprises, self.names, self._words(numbers, surprises.argmax(1).tolist()))

    def _words(self, numbers: Tensor, loudest: Sequence[int]) -> tuple[str, ...]:
        ideas, middle = list(self.ideas.values()), self.normal.double().median(0).values
        below = (numbers < middle).tolist()
        return tuple(
            ideas[idea].words_low if ideas[idea].low and below[row][idea] else ideas[idea].words
            for row, idea in enumerate(loudest)
        )

    def heat(self, batch: Batch) -> Tensor:
        """Element by element, how far each example is from its reconstruction, in units of how far normal ones are."""
        if "residual" not in self.learned:
            raise UserError(
                f"heat maps are made of residuals, and the scores are {', '.join(self.names)}; add residual"
            )
        idea = self.ideas["residual"]
        seen = _seen(self.model, {"residual": idea}, [batch])["residual"]
        return heat(seen, self.learned["residual"]).reshape(len(seen), *self.model.space.shape)

    def p_of(self, numbers: Tensor) -> Tensor:
        """A p-value of each idea by itself (n, ideas), counted among the same held-out examples."""
        said, promise = (self.calibration.surprises(t) for t in (numbers.double().numpy(), self.calibration.promise))
        columns = [p_values(mine, among) for mine, among in zip(said.T, promise.T, strict=True)]
        return torch.from_numpy(np.stack(columns, 1))

    def threshold(self, rate: float) -> float:
        """How odd an example must be to be called odd: more than this, at most `rate` of normal ones are."""
        self.promised(rate)
        among = np.sort(self.calibration.oddness(self.calibration.promise))[::-1]
        return float(among[int(np.floor(rate * (1 + len(among)) + 1e-9)) - 1])

    def promised(self, rate: float) -> None:
        """Refuse a false-alarm rate that the held-out examples are too few for."""
        if not 0 < rate < 1:
            raise UserError(f"a false-alarm rate lies between 0 and 1, and {rate:g} does not; 0.05 is usual")
        if rate < self.least - 1e-12:
            count = len(self.normal)
            raise UserError(
                f"{count:,} held-out normal examples can promise a false-alarm rate of {self.least:.2g} at the least, "
                f"not {rate:g}; ask for that, or hold out about {round(1.5 / rate):,}"
            )

    def tensors(self) -> dict[str, Tensor]:
        """All that was learned, to be kept."""
        kept = {f"{name}.{key}": value for name, said in self.learned.items() for key, value in said.items()}
        return kept | {"normal": self.normal}

    def facts(self) -> dict[str, Any]:
        """What `from_tensors` needs beside the tensors."""
        return {"scores": list(self.names)}

    @classmethod
    def from_tensors(cls, model: Any, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Detector:
        """A detector as it was kept."""
        model = in_double(model)
        ideas = {name: part("oddities", name)(model) for name in facts["scores"]}
        learned: dict[str, dict[str, Tensor]] = {name: {} for name in ideas}
        for key, value in tensors.items():
            name, dot, word = key.partition(".")
            if dot:
                learned[name][word] = value
        return cls(model, ideas, learned, tensors["normal"])


def _ideas(model: Any, batch: Batch, scores: Sequence[str] | None) -> dict[str, Oddity]:
    """Those that were asked for; else the usual ones that do not refuse the model."""
    ideas: dict[str, Oddity] = {}
    refusals = []
    few = Batch(batch.x[:2], None if batch.y is None else batch.y[:2])
    for name in scores if scores is not None else USUAL:
        try:
            idea = part("oddities", name)(model)
            _seen(model, {name: idea}, [few])
            ideas[name] = idea
        except UserError as refusal:
            if scores is not None:
                raise
            refusals.append(str(refusal))
    if not ideas:
        raise UserError(
            refusals[0] if refusals else f"no scores were asked for; there are: {', '.join(names('oddities'))}"
        )
    return ideas


def _chain(first: Batch, rest: Iterable[Batch]) -> Iterable[Batch]:
    yield first
    yield from rest


def _seen(model: Any, ideas: Mapping[str, Oddity], batches: Iterable[Batch]) -> dict[str, Tensor]:
    """The rows of each idea, in double precision. The same noise for every example: none depends on where it stands,
    or beside whom."""
    rows: dict[str, list[Tensor]] = {name: [] for name in ideas}
    with torch.no_grad():
        for batch in batches:
            look = Look(model, replace(batch, x=like_weights(model, batch.x)))
            for name, idea in ideas.items():
                with noise.source(Alike(NOISE, "oddity")):
                    rows[name].append(idea.see(look).cpu().double())
    return {name: torch.cat(seen) if seen else torch.zeros(0, 1) for name, seen in rows.items()}


def _numbers(ideas: Mapping[str, Oddity], learned: Mapping[str, dict[str, Tensor]], rows: dict[str, Tensor]) -> Tensor:
    said = torch.stack([idea.number(rows[name], learned[name]).double() for name, idea in ideas.items()], 1)
    bad = torch.nonzero(~torch.isfinite(said))
    if len(bad):
        row, column = bad[0].tolist()
        raise Failure(
            f"{list(ideas)[column]} is not finite for {len(bad)} examples (the first, from 0, is {row}): weights or "
            "data hold NaN, or overflow; leave that score out, or use an earlier state of the run"
        )
    return on_grid(said)
