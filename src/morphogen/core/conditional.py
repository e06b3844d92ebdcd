"""p(of | given): a network whose last word is a distribution. Prior, posterior and likelihood are this one type."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from morphogen.core.build import Part
from morphogen.core.distribution import Distribution
from morphogen.core.precision import at_least_single
from morphogen.core.space import Space, Vector
from morphogen.errors import UserError

__all__ = ["Conditional", "Family", "must_be_smooth", "one_hot"]


class Family(nn.Module):
    """Tensor -> Distribution over `space`; `out` is what a network must say for it, in float32."""

    symbols: ClassVar[bool] = False  # whether it can speak of tokens, which are no numbers
    cells: ClassVar[bool] = False  # whether it can speak of the cells of a table, some of which are missing
    drawn: ClassVar[bool] = False  # whether a new example is a draw from it, not its centre

    def __init__(self, space: Space, numbers: int) -> None:
        super().__init__()
        if space.kind == "tokens" and not self.symbols:
            raise UserError(f"{type(self).__name__} speaks of numbers, and tokens are symbols; use categorical")
        if space.gaps and not self.cells:
            raise UserError(f"{type(self).__name__} speaks of numbers, and a table has words and gaps; use mixed")
        self.space, self.numbers = space, numbers
        self.out = space.times(numbers)
        self.event = len(space.shape)

    @property
    def mass(self) -> bool:
        """Whether it gives probabilities to the data's own levels, so that bits mean something; a density does not."""
        return False

    def begin(self, x: Tensor) -> None:
        """Start at what examples are like; most families start where they are."""

    def split(self, said: Tensor) -> tuple[Tensor, ...]:
        """The numbers of every element apart: each of shape (*batch, *space.shape)."""
        batch = said.shape[: said.dim() - len(self.out.shape)]
        return said.reshape(*batch, self.numbers, *self.space.shape).unbind(len(batch))

    def forward(self, said: Tensor) -> Distribution:
        raise NotImplementedError


class Conditional(nn.Module):
    """p(of | given, condition), for any leading dimensions of `given`."""

    def __init__(self, net: Part, family: Part, given: Space, of: Space, condition: Vector | None = None) -> None:
        super().__init__()
        self.given, self.of, self.condition = given, of, condition
        self.family: Family = family(of)
        self.net: nn.Module = net(given, self.family.out, condition)

    def forward(self, given: Tensor, condition: Tensor | None = None) -> Distribution:
        lead = given.shape[: given.dim() - len(self.given.shape)]
        if len(lead) != 1:
            given = given.reshape(-1, *self.given.shape)
        if condition is not None and len(condition) != len(given):  # samples go in front of the batch
            condition = condition.repeat(len(given) // len(condition), 1)
        said = self.net(given, condition)
        if len(lead) != 1:
            said = said.unflatten(0, lead) if lead else said.squeeze(0)
        of: Distribution = self.family(at_least_single(said))
        return of


def one_hot(labels: Vector | None, y: Tensor | None) -> Tensor | None:
    """Labels as networks take them, each class as strong as all of a code of as many numbers; nothing where a model is
    not told labels. One 1 among ten numbers would be drowned by the code beside it (docs/LOG.md)."""
    if labels is None:
        return None
    if y is None:
        raise UserError("this model is conditional: it needs a label for each example")
    try:
        return F.one_hot(y, labels.length).to(torch.get_default_dtype()) * math.sqrt(labels.length)
    except RuntimeError:
        raise UserError("this model is told the label of each example, and some have none; leave those out") from None


def must_be_smooth(likelihood: Conditional, who: str) -> None:
    """Refuse a likelihood whose centre is one of many levels: nothing can be learned through a step."""
    if likelihood.family.mass and likelihood.of.levels > 2:
        raise UserError(
            f"{who} learns through what the decoder says, and {type(likelihood.family).__name__} says levels, which "
            "have no slope; use normal-shared or squashed"
        )
