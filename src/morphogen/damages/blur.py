"""Out of focus: every pixel is a weighted mean of those around it."""

from __future__ import annotations

import torch
from pydantic import PositiveFloat
from torch import Tensor
from torch.nn import functional as F

from morphogen.core.build import register
from morphogen.core.damage import Damage
from morphogen.core.space import Image, Space
from morphogen.errors import UserError

__all__ = ["blur"]

REACH = 3.0  # deviations that the kernel goes out


@register("damages")
class blur(Damage):
    """A normal kernel of deviation `sigma` pixels, or the `kernel` that is given, of odd sides; its sum is made 1.

    sigma: standard deviation of the kernel, in pixels
    kernel: a kernel of odd sides in its place
    """

    weights: Tensor

    def __init__(self, space: Space, /, *, sigma: PositiveFloat = 1.0, kernel: list[list[float]] | None = None) -> None:
        super().__init__(space)
        if not isinstance(space, Image):
            raise UserError(f"blur is of pictures, and this is a {space.kind}; use noise or mask")
        if sigma > max(space.sites):
            raise UserError(
                f"blur: sigma = {sigma:g} pixels leaves nothing of {space.width} x {space.height}; give less"
            )
        weights = _normal(sigma) if kernel is None else _given(kernel)
        self.sigma, self.own = sigma, kernel is not None
        self.register_buffer("weights", weights / weights.sum(), persistent=False)

    def turn(self, x: Tensor) -> Tensor:
        return self._weigh(x, self.weights)

    def spread(self, variance: Tensor) -> Tensor:
        return self._weigh(variance, self.weights.square())

    def _weigh(self, x: Tensor, weights: Tensor) -> Tensor:
        """The border goes on as it ends."""
        height, width = weights.shape
        flat = x.reshape(-1, 1, *x.shape[-2:])
        wide = F.pad(flat, (width // 2, width // 2, height // 2, height // 2), mode="replicate")
        return F.conv2d(wide, weights.to(x.dtype)[None, None]).reshape(x.shape)

    def told(self) -> str:
        return "blur=kernel" if self.own else f"blur={self.sigma:g}"


def _normal(sigma: float) -> Tensor:
    far = max(int(REACH * sigma + 0.5), 1)
    one = torch.exp(-0.5 * (torch.arange(-far, far + 1) / sigma).square())
    return one[:, None] * one


def _given(kernel: list[list[float]]) -> Tensor:
    if not kernel or not kernel[0] or any(len(row) != len(kernel[0]) for row in kernel):
        raise UserError("blur: kernel is a table of numbers with rows of one length; give one, or sigma")
    if len(kernel) % 2 == 0 or len(kernel[0]) % 2 == 0:
        raise UserError(f"blur: kernel has {len(kernel)} x {len(kernel[0])} numbers; give one of odd sides")
    weights = torch.tensor(kernel)
    if not float(weights.sum()) > 0:
        raise UserError("blur: the numbers of kernel sum to nothing; give one whose sum is above 0")
    return weights
