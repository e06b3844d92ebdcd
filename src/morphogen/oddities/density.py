"""How thinly normal rows lie around a row, beside how thinly they lie around those (Breunig, Kriegel, Ng and Sander
2000, "LOF: identifying density-based local outliers"): what lies between clusters is seen, which a mean and a
covariance do not see, and a cluster may be as wide as it likes."""

from __future__ import annotations

import torch
from torch import Tensor

from morphogen.core.oddity import Learned
from morphogen.errors import UserError

__all__ = ["outlier_factor", "some_rows"]

KEPT = 2048  # rows that are kept to compare with
ROWS = 1024


def some_rows(rows: Tensor, nearest: int) -> dict[str, Tensor]:
    """Evenly spaced rows, how far the nearest of each reach, and how dense it is there."""
    if nearest > KEPT // 2:
        raise UserError(f"nearest = {nearest} of the {KEPT} rows that are kept is too many; use {KEPT // 2} or fewer")
    kept = rows[:: -(-len(rows) // KEPT)]
    apart = torch.cdist(kept, kept).fill_diagonal_(float("inf"))
    near, which = apart.topk(min(nearest, max(len(kept) - 1, 1)), largest=False)
    near = near.nan_to_num(posinf=0.0)
    edge = near[:, -1]
    reach = torch.maximum(near, edge[which]).mean(1)
    reach = reach.clamp_min(0.1 * float(reach.median()) + 1e-6)  # rows that are there many times have no end of density
    return {"kept": kept, "edge": edge, "density": 1 / reach}


def outlier_factor(rows: Tensor, learned: Learned, nearest: int) -> Tensor:
    """About 1 where it is as dense as around the neighbours, more where it is thinner."""
    said = []
    for some in torch.split(rows, ROWS):
        near, which = torch.cdist(some, learned["kept"]).topk(min(nearest, len(learned["kept"])), largest=False)
        reach = torch.maximum(near, learned["edge"][which]).mean(1)
        said.append(learned["density"][which].mean(1) * reach)
    return torch.cat(said)
