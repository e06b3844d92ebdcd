"""Whether normal examples look like an example, without asking what the model makes of it: the local outlier factor
(density.py) along the main directions of normal examples. A model that has learned little is no worse than this."""

from __future__ import annotations

from pydantic import PositiveInt
from torch import Tensor

from morphogen.core.build import register
from morphogen.core.oddity import Learned, Look, Oddity
from morphogen.errors import UserError
from morphogen.oddities.density import outlier_factor, some_rows
from morphogen.oddities.spread import spread

__all__ = ["resemblance"]

MAIN = 64  # directions


@register("oddities")
class resemblance(Oddity):
    """The local outlier factor of the example itself among normal ones.

    nearest: number of neighbours
    """

    words = "no normal example looks like it"

    def __init__(self, model: object, /, *, nearest: PositiveInt = 20) -> None:
        super().__init__(model)
        self.nearest = nearest

    def see(self, look: Look) -> Tensor:
        if look.space.kind == "tokens":
            raise UserError("symbols are at no distance from one another; use neighbours")
        return look.x.flatten(1)

    def learn(self, seen: Tensor) -> dict[str, Tensor]:
        lie = spread(seen)
        ways = lie["ways"][:, :MAIN]
        return {"mean": lie["mean"], "ways": ways} | some_rows((seen - lie["mean"]) @ ways, self.nearest)

    def number(self, seen: Tensor, learned: Learned) -> Tensor:
        return outlier_factor((seen - learned["mean"]) @ learned["ways"], learned, self.nearest)
