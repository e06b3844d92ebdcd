"""What labels say: -log q(y|x), the term with which Kingma et al. 2014 (their equation 9) teach q(y|x)."""

from __future__ import annotations

from torch import Tensor

from morphogen.core.build import register
from morphogen.core.lesson import Lecture, Lesson
from morphogen.core.schedule import Weight
from morphogen.core.space import Space, Vector

__all__ = ["taught"]


@register("lessons")
class taught(Lesson):
    """-log q(y|x), its mean over the examples whose y is known, whatever share of a batch they are."""

    def __init__(self, space: Space, labels: Vector, /, *, weight: Weight = 1.0) -> None:
        super().__init__(space, labels, weight)

    def forward(self, lecture: Lecture, step: int) -> Tensor:
        return lecture.surprise(lecture.y) * lecture.labels
