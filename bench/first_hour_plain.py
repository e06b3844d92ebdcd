"""The rival of the first hour: a convolutional VAE as anybody writes it, Adam 1e-3, squared error, batches of 64."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["Plain"]


class Plain(nn.Module):
    """Three or four strided convolutions to a code of 32, and back."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        down, up = [], []
        stages = next(k for k in range(6) if min(height, width) // 2**k <= 8)
        for before, after in pairwise([channels, 32, 64, 128, 256][: stages + 1]):
            down += [nn.Conv2d(before, after, 4, 2, 1), nn.ReLU()]
            up = [nn.ConvTranspose2d(after, before, 4, 2, 1), nn.ReLU(), *up]
        small = (after, height // 2**stages, width // 2**stages)
        flat = small[0] * small[1] * small[2]
        self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(flat, 64))
        self.decoder = nn.Sequential(nn.Linear(32, flat), nn.ReLU(), nn.Unflatten(1, small), *up[:-1], nn.Sigmoid())

    def loss(self, x: Tensor) -> Tensor:
        mean, log_variance = self.encoder(x).chunk(2, 1)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        rate = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
        return ((self.decoder(z) - x).square().sum() + rate) / len(x)

    def reconstruct(self, x: Tensor) -> Tensor:
        said: Tensor = self.decoder(self.encoder(x).chunk(2, 1)[0])
        return said

    def sample(self, n: int) -> Tensor:
        said: Tensor = self.decoder(torch.randn(n, 32))
        return said
