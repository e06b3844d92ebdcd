"""Convolutions with batch norm and a mean over all sites at the end: what a picture shows, wherever it shows it (after
"Striving for simplicity", Springenberg et al. 2015). Quick on a CPU: full size is never looked at."""

from __future__ import annotations

from pydantic import PositiveInt
from torch import Tensor, nn

from morphogen.core.build import register
from morphogen.core.space import Image, Space, Vector
from morphogen.errors import UserError
from morphogen.nets.blocks import Down, Enter, Leave, channels_last
from morphogen.nets.kernels import Conv

__all__ = ["pooled"]

SITES = 16  # a larger picture is folded until its sides are at most so many
SMALLEST = 4


@register("nets")
class pooled(nn.Module):
    """Two convolutions at each size, `width` channels at first, half the sides and twice the channels, up to `limit`;
    the mean over what is left. `fold`: pixels of a patch become channels at once, by itself until sides are small.

    fold: pixels of this many by this many become channels first; none: chosen by the size of the picture
    """

    def __init__(
        self,
        inp: Space,
        out: Space,
        given: Vector | None = None,
        /,
        *,
        width: PositiveInt = 32,
        limit: PositiveInt = 128,
        fold: PositiveInt | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(inp, Image) or not isinstance(out, Vector):
            raise UserError(f'pooled reads a picture and says a vector, not {inp.kind} and {out.kind}; use net = "mlp"')
        self.enter = Enter(inp, given)
        fold = fold or max(1, -(-min(inp.sites) // SITES))
        sides = [-(-side // fold) for side in inp.sites]
        layers: list[nn.Module] = [Down((inp.height, inp.width), fold)] if fold > 1 else []
        depth, count = self.enter.depth * fold**2, width
        layers += _block(depth, count, 1)
        while True:
            layers += _block(count, count, 1)
            if min(sides) <= SMALLEST:
                break
            after = min(2 * count, limit)
            layers += _block(count, after, 2)
            count, sides = after, [-(-side // 2) for side in sides]
        self.body = nn.Sequential(*layers)
        self.leave = Leave(count, out)
        channels_last(self)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        said: Tensor = self.leave(self.body(self.enter(x, y)).mean((2, 3)))
        return said


def _block(inp: int, out: int, stride: int) -> list[nn.Module]:
    layer = Conv(inp, out, 3, stride, padding=1, bias=False)
    nn.init.kaiming_normal_(layer.weight, a=0.1)
    return [layer, nn.BatchNorm2d(out), nn.LeakyReLU(0.1)]
