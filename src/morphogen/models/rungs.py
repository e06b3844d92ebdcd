"""The steps of a ladder: a rung tells latents, a piece pixels; either is said of the state, then taken into it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from morphogen.core.conditional import Family as Speaks
from morphogen.core.distribution import Distribution, Normal
from morphogen.core.precision import at_least_single
from morphogen.core.space import Image
from morphogen.errors import UserError
from morphogen.nets.blocks import Activation, Residual, activation, conv

if TYPE_CHECKING:
    from morphogen.models.ladder import ladder

__all__ = ["FARTHEST", "ORDERS", "PATCH", "SCALES", "Piece", "Pixels", "Rung", "apart", "down", "thoughts"]

PATCH = 2
ORDERS = {1: ((0, 3, 1, 2),), 2: ((0, 3), (1, 2)), 4: ((0,), (3,), (1,), (2,))}  # of a patch: opposite corners first
FARTHEST, SCALES = 6.0, (-4.0, 0.5)  # of a posterior's mean and log scale, in deviations of the prior


class Rung(nn.Module):
    """One layer of latents: `depth` numbers at every site of its scale."""

    def __init__(self, scale: int, width: int, depth: int, reach: nn.Module, act: Activation) -> None:
        super().__init__()
        self.scale, self.depth, self.reach = scale, depth, reach
        last = conv(width, 2 * depth, 1)
        nn.init.zeros_(last.weight)  # the posterior starts as the prior
        self.doubt = nn.Sequential(activation(act), conv(2 * width, width), activation(act), last)
        self.put = conv(depth, width, 1, gain=0.5)

    def guess(self, h: Tensor, seen: Tensor) -> Tensor:
        """Means and log scales of q, of the state and of what was seen at this scale."""
        said: Tensor = self.doubt(torch.cat([h, seen], 1))
        return said

    def posterior(self, said: Tensor) -> Normal:
        """q(z | h, x)."""
        mean, log_scale = at_least_single(said).chunk(2, -3)
        return Normal(mean.clamp(-FARTHEST, FARTHEST), log_scale.clamp(*SCALES), 3)

    def take(self, h: Tensor, z: Tensor) -> Tensor:
        """The state that knows z."""
        said: Tensor = h + self.put(z)
        return said


class Piece(nn.Module):
    """The same pixels of every patch: `which` of its channels."""

    def __init__(
        self, which: Sequence[int], space: Image, width: int, reach: nn.Module, family: Speaks, last: bool
    ) -> None:
        super().__init__()
        self.which, self.space, self.reach, self.family = list(which), space, reach, family
        self.said = conv(width, family.out.depth, 1, gain=0.1)
        self.put = None if last else conv(space.depth, width)

    def say(self, h: Tensor) -> Tensor:
        """What the family is told of the piece."""
        said: Tensor = self.said(h)
        return said

    def take(self, h: Tensor, x: Tensor) -> Tensor:
        """The state that knows the piece."""
        return h if self.put is None else h + self.put(2 * x - 1)


def thoughts(width: int, middle: int, count: int, act: Activation) -> list[nn.Module]:
    """Residual blocks."""
    parts = ((activation(act), conv(width, middle), activation(act), conv(middle, width, 1)) for _ in range(count))
    return [Residual(*body) for body in parts]


def down(width: int, scales: int) -> list[nn.Module]:
    """To twice the size, so many times."""
    parts = ((conv(width, 4 * width, 1, gain=1.0), nn.PixelShuffle(2)) for _ in range(scales))
    return [layer for pair in parts for layer in pair]


def apart(x: Tensor, lead: tuple[int, ...]) -> Tensor:
    """Samples and batch apart again."""
    return x.reshape(*lead, *x.shape[1:])


class Pixels(Distribution):
    """p(x | latents), piece by piece."""

    def __init__(self, model: ladder, h: Tensor, lead: tuple[int, ...]) -> None:
        self.model, self.h, self.lead, self.event = model, h, lead, 3

    def log_prob(self, x: Tensor) -> Tensor:
        patches = self._patches(x)
        said: list[Tensor] = []

        def told(piece: Piece, p: Distribution) -> Tensor:
            mine = patches[:, piece.which]
            said.append(p.log_prob(mine))
            return mine

        self._speak(told)
        return apart(sum(said[1:], start=said[0]), self.lead)

    def log_seen(self, x: Tensor, seen: Tensor) -> Tensor:
        """What is not seen, later pieces are told as the mean of what earlier ones make of it."""
        patches, there = (self._patches(t) for t in (x, seen.to(x.dtype)))
        said: list[Tensor] = []

        def told(piece: Piece, p: Distribution) -> Tensor:
            mine, known = patches[:, piece.which], there[:, piece.which] > 0
            said.append(p.log_seen(mine, known))
            return torch.where(known, mine, p.moments()[0])

        self._speak(told)
        return apart(sum(said[1:], start=said[0]), self.lead)

    def complete(self, x: Tensor, seen: Tensor) -> Tensor:
        """Piece by piece, so that what is drawn fits what is seen."""
        patches, there = (self._patches(t.expand(*self.lead, *t.shape[-3:])) for t in (x, seen.to(x.dtype)))
        return self._made(lambda piece, p: p.complete(patches[:, piece.which], there[:, piece.which] > 0))

    def moments(self) -> tuple[Tensor, Tensor]:
        """Given the means of the pieces before."""
        said: list[Tensor] = []

        def told(piece: Piece, p: Distribution) -> Tensor:
            mean, variance = p.moments()
            said.append(variance)
            return mean

        mean = self._speak(told)
        return self._whole(mean), self._whole(said)

    def _patches(self, x: Tensor) -> Tensor:
        """Patches as channels, a copy of the batch for each sample."""
        x = x.reshape(-1, *x.shape[-3:])
        return F.pixel_unshuffle(self.model.padded(x), PATCH).repeat(math.prod(self.lead) // len(x), 1, 1, 1)

    def sample(self, shape: tuple[int, ...] = ()) -> Tensor:
        if shape:
            raise UserError("a ladder's picture is drawn once for each code; repeat the codes")
        return self._made(lambda _, p: p.sample())

    @property
    def centre(self) -> Tensor:
        return self._made(lambda _, p: p.centre)

    def _made(self, choose: Callable[[Piece, Distribution], Tensor]) -> Tensor:
        return self._whole(self._speak(choose))

    def _whole(self, pieces: list[Tensor]) -> Tensor:
        """The picture of its pieces."""
        order = [channel for piece in self.model.pieces for channel in piece.which]
        patches = torch.cat(pieces, 1)[:, torch.tensor(order).argsort()]
        height, width = self.model.space.sites
        return apart(F.pixel_shuffle(patches, PATCH)[..., :height, :width], self.lead)

    def _speak(self, choose: Callable[[Piece, Distribution], Tensor]) -> list[Tensor]:
        """Each piece as `choose` has it, given the ones before."""
        h, pieces = self.h, []
        for piece in self.model.pieces:
            h = piece.reach(h)
            said = piece.say(h)
            pieces.append(choose(piece, piece.family(at_least_single(said))))
            h = piece.take(h, pieces[-1].to(h.dtype))
        return pieces
