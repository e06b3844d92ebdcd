"""Cells of a table left out at random, so that a model learns to go on from any part of a row (Collier, Nazabal and
Williams 2020, "VAEs in the presence of missing data"; Ivanov, Figurnov and Vetrov 2019, "VAE with arbitrary
conditioning"): what is left is an example like any other, and its bound is the bound of what is left."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from morphogen.core import noise
from morphogen.core.build import register
from morphogen.core.game import Augment
from morphogen.core.space import Space
from morphogen.core.table import Table
from morphogen.errors import UserError

__all__ = ["gaps"]


@register("augments")
class gaps(Augment):
    """Of a `share` of the rows, cells are left out: of each row another part of them, up to `most`.

    share: share of the rows that lose cells
    most: largest share of a row's cells that is left out
    """

    def __init__(
        self,
        space: Space,
        /,
        *,
        share: Annotated[float, Field(ge=0, le=1)] = 0.5,
        most: Annotated[float, Field(ge=0, le=1)] = 0.9,
    ) -> None:
        super().__init__()
        if not isinstance(space, Table):
            raise UserError(f"gaps leaves out cells of a table, and this is a {space.kind}; use augment = none")
        self.table, self.share, self.most = space, share, most

    def forward(self, x: Tensor) -> Tensor:
        rows = (len(x), 1)
        chosen = noise.uniform(rows, event=1, like=x) < self.share
        part = self.most * chosen * noise.uniform(rows, event=1, like=x)
        stays = noise.uniform((len(x), len(self.table.columns)), event=1, like=x) >= part
        return x * torch.cat([stays[:, self.table.column_of], stays], -1)
