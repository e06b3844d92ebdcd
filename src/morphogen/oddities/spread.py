"""How far rows lie from those of normal examples: Mahalanobis's distance (1936) under a covariance that is shrunk
towards a multiple of the identity by as much as its noise asks for (Ledoit and Wolf 2004, "A well-conditioned estimator
for large-dimensional covariance matrices"). Of long rows only the main directions are told apart."""

from __future__ import annotations

import torch
from torch import Tensor

from morphogen.core.noise import Noise
from morphogen.core.oddity import Learned

__all__ = ["distance", "spread"]

WHOLE, MAIN = 1024, 256  # numbers of a row up to which all directions are found, and how many of a longer one


def spread(rows: Tensor) -> dict[str, Tensor]:
    """Mean, main directions, and one over the standard deviation along each of them and along all others."""
    mean = rows.double().mean(0)
    centred = rows.double() - mean
    count, width = centred.shape
    total = float(centred.square().sum()) / count
    variances, ways = _directions(centred)
    even, squares = total / width, float(variances.square().sum())
    noise = float(centred.square().sum(1).square().sum()) / count**2 - squares / count
    shrink = min(1.0, max(0.0, noise / max(squares - width * even**2, 1e-30)))
    left = max(total - float(variances.sum()), 0.0) / max(width - len(variances), 1)
    floor = 1e-6 * even + 1e-12  # a direction that never varies is no reason to divide by nothing
    along = (1 - shrink) * variances + shrink * even + floor
    rest = (1 - shrink) * left + shrink * even + floor
    return {"mean": mean, "ways": ways, "along": along.rsqrt(), "rest": along.new_tensor(rest).rsqrt()}


def _directions(centred: Tensor) -> tuple[Tensor, Tensor]:
    """Variances and directions (width, count) of a covariance; of a wide one the main ones, by a sketch of its range
    (Halko, Martinsson and Tropp 2011)."""
    count, width = centred.shape
    basis: Tensor | None = None
    if width > WHOLE:
        draw = Noise(0, "spread").generator(centred.device)
        sketch = torch.randn(width, min(MAIN + 16, count), generator=draw, dtype=centred.dtype, device=centred.device)
        for _ in range(3):
            sketch = torch.linalg.qr(centred.mT @ (centred @ sketch)).Q
        basis, centred = sketch, centred @ sketch
    variances, ways = torch.linalg.eigh(centred.mT @ centred / count)
    variances, ways = variances.clamp_min(0).flip(0), ways.flip(1)
    return (variances, ways) if basis is None else (variances[:MAIN], (basis @ ways)[:, :MAIN])


def distance(rows: Tensor, learned: Learned) -> Tensor:
    """Mahalanobis's distance of each row, per number of it."""
    centred = rows - learned["mean"]
    along = centred @ learned["ways"]
    left = (centred.square().sum(1) - along.square().sum(1)).clamp_min(0)
    squared = (along * learned["along"]).square().sum(1) + left * learned["rest"] ** 2
    return (squared / rows.shape[1]).sqrt()
