"""The auxiliary classifier (Odena, Olah and Shlens 2017, "Conditional image synthesis with auxiliary classifier GANs"):
the critic names the class as well, and the generator is to be named rightly."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from morphogen.core.build import register
from morphogen.core.game import Guide
from morphogen.core.precision import at_least_single
from morphogen.core.space import Vector
from morphogen.errors import UserError

__all__ = ["auxiliary"]


@register("guides")
class auxiliary(Guide):
    """-log p(class | features), of real and of made-up examples."""

    def __init__(self, features: int, code: Vector, labels: Vector | None, /) -> None:
        super().__init__()
        if labels is None:
            raise UserError("auxiliary names classes: set model.labelled=true, on data with labels")
        self.classify = nn.Linear(features, labels.length)

    def real(self, features: Tensor, y: Tensor | None) -> Tensor | None:
        assert y is not None
        return F.cross_entropy(at_least_single(self.classify(features)), y.argmax(1), reduction="none")

    def fake(self, features: Tensor, y: Tensor | None, z: Tensor) -> Tensor | None:
        return self.real(features, y)
