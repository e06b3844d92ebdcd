"""A variational autoencoder with many layers of latents (Sønderby et al. 2016, "Ladder variational autoencoders"; Child
2021, "Very deep VAEs generalize autoregressive models and can outperform them on images").

Features are read from the picture upwards, from fine to coarse; latents are inferred and generated downwards. Each rung
moves a state h:

    h <- reach(h)      q(z | h, e) = N(guess(h, e)),  p(z | h) = N(0, 1)      h <- h + take(z)

A prior N(m(h), s(h)) would say the same, since what z means is up to `take` and the next `reach`: so q is always told
relative to the prior, and all priors are one table to whoever codes with them. The picture comes last, in pieces of one
pixel (or more) of every patch of four; a later piece has seen the ones before (Reed et al. 2017, "Parallel multiscale
autoregressive density estimation"), just as a later rung has seen the latents before: with pieces = 1 the pixels
are independent given the latents. All nets are convolutional: a model serves pictures of every size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, cast

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from morphogen.core.batch import Batch
from morphogen.core.build import Family, Term, part, register
from morphogen.core.distribution import Normal
from morphogen.core.inference import Inference, Latent
from morphogen.core.model import Model, Turn
from morphogen.core.space import Image, Space, Vector
from morphogen.core.term import Term as Cost
from morphogen.errors import UserError
from morphogen.families import natural
from morphogen.models.rungs import ORDERS, PATCH, Piece, Pixels, Rung, apart, down, thoughts
from morphogen.nets.blocks import Activation, activation, channels_last, conv

__all__ = ["ladder"]


@register("models")
class ladder(Model):
    """Latents at several scales, each inferred and drawn given the ones above.

    `rungs`: layers of latents at each scale, from the finest (patches of two by two pixels) to the coarsest; `latent`:
    numbers at each site of each of them; `blocks`: residual blocks before each rung and piece, and at each scale on the
    way up.

    rungs: latent layers at each scale, from the finest to the coarsest
    latent: latent channels of each layer
    middle: channels inside a residual block; none: as many as width
    pieces: parts in which the pixels of a patch are decoded, each given the ones before
    """

    def __init__(
        self,
        space: Space,
        labels: Vector | None = None,
        /,
        *,
        rungs: list[NonNegativeInt] = [1, 1],  # noqa: B006  (never written to)
        latent: PositiveInt = 4,
        width: PositiveInt = 32,
        middle: PositiveInt | None = None,
        blocks: PositiveInt = 1,
        pieces: Literal[1, 2, 4] = 1,
        likelihood: Family | None = None,
        terms: list[Term] = ["distortion", "rate"],  # type: ignore[list-item]  # noqa: B006
        act: Activation = "silu",
    ) -> None:
        super().__init__()
        if not isinstance(space, Image):
            raise UserError(f"ladder reads pictures, and this is a {space.kind}; use model = vae with net = mlp")
        if not any(rungs):
            raise UserError(f"ladder: rungs = {rungs} leaves no latents; give at least one scale one rung or more")
        self.space = space
        self.unit = PATCH * 2 ** (len(rungs) - 1)
        self.margin = (-space.height % self.unit, -space.width % self.unit)
        fine = [(side + more) // PATCH for side, more in zip(space.sites, self.margin, strict=True)]

        def think() -> list[nn.Module]:
            return thoughts(width, middle or width, blocks, act)

        self.enter = nn.Sequential(nn.PixelUnshuffle(PATCH), conv(space.depth * PATCH**2, width, gain=1.0))
        self.up = nn.ModuleList(
            nn.Sequential(*([nn.PixelUnshuffle(2), conv(4 * width, width, 1, gain=1.0)] if i else []), *think())
            for i in range(len(rungs))
        )
        self.top = nn.Parameter(torch.zeros(width, 1, 1))
        place = len(rungs) - 1  # the scale that the state has come down to
        made: list[Rung] = []
        for scale in (s for s in reversed(range(len(rungs))) for _ in range(rungs[s])):
            made.append(Rung(scale, width, latent, nn.Sequential(*down(width, place - scale), *think()), act))
            place = scale
        self.rungs = cast("Sequence[Rung]", nn.ModuleList(made))
        family = likelihood or part("families", natural(space))
        told: list[Piece] = []
        for which in ORDERS[pieces]:
            channels = [c * PATCH**2 + corner for corner in which for c in range(space.depth)]
            of = Image(fine[0], fine[1], len(channels), space.levels)
            ways = nn.Sequential(*down(width, place), *think(), activation(act))
            last = which == ORDERS[pieces][-1]
            told.append(Piece(channels, of, width, ways, family(of), last))
            place = 0
        self.pieces = cast("Sequence[Piece]", nn.ModuleList(told))
        self.fine = (fine[0], fine[1])
        sizes = [r.depth * math.prod(self.sites(r)) for r in self.rungs]
        self.code, self.sizes = Vector(sum(sizes)), sizes
        self.terms = cast("Sequence[Cost]", nn.ModuleList(term(space) for term in terms))
        for term in self.terms:
            term.join(self)
        channels_last(self)

    @property
    def mass(self) -> bool:
        """Whether it gives probabilities to the data's own levels."""
        return all(piece.family.mass for piece in self.pieces)

    def sites(self, rung: Rung) -> tuple[int, int]:
        """Height and width of a rung's latents."""
        return self.fine[0] >> rung.scale, self.fine[1] >> rung.scale

    def padded(self, x: Tensor) -> Tensor:
        """Pictures whose sides halve as often as there are scales: the last row and column repeated."""
        down, across = self.margin
        return F.pad(x, (0, across, 0, down), mode="replicate") if down or across else x

    def look(self, x: Tensor) -> list[Tensor]:
        """What is seen of pictures at each scale, the finest first."""
        return self.seen(self.padded(x))

    def seen(self, x: Tensor) -> list[Tensor]:
        """The same of pictures that need no padding."""
        h = self.enter(2 * x.contiguous(memory_format=torch.channels_last) - 1)
        seen = []
        for up in self.up:
            h = up(h)
            seen.append(h)
        return seen

    def begin(self, n: int) -> Tensor:
        """The state before anything is known."""
        height, width = (side >> (len(self.up) - 1) for side in self.fine)
        return self.top.expand(n, -1, height, width).contiguous(memory_format=torch.channels_last)

    def climbdown(self, h: Tensor, draw: Callable[[int, Rung, Tensor], Tensor]) -> Tensor:
        """The state that knows all latents; `draw` says each, given the state before it."""
        for i, rung in enumerate(self.rungs):
            h = rung.reach(h)
            h = rung.take(h, draw(i, rung, h).to(h.dtype))
        return h

    def infer(self, x: Tensor, y: Tensor | None = None, samples: int = 1) -> Inference:
        """What the model says about x, with `samples` draws of its latents."""
        seen = [e.repeat(samples, 1, 1, 1) if samples > 1 else e for e in self.look(x)]
        latents: list[Latent] = []
        lead = (samples, len(x))

        def draw(i: int, rung: Rung, h: Tensor) -> Tensor:
            q = rung.posterior(apart(rung.guess(h, seen[rung.scale]), lead))
            zero = q.mean.new_zeros(())
            latents.append(Latent(z := q.sample(), q, Normal(zero, zero, 3)))
            return z.flatten(0, 1)

        h = self.climbdown(self.begin(samples * len(x)), draw)
        return Inference(x, Pixels(self, h, lead), latents, self)

    def play(self, batch: Batch, step: int) -> Iterator[Turn]:
        inference = self.infer(batch.x)
        for term in self.terms:
            yield from term.rehearse(inference, step)
        costs = [term.weight(step) * term(inference, step).mean() for term in self.terms]
        yield Turn("model", sum(costs[1:], start=costs[0]), log=inference.measures())

    def review(self, batch: Batch) -> dict[str, Tensor]:
        """What each datum costs, in parts; the rate of each rung, the coarsest first."""
        inference = self.infer(batch.x)
        return inference.costs() | {f"rate/{i}": latent.rate.mean(0) for i, latent in enumerate(inference.latents)}

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The centres of the posteriors, each given the ones above, as one row."""
        seen, z = self.look(x), []

        def centre(i: int, rung: Rung, h: Tensor) -> Tensor:
            z.append(rung.posterior(rung.guess(h, seen[rung.scale])).mean)
            return z[-1]

        self.climbdown(self.begin(len(x)), centre)
        return torch.cat([part.flatten(1) for part in z], 1)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The centre of the likelihood, piece by piece."""
        return self.spoken(z).centre

    def spoken(self, z: Tensor, y: Tensor | None = None) -> Pixels:
        """p(x|z) of codes as `encode` gives them."""
        parts = torch.split(z, self.sizes, 1)

        def told(i: int, rung: Rung, h: Tensor) -> Tensor:
            return parts[i].reshape(len(z), rung.depth, *self.sites(rung))

        return Pixels(self, self.climbdown(self.begin(len(z)), told), (len(z),))

    def sample(self, n: int, y: Tensor | None = None, temperature: float = 1.0) -> Tensor:
        """New pictures: pixels are drawn, too, where a piece has to know the ones before."""
        zero = self.top.new_zeros(self.code.length)
        said = self.spoken(temperature * Normal(zero, zero, 1).sample((n,)))
        return said.centre if len(self.pieces) == 1 else said.sample()
