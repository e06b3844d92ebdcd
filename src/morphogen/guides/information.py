"""InfoGAN (Chen et al. 2016): some numbers of the code are kept visible in what is made of them, by a part of the
critic that reads them back; they come to mean something by themselves."""

from __future__ import annotations

from pydantic import NonNegativeInt
from torch import Tensor, nn
from torch.nn import functional as F

from morphogen.core.build import register
from morphogen.core.game import Guide
from morphogen.core.space import Vector
from morphogen.errors import UserError

__all__ = ["information"]


@register("guides")
class information(Guide):
    """-log q(code | features): the first `categories` numbers are a choice of one, the next `numbers` are numbers.

    Take the prior `codes` with the same `categories`.
    """

    def __init__(
        self,
        features: int,
        code: Vector,
        labels: Vector | None,
        /,
        *,
        categories: NonNegativeInt = 10,
        numbers: NonNegativeInt = 2,
    ) -> None:
        super().__init__()
        if not 0 < categories + numbers <= code.length:
            raise UserError(
                f"information reads {categories} + {numbers} numbers of a code of {code.length}; set categories and "
                "numbers so that there are some and not too many"
            )
        self.categories, self.numbers = categories, numbers
        self.read = nn.Linear(features, categories + numbers)

    def fake(self, features: Tensor, y: Tensor | None, z: Tensor) -> Tensor | None:
        said = self.read(features).float()
        k, end = self.categories, self.categories + self.numbers
        cost: Tensor = 0.5 * (said[:, k:] - z[:, k:end]).square().sum(1)
        return cost + F.cross_entropy(said[:, :k], z[:, :k].argmax(1), reduction="none") if k else cost
