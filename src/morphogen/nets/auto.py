"""The net that fits the data: convolutions for pictures that are worth it, dense layers for everything else."""

from __future__ import annotations

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from morphogen.core.build import register
from morphogen.core.space import Image, Space, Vector
from morphogen.nets.dcgan import dcgan
from morphogen.nets.mlp import mlp

__all__ = ["fitting"]

QUIET = 0.1  # of the usual weights of the last layer: what a fresh net says loudly has to be unlearned first
SMALLEST = 8  # pixels a side from which a convolution has something to halve


@register("nets", "auto")
class fitting(nn.Module):
    """Dense layers (`mlp`) between vectors and up to pictures of 1,024 numbers, strided convolutions (`dcgan`) above.

    The last layer begins quietly.

    widths: width of each dense layer, from the data to the code
    width: channels of the first convolution
    limit: largest number of channels
    dense: numbers of the largest picture for which dense layers do as well and are faster
    """

    def __init__(
        self,
        inp: Space,
        out: Space,
        given: Vector | None = None,
        /,
        *,
        widths: list[PositiveInt] = [512, 512],  # noqa: B006  (never written to)
        width: PositiveInt = 16,
        limit: PositiveInt = 128,
        dense: NonNegativeInt = 1024,
    ) -> None:
        super().__init__()
        self.net: nn.Module
        if convolves(inp, out, dense):
            self.net = dcgan(inp, out, given, width=width, limit=limit, norm="none", act="leaky")
        else:
            self.net = mlp(inp, out, given, widths=widths)
        last = [layer for layer in self.net.modules() if isinstance(layer, (nn.Linear, nn.ConvTranspose2d))][-1]
        with torch.no_grad():
            last.weight.mul_(QUIET)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        said: Tensor = self.net(x, y)
        return said


def convolves(inp: Space, out: Space, dense: int) -> bool:
    """Whether a net between these spaces has a large picture at one end and a vector at the other."""
    picture, other = (inp, out) if isinstance(inp, Image) else (out, inp)
    large = isinstance(picture, Image) and picture.height * picture.width * picture.channels > dense
    return large and isinstance(other, Vector) and min(picture.sites) >= SMALLEST
