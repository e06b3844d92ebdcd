"""pythae's MNIST nets, layer for layer, in Morphogen's frame; and how its weights, rows and noise are put into ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from morphogen.core import noise
from morphogen.core.batch import Batch
from morphogen.core.build import register
from morphogen.core.space import Space, Vector
from morphogen.nets.blocks import Conv, Deconv, channels_last

__all__ = ["Given", "given_noise", "load"]


class Block(nn.Module):
    """x + conv1x1(relu(conv3x3(relu(x))))."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.ReLU(), Conv(width, inner, 3, 1, 1), nn.ReLU(), Conv(inner, width, 1))

    def forward(self, h: Tensor) -> Tensor:
        return h + self.body(h)


class _Net(nn.Module):
    def __init__(self, inp: Space, out: Space, down: nn.Module, up: nn.Module, width: int) -> None:
        super().__init__()
        self.up = isinstance(inp, Vector)
        self.first = nn.Linear(inp.size, width * 16) if self.up else nn.Identity()
        self.body = up if self.up else down
        self.last = nn.Identity() if self.up else nn.LazyLinear(out.size)
        self.width = width
        channels_last(self)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        if self.up:
            h = self.first(x).reshape(len(x), self.width, 4, 4).contiguous(memory_format=torch.channels_last)
            said: Tensor = self.body(h)
            return said
        said = self.last(self.body(x.contiguous(memory_format=torch.channels_last)).flatten(1))
        return said


@register("nets", "pythae-resnet")
def resnet(inp: Space, out: Space, given: Vector | None = None, /) -> nn.Module:
    """Three strided convolutions and two residual blocks; its mirror."""
    down = nn.Sequential(
        Conv(1, 64, 4, 2, 1), Conv(64, 128, 4, 2, 1), Conv(128, 128, 3, 2, 1), Block(128, 32), Block(128, 32)
    )
    up = nn.Sequential(
        Deconv(128, 128, 3, 2, 1), Block(128, 32), Block(128, 32), nn.ReLU(),
        Deconv(128, 64, 3, 2, 1, 1), nn.ReLU(), Deconv(64, 1, 3, 2, 1, 1),
    )  # fmt: skip
    return _ready(_Net(inp, out, down, up, 128), inp)


@register("nets", "pythae-conv")
def conv(inp: Space, out: Space, given: Vector | None = None, /) -> nn.Module:
    """Four strided convolutions with batch norm, 128 to 1,024 channels; a mirror of three."""
    widths = (1, 128, 256, 512, 1024)
    down = nn.Sequential(*(_stage(Conv(a, b, 4, 2, 1), b) for a, b in pairwise(widths)))
    up = nn.Sequential(
        _stage(Deconv(1024, 512, 3, 2, 1), 512), _stage(Deconv(512, 256, 3, 2, 1, 1), 256), Deconv(256, 1, 3, 2, 1, 1)
    )
    return _ready(_Net(inp, out, down, up, 1024), inp)


def _stage(layer: nn.Module, width: int) -> nn.Module:
    return nn.Sequential(layer, nn.BatchNorm2d(width), nn.ReLU())


def _ready(net: _Net, inp: Space) -> nn.Module:
    net.train(False)
    with torch.no_grad():
        net(torch.zeros(2, *inp.shape))
    return net.train()


class Given:
    """One batch, whatever the step."""

    def __init__(self, batch: Batch, size: int) -> None:
        self.batch, self.size = batch, size

    def at(self, step: int) -> Batch:
        return self.batch


@contextmanager
def given_noise(eps: Tensor) -> Iterator[None]:
    """Every draw of normal noise is `eps`."""
    before = noise.normal
    noise.normal = lambda size, *, event, like: eps.reshape(list(size))  # type: ignore[assignment]
    try:
        yield
    finally:
        noise.normal = before  # type: ignore[assignment]


def load(model: nn.Module, kept: Mapping[str, Any], name: str) -> None:
    """pythae's weights into our model: the two heads of its encoder become one, a log-variance a log-scale."""
    theirs = {k: torch.from_numpy(kept[k]) for k in kept if k not in ("rows", "noise", "loss")}
    heads = {
        part: torch.cat([theirs.pop(f"encoder.embedding.{part}"), 0.5 * theirs.pop(f"encoder.log_var.{part}")])
        for part in ("weight", "bias")
    }
    side = {"encoder": [], "decoder": []}
    for key, value in theirs.items():
        if "num_batches" not in key:
            side[key.split(".")[0]].append(value)
    own = model.state_dict()
    for part, player in (("encoder", "posterior"), ("decoder", "likelihood")):
        names = [k for k in own if k.startswith(player) and "num_batches" not in k]
        values = side[part] + ([heads["weight"], heads["bias"]] if part == "encoder" else [])
        for key, value in zip(names, values, strict=True):
            if own[key].shape != value.shape:
                raise ValueError(f"{key}: {tuple(own[key].shape)} is not their {tuple(value.shape)}")
            own[key].copy_(value)
