"""How thinly normal rows lie around a row, beside how thinly they lie around those (Breunig, Kriegel, Ng and Sander
2000, "LOF: identifying density-based local outliers"): what lies between clusters is seen, which a mean and a
covariance do not see, and a cluster may be as wide as it likes."""

from __future__ import annotations

import torch
from torch import Tensor

from morphogen.core.oddity import Learned
from morphogen.core.precision import on_grid
from morphogen.errors import UserError

__all__ = ["outlier_factor", "some_rows"]

KEPT = 2048  # rows that are kept to compare with
ROWS = 1024


def some_rows(rows: Tensor, nearest: int) -> dict[str, Tensor]:
    """Evenly spaced rows, how far the nearest of each reach, and how dense it is there."""
    if nearest > KEPT // 2:
        raise UserError(f"nearest = {nearest} of the {KEPT} rows that are kept is too many; use {KEPT // 2} or fewer")
    kept = rows[:: -(-len(rows) // KEPT)]
    apart = _apart(kept, kept).fill_diagonal_(float("inf"))
    near, which = apart.topk(min(nearest, max(len(kept) - 1, 1)), largest=False)
    near = near.nan_to_num(posinf=0.0)
    edge = near[:, -1]
    reach = torch.maximum(near, edge[which]).mean(1)
    reach = reach.clamp_min(0.1 * float(reach.median()) + 1e-6)  # rows that are there many times have no end of density
    return {"kept": kept, "edge": edge, "density": 1 / reach}


def outlier_factor(rows: Tensor, learned: Learned, nearest: int) -> Tensor:
    """About 1 where it is as dense as around the neighbours, more where it is thinner. Rows as near as the last
    neighbour are neighbours, too, as in the paper: which of them came first would be up to rounding."""
    kept, edge, density = learned["kept"], learned["edge"], learned["density"]
    said = []
    for some in torch.split(rows, ROWS):
        apart = on_grid(_apart(some, kept))
        last = apart.kthvalue(min(nearest, len(kept)), 1, keepdim=True).values
        near = (apart <= last).to(apart.dtype)
        count = near.sum(1)
        said.append((near * density).sum(1) * (near * torch.maximum(apart, edge)).sum(1) / count.square())
    return torch.cat(said)


def _apart(rows: Tensor, kept: Tensor) -> Tensor:
    """All distances, each by itself: by products, those of rows that are close would be rounding."""
    return torch.cdist(rows, kept, compute_mode="donot_use_mm_for_euclid_dist")
