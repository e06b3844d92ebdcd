"""Labels that may be wrong (Lawrence and Schölkopf 2001, "Estimating a kernel Fisher discriminant in the presence of
label noise"; Reed et al. 2015, "Training deep neural networks on noisy labels with bootstrapping"): as they are where
they were spread from few examples to many. What is learned of an example weighs its label against what is said of it.

    p(k) ~ q(k|x little changed) p(y|k),   p(y|k) = 1 - doubt where y is k, doubt / (classes - 1) where it is another
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from morphogen.core.build import register
from morphogen.core.lesson import Lecture
from morphogen.core.schedule import Weight
from morphogen.core.space import Space, Vector
from morphogen.lessons.agreement import Share, agreement

__all__ = ["doubted"]


@register("lessons")
class doubted(agreement):
    """Agreement in which a label is evidence, wrong with a chance of `doubt`; an example without one is as before."""

    def __init__(
        self,
        space: Space,
        labels: Vector,
        /,
        *,
        doubt: Annotated[float, Field(gt=0, lt=1)] = 0.2,
        sure: Annotated[float, Field(ge=0, lt=1)] = 0.6,
        heat: Annotated[float, Field(gt=0, le=1)] = 0.5,
        even: Share = 1.0,
        memory: Annotated[float, Field(ge=0, lt=1)] = 0.98,
        weight: Weight = 1.0,
    ) -> None:
        super().__init__(space, labels, sure=sure, heat=heat, even=even, memory=memory, weight=weight)
        self.doubt, self.others = doubt, labels.length - 1

    def evidence(self, lecture: Lecture) -> Tensor:
        """log p(y|k), 0 where there is no label."""
        wrong = torch.full_like(lecture.heard, self.doubt / self.others)
        chance = wrong.scatter(1, lecture.y.clamp_min(0)[:, None], 1 - self.doubt)
        return chance.log() * lecture.known[:, None]

    def applies(self, lecture: Lecture) -> Tensor:
        return torch.ones_like(lecture.known)
