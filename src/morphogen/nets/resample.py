"""Pictures of features at half and at twice the size; odd sizes are rounded up going down, and cropped going up."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from morphogen.nets.kernels import Conv

__all__ = ["Half", "HalfConv", "Twice", "TwiceConv", "half", "twice"]


def half(h: Tensor) -> Tensor:
    """The mean of each four pixels, which bilinear halving is, too; at an odd border, of those that are there."""
    return F.avg_pool2d(h, 2, ceil_mode=True, count_include_pad=False)


def twice(h: Tensor, size: tuple[int, int], mode: Literal["nearest", "bilinear"]) -> Tensor:
    """Twice the size, cropped to `size`."""
    return F.interpolate(h, scale_factor=2.0, mode=mode)[..., : size[0], : size[1]]


class Half(nn.Module):
    """`half` as a layer."""

    def forward(self, h: Tensor) -> Tensor:
        return half(h)


class Twice(nn.Module):
    """`twice` as a layer."""

    def __init__(self, size: tuple[int, int], mode: Literal["nearest", "bilinear"]) -> None:
        super().__init__()
        self.size: tuple[int, int] = size
        self.mode: Literal["nearest", "bilinear"] = mode

    def forward(self, h: Tensor) -> Tensor:
        return twice(h, self.size, self.mode)


class _Boxed(Conv):
    """A 3x3 convolution next to a resampling by 2x2 boxes: together they are one of stride two with a kernel of 4x4,

    box[k] = w[k] + w[k - 1] along each axis, which takes 16 products where the two take 36, and half the time.
    """

    def __init__(self, inp: int, out: int, gain: float = math.sqrt(2)) -> None:
        super().__init__(inp, out, 3, padding=1)
        nn.init.normal_(self.weight, std=gain / math.sqrt(9 * inp))
        nn.init.zeros_(self.bias)  # type: ignore[arg-type]

    def boxed(self) -> Tensor:
        """The kernel of 4x4."""
        wide = F.pad(self.weight, (1, 1, 1, 1))
        wide = wide[..., 1:, :] + wide[..., :-1, :]
        return wide[..., 1:] + wide[..., :-1]

    def shifted(self, said: Tensor) -> Tensor:
        """The bias, added apart: in bfloat16 a transposed convolution with one is slow."""
        return said if self.bias is None else said + self.bias.to(said.dtype).reshape(-1, 1, 1)


class TwiceConv(_Boxed):
    """`twice` by the nearest pixel, then 3x3; cropped to `size`."""

    def __init__(self, inp: int, out: int, size: tuple[int, int], gain: float = math.sqrt(2)) -> None:
        super().__init__(inp, out, gain)
        self.size = size

    def forward(self, h: Tensor) -> Tensor:
        kernel = self.boxed().transpose(0, 1).flip(2, 3)
        return self.shifted(F.conv_transpose2d(h, kernel, None, 2, 1)[..., : self.size[0], : self.size[1]])


class HalfConv(_Boxed):
    """3x3, then the mean of each four pixels; an odd size gets a border of zeros first."""

    def forward(self, h: Tensor) -> Tensor:
        height, width = h.shape[2:]
        h = F.pad(h, (0, width % 2, 0, height % 2)) if height % 2 or width % 2 else h
        return self.shifted(F.conv2d(h, 0.25 * self.boxed(), None, 2, 1))
