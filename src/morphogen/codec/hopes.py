"""What is to be expected of a rung's centres, given the state above: learned when a model is frozen, for sketches.

A model is trained with p(z) = N(0, 1) for draws of its posteriors; the centres of posteriors that say little lie much
nearer to zero, and where they do not, the state often knows. So each rung gets a head, one linear map of its activated
state, that maximises the likelihood of centres with the noise of rounding, N(m + u | mean(h), scale(h)).
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from morphogen.codec.tables import FINE

__all__ = ["expected", "head", "noise_of"]

STEPS, RATE = 300, 3e-2
SITES = 1 << 15  # that a head learns from, at most
LEAST = -4.0  # of a log scale: e^-4 is far below any step of a grid


def noise_of(log_scale: Tensor) -> list[int]:
    """log sigma of each channel's posterior, on average; (n, depth, *sites)."""
    each = log_scale.transpose(0, 1).flatten(1).mean(1)
    return [round(float(said) * 2**FINE) for said in each]


def expected(mean: Tensor, noise: list[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Mean and log scale of each channel's centres, (2, depth), where there is no state to ask."""
    centre, log_scale = _moments(mean, noise)
    return np.rint(torch.stack([centre, log_scale]).double().numpy() * 2.0**FINE).astype(np.int64)


def head(state: Tensor, mean: Tensor, noise: list[int]) -> nn.Module:
    """Of states (n, width, h, w), what the centres (n, depth, h, w) are like: means, then log scales."""
    depth = mean.shape[1]
    net = nn.Sequential(nn.SiLU(), nn.Conv2d(state.shape[1], 2 * depth, 1))
    said = cast("nn.Conv2d", net[1])
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        said.weight.zero_()
        said.bias.copy_(torch.cat(_moments(mean, noise)))  # type: ignore[union-attr]
    h, m = (t.detach().float().permute(0, 2, 3, 1).flatten(0, 2) for t in (F.silu(state.float()), mean))
    few = torch.randperm(len(h), generator=draw)[:SITES]
    h, m, width = h[few], m[few], _step(noise)
    weight, bias = said.weight, cast("Tensor", said.bias)
    optimiser = torch.optim.Adam([weight, bias], lr=RATE)
    with torch.enable_grad():
        for step in range(STEPS):
            optimiser.param_groups[0]["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * step / STEPS))
            u = (torch.rand(m.shape, generator=draw) - 0.5) * width
            centre, log_scale = F.linear(h, weight.flatten(1), bias).chunk(2, 1)
            log_scale = log_scale.clamp(LEAST, 4.0)
            loss = (0.5 * ((m + u - centre) * torch.exp(-log_scale)).square() + log_scale).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return net.requires_grad_(False)


def _step(noise: list[int]) -> Tensor:
    """The width of a grid whose rounding is as much as the noise."""
    return torch.tensor(noise).float().mul(2.0**-FINE).exp() * math.sqrt(12)


def _moments(mean: Tensor, noise: list[int]) -> tuple[Tensor, Tensor]:
    each = mean.detach().float().transpose(0, 1).flatten(1)
    return each.mean(1), 0.5 * torch.log(each.var(1, correction=0) + _step(noise).square() / 12)
