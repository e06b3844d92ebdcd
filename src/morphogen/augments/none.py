"""No augmentation."""

from __future__ import annotations

from torch import Tensor

from morphogen.core.build import register
from morphogen.core.game import Augment
from morphogen.core.space import Space

__all__ = ["none"]


@register("augments")
class none(Augment):
    """The critic sees examples as they are."""

    def __init__(self, space: Space, /) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x
