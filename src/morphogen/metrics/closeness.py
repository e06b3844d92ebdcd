"""How near restored examples are to the truth, and whether their doubt is honest: PSNR, SSIM (Wang, Bovik, Sheikh and
Simoncelli 2004, "Image quality assessment: from error visibility to structural similarity"), coverage of intervals.

The trap of coverage: where all draws and the truth are the same level (a black background) an interval of no width
always holds the truth. So coverage is of *ranks*: if the draws are right, the truth is one more, and its rank,
ties broken by chance, is uniform (the randomised probability integral transform: Czado, Gneiting and Held 2009,
"Predictive model assessment for count data"): 0.9 for the right posterior of any data, black backgrounds included.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from morphogen.core import noise
from morphogen.core.space import Space

__all__ = ["coverage", "psnr", "ssim"]

SIDE, SIGMA = 11, 1.5  # of the window
C1, C2 = 0.01**2, 0.03**2
INSIDE = 0.9


def psnr(x: Tensor, truth: Tensor) -> Tensor:
    """Decibels, of each example with values from 0 to 1; 100 where nothing differs.

    >>> psnr(torch.full((1, 4), 0.1), torch.zeros(1, 4))
    tensor([20.])
    """
    apart = (x.double() - truth).square().flatten(1).mean(1)
    return -10 * torch.log10(apart.clamp_min(1e-10)).float()


def ssim(x: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity of each picture with values from 0 to 1, by normal windows, where they fit whole."""
    side = min(SIDE, *(size - 1 + size % 2 for size in x.shape[-2:]))
    place = torch.arange(side, dtype=torch.float64) - side // 2
    window = torch.exp(-0.5 * (place / SIGMA).square())
    window = (window / window.sum()).to(x.device)

    def seen(t: Tensor) -> Tensor:
        flat = t.double().reshape(-1, 1, *t.shape[-2:])
        return F.conv2d(F.conv2d(flat, window[None, None, None]), window[None, None, :, None])

    a, b = seen(x), seen(truth)
    pairs = ((x, x, a * a), (truth, truth, b * b), (x, truth, a * b))
    va, vb, both = (seen(s.double() * t) - m for s, t, m in pairs)
    each = (2 * a * b + C1) * (2 * both + C2) / ((a * a + b * b + C1) * (va + vb + C2))
    return each.reshape(len(x), -1).mean(1).float()


def coverage(draws: Tensor, truth: Tensor, space: Space, of: Tensor) -> dict[str, float]:
    """How often the truth's rank among the draws (samples, batch, *datum) is in the middle 90 %, over the elements `of`
    which something was unknown; how often the interval holds it, over those whose interval has a width; their share."""
    u = noise.uniform(truth.shape, event=truth.dim() - 1, like=draws.float())[of]
    draws, truth = draws[:, of], truth[of]
    if space.levels and draws.is_floating_point():
        draws, truth = ((t * (space.levels - 1)).round() for t in (draws, truth))
    count = len(draws)
    below, ties = (draws < truth).sum(0), (draws == truth).sum(0)
    rank = below + (u * (ties + 1)).floor().clamp_max(ties)
    cut = max(math.floor((1 - INSIDE) / 2 * (count + 1) + 1e-9), 0)
    middle = ((rank >= cut) & (rank <= count - cut)).double()
    ordered = draws.sort(0).values
    low, high = ordered[max(cut - 1, 0)], ordered[count - max(cut, 1)]
    wide = high > low
    held = ((truth >= low) & (truth <= high))[wide].double()
    said = {"coverage": float(middle.mean()) if len(middle) else 1.0, "nominal": (count + 1 - 2 * cut) / (count + 1)}
    return said | {
        "coverage_where_wide": float(held.mean()) if len(held) else 1.0,
        "wide": float(wide.double().mean()) if len(wide) else 0.0,
    }
