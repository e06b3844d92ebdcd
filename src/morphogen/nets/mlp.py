"""Dense layers, between any two spaces."""

from __future__ import annotations

from typing import Literal

from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from morphogen.core.build import register
from morphogen.core.space import Space, Vector
from morphogen.nets.blocks import Activation, EnterFlat, Leave, Residual, activation, linear

__all__ = ["mlp"]


@register("nets")
class mlp(nn.Module):
    """Dense layers of the given widths, listed from the larger space to the smaller: a decoder mirrors its encoder.

    widths: width of each hidden layer, from the data to the code
    residual: residual blocks at the last width
    """

    def __init__(
        self,
        inp: Space,
        out: Space,
        given: Vector | None = None,
        /,
        *,
        widths: list[PositiveInt] = [512, 512],  # noqa: B006  (never written to)
        act: Activation = "relu",
        norm: Literal["none", "batch"] = "none",
        residual: NonNegativeInt = 0,
    ) -> None:
        super().__init__()
        self.enter = EnterFlat(inp, given)
        widths = list(widths) if inp.size >= out.size else list(reversed(widths))
        layers: list[nn.Module] = [nn.Flatten()]
        for before, width in zip([self.enter.flat, *widths], widths, strict=False):
            layers += [linear(before, width), *([nn.BatchNorm1d(width)] if norm == "batch" else []), activation(act)]
        last = widths[-1] if widths else self.enter.flat
        layers += [Residual(linear(last, last), activation(act), linear(last, last)) for _ in range(residual)]
        self.body = nn.Sequential(*layers)
        self.leave = Leave(last, out)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        said: Tensor = self.leave(self.body(self.enter(x, y)))
        return said
