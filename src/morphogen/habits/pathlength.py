"""Path length (Karras et al. 2020, "Analyzing and improving the image quality of StyleGAN"): a step of the style should
change the picture by the same amount wherever it is taken and whichever way."""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from morphogen.core import noise
from morphogen.core.build import register
from morphogen.core.conditional import Conditional
from morphogen.core.game import Habit
from morphogen.core.precision import at_least_single
from morphogen.core.schedule import Weight
from morphogen.core.space import Space
from morphogen.errors import UserError

__all__ = ["pathlength"]


@register("habits")
class pathlength(Habit):
    """(|J_w^T y| - a)^2, with y a picture of noise and a the running mean of the length: for the net `style`."""

    mean: Tensor

    def __init__(
        self,
        space: Space,
        /,
        *,
        weight: Weight = 2.0,
        every: PositiveInt = 4,
        memory: Annotated[float, Field(ge=0, lt=1)] = 0.99,
    ) -> None:
        super().__init__(space, weight, every)
        self.memory = memory
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, generator: Conditional, z: Tensor, y: Tensor | None) -> Tensor:
        net: Any = generator.net
        if not hasattr(net, "styled"):
            raise UserError('pathlength asks how a picture changes with its style; set model.net={use="style"}')
        style = net.styled(z, y)
        picture = generator.family(at_least_single(net.paint(style))).centre
        event = picture.dim() - 1
        ray = noise.normal(picture.shape, event=event, like=picture) / math.sqrt(math.prod(picture.shape[-2:]))
        (slope,) = torch.autograd.grad((picture * ray).sum(), style, create_graph=True)
        length = at_least_single(slope).square().sum(1).sqrt()
        if self.training:
            self.mean.lerp_(length.detach().mean().to(self.mean), 1 - self.memory)
        cost: Tensor = (length - self.mean.clone()).square()
        return cost
