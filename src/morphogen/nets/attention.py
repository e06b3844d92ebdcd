"""Self-attention over the sites of a picture (Zhang et al. 2019, "Self-attention generative adversarial networks")."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Attention"]


class Attention(nn.Module):
    """x + gate . V softmax(Q(x) K(x)') H(x), an eighth of the channels inside; the gate starts at zero."""

    def __init__(self, count: int) -> None:
        super().__init__()
        inner = max(count // 8, 1)
        # no biases: one of the keys would shift all of a row's logits alike, which softmax does not see
        self.query, self.key, self.value = (nn.Linear(count, inner, bias=False) for _ in range(3))
        self.back = nn.Linear(inner, count, bias=False)
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, h: Tensor) -> Tensor:
        rows = h.permute(0, 2, 3, 1).flatten(1, 2)  # (n, sites, channels): free where the picture lies channels-last
        # plain products, since torch's fused attention cannot be differentiated twice
        looks = (self.query(rows) @ self.key(rows).transpose(1, 2)).softmax(2)
        seen = self.back(looks.to(rows.dtype) @ self.value(rows).to(rows.dtype))
        said: Tensor = seen.unflatten(1, h.shape[2:]).permute(0, 3, 1, 2)
        gated = self.gate * said
        return h + gated.to(h.dtype)
