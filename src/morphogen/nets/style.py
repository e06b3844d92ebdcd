"""The style-based generator (Karras, Laine and Aila 2019, "A style-based generator architecture for generative
adversarial networks") as revised by Karras et al. 2020 ("Analyzing and improving the image quality of StyleGAN"):
codes are first mapped to styles, which scale the weights of each convolution; and the residual critic of the latter.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, cast

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from morphogen.core import noise
from morphogen.core.build import register
from morphogen.core.space import Image, Space, Vector
from morphogen.errors import UserError
from morphogen.nets.blocks import Enter, EnterFlat, Leave, ToVector, channels_last, conv, image_sizes, one_of
from morphogen.nets.kernels import Conv
from morphogen.nets.resample import half, twice

__all__ = ["style"]

Size = tuple[int, int]


class _Slow(nn.Linear):
    """A dense layer whose weights, as Adam sees them, are `1 / pace` times as large: so it learns slowly.

    What it multiplies by is pace / sqrt(inputs) times what it stores (equalised learning rate, Karras et al. 2018).
    """

    def __init__(self, inp: int, out: int, pace: float) -> None:
        super().__init__(inp, out)
        self.pace, self.scale = pace, pace * math.sqrt(2 / inp)
        nn.init.normal_(self.weight, std=1 / pace)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(F.linear(x, self.scale * self.weight, self.pace * self.bias), 0.2)


class _Modulated(nn.Module):
    """A convolution whose weights w_oi are scaled by the style, s_i w_oi, and then each output to length `gain`.

    Scaling inputs by s and outputs by gain / sqrt(sum_i s_i^2 w_oi^2) is the same, and one convolution does all rows.
    """

    def __init__(self, wide: int, inp: int, out: int, kernel: int, gain: float | None) -> None:
        super().__init__()
        self.style = nn.Linear(wide, inp)
        nn.init.normal_(self.style.weight, std=1 / math.sqrt(wide))
        nn.init.ones_(self.style.bias)
        self.conv, self.gain = Conv(inp, out, kernel, padding=kernel // 2, bias=False), gain
        nn.init.normal_(self.conv.weight, std=1 / math.sqrt(inp * kernel**2))

    def forward(self, h: Tensor, w: Tensor) -> Tensor:
        s: Tensor = self.style(w)
        said: Tensor = self.conv(h * s.to(h.dtype)[:, :, None, None])
        if self.gain is None:
            return said
        length = F.linear(s.square(), self.conv.weight.square().sum((2, 3)))
        return said * (self.gain * (length + 1e-8).rsqrt()).to(said.dtype)[:, :, None, None]


class _Layer(nn.Module):
    """A modulated convolution, noise as strong as was learned, a bias, a rectifier. In use the noise stands still."""

    grain: Tensor

    def __init__(self, wide: int, inp: int, out: int, size: Size) -> None:
        super().__init__()
        self.conv = _Modulated(wide, inp, out, 3, math.sqrt(2))  # the rectifier takes half of the variance
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(out, 1, 1))
        self.register_buffer("grain", torch.randn(1, 1, *size))

    def forward(self, h: Tensor, w: Tensor) -> Tensor:
        h = self.conv(h, w)
        grain = noise.normal((len(h), *self.grain.shape[1:]), event=3, like=h) if self.training else self.grain
        shift = self.strength * grain.to(self.strength.dtype)
        return F.leaky_relu(h + shift.to(h.dtype) + self.bias.to(h.dtype), 0.2)


class _Painter(nn.Module):
    """Styles to a picture: each size adds to it what it knows (skip-connected outputs)."""

    def __init__(self, wide: int, counts: list[int], sizes: list[Size], depth: int) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.randn(1, counts[-1], *sizes[-1]))
        self.sizes = sizes[::-1]
        self.layers, self.says = nn.ModuleList(), nn.ModuleList()
        before = counts[-1]
        for i, (count, size) in enumerate(zip(counts[::-1], self.sizes, strict=True)):
            first = [_Layer(wide, before, count, size)] if i else []
            self.layers.append(nn.ModuleList([*first, _Layer(wide, count, count, size)]))
            self.says.append(_Modulated(wide, count, depth, 1, None))
            before = count
        self.bias = nn.Parameter(torch.zeros(depth, 1, 1))

    def forward(self, w: Tensor) -> Tensor:
        h = self.start.to(w.dtype).expand(len(w), -1, -1, -1).contiguous(memory_format=torch.channels_last)
        picture: Tensor = self.bias
        for i, size in enumerate(self.sizes):
            h = twice(h, size, "bilinear") if i else h
            for layer in cast("nn.ModuleList", self.layers[i]):
                h = layer(h, w)
            picture = self.says[i](h, w) + (twice(picture, size, "bilinear") if i else picture)
        return picture


class _Narrow(nn.Module):
    """Two convolutions and a shorter way to half the size; of their sum the variance is that of each."""

    def __init__(self, inp: int, out: int) -> None:
        super().__init__()
        self.one, self.two = conv(inp, inp), conv(inp, out, stride=2)
        self.skip = Conv(inp, out, 1, bias=False)
        nn.init.normal_(self.skip.weight, std=1 / math.sqrt(inp))

    def forward(self, h: Tensor) -> Tensor:
        said = F.leaky_relu(self.two(F.leaky_relu(self.one(h), 0.2)), 0.2)
        skipped: Tensor = self.skip(half(h))
        return (said + skipped) * math.sqrt(0.5)


def _critic(depth: int, counts: list[int], sizes: list[Size], out: Space) -> nn.Sequential:
    layers: list[nn.Module] = [conv(depth, counts[0], kernel=1), nn.LeakyReLU(0.2)]
    layers += [_Narrow(before, after) for before, after in pairwise(counts)]
    layers += [conv(counts[-1], counts[-1]), nn.LeakyReLU(0.2), ToVector()]
    return nn.Sequential(*layers, Leave(counts[-1] * math.prod(sizes[-1]), out))


@register("nets")
class style(nn.Module):
    """A code becomes a style, in `mapping` dense layers of `wide`, and the style a picture; its critic is residual.

    `width` channels at the picture's size, doubled at each halving up to `limit`. `pace`: how fast the mapping learns,
    where everything else has 1. There is no minibatch standard deviation: a row knows nothing of the others.

    mapping: dense layers that make a style of a code
    wide: width of the mapping layers
    pace: learning rate of the mapping, as a share of the net's
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
        mapping: PositiveInt = 4,
        wide: PositiveInt = 128,
        pace: Annotated[float, Field(gt=0, le=1)] = 0.1,
    ) -> None:
        super().__init__()
        way = one_of("style", inp, out)
        image = inp if way == "down" else out
        assert isinstance(image, Image)
        sizes = image_sizes(image, None)
        counts = [min(width * 2**i, limit) for i in range(len(sizes))]
        self.mapping: nn.Sequential | None = None
        if way == "down":
            self.enter = Enter(inp, given)
            self.body: nn.Module = _critic(self.enter.depth, counts, sizes, out)
        else:
            self.enter = EnterFlat(inp, given)
            widths = [self.enter.flat, *[wide] * mapping]
            self.mapping = nn.Sequential(*(_Slow(a, b, pace) for a, b in pairwise(widths)))
            self.body = _Painter(wide, counts, sizes, out.depth)
        channels_last(self)

    def styled(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The style w of a code, of which only the direction counts."""
        if self.mapping is None:
            raise UserError("the style net of a critic has no styles; give a code and a picture")
        h: Tensor = self.enter(z, y)
        w: Tensor = self.mapping(h * (h.square().mean(1, keepdim=True) + 1e-8).rsqrt())
        return w

    def paint(self, w: Tensor) -> Tensor:
        """The picture of a style."""
        said: Tensor = self.body(w)
        return said

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.paint(self.styled(x, y) if self.mapping is not None else self.enter(x, y))
