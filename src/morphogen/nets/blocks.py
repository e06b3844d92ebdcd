"""The handful of blocks that every net is made of: each has a plain meaning that integers can imitate exactly.

Scale is kept by initialisation (He et al. 2015): normalisation over one example's activations is no default.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from morphogen.core.space import Image, Space, Vector
from morphogen.errors import UserError
from morphogen.nets.kernels import Conv

__all__ = [
    "Activation",
    "Enter",
    "EnterFlat",
    "Leave",
    "Residual",
    "Up",
    "activation",
    "channels_last",
    "conv",
    "image_sizes",
    "linear",
    "one_of",
]

Activation = Literal["relu", "silu", "gelu", "elu", "tanh", "leaky"]

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "elu": nn.ELU,
    "tanh": nn.Tanh,
    "leaky": lambda: nn.LeakyReLU(0.2),
}


def activation(name: Activation) -> nn.Module:
    """A fresh activation by name."""
    return _ACTIVATIONS[name]()


def _initialise(layer: nn.Linear | nn.Conv2d, gain: float) -> None:
    fan_in = layer.weight[0].numel()
    nn.init.normal_(layer.weight, std=gain / math.sqrt(fan_in))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def linear(inp: int, out: int, gain: float = math.sqrt(2)) -> nn.Linear:
    """A linear layer that keeps the scale of what flows through it."""
    layer = nn.Linear(inp, out)
    _initialise(layer, gain)
    return layer


def conv(inp: int, out: int, kernel: int = 3, stride: int = 1, gain: float = math.sqrt(2)) -> Conv:
    """A convolution that keeps the scale, padded so that `stride` alone decides the size: ceil(size / stride)."""
    layer = Conv(inp, out, kernel, stride, padding=kernel // 2)
    _initialise(layer, gain)
    return layer


class Up(nn.Module):
    """Twice the size, cropped to `size`: a convolution says four pixels for each, then laid out (sub-pixel)."""

    def __init__(
        self, inp: int, out: int, size: tuple[int, int], kernel: int = 3, gain: float = math.sqrt(2), factor: int = 2
    ) -> None:
        super().__init__()
        self.conv, self.size, self.factor = conv(inp, factor**2 * out, kernel, gain=gain), size, factor

    def forward(self, h: Tensor) -> Tensor:
        height, width = self.size
        return F.pixel_shuffle(self.conv(h), self.factor)[..., :height, :width]


class Down(nn.Module):
    """A `factor`-th of the size without loss: pixels of one patch become channels of one pixel (space to depth)."""

    def __init__(self, size: tuple[int, int], factor: int) -> None:
        super().__init__()
        self.factor, self.margin = factor, [-size[1] % factor, -size[0] % factor]

    def forward(self, h: Tensor) -> Tensor:
        if any(self.margin):
            h = F.pad(h, (0, self.margin[0], 0, self.margin[1]))
        return F.pixel_unshuffle(h, self.factor)


class ToVector(nn.Module):
    """A picture of features laid out as a vector, pixel by pixel: what lies channels-last need not move."""

    def forward(self, h: Tensor) -> Tensor:
        return h.permute(0, 2, 3, 1).flatten(1)


class ToImage(nn.Module):
    """A vector as a picture of features, channels-last: the inverse of `ToVector`."""

    def __init__(self, depth: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.shape = (*size, depth)

    def forward(self, h: Tensor) -> Tensor:
        return h.reshape(len(h), *self.shape).permute(0, 3, 1, 2)


class Residual(nn.Module):
    """x + f(x); f ends in zeros, so that at first the block says nothing."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)
        last = body[-1]
        assert isinstance(last, (nn.Linear, nn.Conv2d))
        nn.init.zeros_(last.weight)

    def forward(self, h: Tensor) -> Tensor:
        said: Tensor = h + self.body(h)
        return said


def _join(h: Tensor, y: Tensor | None) -> Tensor:
    """Features and a condition, which is laid at every site."""
    if y is None:
        return h
    sites = h.shape[2:]
    return torch.cat([h, y.to(h.dtype).reshape(*y.shape, *[1] * len(sites)).expand(*y.shape, *sites)], 1)


class Enter(nn.Module):
    """An example of any space, and its condition where there is one, as centred features (depth, *sites)."""

    def __init__(self, inp: Space, given: Vector | None) -> None:
        super().__init__()
        extra = given.length if given is not None else 0
        self.centred = inp.kind != "tokens" and inp.levels > 0
        self.embed = nn.Embedding(inp.levels, min(inp.levels, 32)) if inp.kind == "tokens" else None
        self.flat = inp.size * (self.embed.embedding_dim if self.embed else 1) + extra
        self.depth = inp.depth + extra
        self.image = isinstance(inp, Image)

    def features(self, x: Tensor) -> Tensor:
        """The example alone."""
        h: Tensor = x if self.embed is None else self.embed(x).flatten(1)
        return 2 * h - 1 if self.centred else h

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        h = _join(self.features(x), y)
        if not self.image:
            return h
        h = h.contiguous(memory_format=torch.channels_last)
        if h.shape[1] > 1:
            return h
        return h.reshape(len(h), *h.shape[2:], 1).permute(0, 3, 1, 2)  # of one channel only strides say how it lies


class EnterFlat(Enter):
    """The same as one row of `flat` numbers, for dense layers: the condition stands in it once."""

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        return _join(self.features(x).flatten(1), y)


class Leave(nn.Module):
    """The last word of a dense net, in the shape of its space."""

    def __init__(self, inp: int, out: Space, gain: float = 1.0) -> None:
        super().__init__()
        self.linear, self.shape = linear(inp, out.size, gain), out.shape

    def forward(self, h: Tensor) -> Tensor:
        said: Tensor = self.linear(h)
        return said.reshape(len(said), *self.shape)


def image_sizes(image: Image, stages: int | None, patch: int = 1) -> list[tuple[int, int]]:
    """The sizes from the picture (in patches) down, each half of the one before, `stages` times or until 4 or fewer.

    >>> image_sizes(Image(28, 20), None)
    [(28, 20), (14, 10), (7, 5), (4, 3)]
    """
    sizes = [(-(-image.height // patch), -(-image.width // patch))]
    while (min(sizes[-1]) > 4) if stages is None else (len(sizes) <= stages):
        height, width = sizes[-1]
        if max(height, width) == 1:
            break
        sizes.append(((height + 1) // 2, (width + 1) // 2))
    return sizes


def channels_last(net: nn.Module) -> None:
    """Kernels channels-last in memory, like the pictures that they meet."""
    for parameter in net.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def one_of(name: str, inp: Space, out: Space) -> Literal["down", "up"]:
    """Which way a convolutional net goes: from picture to vector, or from vector to picture."""
    if isinstance(inp, Image) and isinstance(out, Vector):
        return "down"
    if isinstance(inp, Vector) and isinstance(out, Image):
        return "up"
    raise UserError(f'{name} goes between a picture and a vector, not from {inp.kind} to {out.kind}; use net = "mlp"')
