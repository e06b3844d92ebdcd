"""A lesson: what a model that names classes learns of examples, of which only some have a label.

A lecture is a batch as such a model sees it: changed much (`strong`), which it learns from, and changed little
(`weak`), which says what is to be learned where there is no label.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from morphogen.core.batch import Labelled
from morphogen.core.build import Part
from morphogen.core.game import Augment
from morphogen.core.schedule import schedule
from morphogen.core.space import Space, Vector

__all__ = ["Lecture", "Lesson"]


@dataclass
class Lecture:
    """Examples, their labels (BLANK where there is none), what is said of them: log probabilities of classes, and how
    likely each class is, where that was guessed before."""

    x: Tensor
    y: Tensor
    say: Callable[[Tensor], Tensor]
    weak: Augment
    strong: Augment
    guesses: Tensor | None = None
    labelled: Labelled | None = None

    @property
    def known(self) -> Tensor:
        """Which examples have a label."""
        return self.y >= 0

    @property
    def weights(self) -> Tensor:
        """How many examples of the whole set each one stands for: a mean with them is one over the set, also where
        batches hold more of the labelled examples than there are."""
        if self.labelled is None:
            return torch.ones_like(self.said[:, 0])
        told, untold = self.labelled.of_set, 1 - self.labelled.of_set
        told, untold = told / (self.labelled.of_batches or 1), untold / (1 - self.labelled.of_batches or 1)
        return torch.where(self.known, told, untold).to(self.said.dtype)

    @property
    def labels(self) -> Tensor:
        """A weight of each example with which a mean is one over those with a label alone."""
        known = self.known.to(self.said.dtype)
        share = known.mean().clamp_min(1 / len(known)) if self.labelled is None else self.labelled.of_batches or 1
        return known / share

    @cached_property
    def said(self) -> Tensor:
        """Of the examples much changed."""
        return self.say(self.strong(self.x))

    @cached_property
    def heard(self) -> Tensor:
        """Of the examples a little changed; nothing is learned through it."""
        with torch.no_grad():
            return self.say(self.weak(self.x))

    def surprise(self, y: Tensor) -> Tensor:
        """-log q(y|x) of each example."""
        return -self.said.gather(1, y.clamp_min(0)[:, None]).squeeze(1)


class Lesson(nn.Module):
    """`forward(lecture, step)` is a cost per example, 0 where it does not apply; the model weighs and averages."""

    def __init__(self, space: Space, labels: Vector, weight: float | Part = 1.0) -> None:
        super().__init__()
        self.weight = schedule(weight)

    def forward(self, lecture: Lecture, step: int) -> Tensor:
        raise NotImplementedError
