"""The deep convolutional GAN (Radford, Metz and Chintala 2016, "Unsupervised representation learning with deep
convolutional generative adversarial networks"): 4x4 convolutions of stride two, batch norm, nothing dense."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from morphogen.core.build import register
from morphogen.core.space import Image, Space, Vector
from morphogen.nets.blocks import (
    Activation,
    Enter,
    Leave,
    ToImage,
    ToVector,
    activation,
    channels_last,
    image_sizes,
    one_of,
)
from morphogen.nets.kernels import Conv, Deconv

__all__ = ["dcgan"]

Norm = Literal["batch", "none"]
LEAKY = math.sqrt(2 / (1 + 0.2**2))  # the gain that keeps the scale through a leaky rectifier


class _Halve(Conv):
    """Half the size, odd sizes rounded up."""

    def __init__(self, inp: int, out: int, norm: Norm) -> None:
        super().__init__(inp, out, 4, 2, 1, bias=norm == "none")
        _initialise(self, norm, 16 * inp, LEAKY)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        return super().forward(F.pad(x, (0, width % 2, 0, height % 2)) if height % 2 or width % 2 else x)


class _Double(Deconv):
    """Twice the size, cropped to `size`."""

    def __init__(self, inp: int, out: int, norm: Norm, size: tuple[int, int]) -> None:
        super().__init__(inp, out, 4, 2, 1, bias=norm == "none")
        self.size = size
        _initialise(self, norm, 4 * inp, math.sqrt(2))  # of the 16 taps each pixel meets 4

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        height, width = self.size
        return super().forward(x, output_size)[..., :height, :width]


@register("nets")
class dcgan(nn.Module):
    """Convolutions of stride two, `width` channels at half the picture's size, doubled each time up to `limit`.

    With `width = 64`, and `features = 8192` for its critic, a picture of 64 x 64 gets the paper's networks: where the
    vector has as many numbers as the smallest picture, the critic has no dense layer of its own. `act` is the
    generator's; a leaky one does not die at a high learning rate where nothing normalises.
    """

    def __init__(
        self,
        inp: Space,
        out: Space,
        given: Vector | None = None,
        /,
        *,
        width: PositiveInt = 64,
        limit: PositiveInt = 512,
        stages: NonNegativeInt | None = None,
        norm: Norm = "batch",
        act: Activation = "relu",
    ) -> None:
        super().__init__()
        self.enter = Enter(inp, given)
        way = one_of("dcgan", inp, out)
        image = inp if way == "down" else out
        assert isinstance(image, Image)
        sizes = image_sizes(image, stages)
        outside = self.enter.depth if way == "down" else out.depth
        counts = [outside, *(min(width * 2**i, limit) for i in range(len(sizes) - 1))]
        small = counts[-1] * math.prod(sizes[-1])
        if way == "down":
            layers = _critic(counts, small, out, norm)
        else:
            layers = _generator(counts, sizes, small, self.enter.flat, norm, act)
        self.body = nn.Sequential(*layers)
        channels_last(self)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        said: Tensor = self.body(self.enter(x, y))
        return said


def _critic(counts: list[int], small: int, out: Space, norm: Norm) -> list[nn.Module]:
    """Batch norm after every convolution but the first."""
    layers: list[nn.Module] = []
    for i, (before, after) in enumerate(pairwise(counts)):
        layers += [nn.LeakyReLU(0.2)] if i else []
        layers += [_Halve(before, after, norm), *(_normed(after, norm) if i else [])]
    if small == out.size and layers:
        return [*layers, ToVector()]
    return [*layers, *([nn.LeakyReLU(0.2)] if layers else []), ToVector(), Leave(small, out)]


def _generator(
    counts: list[int], sizes: list[tuple[int, int]], small: int, flat: int, norm: Norm, act: Activation
) -> list[nn.Module]:
    """Batch norm before every convolution."""
    dense = nn.Linear(flat, small, bias=norm == "none" or len(counts) == 1)
    _initialise(dense, norm if len(counts) > 1 else "none", flat, 1.0)
    layers: list[nn.Module] = [dense, ToImage(counts[-1], sizes[-1])]
    for i in range(len(counts) - 1, 0, -1):
        layers += [*_normed(counts[i], norm), activation(act), _Double(counts[i], counts[i - 1], norm, sizes[i - 1])]
    return layers


def _normed(count: int, norm: Norm) -> list[nn.Module]:
    if norm == "none":
        return []
    layer = nn.BatchNorm2d(count)
    nn.init.normal_(layer.weight, 1.0, 0.02)
    return [layer]


def _initialise(layer: nn.Linear | Conv | Deconv, norm: Norm, fan_in: int, gain: float) -> None:
    """As in the paper under batch norm; without it nothing else keeps the scale."""
    nn.init.normal_(layer.weight, std=0.02 if norm == "batch" else gain / math.sqrt(fan_in))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
