"""pythae's MNIST nets, layer for layer, in Morphogen's frame; and how its weights, rows and noise are put into ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from morphogen.core.batch import Batch
from morphogen.core.build import register
from morphogen.core.conditional import Family
from morphogen.core.distribution import Normal
from morphogen.core.noise import Noise
from morphogen.core.space import Space, Vector
from morphogen.nets.blocks import channels_last
from morphogen.nets.kernels import Conv, Deconv

__all__ = ["Given", "given_noise", "load"]


@register("families", "pythae-normal")
class LogVariance(Family):
    """A mean and the logarithm of a variance: our own normal speaks of scales, whose steps of Adam are others."""

    def __init__(self, space: Space, /) -> None:
        super().__init__(space, numbers=2)

    def forward(self, said: Tensor) -> Normal:
        mean, log_variance = self.split(said)
        return Normal(mean, 0.5 * log_variance, self.event)


class Block(nn.Module):
    """x + conv1x1(relu(conv3x3(relu(x))))."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.ReLU(), Conv(width, inner, 3, 1, 1), nn.ReLU(), Conv(inner, width, 1))

    def forward(self, h: Tensor) -> Tensor:
        return h + self.body(h)


class Down(nn.Module):
    """From a picture: a body, then a dense layer over its features, channel by channel as pythae lays them out."""

    def __init__(self, body: nn.Module, features: int, out: int) -> None:
        super().__init__()
        self.body, self.last = body, nn.Linear(features, out)
        channels_last(self)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.last(self.body(x.contiguous(memory_format=torch.channels_last)).flatten(1))


class Up(nn.Module):
    """To a picture: a dense layer that says `width` channels of 4x4 pixels, then a body."""

    def __init__(self, inp: int, width: int, body: nn.Module) -> None:
        super().__init__()
        self.width, self.first, self.body = width, nn.Linear(inp, width * 16), body
        channels_last(self)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.first(x).reshape(len(x), self.width, 4, 4)
        return self.body(h.contiguous(memory_format=torch.channels_last))


@register("nets", "pythae-mlp")
class mlp(nn.Module):
    """One dense layer of 512, pixels as they are."""

    def __init__(self, inp: Space, out: Space, given: Vector | None = None, /) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(inp.size, 512), nn.ReLU(), nn.Linear(512, out.size))
        self.shape = out.shape

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        said: Tensor = self.body(x).reshape(len(x), *self.shape)
        return said


@register("nets", "pythae-resnet")
def resnet(inp: Space, out: Space, given: Vector | None = None, /) -> nn.Module:
    """Three strided convolutions and two residual blocks; its mirror."""
    if isinstance(inp, Vector):
        layers = [Deconv(128, 128, 3, 2, 1), Block(128, 32), Block(128, 32), nn.ReLU()]
        layers += [Deconv(128, 64, 3, 2, 1, 1), nn.ReLU(), Deconv(64, 1, 3, 2, 1, 1)]
        return Up(inp.size, 128, nn.Sequential(*layers))
    strided = [Conv(1, 64, 4, 2, 1), Conv(64, 128, 4, 2, 1), Conv(128, 128, 3, 2, 1)]
    return Down(nn.Sequential(*strided, Block(128, 32), Block(128, 32)), 128 * 16, out.size)


@register("nets", "pythae-conv")
def conv(inp: Space, out: Space, given: Vector | None = None, /) -> nn.Module:
    """Four strided convolutions with batch norm, 128 to 1,024 channels; a mirror of three."""
    if isinstance(inp, Vector):
        first, second = _stage(Deconv(1024, 512, 3, 2, 1), 512), _stage(Deconv(512, 256, 3, 2, 1, 1), 256)
        return Up(inp.size, 1024, nn.Sequential(first, second, Deconv(256, 1, 3, 2, 1, 1)))
    stages = [_stage(Conv(a, b, 4, 2, 1), b) for a, b in pairwise((1, 128, 256, 512, 1024))]
    return Down(nn.Sequential(*stages), 1024, out.size)


def _stage(layer: nn.Module, width: int) -> nn.Module:
    return nn.Sequential(layer, nn.BatchNorm2d(width), nn.ReLU())


class Given:
    """One batch, whatever the step."""

    def __init__(self, batch: Batch, size: int) -> None:
        self.batch, self.size = batch, size

    def __len__(self) -> int:
        return self.size

    def at(self, step: int) -> Batch:
        return self.batch


@contextmanager
def given_noise(eps: Tensor) -> Iterator[None]:
    """Every draw from a counted source is `eps`, in a plain step and in a compiled one."""
    before = Noise.draw
    Noise.draw = lambda self, kind, size, event, device: eps.reshape(list(size))  # type: ignore[method-assign]
    try:
        yield
    finally:
        Noise.draw = before  # type: ignore[method-assign]


def load(model: nn.Module, kept: Mapping[str, Any]) -> None:
    """pythae's weights into our model, layer by layer in their order; the two heads of its encoder become one."""
    theirs = {key: torch.from_numpy(kept[key]) for key in kept if key not in ("rows", "noise", "loss")}
    heads = {
        part: torch.cat([theirs.pop(f"encoder.embedding.{part}"), theirs.pop(f"encoder.log_var.{part}")])
        for part in ("weight", "bias")
    }
    own = model.state_dict()
    for part, player in (("encoder", "posterior"), ("decoder", "likelihood")):
        names = [key for key in own if key.startswith(player) and "num_batches" not in key]
        values = [value for key, value in theirs.items() if key.startswith(part) and "num_batches" not in key]
        for name, value in zip(names, values + (list(heads.values()) if part == "encoder" else []), strict=True):
            if own[name].shape != value.shape:
                raise ValueError(f"{name}: {tuple(own[name].shape)} is not their {tuple(value.shape)}")
            own[name].copy_(value)
