"""What happened to an example on its way to us: y = A x + noise, where A is linear. One mechanism for all of it.

Where nothing is seen y holds NaN (of symbols: -1). So a picture with a hole, a row of a table with an empty cell and a
noisy sound are all given as one tensor, and whoever infers asks the damage three things: how to draw y of a clean x,
what mean and variance of x become on the way, and how likely y is then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from morphogen.core.build import Part
from morphogen.core.distribution import Normal
from morphogen.core.filling import filled
from morphogen.core.space import Space
from morphogen.errors import UserError

__all__ = ["Chain", "Damage", "chain", "filled", "hidden", "missing"]

LEAST = 1e-8  # the variance of a thing that is certain


def missing(y: Tensor) -> Tensor:
    """Where nothing is seen."""
    return y.isnan() if y.is_floating_point() else y < 0


def hidden(x: Tensor, where: Tensor) -> Tensor:
    """x without the elements of `where`."""
    return x.masked_fill(where, float("nan") if x.is_floating_point() else -1)


class Damage(nn.Module):
    """One kind of damage to examples of `space`; `left` is the space of what is left. Called, it draws y of x."""

    hides = False  # whether it only hides elements, so that what is seen is as it was
    unknown = False  # whether its strength has to be learned from y

    def __init__(self, space: Space, left: Space | None = None) -> None:
        super().__init__()
        if space.kind == "tokens" and not self.hides:
            raise UserError(
                f"{type(self).__name__} changes numbers, and tokens are symbols; use mask, which hides them"
            )
        self.space, self.left = space, left or space

    def forward(self, x: Tensor) -> Tensor:
        """y, drawn."""
        said: Tensor = self.turn(x)
        return said

    def turn(self, x: Tensor) -> Tensor:
        """A x: linear, and what y is on average."""
        return x

    def spread(self, variance: Tensor) -> Tensor:
        """The variance of A x, each element by itself."""
        return variance

    def doubt(self, mean: Tensor) -> Tensor:
        """The variance of the noise about the mean of y."""
        return torch.zeros_like(mean)

    def echo(self, x: Tensor) -> Tensor:
        """y as drawn where y is A x + noise; a damage of another kind leaves out here what `log_each` sees through."""
        return x if self.hides else self.forward(x)

    def believed(self, mean: Tensor, variance: Tensor, y: Tensor) -> Tensor:
        """y without the elements that are taken for lost, drawn given what the mean and variance of x are."""
        return y

    def moments(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of y, of those of x."""
        said = self.turn(mean)
        return said, self.spread(variance) + self.doubt(said)

    def log_each(self, mean: Tensor, variance: Tensor, y: Tensor) -> Tensor:
        """log p of every element of y, 0 of those that are missing; x is normal as far as we know."""
        mean, variance = self.moments(mean, variance)
        seen = ~missing(y)
        log_p = Normal(mean, 0.5 * variance.clamp_min(LEAST).log(), 0).log_each(torch.where(seen, y, mean))
        return torch.where(seen, log_p, 0)

    def read(self, y: Tensor) -> Tensor:
        """What is to be seen of examples that were damaged elsewhere: files say nothing of what is missing."""
        return y

    def back(self, y: Tensor) -> Tensor:
        """What lies as y does laid out as x, where y has no gaps: a first guess."""
        return y

    def learned(self, y: Tensor) -> Damage:
        """The same damage, with a strength that is learned from y where it is not known."""
        return self

    def told(self) -> str:
        """In a word or two, with the strength."""
        return type(self).__name__

    def guess(self, y: Tensor) -> Tensor:
        """A first guess of x: gaps filled from around them."""
        return self.back(filled(y, missing(y), self.left))

    def known(self, y: Tensor) -> Tensor:
        """How much is known of each element of x, 0 to 1."""
        seen = (~missing(y)).to(torch.get_default_dtype())
        return self.back(seen) * (self.left.size / self.space.size)


class Chain(Damage):
    """Several damages, one after another; each was made for what the one before it left."""

    def __init__(self, space: Space, links: Sequence[Damage]) -> None:
        self.hides = all(link.hides for link in links)
        super().__init__(space, links[-1].left if links else space)
        self.links = cast("Sequence[Damage]", nn.ModuleList(links))

    @property
    def unknown(self) -> bool:  # type: ignore[override]
        """Whether one of them is."""
        return any(link.unknown for link in self.links)

    def forward(self, x: Tensor) -> Tensor:
        for link in self.links:
            x = link(x)
        return x

    def turn(self, x: Tensor) -> Tensor:
        for link in self.links:
            x = link.turn(x)
        return x

    def echo(self, x: Tensor) -> Tensor:
        for link in self.links:
            x = link.echo(x)
        return x

    def moments(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        for link in self.links:
            mean, variance = link.moments(mean, variance)
        return mean, variance

    def _before(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of what the last of them was given."""
        for link in self.links[:-1]:
            mean, variance = link.moments(mean, variance)
        return mean, variance

    def log_each(self, mean: Tensor, variance: Tensor, y: Tensor) -> Tensor:
        return self.links[-1].log_each(*self._before(mean, variance), y)

    def believed(self, mean: Tensor, variance: Tensor, y: Tensor) -> Tensor:
        return self.links[-1].believed(*self._before(mean, variance), y)

    def read(self, y: Tensor) -> Tensor:
        for link in self.links:
            if link.left.shape == y.shape[1:]:
                y = link.read(y)
        return y

    def back(self, y: Tensor) -> Tensor:
        for link in reversed(self.links):
            y = link.back(y)
        return y

    def learned(self, y: Tensor) -> Chain:
        """The last that is not known can be learned, if those after it only hide."""
        if not self.unknown:
            return self
        place = max(i for i, link in enumerate(self.links) if link.unknown)
        after = [link for link in self.links[place + 1 :] if not link.hides]
        if after or any(link.unknown for link in self.links[:place]):
            raise UserError(
                f"the strength of {type(self.links[place]).__name__} cannot be learned beneath other damages; "
                "give it, e.g. noise=0.1"
            )
        return Chain(self.space, [*self.links[:place], self.links[place].learned(y), *self.links[place + 1 :]])

    def told(self) -> str:
        return " + ".join(link.told() for link in self.links) or "nothing"


def chain(space: Space, parts: Sequence[Part]) -> Chain:
    """Damages in order, each made for what the one before it leaves."""
    links: list[Damage] = []
    for part in parts:
        links.append(part(links[-1].left if links else space))
    return Chain(space, links)
