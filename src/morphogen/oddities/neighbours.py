"""How thinly normal codes lie around the code of an example, beside how thinly they lie around those (Breunig, Kriegel,
Ng and Sander 2000, "LOF: identifying density-based local outliers"): what lies between clusters is seen, which a mean
and a covariance do not see, and a cluster may be as wide as it likes."""

from __future__ import annotations

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
    """The local outlier factor of the code among normal codes, each number of it in units of its spread."""

    words = "no normal example has a code like its own"

    def __init__(self, model: object, /, *, nearest: PositiveInt = 20) -> None:
        super().__init__(model)
        if nearest > KEPT // 2:
            raise UserError(
                f"neighbours keeps {KEPT} codes, so nearest = {nearest} is too many; use {KEPT // 2} or fewer"
            )
        self.nearest = nearest

    def see(self, look: Look) -> Tensor:
        return look.code.flatten(1).float()

    def learn(self, seen: Tensor) -> dict[str, Tensor]:
        scale = seen.std(0, correction=0)
        scale = scale.clamp_min(0.1 * float(scale.max()) + 1e-12)  # a number that hardly moves is no witness
        codes = (seen / scale)[:: -(-len(seen) // KEPT)]
        apart = torch.cdist(codes, codes).fill_diagonal_(float("inf"))
        near, which = apart.topk(min(self.nearest, max(len(codes) - 1, 1)), largest=False)
        edge = near[:, -1].nan_to_num(posinf=0.0)
        reach = torch.maximum(near.nan_to_num(posinf=0.0), edge[which]).mean(1)
        # codes that are there many times would be endlessly dense
        reach = reach.clamp_min(0.1 * float(reach.median()) + 1e-6)
        return {"scale": scale, "codes": codes, "edge": edge, "density": 1 / reach}

    def number(self, seen: Tensor, learned: Learned) -> Tensor:
        codes, said = learned["codes"], []
        for rows in torch.split(seen / learned["scale"], ROWS):
            near, which = torch.cdist(rows, codes).topk(min(self.nearest, len(codes)), largest=False)
            reach = torch.maximum(near, learned["edge"][which]).mean(1)
            said.append(learned["density"][which].mean(1) * reach)
        return torch.cat(said)
