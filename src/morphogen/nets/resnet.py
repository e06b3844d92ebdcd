"""Residual convolutions, between a picture of any size and a vector (He et al. 2016, "Identity mappings in deep
residual networks"), without normalisation: each block ends in zeros, so that depth is harmless at the start."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from morphogen.core.build import register
from morphogen.core.space import Image, Space, Vector
from morphogen.nets.blocks import Activation, Enter, Leave, Residual, Up, activation, conv, image_sizes, linear, one_of

__all__ = ["resnet"]


@register("nets")
class resnet(nn.Module):
    """`blocks` residual blocks at every size, `width` channels at first, doubled at each halving up to `limit`."""

    def __init__(
        self,
        inp: Space,
        out: Space,
        given: Vector | None = None,
        /,
        *,
        width: int = 32,
        limit: int = 128,
        blocks: int = 1,
        stages: int | None = None,
        act: Activation = "silu",
    ) -> None:
        super().__init__()
        self.enter = Enter(inp, given)
        way = one_of("resnet", inp, out)
        image = inp if way == "down" else out
        assert isinstance(image, Image)
        sizes = image_sizes(image, stages)
        widths = [min(width * 2**i, limit) for i in range(len(sizes))]

        def residual(count: int) -> Residual:
            return Residual(activation(act), conv(count, count), activation(act), conv(count, count))

        small = widths[-1] * sizes[-1][0] * sizes[-1][1]
        layers: list[nn.Module]
        if way == "down":
            layers = [conv(self.enter.depth, widths[0], gain=1.0)]
            for i, count in enumerate(widths):
                layers += [conv(widths[i - 1], count, stride=2, gain=1.0)] if i else []
                layers += [residual(count) for _ in range(blocks)]
            layers += [activation(act), nn.Flatten(), Leave(small, out)]
        else:
            layers = [linear(self.enter.flat, small, gain=1.0), nn.Unflatten(1, (widths[-1], *sizes[-1]))]
            for i in range(len(widths) - 1, -1, -1):
                layers += [residual(widths[i]) for _ in range(blocks)]
                layers += [Up(widths[i], widths[i - 1], sizes[i - 1], gain=1.0)] if i else []
            layers += [activation(act), conv(widths[0], out.depth, gain=1.0)]
        self.body = nn.Sequential(*layers)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        said: Tensor = self.body(self.enter(x, y))
        return said
