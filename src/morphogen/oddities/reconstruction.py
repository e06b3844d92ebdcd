"""How far an example is from its reconstruction (Japkowicz, Myers and Gluck 1995, "A novelty detection approach to
classification"): a model that has seen only normal examples can say only those."""

from __future__ import annotations

from torch import Tensor

from morphogen.core.build import register
from morphogen.core.oddity import Look, Oddity

__all__ = ["reconstruction"]


@register("oddities")
class reconstruction(Oddity):
    """The root mean square of what the reconstruction misses; of symbols, the share that is wrong."""

    words = "its reconstruction misses more of it"

    def see(self, look: Look) -> Tensor:
        return look.residual.flatten(1).square().mean(1, keepdim=True).sqrt()
