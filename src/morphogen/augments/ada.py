"""Adaptive augmentation (Karras et al. 2020, "Training generative adversarial networks with limited data"): the more
surely the critic tells training examples apart, the more of what it sees is changed.

The signal is r = mean sign(D(x) - b) of real examples as the critic sees them: 0 where it is at a loss, 1 where it
tells every one of them apart. The border b is halfway between its mean scores of real and of made-up examples. The
paper has b = 0, which lies there where a score is a logit; but games of differences (`r3`, `wasserstein`) leave the
level of scores free, so that their sign alone means nothing. Resampling is bilinear, without the paper's wavelets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field, PositiveInt
from torch import Tensor
from torch.nn import functional as F

from morphogen.augments.shift import Share, pictures
from morphogen.core import noise
from morphogen.core.build import register
from morphogen.core.game import Augment
from morphogen.core.precision import at_least_single
from morphogen.core.space import Space

__all__ = ["ada"]

LUMA = 3**-0.5


@register("augments")
class ada(Augment):
    """Each change happens with probability p, which moves so that r stays at `target`; `images`: from 0 to 1 in so
    many; `most`: p stays below, since what is changed more often than not is learned as the truth.

    target: the share of confident answers on real examples at which p stays
    images: examples in which p may go from 0 to 1
    most: largest p
    start: p at the start
    """

    p: Tensor
    signal: Tensor

    def __init__(
        self,
        space: Space,
        /,
        *,
        target: Annotated[float, Field(gt=0, lt=1)] = 0.6,
        images: PositiveInt = 100_000,
        most: Share = 0.8,
        start: Share = 0.0,
        mirror: bool = True,
    ) -> None:
        super().__init__()
        pictures("ada", space)
        self.target, self.images, self.most, self.mirror = target, images, most, mirror
        self.register_buffer("p", torch.tensor(float(start)))
        self.register_buffer("signal", torch.zeros(()))

    def learn(self, said_real: Tensor, said_fake: Tensor) -> Mapping[str, Tensor]:
        real, fake = at_least_single(said_real.detach()), at_least_single(said_fake.detach())
        said = (real - (real.mean() + fake.mean()) / 2).sign().mean()
        if self.training:
            self.signal.lerp_(said.to(self.signal), 0.05)
            step = len(said_real) / self.images
            self.p.add_(step * torch.sign(self.signal - self.target)).clamp_(0.0, self.most)
        return {"augment/p": self.p.clone(), "augment/signal": self.signal.clone()}

    def forward(self, x: Tensor) -> Tensor:
        return self._colour(self._geometry(x))

    def _chosen(self, x: Tensor) -> Tensor:
        """Which pictures are changed: one coin of p each."""
        return (noise.uniform((len(x),), event=0, like=x) < self.p).to(x.dtype)

    def _geometry(self, x: Tensor) -> Tensor:
        """One affine map each: mirror, quarter turns, shift, scale, rotation, aspect, shift by parts of a pixel."""
        n, _, height, width = x.shape
        wide = torch.tensor([width / height], device=x.device, dtype=x.dtype)
        move = _one(x)
        if self.mirror:
            move = move @ _scale(1 - 2 * self._chosen(x) * _coin(x), _ones(x))
        if height == width:
            quarter = torch.pi / 2 * (4 * noise.uniform((n,), event=0, like=x)).floor()
            move = move @ _turn(self._chosen(x) * quarter, wide)
        move = move @ _shift(*(self._chosen(x) * 0.25 * _symmetric(x) for _ in range(2)))
        size = torch.exp2(0.2 * _gauss(x) * self._chosen(x))
        move = move @ _scale(size, size) @ _turn(self._chosen(x) * torch.pi * _symmetric(x), wide)
        aspect = torch.exp2(0.2 * _gauss(x) * self._chosen(x))
        move = move @ _scale(aspect, 1 / aspect)
        move = move @ _shift(*(self._chosen(x) * 0.125 * _gauss(x) for _ in range(2)))
        grid = F.affine_grid(move[:, :2], list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)

    def _colour(self, x: Tensor) -> Tensor:
        """Brightness, contrast, and with three colours: luma flip, hue and saturation."""
        x = x + _wide(0.1 * _gauss(x) * self._chosen(x))
        x = 0.5 + (x - 0.5) * _wide(torch.exp2(0.5 * _gauss(x) * self._chosen(x)))
        if x.shape[1] != 3:
            return x
        flip, hue = self._chosen(x) * _coin(x), self._chosen(x) * torch.pi * _symmetric(x)
        rich = torch.exp2(_gauss(x) * self._chosen(x))
        grey = x.new_full((3, 3), LUMA * LUMA)  # the projection on the grey axis v v^T
        cross = LUMA * torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=x.device, dtype=x.dtype)
        eye = torch.eye(3, device=x.device, dtype=x.dtype)
        c, s = hue.cos()[:, None, None], hue.sin()[:, None, None]
        turned = grey + c * (eye - grey) + s * cross  # Rodrigues' rotation about the grey axis
        matrix = (grey + (eye - grey) * rich[:, None, None]) @ turned @ (eye - 2 * flip[:, None, None] * grey)
        y = x - 0.5
        return 0.5 + torch.einsum("nij,njhw->nihw", matrix, y)


def _ones(x: Tensor) -> Tensor:
    return x.new_ones(len(x))


def _one(x: Tensor) -> Tensor:
    return torch.eye(3, device=x.device, dtype=x.dtype).repeat(len(x), 1, 1)


def _coin(x: Tensor) -> Tensor:
    return (noise.uniform((len(x),), event=0, like=x) < 0.5).to(x.dtype)


def _symmetric(x: Tensor) -> Tensor:
    return 2 * noise.uniform((len(x),), event=0, like=x) - 1


def _gauss(x: Tensor) -> Tensor:
    return noise.normal((len(x),), event=0, like=x)


def _wide(numbers: Tensor) -> Tensor:
    return numbers[:, None, None, None]


def _matrix(rows: list[list[Tensor]]) -> Tensor:
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def _scale(across: Tensor, down: Tensor) -> Tensor:
    zero, one = torch.zeros_like(across), torch.ones_like(across)
    return _matrix([[across, zero, zero], [zero, down, zero], [zero, zero, one]])


def _shift(across: Tensor, down: Tensor) -> Tensor:
    zero, one = torch.zeros_like(across), torch.ones_like(across)
    return _matrix([[one, zero, across], [zero, one, down], [zero, zero, one]])


def _turn(angle: Tensor, wide: Tensor) -> Tensor:
    """A rotation on a picture of width / height `wide`, in coordinates from -1 to 1 on both axes."""
    zero, one, c, s = torch.zeros_like(angle), torch.ones_like(angle), angle.cos(), angle.sin()
    return _matrix([[c, -s / wide, zero], [s * wide, c, zero], [zero, zero, one]])
