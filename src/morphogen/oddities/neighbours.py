"""How far the nearest normal examples are in the space of codes (Ramaswamy, Rastogi and Shim 2000, "Efficient
algorithms for mining outliers from large data sets"): it sees what lies between clusters, which a mean and a covariance
do not."""

from __future__ import annotations

import math

import torch
from pydantic import PositiveInt
from torch import Tensor

from morphogen.core.build import register
from morphogen.core.oddity import Learned, Look, Oddity
from morphogen.errors import UserError

__all__ = ["neighbours"]

KEPT = 2048  # codes that are kept to compare with
ROWS = 1024


@register("oddities")
class neighbours(Oddity):
    """The distance to the k-th nearest code of normal examples, each number of the code in units of its spread."""

    words = "no normal example has a code like its own"

    def __init__(self, model: object, /, *, nearest: PositiveInt = 5) -> None:
        super().__init__(model)
        if nearest > KEPT:
            raise UserError(
                f"neighbours keeps {KEPT} codes, so nearest = {nearest} is too many; use {KEPT // 2} or fewer"
            )
        self.nearest = nearest

    def see(self, look: Look) -> Tensor:
        return look.code.flatten(1).float()

    def learn(self, seen: Tensor) -> dict[str, Tensor]:
        scale = seen.std(0, correction=0)
        scale = scale.clamp_min(0.1 * float(scale.max()) + 1e-12)  # a number that hardly moves is no witness
        every = -(-len(seen) // KEPT)
        return {"scale": scale, "codes": (seen / scale)[::every]}

    def number(self, seen: Tensor, learned: Learned) -> Tensor:
        codes = learned["codes"]
        k = min(self.nearest, len(codes))
        shares = torch.split(seen / learned["scale"], ROWS)
        far = torch.cat([torch.cdist(rows, codes).kthvalue(k).values for rows in shares])
        return far / math.sqrt(seen.shape[1])
