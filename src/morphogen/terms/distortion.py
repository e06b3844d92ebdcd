"""How badly the code describes the data."""

from __future__ import annotations

from torch import Tensor

from morphogen.core.build import register
from morphogen.core.inference import Inference
from morphogen.core.schedule import Weight
from morphogen.core.space import Space
from morphogen.core.term import Term

__all__ = ["distortion"]


@register("terms")
class distortion(Term):
    """-log p(x|z)."""

    def __init__(self, space: Space, /, *, weight: Weight = 1.0) -> None:
        super().__init__(space, weight)

    def forward(self, inference: Inference, step: int) -> Tensor:
        return inference.distortion
