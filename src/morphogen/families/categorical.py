"""One of several symbols: tokens of a text, columns of categories, grey levels without an order."""

from __future__ import annotations

import torch
from torch import Tensor

from morphogen.core import noise
from morphogen.core.build import register
from morphogen.core.conditional import Family
from morphogen.core.distribution import Factorised
from morphogen.core.space import Space
from morphogen.errors import UserError

__all__ = ["Categorical", "categorical"]


class Categorical(Factorised):
    """Independent symbols; `logits` has one dimension of levels in front of the datum, `top` turns levels into data."""

    def __init__(self, logits: Tensor, event: int, top: float | None) -> None:
        self.axis = -event - 1
        self.log_p = torch.log_softmax(logits, self.axis)
        self.event, self.top = event, top

    def _level(self, x: Tensor) -> Tensor:
        return x if self.top is None else (x * self.top).round().long()

    def _value(self, level: Tensor) -> Tensor:
        return level if self.top is None else level.to(self.log_p.dtype) / self.top

    def log_each(self, x: Tensor) -> Tensor:
        level = self._level(x)
        shape = torch.broadcast_tensors(level, self.log_p.select(self.axis, 0))[0].shape  # type: ignore[no-untyped-call]
        log_p = self.log_p.movedim(self.axis, -1).expand(*shape, -1)
        return log_p.gather(-1, level.expand(shape).unsqueeze(-1)).squeeze(-1)

    def sample(self, shape: tuple[int, ...] = ()) -> Tensor:
        """By the Gumbel trick: the largest of log p - log(-log u)."""
        u = noise.uniform((*shape, *self.log_p.shape), event=self.event + 1, like=self.log_p)
        gumbel = -torch.log((-torch.log(u.clamp_min(1e-20))).clamp_min(1e-20))
        return self._value((self.log_p + gumbel).argmax(self.axis))

    @property
    def centre(self) -> Tensor:
        return self._value(self.log_p.argmax(self.axis))

    def moments(self) -> tuple[Tensor, Tensor]:
        if self.top is None:
            return super().moments()
        chance = self.log_p.exp().movedim(self.axis, -1)
        level = torch.arange(chance.shape[-1], device=chance.device) / self.top
        mean = (chance * level).sum(-1)
        return mean, (chance * (level - mean[..., None]).square()).sum(-1)


@register("families")
class categorical(Family):
    """A probability for every level of every element."""

    symbols = True

    def __init__(self, space: Space, /) -> None:
        if space.levels < 2:
            raise UserError(f"categorical needs data with levels, and this {space.kind} is of real numbers; use normal")
        super().__init__(space, numbers=space.levels)
        self.top = None if space.kind == "tokens" else float(space.levels - 1)

    @property
    def mass(self) -> bool:
        return True

    def forward(self, said: Tensor) -> Categorical:
        batch = said.shape[: said.dim() - len(self.out.shape)]
        return Categorical(said.reshape(*batch, self.numbers, *self.space.shape), self.event, self.top)
