"""Plain strided convolutions between a picture of any size and a vector (after DCGAN: Radford, Metz, Chintala 2016)."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from morphogen.core.build import register
from morphogen.core.space import Image, Space, Vector
from morphogen.nets.blocks import (
    Activation,
    Enter,
    Leave,
    ToImage,
    ToVector,
    Up,
    activation,
    channels_last,
    conv,
    image_sizes,
    linear,
    one_of,
)

__all__ = ["conv_net"]


@register("nets", "conv")
class conv_net(nn.Module):
    """One convolution a halving of the picture, `width` channels at first, doubled each time up to `limit`."""

    def __init__(
        self,
        inp: Space,
        out: Space,
        given: Vector | None = None,
        /,
        *,
        width: PositiveInt = 32,
        limit: PositiveInt = 256,
        stages: NonNegativeInt | None = None,
        act: Activation = "relu",
        norm: Literal["none", "batch"] = "none",
    ) -> None:
        super().__init__()
        self.enter = Enter(inp, given)
        way = one_of("conv", inp, out)
        image = inp if way == "down" else out
        assert isinstance(image, Image)
        sizes = image_sizes(image, stages)
        widths = [min(width * 2**i, limit) for i in range(len(sizes))]

        def finish(count: int) -> list[nn.Module]:
            return [*([nn.BatchNorm2d(count)] if norm == "batch" else []), activation(act)]

        small = widths[-1] * sizes[-1][0] * sizes[-1][1]
        layers: list[nn.Module]
        if way == "down":
            layers = [conv(self.enter.depth, widths[0]), *finish(widths[0])]
            for before, after in pairwise(widths):
                layers += [conv(before, after, stride=2), *finish(after)]
            layers += [ToVector(), Leave(small, out)]
        else:
            layers = [linear(self.enter.flat, small), ToImage(widths[-1], sizes[-1]), *finish(widths[-1])]
            for i in range(len(sizes) - 1, 0, -1):
                layers += [Up(widths[i], widths[i - 1], sizes[i - 1]), *finish(widths[i - 1])]
            layers += [conv(widths[0], out.depth, gain=1.0)]
        self.body = nn.Sequential(*layers)
        channels_last(self)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        said: Tensor = self.body(self.enter(x, y))
        return said
