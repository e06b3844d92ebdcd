"""Whether an example is as likely as normal ones are (Nalisnick, Matsukawa, Teh and Lakshminarayanan 2019, "Detecting
out-of-distribution inputs to deep generative models using typicality"): what is much likelier is odd, too."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from morphogen.core.build import register
from morphogen.core.oddity import Look, Oddity
from morphogen.oddities.likelihood import surprise

__all__ = ["typicality"]


@register("oddities")
class typicality(Oddity):
    """-log p(x), odd when it is higher than that of normal examples or much lower."""

    low: ClassVar[float] = 0.1
    words = "the model finds it unlikely"
    words_low = "the model finds it likelier than any normal example"

    def see(self, look: Look) -> Tensor:
        return surprise(look)[:, None]
