"""A mixture of normals with covariance matrices of their own."""

from __future__ import annotations

import torch
from torch import Tensor

from morphogen.core import noise
from morphogen.core.distribution import HALF_LOG_TAU, Distribution

__all__ = ["Slanted"]


class Slanted(Distribution):
    """sum_k w_k N(x; m_k, C_k), where C_k is such that (I + L_k) (x - m_k) / s_k is a standard normal, L_k the part of
    `slant` below the diagonal: without it, elements are independent and s_k their scales."""

    def __init__(self, log_weight: Tensor, mean: Tensor, log_scale: Tensor, slant: Tensor, event: int) -> None:
        self.log_weight, self.event = torch.log_softmax(log_weight, 0), event
        self.mean, self.log_scale, self.lower = mean, log_scale, torch.tril(slant, -1)

    def log_prob(self, x: Tensor) -> Tensor:
        flat = x.flatten(-self.event)
        mean, log_scale = (t.flatten(1).to(flat) for t in (self.mean, self.log_scale))
        scaled = (flat.reshape(-1, 1, flat.shape[-1]) - mean) * torch.exp(-log_scale)
        white = scaled + torch.einsum("nkd,ked->nke", scaled, self.lower.to(flat))
        each = -0.5 * white.square().sum(-1) - (log_scale + HALF_LOG_TAU).sum(-1)
        return torch.logsumexp(each + self.log_weight.to(flat), -1).reshape(flat.shape[:-1])

    def sample(self, shape: tuple[int, ...] = ()) -> Tensor:
        u = noise.uniform(shape, event=0, like=self.mean)
        edges = torch.cumsum(torch.exp(self.log_weight), 0)
        which = torch.searchsorted(edges, u.to(edges.dtype).contiguous()).clamp_max(len(edges) - 1)
        eps = noise.normal((*shape, *self.mean.shape[1:]), event=self.event, like=self.mean)
        size = self.lower.shape[-1]
        whole = self.lower + torch.eye(size, device=self.lower.device)
        flat = eps.reshape(*shape, size, 1).to(whole.dtype)
        apart = torch.linalg.solve_triangular(whole[which], flat, upper=False, unitriangular=True)
        drawn: Tensor = self.mean[which] + apart.reshape(eps.shape) * torch.exp(self.log_scale[which])
        return drawn

    @property
    def centre(self) -> Tensor:
        weight = torch.exp(self.log_weight)
        return (weight.reshape(-1, *[1] * self.event) * self.mean).sum(0)
