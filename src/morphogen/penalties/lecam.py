"""LeCam (Tseng et al. 2021, "Regularizing generative adversarial networks under limited data"): scores must not run
away from the running mean of the other side's."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from morphogen.core.build import register
from morphogen.core.game import Bout, Penalty
from morphogen.core.precision import at_least_single
from morphogen.core.schedule import Weight
from morphogen.core.space import Space

__all__ = ["lecam"]


@register("penalties")
class lecam(Penalty):
    """relu(D(x) - mean of made-up)^2 + relu(mean of real - D(G(z)))^2, with running means."""

    means: Tensor

    def __init__(
        self,
        space: Space,
        /,
        *,
        weight: Weight = 0.3,
        every: PositiveInt = 1,
        memory: Annotated[float, Field(ge=0, lt=1)] = 0.99,
    ) -> None:
        super().__init__(space, weight, every)
        self.memory = memory
        self.register_buffer("means", torch.zeros(2))  # of real, of made-up

    def forward(self, bout: Bout) -> Tensor:
        said = torch.stack([at_least_single(said.detach()).mean() for said in (bout.said_real, bout.said_fake)])
        if self.training:
            self.means.lerp_(said.to(self.means), 1 - self.memory)
        real, fake = self.means.clone()
        cost: Tensor = (bout.said_real - fake).relu().square() + (real - bout.said_fake).relu().square()
        return cost
