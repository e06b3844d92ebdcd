"""A term: one cost of an inference, with a weight that may change as training goes on."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from morphogen.core.build import Part
from morphogen.core.inference import Inference
from morphogen.core.model import Model, Turn
from morphogen.core.schedule import schedule
from morphogen.core.space import Space

__all__ = ["Term"]


class Term(nn.Module):
    """`forward(inference, step)` is a cost in nats a datum (any leading dimensions); the model weighs and averages."""

    def __init__(self, space: Space, weight: float | Part = 1.0) -> None:
        super().__init__()
        self.weight = schedule(weight)

    def join(self, model: Model) -> None:
        """Told once whose term it is: here is built what depends on the model, such as a judge of its codes."""

    def rehearse(self, inference: Inference, step: int) -> Iterator[Turn]:
        """A learned term trains itself first; others have nothing to rehearse."""
        yield from ()

    def forward(self, inference: Inference, step: int) -> Tensor:
        raise NotImplementedError
