"""Coins: black or white pixels. On grey pixels this is the "binary cross-entropy" of the tutorials, which is a bound
on nothing: it is a likelihood only where the data is binary (see the protocol of a score)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from morphogen.core import noise
from morphogen.core.build import register
from morphogen.core.conditional import Family
from morphogen.core.distribution import Factorised
from morphogen.core.space import Space
from morphogen.errors import UserError

__all__ = ["Bernoulli", "bernoulli"]


class Bernoulli(Factorised):
    """Independent coins, given as logits."""

    def __init__(self, logits: Tensor, event: int) -> None:
        self.logits, self.event = logits, event

    def log_each(self, x: Tensor) -> Tensor:
        """x l - log(1 + exp l); torch's own threshold of 20 would be off by 2e-9 there."""
        return x * self.logits - F.softplus(self.logits, threshold=40)

    def sample(self, shape: tuple[int, ...] = ()) -> Tensor:
        chance = torch.sigmoid(self.logits)
        return noise.bernoulli(chance.expand(*shape, *chance.shape), event=self.event)

    @property
    def centre(self) -> Tensor:
        return torch.sigmoid(self.logits)

    def moments(self) -> tuple[Tensor, Tensor]:
        chance = torch.sigmoid(self.logits)
        return chance, chance * torch.sigmoid(-self.logits)


@register("families")
class bernoulli(Family):
    """A coin for every element: for data of two levels."""

    def __init__(self, space: Space, /) -> None:
        if not space.levels:
            raise UserError(f"bernoulli needs data with levels, and this {space.kind} is of real numbers; use normal")
        super().__init__(space, numbers=1)

    @property
    def mass(self) -> bool:
        return self.space.levels == 2

    def forward(self, said: Tensor) -> Bernoulli:
        (logits,) = self.split(said)
        return Bernoulli(logits, self.event)
