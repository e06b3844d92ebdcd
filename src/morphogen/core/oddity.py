"""Oddity: one idea of what makes an example odd, and the look at examples that all ideas share.

An idea *sees* examples through a model, a row of numbers for each; *learns* once how those of normal examples lie; and
then says of any row how odd it is, the higher the odder. What a number is worth beside those of held-out normal
examples, and beside other ideas' numbers, is not its business: calibration.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from torch import Tensor

from morphogen.core.batch import Batch
from morphogen.core.inference import Inference
from morphogen.core.model import Decodes, Encodes, Scores
from morphogen.core.space import Space
from morphogen.errors import UserError

__all__ = ["Learned", "Look", "Oddity"]

DRAWS = 1  # codes drawn for each example: examples differ by far more than draws do

Learned = Mapping[str, Tensor]


@dataclass
class Look:
    """A batch as a model sees it. What takes time is done when it is first asked for, and once."""

    model: Any
    batch: Batch

    @property
    def x(self) -> Tensor:
        """The examples."""
        return self.batch.x

    @property
    def space(self) -> Space:
        """What one of them is."""
        space: Space = self.model.space
        return space

    @cached_property
    def inference(self) -> Inference:
        """What the model says about them, with a few draws of their codes."""
        if not isinstance(self.model, Scores):
            raise UserError(f"a {type(self.model).__name__} has no likelihood; use reconstruction, residual or place")
        said = self.model.infer(self.batch.x, self.batch.y, DRAWS)
        if not said.has_rate or not all(latent.p.has_density for latent in said.latents):
            raise UserError("codes without a rate have no likelihood; use reconstruction, residual or place")
        return said

    @cached_property
    def code(self) -> Tensor:
        """The codes, as `encode` gives them."""
        if not isinstance(self.model, Encodes):
            raise UserError(f"a {type(self.model).__name__} has no codes of examples; use a model that encodes")
        return self.model.encode(self.batch.x, self.batch.y)

    @cached_property
    def residual(self) -> Tensor:
        """By how much reconstructions miss, element by element; of symbols, whether they do."""
        if not isinstance(self.model, Decodes):
            raise UserError(f"a {type(self.model).__name__} reconstructs nothing; use a model that decodes")
        back = self.model.decode(self.code, self.batch.y)
        return (back != self.x).double() if self.space.kind == "tokens" else (back - self.x).double()


class Oddity:
    """One idea. `low`: the share of false alarms that low numbers may have, where those are odd, too; `words`: what is
    odd about an example that stands out by it.

    The model is what only the owner knows; one that cannot be seen in this way is refused when it is looked at.
    """

    low: ClassVar[float] = 0.0
    words: ClassVar[str]
    words_low: ClassVar[str] = ""

    def __init__(self, model: Any, /) -> None:
        self.model = model

    def see(self, look: Look) -> Tensor:
        """A row of numbers for each example."""
        raise NotImplementedError

    def learn(self, seen: Tensor) -> dict[str, Tensor]:
        """How the rows of normal examples lie."""
        return {}

    def number(self, seen: Tensor, learned: Learned) -> Tensor:
        """How odd each is."""
        return seen[:, 0]
