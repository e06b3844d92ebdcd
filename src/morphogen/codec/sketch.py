"""Pictures that come back nearly as they were, in far fewer bits: quantised latents, whose decoder is exact.

The centre m of each posterior is rounded to a grid as wide as a posterior of its channel usually is, times `loss`: what
is rounded away is what the model was trained to do without (Ballé, Minnen, Singh, Hwang and Johnston 2018, "Variational
image compression with a scale hyperprior", where noise stands for rounding as well). How likely a point k of the grid
is, the state above says: for each rung a head tells mean and scale of m, learned when the model is frozen.

    step = sqrt(12) sigma loss,  k = round(m / step) ~ N(hope(state)) on the grid,  x = the median of p(x | k step)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from morphogen.codec.ans import Stack
from morphogen.codec.bitsback import LANE, LANES, LN2, Packer, Rung, Sides, draw, power
from morphogen.codec.tables import BITS, FINE, PARTS, STEPS, Bells, Curve, bells
from morphogen.errors import UserError

__all__ = ["NOTCHES", "Hope", "Sketcher"]

Ints = NDArray[np.int64]
Seen = list[Ints]
# of a rung, its state, steps, rows of bells and their first points
Choose = Callable[[Rung, Ints | None, Ints, Ints, Ints], Ints]
NOTCHES = 8  # of `loss` to a factor of two
WIDTH = round(0.5 * math.log(12) * 2**FINE)
NARROW, WIDE = -STEPS * 3 // 2, 5 * STEPS  # log scale of a hope about the grid, in 1/STEPS
PIXELS = 1 << 18  # in a batch
LAVISH = 50  # a lane costs about one part in so many of what is in it


@dataclass(frozen=True)
class Hope:
    """What is expected of a rung: log sigma of each channel's posterior, and mean and log scale of its centres where
    no graph says them; FINE bits after the point."""

    noise: Ints
    plain: Ints | None = None  # (2, depth)
    bits: int = FINE  # of what the graph says


@dataclass(frozen=True)
class Sketcher:
    """Sketches by the rungs and pieces of a packer."""

    packer: Packer
    hopes: tuple[Hope, ...]
    exp: Curve
    falling: Curve

    @cached_property
    def grid(self) -> Bells:
        """Bells of every scale that a hope may have, for all blocks."""
        return bells(self.falling, NARROW, WIDE)

    def encode(self, x: Ints, notch: int) -> bytes:
        """Pictures of one size as bytes: how many lanes, then a stack."""
        bells, told = self.grid, list[tuple[Ints, Ints]]()
        for batch in _batches(x.shape):
            seen = self.packer.engine.run("look", x[batch])

            def nearest(rung: Rung, state: Ints | None, step: Ints, row: Ints, first: Ints, seen: Seen = seen) -> Ints:
                centre, _ = self.packer.doubt(rung, state, seen)
                place = np.clip((2 * centre + step) // (2 * step) - first, 0, bells.width(row) - 1)
                told.append(bells.at(row, place))
                points: Ints = first + place
                return points

            self._down(len(x[batch]), (x.shape[2], x.shape[3]), notch, bells, nearest)
        bits = sum(int((BITS - np.frexp(freq.astype(np.float64))[1]).sum()) for _, freq in told)  # whole ones: exact
        lanes, stack = power(bits // (LANE * LAVISH), LANES), Stack()
        stack.resize(lanes)
        for start, freq in reversed(told):
            stack.push(start, freq, BITS)
        return bytes([lanes.bit_length()]) + stack.to_bytes()

    def decode(self, data: bytes, shape: tuple[int, ...], notch: int) -> Ints:
        """What `encode` sketched."""
        if not data or not 1 <= data[0] <= LANES.bit_length():
            raise UserError("a learned block is damaged: a sketch of no lanes")
        bells, stack, x = self.grid, Stack.from_bytes(data[1:]), np.zeros(shape, np.int64)
        stack.resize(1 << (data[0] - 1))

        def popped(rung: Rung, state: Ints | None, step: Ints, row: Ints, first: Ints) -> Ints:
            return draw(stack, bells, row, first)

        for batch in _batches(shape):
            state = self._down(len(x[batch]), (shape[2], shape[3]), notch, bells, popped)
            x[batch] = self.packer.picture(state, Middle(), x[batch].shape)
        stack.resize(1)
        stack.check_end()
        return x

    def _down(self, n: int, sides: Sides, notch: int, bells: Bells, choose: Choose) -> Ints | None:
        """The state that knows all latents; `choose` says each rung's points of the grid."""
        packer = self.packer
        state = packer.begin(n, sides)
        for rung, hope in zip(packer.rungs, self.hopes, strict=True):
            state = packer.step("reach", rung.name, state)
            log_step = hope.noise[rung.live] + WIDTH + notch * LN2 // NOTCHES
            mean, scale = self._hope(rung, hope, state, n, sides)
            log_step = np.broadcast_to(log_step[:, None], (n, len(rung.live), math.prod(rung.sites(sides)))).reshape(-1)
            step = np.maximum(self.exp(log_step), 1)
            centre = (mean * PARTS + step // 2) // step
            row, first = bells.row(centre, ((scale - log_step) * STEPS + (1 << (FINE - 1))) >> FINE)
            points = choose(rung, state, step, row, first)
            z = np.clip(points * step, -rung.farthest, rung.farthest)
            state = packer.taken(rung, state, z >> (FINE - rung.z_bits), n, sides)
        return state

    def _hope(self, rung: Rung, hope: Hope, state: Ints | None, n: int, sides: Sides) -> tuple[Ints, Ints]:
        """Mean and log scale of the centres of live channels at all sites."""
        if hope.plain is None:
            return rung.halves(self.packer.asked("hope", rung.name, state), hope.bits)
        sites = rung.sites(sides)
        plain = hope.plain.reshape(1, -1, *[1] * len(sites))
        return rung.halves(np.broadcast_to(plain, (n, plain.shape[1], *sites)), FINE)


class Middle(Stack):
    """A stack on which every slot is the middle one: whoever pops from it gets medians."""

    def pop(self, count: int, bits: Ints | int, find: Callable[[Ints, slice], tuple[Ints, Ints]]) -> None:
        """Medians."""
        find(np.full(count, 1 << (BITS - 1), np.int64), slice(0, count))


def _batches(shape: tuple[int, ...]) -> Iterator[slice]:
    count = max(1, PIXELS // math.prod(shape[2:]))
    return (slice(start, start + count) for start in range(0, shape[0], count))
