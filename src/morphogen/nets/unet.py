"""A net from a picture to features at every pixel that sees far and loses nothing: down by halves, up again, with what
was seen at each size on the way down beside it on the way up (Ronneberger, Fischer and Brox 2015, "U-Net")."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from morphogen.nets.blocks import Activation, Residual, activation, channels_last, conv

__all__ = ["PATCH", "UNet"]

PATCH = 2  # pixels are read and told in patches: no convolution runs at the full size


class UNet(nn.Module):
    """`inp` channels at every pixel to `out`; `widths` are those of each scale, the finest (patches) first.

    What is at the bottom may be changed on the way: `middle` is called with it. Pictures of any size.
    """

    def __init__(self, inp: int, out: int, widths: list[int], blocks: int, act: Activation = "silu") -> None:
        super().__init__()

        def think(width: int) -> nn.Sequential:
            bodies = (
                (activation(act), conv(width, width), activation(act), conv(width, width, 1)) for _ in range(blocks)
            )
            return nn.Sequential(*(Residual(*body) for body in bodies))

        self.unit = PATCH * 2 ** (len(widths) - 1)
        self.enter = conv(inp * PATCH**2, widths[0], gain=1.0)
        self.before = nn.ModuleList(think(width) for width in widths)
        self.down = nn.ModuleList(conv(4 * a, b, 1, gain=1.0) for a, b in pairwise(widths))
        self.up = nn.ModuleList(conv(b, 4 * a, 1, gain=1.0) for a, b in pairwise(widths))
        self.after = nn.ModuleList(think(width) for width in widths)
        self.leave = nn.Sequential(activation(act), conv(widths[0], out * PATCH**2, gain=0.1))
        channels_last(self)

    def descend(self, x: Tensor) -> list[Tensor]:
        """What is seen at each scale, the finest first."""
        height, width = x.shape[-2:]
        x = F.pad(x, (0, -width % self.unit, 0, -height % self.unit), mode="replicate")
        h = self.enter(F.pixel_unshuffle(x, PATCH).contiguous(memory_format=torch.channels_last))
        seen = [self.before[0](h)]
        for down, think in zip(self.down, self.before[1:], strict=True):
            seen.append(think(down(F.pixel_unshuffle(seen[-1], 2))))
        return seen

    def ascend(self, seen: list[Tensor], middle: Callable[[Tensor], Tensor], size: tuple[int, int]) -> Tensor:
        """What is told at each pixel."""
        h = self.after[-1](middle(seen[-1]))
        for scale in reversed(range(len(self.up))):
            h = self.after[scale](seen[scale] + F.pixel_shuffle(self.up[scale](h), 2))
        said: Tensor = F.pixel_shuffle(self.leave(h), PATCH)[..., : size[0], : size[1]]
        return said
