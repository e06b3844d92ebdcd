"""DiffAugment (Zhao et al. 2020, "Differentiable augmentation for data-efficient GAN training"): colour, translation
and cutout, of real and made-up pictures alike."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from morphogen.augments.shift import Share, pictures, shifted
from morphogen.core import noise
from morphogen.core.build import register
from morphogen.core.game import Augment
from morphogen.core.space import Space

__all__ = ["diffaugment"]


@register("augments")
class diffaugment(Augment):
    """Brightness, saturation and contrast; a shift by up to `share` of the size; a grey square of half the size.

    policy: which changes: colour, translation, cutout
    share: largest shift, as a share of the size
    """

    def __init__(
        self,
        space: Space,
        /,
        *,
        policy: list[Literal["colour", "translation", "cutout"]] = ["colour", "translation", "cutout"],  # noqa: B006
        share: Share = 0.125,
    ) -> None:
        super().__init__()
        pictures("diffaugment", space)
        self.policy, self.share = policy, share

    def forward(self, x: Tensor) -> Tensor:
        steps = {"colour": _colour, "translation": self._moved, "cutout": _cut}
        for name in self.policy:
            x = steps[name](x)
        return x

    def _moved(self, x: Tensor) -> Tensor:
        return shifted(x, self.share)


def _each(x: Tensor) -> Tensor:
    """A number in [0, 1) for each picture."""
    return noise.uniform((len(x), 1, 1, 1), event=3, like=x)


def _colour(x: Tensor) -> Tensor:
    """As the paper does in [-1, 1], in [0, 1]: brightness +-1/4, saturation x 0..2, contrast x 1/2..3/2."""
    x = x + 0.5 * (_each(x) - 0.5)
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * (2 * _each(x))
    middle = x.mean((1, 2, 3), keepdim=True)
    return middle + (x - middle) * (0.5 + _each(x))


def _cut(x: Tensor) -> Tensor:
    """A square of half the size becomes middle grey, wherever its centre falls."""
    n, _, height, width = x.shape
    inside = []
    for axis, size in ((2, height), (3, width)):
        centre = (noise.uniform((n,), event=0, like=x) * (size + 1 - size % 2)).floor()
        place = torch.arange(size, device=x.device)
        half = size // 4
        near = (place >= centre[:, None] - half) & (place < centre[:, None] - half + max(size // 2, 1))
        inside.append(near[:, None, :, None] if axis == 2 else near[:, None, None, :])
    return torch.where(inside[0] & inside[1], torch.full_like(x, 0.5), x)
