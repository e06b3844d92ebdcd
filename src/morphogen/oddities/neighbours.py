"""Whether normal examples have codes like that of an example: the local outlier factor (density.py) among codes."""

from __future__ import annotations

from pydantic import PositiveInt
from torch import Tensor

from morphogen.core.build import register
from morphogen.core.oddity import Learned, Look, Oddity
from morphogen.oddities.density import outlier_factor, some_rows

__all__ = ["neighbours"]


@register("oddities")
class neighbours(Oddity):
    """The local outlier factor of the code among normal codes, each number of it in units of its spread.

    nearest: number of neighbours
    """

    words = "no normal example has a code like its own"

    def __init__(self, model: object, /, *, nearest: PositiveInt = 20) -> None:
        super().__init__(model)
        self.nearest = nearest

    def see(self, look: Look) -> Tensor:
        return look.code.flatten(1)

    def learn(self, seen: Tensor) -> dict[str, Tensor]:
        scale = seen.std(0, correction=0)
        scale = scale.clamp_min(0.1 * float(scale.max()) + 1e-12)  # a number that hardly moves is no witness
        return {"scale": scale} | some_rows(seen / scale, self.nearest)

    def number(self, seen: Tensor, learned: Learned) -> Tensor:
        return outlier_factor(seen / learned["scale"], learned, self.nearest)
