"""The residual GAN (Miyato et al. 2018, "Spectral normalization for generative adversarial networks", after Gulrajani
et al. 2017): nearest upsampling and average pooling inside the blocks, self-attention at one size if wished.

Spectral normalisation itself is a penalty of the critic: penalties = ["spectral"].
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import PositiveInt
from torch import Tensor, nn

from morphogen.core.build import register
from morphogen.core.space import Image, Space, Vector
from morphogen.errors import UserError
from morphogen.nets.attention import Attention
from morphogen.nets.blocks import Enter, Leave, ToImage, channels_last, conv, image_sizes, linear, one_of
from morphogen.nets.resample import Half, HalfConv, Twice, TwiceConv

__all__ = ["gan_resnet"]

Norm = Literal["batch", "none"]


class _Sum(nn.Module):
    """What was seen anywhere: a number a channel."""

    def forward(self, h: Tensor) -> Tensor:
        return h.sum((2, 3))


class _Block(nn.Module):
    """branch(x) + skip(x)."""

    def __init__(self, branch: list[nn.Module], skip: list[nn.Module]) -> None:
        super().__init__()
        self.branch, self.skip = nn.Sequential(*branch), nn.Sequential(*skip)

    def forward(self, h: Tensor) -> Tensor:
        said: Tensor = self.branch(h) + self.skip(h)
        return said


@register("nets", "gan-resnet")
class gan_resnet(nn.Module):
    """One residual block a halving, `width` channels at the picture's size, doubled each time up to `limit`.

    `norm`: where nothing is said, batch norm in the generator and none in the critic, as in the paper. `attention`: the
    height of the features over which one layer of self-attention looks.

    attention: size of the layer with self-attention, in pixels; none: no attention
    """

    def __init__(
        self,
        inp: Space,
        out: Space,
        given: Vector | None = None,
        /,
        *,
        width: PositiveInt = 32,
        limit: PositiveInt = 256,
        norm: Norm | None = None,
        attention: PositiveInt | None = None,
    ) -> None:
        super().__init__()
        self.enter = Enter(inp, given)
        way = one_of("gan-resnet", inp, out)
        image = inp if way == "down" else out
        assert isinstance(image, Image)
        self.sizes = image_sizes(image, None)
        self.counts = [min(width * 2**i, limit) for i in range(len(self.sizes))]
        self.norm = (norm or ("batch" if way == "up" else "none")) == "batch"
        if attention is not None and attention not in [height for height, _ in self.sizes]:
            heights = ", ".join(str(height) for height, _ in self.sizes)
            raise UserError(f"gan-resnet has no features of height {attention} for attention; use one of: {heights}")
        self.attention = attention
        self.gain = math.sqrt(
            2 / len(self.sizes)
        )  # of each branch, so that all of them add up to one more of the input
        self.body = nn.Sequential(*(self._critic(out) if way == "down" else self._generator(out)))
        channels_last(self)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        said: Tensor = self.body(self.enter(x, y))
        return said

    def _critic(self, out: Space) -> list[nn.Module]:
        counts = [self.enter.depth, *self.counts]
        layers: list[nn.Module] = []
        for i, (height, _) in enumerate(self.sizes):
            layers += [Attention(counts[i])] if i and height == self.attention else []
            layers.append(self._down(counts[i], counts[i + 1], first=i == 0, pool=i < len(self.sizes) - 1))
        if self.attention == self.sizes[0][0]:
            raise UserError("gan-resnet: attention over the picture itself sees no features; use a smaller size")
        layers += [*self._finish(counts[-1]), _Sum()]
        return layers if counts[-1] == out.size else [*layers, Leave(counts[-1], out)]

    def _generator(self, out: Space) -> list[nn.Module]:
        counts = self.counts
        small = counts[-1] * math.prod(self.sizes[-1])
        layers: list[nn.Module] = [linear(self.enter.flat, small, gain=1.0), ToImage(counts[-1], self.sizes[-1])]
        for i in range(len(counts) - 1, -1, -1):
            layers += [self._up(counts[i + 1], counts[i], self.sizes[i])] if i < len(counts) - 1 else []
            layers += [Attention(counts[i])] if self.sizes[i][0] == self.attention else []
        return [*layers, *self._finish(counts[0]), conv(counts[0], out.depth, gain=1.0)]

    def _finish(self, count: int) -> list[nn.Module]:
        return [*([nn.BatchNorm2d(count)] if self.norm else []), nn.ReLU()]

    def _up(self, before: int, after: int, size: tuple[int, int]) -> _Block:
        branch = [*self._finish(before), TwiceConv(before, after, size), *self._finish(after)]
        skip = [conv(before, after, kernel=1, gain=1.0), Twice(size, "nearest")]
        return _Block([*branch, conv(after, after, gain=self.gain)], skip)

    def _down(self, before: int, after: int, first: bool, pool: bool) -> _Block:
        """The first block sees pixels, which no rectifier should cut. Its skip pools first, which comes to the same."""
        pools: list[nn.Module] = [Half()] if pool else []
        inner = after if first else before
        branch = [*([] if first else self._finish(before)), conv(before, inner), *self._finish(inner)]
        skip = [] if before == after and not pool else [conv(before, after, kernel=1, gain=1.0)]
        last = HalfConv(inner, after, self.gain) if pool else conv(inner, after, gain=self.gain)
        return _Block([*branch, last], [*pools, *skip])
