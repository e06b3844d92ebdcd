"""Salt and pepper: some elements are lost altogether, and say black or white in their stead."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from morphogen.core import noise
from morphogen.core.build import register
from morphogen.core.damage import Damage, hidden, missing
from morphogen.core.space import Space
from morphogen.errors import UserError

__all__ = ["salt"]


@register("damages")
class salt(Damage):
    """A `share` of the elements is black or white, whatever it was; which ones, inference finds out.

    Each element is a mixture: as it was, or anything from black to white alike.

    share: share of the elements that is black or white
    """

    def __init__(self, space: Space, /, *, share: Annotated[float, Field(gt=0, lt=1)] = 0.1) -> None:
        super().__init__(space)
        if not space.levels:
            raise UserError(f"salt is black and white, which this {space.kind} does not know; use noise or mask")
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        u = noise.uniform(x.shape, event=len(self.space.shape), like=x)
        return torch.where(u < self.share / 2, 0, torch.where(u < self.share, 1, x))

    def echo(self, x: Tensor) -> Tensor:
        return x

    def _kept(self, mean: Tensor, variance: Tensor, y: Tensor) -> Tensor:
        """log of the chance of an element's being as it was, over that of its being lost."""
        odds: Tensor = super().log_each(mean, variance, y)
        return odds + torch.log(torch.tensor((1 - self.share) / self.share, device=y.device))

    def log_each(self, mean: Tensor, variance: Tensor, y: Tensor) -> Tensor:
        log_p = torch.logaddexp(self._kept(mean, variance, y), torch.zeros_like(mean))
        return torch.where(missing(y), 0, log_p + torch.log(torch.tensor(self.share, device=y.device)))

    def believed(self, mean: Tensor, variance: Tensor, y: Tensor) -> Tensor:
        u = noise.uniform(y.shape, event=len(self.space.shape), like=mean)
        return hidden(y, u > torch.sigmoid(self._kept(mean, variance, y)))

    def told(self) -> str:
        return f"salt={self.share:g}"
