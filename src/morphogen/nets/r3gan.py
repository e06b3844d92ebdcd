"""The networks of R3GAN (Huang et al. 2024, "The GAN is dead; long live the GAN! A modern GAN baseline", config E):
a modern residual net without normalisation, held by its initialisation (Zhang et al. 2019, "Fixup initialization")."""

from __future__ import annotations

import math

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from morphogen.core.build import register
from morphogen.core.space import Image, Space, Vector
from morphogen.nets.blocks import Enter, Leave, Residual, channels_last, conv, image_sizes, linear, one_of
from morphogen.nets.kernels import Conv
from morphogen.nets.resample import Half, Twice

__all__ = ["r3"]


class _Basis(nn.Module):
    """A learned small picture, each channel as strong as a linear function of the code says."""

    def __init__(self, flat: int, count: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.strength = linear(flat, count, gain=1.0)
        self.basis = nn.Parameter(torch.randn(count, *size))

    def forward(self, z: Tensor) -> Tensor:
        strength: Tensor = self.strength(z)
        said = strength[:, :, None, None] * self.basis.to(strength.dtype)
        return said.contiguous(memory_format=torch.channels_last)


class _Gather(nn.Module):
    """A depthwise convolution as large as the picture: one weighted sum of each channel."""

    def __init__(self, count: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(count, *size) / math.sqrt(math.prod(size)))

    def forward(self, h: Tensor) -> Tensor:
        return (h * self.weight).sum((2, 3))


@register("nets")
class r3(nn.Module):
    """`blocks` grouped inverted bottlenecks at every size, `width` channels at first, doubled each time up to `limit`.

    Inside a block the channels are `expand` times as many, and its 3x3 convolution sees them in groups of `group`.

    expand: how many times wider the inside of a block is
    group: channels of a group in grouped convolutions
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
        expand: PositiveInt = 2,
        group: PositiveInt = 16,
    ) -> None:
        super().__init__()
        self.enter = Enter(inp, given)
        way = one_of("r3", inp, out)
        image = inp if way == "down" else out
        assert isinstance(image, Image)
        self.blocks, self.expand, self.group = blocks, expand, group
        sizes = image_sizes(image, None)
        counts = [min(width * 2**i, limit) for i in range(len(sizes))]
        self.body = nn.Sequential(
            *(self._critic(counts, sizes, out) if way == "down" else self._generator(counts, sizes, out))
        )
        channels_last(self)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        said: Tensor = self.body(self.enter(x, y))
        return said

    def _residuals(self, count: int, sizes: int) -> list[nn.Module]:
        """x + f(x), f = 1x1, grouped 3x3, 1x1. Fix-up: f ends in zeros, and in the other convolutions of all L blocks
        the weights are L^(-1/4) of what would keep the scale, so that a step moves the output alike at any depth."""
        groups = math.ceil(count * self.expand / self.group)
        inner = groups * self.group
        gain = math.sqrt(2) * max(self.blocks * sizes, 1) ** -0.25
        residuals: list[nn.Module] = []
        for _ in range(self.blocks):
            grouped = Conv(inner, inner, 3, padding=1, groups=groups)
            nn.init.normal_(grouped.weight, std=gain / math.sqrt(9 * self.group))
            nn.init.zeros_(grouped.bias)  # type: ignore[arg-type]
            opened, closed = conv(count, inner, kernel=1, gain=gain), conv(inner, count, kernel=1)
            residuals.append(Residual(opened, nn.LeakyReLU(0.2), grouped, nn.LeakyReLU(0.2), closed))
        return residuals

    def _critic(self, counts: list[int], sizes: list[tuple[int, int]], out: Space) -> list[nn.Module]:
        layers: list[nn.Module] = [conv(self.enter.depth, counts[0], kernel=1, gain=1.0)]
        for i, count in enumerate(counts):
            layers += [Half(), *_widened(counts[i - 1], count)] if i else []
            layers += self._residuals(count, len(sizes))
        layers.append(_Gather(counts[-1], sizes[-1]))
        return layers if counts[-1] == out.size else [*layers, Leave(counts[-1], out)]

    def _generator(self, counts: list[int], sizes: list[tuple[int, int]], out: Space) -> list[nn.Module]:
        layers: list[nn.Module] = [_Basis(self.enter.flat, counts[-1], sizes[-1])]
        for i in range(len(counts) - 1, -1, -1):
            layers += self._residuals(counts[i], len(sizes))
            layers += [*_widened(counts[i], counts[i - 1]), Twice(sizes[i - 1], "bilinear")] if i else []
        return [*layers, conv(counts[0], out.depth, kernel=1, gain=1.0)]


def _widened(before: int, after: int) -> list[nn.Module]:
    """Resampling is linear in each channel, so that a 1x1 convolution may be done wherever the picture is smaller."""
    return [] if before == after else [conv(before, after, kernel=1, gain=1.0)]
