"""Residual convolutions, between a picture of any size and a vector (He et al. 2016, "Identity mappings in deep
residual networks"), without normalisation: each block ends in zeros, so that depth is harmless at the start."""

from __future__ import annotations

from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from morphogen.core.build import register
from morphogen.core.space import Image, Space, Vector
from morphogen.nets.blocks import (
    Activation,
    Down,
    Enter,
    Leave,
    Residual,
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

__all__ = ["resnet"]


@register("nets")
class resnet(nn.Module):
    """`blocks` residual blocks at every size, `width` channels at first, doubled at each halving up to `limit`.

    `patch` > 1 takes and gives pixels in patches, so that all work is done at a smaller size; `dense`, where given, is
    the width of a dense layer between the smallest picture and the vector.

    patch: pixels of this many by this many enter as one, with more channels
    dense: width of the dense layer at the code; none: no such layer
    """

    def __init__(
        self,
        inp: Space,
        out: Space,
        given: Vector | None = None,
        /,
        *,
        width: PositiveInt = 32,
        limit: PositiveInt = 128,
        blocks: NonNegativeInt = 1,
        stages: NonNegativeInt | None = None,
        patch: PositiveInt = 1,
        dense: PositiveInt | None = None,
        act: Activation = "silu",
    ) -> None:
        super().__init__()
        self.enter = Enter(inp, given)
        way = one_of("resnet", inp, out)
        image = inp if way == "down" else out
        assert isinstance(image, Image)
        sizes = image_sizes(image, stages, patch)
        widths = [min(width * 2**i, limit) for i in range(len(sizes))]

        def residuals(count: int) -> list[nn.Module]:
            parts = ((activation(act), conv(count, count), activation(act), conv(count, count)) for _ in range(blocks))
            return [Residual(*body) for body in parts]

        full, small = (image.height, image.width), widths[-1] * sizes[-1][0] * sizes[-1][1]
        layers: list[nn.Module]
        if way == "down":
            layers = [Down(full, patch), conv(self.enter.depth * patch**2, widths[0], gain=1.0)]
            for i, count in enumerate(widths):
                layers += [activation(act), conv(widths[i - 1], count, stride=2)] if i else []
                layers += residuals(count)
            layers += [activation(act), ToVector()]
            layers += [linear(small, dense), activation(act)] if dense else []
            layers += [Leave(dense or small, out)]
        else:
            layers = [linear(self.enter.flat, dense), activation(act)] if dense else []
            layers += [linear(dense or self.enter.flat, small), activation(act), ToImage(widths[-1], sizes[-1])]
            for i in range(len(widths) - 1, -1, -1):
                layers += residuals(widths[i])
                layers += [activation(act), Up(widths[i], widths[i - 1], sizes[i - 1], kernel=1)] if i else []
            layers += [activation(act), Up(widths[0], out.depth, full, gain=1.0, factor=patch)]
        self.body = nn.Sequential(*layers)
        channels_last(self)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        said: Tensor = self.body(self.enter(x, y))
        return said
