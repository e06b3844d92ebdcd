"""InfoGAN (Chen et al. 2016): some numbers of the code are kept visible in what is made of them, by a part of the
critic that reads them back; they come to mean something by themselves."""

from __future__ import annotations

import torch
from pydantic import NonNegativeInt
from torch import Tensor, nn
from torch.nn import functional as F

from morphogen.core.build import register
from morphogen.core.game import Guide
from morphogen.core.precision import at_least_single
from morphogen.core.space import Vector
from morphogen.errors import UserError

__all__ = ["information"]


@register("guides")
class information(Guide):
    """-log q(code | features): the first `categories` numbers are a choice of one, the next `numbers` are numbers.

    Take the prior `codes` with the same `categories`.

    numbers: continuous codes to be found again
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
        said = at_least_single(self.read(features))
        k, end = self.categories, self.categories + self.numbers
        cost: Tensor = 0.5 * (said[:, k:] - z[:, k:end]).square().sum(1)
        return cost + F.cross_entropy(said[:, :k], z[:, :k].argmax(1), reduction="none") if k else cost

    def directions(self, start: Tensor) -> tuple[Tensor, Tensor] | None:
        """The first number of every category, then the second; the rest of the code stays as it is."""
        k, kinds = self.categories, max(self.categories, 1)
        if not self.numbers:
            return None
        codes = start.repeat(self.numbers * kinds, 1)
        codes[:, : k + self.numbers] = 0.0
        ways = torch.zeros_like(codes)
        for row in range(len(codes)):
            codes[row, row % kinds] = start[:k].max() if k else 0.0  # as strong as the prior's own choice
            ways[row, k + row // kinds] = 1.0
        return codes, ways
