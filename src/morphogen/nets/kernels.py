"""Convolutions by the kernel that is fastest for their shape on a CPU: torch's mathematics, state and initialisation.

Measured with torch 2.13 and oneDNN on an AMD EPYC (Zen 4), batches of 128 pictures channels-last:

* one output pixel: a dense layer over the taps that meet the picture, 1.2 to 9 times as fast;
* up to three output channels: one product says what each pixel adds to each neighbour, and shifted sums collect it,
  1.3 to 3 times as fast;
* strided convolutions of small pictures: patches as rows of a matrix, and the weight gradient one product, up to 1.9
  times as fast in bfloat16, 1.3 in float32;
* a transposed convolution in bfloat16 is up to 3 times as fast where its bias is added afterwards.

Other shapes and devices are torch's own. Everything can be differentiated twice, and traced by `make_fx`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from morphogen.nets.products import Pair, by_patches, collected, each

__all__ = ["Conv", "Deconv"]

NARROW = 3  # output channels up to which a convolution is collected from products
KEPT = 32 << 20  # bytes: malloc takes what is larger from the system each time, which costs more than is saved


class Conv(nn.Conv2d):
    """nn.Conv2d by the kernel that suits its shape."""

    def forward(self, x: Tensor) -> Tensor:
        if not _ours(self, x):
            return super().forward(x)
        kernel, stride, padding = _pair(self.kernel_size), _pair(self.stride), _pair(self.padding)
        size = each(lambda n, k, s, p: (n + 2 * p - k) // s + 1, _pair(x.shape[2:]), kernel, stride, padding)
        x = _cast(x)
        if size == (1, 1):
            return self._one_pixel(x, padding)
        margin = each(lambda k, p: k - 1 - p, kernel, padding)
        if stride == (1, 1) and min(margin) >= 0 and min(size) > 0 and _narrow(self, x):
            turned = _cast(self.weight).transpose(0, 1).flip(2, 3)  # of the transposed convolution that does the same
            return collected(x, turned, self.bias, stride, margin, size)
        if _product_wins(self.in_channels, self.out_channels, kernel, size, stride, x):
            return by_patches(x, _cast(self.weight), self.bias, stride, padding, None)
        return super().forward(x)

    def _one_pixel(self, x: Tensor, padding: Pair) -> Tensor:
        """A dense layer over the pixels that the kernel meets; its other taps meet the margin of zeros."""
        (top, left), (height, width) = padding, _pair(self.kernel_size)
        x = x[:, :, : max(height - top, 0), : max(width - left, 0)]
        met = self.weight[:, :, top : top + x.shape[2], left : left + x.shape[3]]
        flat = x.permute(0, 2, 3, 1).flatten(1)
        return F.linear(flat, _cast(met.permute(0, 2, 3, 1).flatten(1)), self.bias)[:, :, None, None]


class Deconv(nn.ConvTranspose2d):
    """nn.ConvTranspose2d by the kernel that suits its shape."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        if output_size is not None or not _ours(self, x):
            return super().forward(x, output_size)
        kernel, stride, padding = _pair(self.kernel_size), _pair(self.stride), _pair(self.padding)
        more, sites = _pair(self.output_padding), _pair(x.shape[2:])
        size = each(lambda n, k, s, p, o: (n - 1) * s - 2 * p + k + o, sites, kernel, stride, padding, more)
        x, weight = _cast(x), _cast(self.weight)
        if min(size) > 0 and _narrow(self, x):
            return collected(x, weight, self.bias, stride, padding, size)
        if min(size) > 0 and _product_wins(self.out_channels, self.in_channels, kernel, sites, stride, x):
            return by_patches(x, weight, self.bias, stride, padding, more)
        said = F.conv_transpose2d(x, weight, None, stride, padding, more)
        return said if self.bias is None else said + self.bias.to(said.dtype).reshape(-1, 1, 1)


# Which kernel ---------------------------------------------------------------------------------------------------------


def _ours(layer: Conv | Deconv, x: Tensor) -> bool:
    """Whether this file knows what a layer is and what it is given; torch does the rest."""
    plain = layer.groups == 1 and _pair(layer.dilation) == (1, 1) and layer.padding_mode == "zeros"
    return (
        plain
        and not isinstance(layer.padding, str)
        and x.device.type == "cpu"
        and x.dim() == 4
        and x.shape[1] == layer.in_channels
    )


def _narrow(layer: Conv | Deconv, x: Tensor) -> bool:
    """Whether what all taps add is less than the picture that they add it from."""
    parts = layer.out_channels * math.prod(layer.kernel_size)
    return layer.out_channels <= NARROW and parts <= layer.in_channels and _fits(parts * x[:, 0].numel(), x)


def _product_wins(patched: int, rowed: int, kernel: Pair, sites: Pair, stride: Pair, x: Tensor) -> bool:
    """Whether patches of `patched` channels times rows of `rowed` beat the native gradient of the weights.

    Patches take kernel^2 times the memory of the picture, so it is small pictures that gain: in float32 few of them do.
    """
    side, wide = max(sites), patched * rowed > 128 * 128
    if stride == (1, 1) or not _fits(len(x) * math.prod(sites) * math.prod(kernel) * patched, x):
        return False
    if x.dtype == torch.float32:
        return side <= 4 and wide
    return patched >= 64 if side <= 4 else side <= 8 and patched >= 128


def _fits(numbers: int, x: Tensor) -> bool:
    """Whether so many numbers are few enough that memory for them is kept by the process from step to step."""
    return numbers * x.itemsize <= KEPT


def _pair(numbers: Sequence[int] | str) -> Pair:
    return int(numbers[0]), int(numbers[1])


def _cast(x: Tensor) -> Tensor:
    """What autocast does for native layers: float32 to its precision, float64 as it is."""
    if torch.is_autocast_enabled("cpu") and x.dtype != torch.float64:
        return x.to(torch.get_autocast_dtype("cpu"))
    return x
