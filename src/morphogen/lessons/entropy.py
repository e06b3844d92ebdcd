"""Doubt is discouraged (Grandvalet and Bengio 2005, "Semi-supervised learning by entropy minimization")."""

from __future__ import annotations

from torch import Tensor

from morphogen.core.build import register
from morphogen.core.lesson import Lecture, Lesson
from morphogen.core.schedule import Weight
from morphogen.core.space import Space, Vector

__all__ = ["entropy"]


@register("lessons")
class entropy(Lesson):
    """The entropy of q(y|x) where no y is known."""

    def __init__(self, space: Space, labels: Vector, /, *, weight: Weight = 0.1) -> None:
        super().__init__(space, labels, weight)

    def forward(self, lecture: Lecture, step: int) -> Tensor:
        return -(lecture.said.exp() * lecture.said).sum(1) * ~lecture.known
