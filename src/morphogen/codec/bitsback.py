"""Pictures as a stack of symbols, by a frozen model with hidden variables (Townsend, Bird and Barber 2019, "Practical
lossless compression with latent variables using bits back coding"; Kingma, Abbeel and Ho 2019, "Bit-Swap").

    pack:   z_1 ~ q(z_1|x), z_2 ~ q(z_2|z_1, x) ... are popped; x is pushed under p(x|z), then each z under N(0, 1)
    unpack: each z is popped, then x; z is pushed back under q

What the draws take from the stack, they give back on unpacking, so a picture costs -ELBO bits. Latents live on a grid
that is as fine as the posteriors of their rung need, and no finer: a coarse grid costs nothing in the end, and the
first draws take fewer bits out of nowhere. The first pictures are packed alone, by few lanes; the stack that they
leave pays for the draws and lanes of ever larger batches (`schedule`): a block wastes little more than one picture's
draws.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from morphogen.codec.ans import Stack
from morphogen.codec.speech import Speech
from morphogen.codec.tables import BITS, FINE, PARTS, STEPS, Bells
from morphogen.errors import UserError
from morphogen.progress import Tell, unheard

__all__ = ["LANE", "LANES", "LN2", "Engine", "Packer", "Piece", "Rung", "Sides", "draw", "power", "schedule"]

Ints = NDArray[np.int64]
Sides = tuple[int, int]
LN2 = round(math.log(2) * 2**FINE)
LANE, BATCH, LANES = 53, 64, 2048  # bits in a lane, about; pictures at once, and lanes, at most
WASTE = 15  # ten-thousandths of a block: what its first draws may cost, and its first lanes


class Engine(Protocol):
    """Whatever evaluates integer graphs."""

    def run(self, name: str, *inputs: Ints) -> list[Ints]: ...


@dataclass(frozen=True)
class Rung:
    """A layer of latents, `depth` at every site of `step` x `step` pixels, or of the picture where `step` is none. Only
    `live` channels say anything; their grid has points at every 2^-fineness."""

    name: str
    seen: int
    depth: int
    step: int | None
    live: Ints
    fineness: int
    prior: tuple[Ints, int]  # cumulated frequencies of the grid, and its first point
    farthest: int  # a posterior's mean is clamped to +- this, its log scale to `scales`: FINE bits after the point
    scales: tuple[int, int]
    doubt_bits: int
    z_bits: int

    def sites(self, sides: Sides) -> tuple[int, ...]:
        """Where latents of a picture lie."""
        return () if self.step is None else (sides[0] // self.step, sides[1] // self.step)

    @property
    def finer(self) -> int:
        """Bits that a latent has beyond those of its grid."""
        return self.z_bits - self.fineness

    def halves(self, said: Ints, bits: int) -> tuple[Ints, Ints]:
        """Two numbers for each channel and site, as two rows of the live channels', FINE bits after the point."""
        apart = said.reshape(*said.shape[:2], -1) << (FINE - bits)
        first, second = (half[:, self.live].reshape(-1) for half in np.split(apart, 2, axis=1))
        return first, second

    def count(self, n: int, sides: Sides) -> int:
        """How many are told."""
        return n * len(self.live) * math.prod(self.sites(sides))


@dataclass(frozen=True)
class Piece:
    """Pixels that are told at once: `which` channels of the patches."""

    name: str
    which: tuple[int, ...]
    speech: Speech


@dataclass(frozen=True)
class Packer:
    """Packs and unpacks pictures, (n, channels, h, w) of levels, by the rungs and pieces of a frozen model."""

    engine: Engine
    graphs: frozenset[str]
    rungs: tuple[Rung, ...]
    pieces: tuple[Piece, ...]
    bells: Bells
    top: Ints | None  # the state before anything is known, (channels, 1, 1); none where the code is the state
    patch: int
    unit: int  # sides are multiples of it
    cost: int  # thousandths of a bit that a pixel costs, about
    draws: int  # and that its draws take for a while

    # A block ----------------------------------------------------------------------------------------------------------

    def encode(self, x: Ints, tell: Tell = unheard) -> bytes:
        """Pictures of one size as bytes; `tell` hears how many numbers of them are done."""
        stack = Stack()
        for start, count, lanes in self._plan(x.shape):
            stack.resize(lanes)
            self.pack(stack, x[start : start + count])
            tell(count * math.prod(x.shape[1:]))
        return stack.to_bytes()

    def decode(self, data: bytes, shape: tuple[int, ...], tell: Tell = unheard) -> Ints:
        """The pictures of `encode`."""
        stack, x = Stack.from_bytes(data), np.zeros(shape, np.int64)
        for start, count, lanes in reversed(list(self._plan(shape))):
            stack.resize(lanes)
            x[start : start + count] = self.unpack(stack, (count, *shape[1:]))
            tell(count * math.prod(shape[1:]))
        stack.resize(1)
        stack.check_end()
        return x

    def _plan(self, shape: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
        size = math.prod(shape[1:])
        return schedule(shape[0], self.cost * size, self.draws * size)

    # A batch ----------------------------------------------------------------------------------------------------------

    def pack(self, stack: Stack, x: Ints) -> None:
        """One batch onto the stack."""
        seen, sides = self.engine.run("look", x), (x.shape[2], x.shape[3])
        state, drawn, said = self.begin(len(x), sides), [], []
        stack.scramble()
        for rung in self.rungs:
            state = self.step("reach", rung.name, state)
            drawn.append(draw(stack, self.bells, *self._bell(rung, *self.doubt(rung, state, seen))))
            state = self.taken(rung, state, drawn[-1] << rung.finer, len(x), sides)
        stack.unscramble()
        patches = _patches(x, self.patch)
        for piece in self.pieces:
            state = self.step("reach", piece.name, state)
            said.append(self.asked("say", piece.name, state))
            state = self.step("take", piece.name, state, patches[:, piece.which])
        for piece, words in zip(reversed(self.pieces), reversed(said), strict=True):
            piece.speech.push(stack, words, patches[:, piece.which])
        for rung, z in zip(reversed(self.rungs), reversed(drawn), strict=True):
            edges, first = rung.prior
            stack.push(edges[z - first], edges[z - first + 1] - edges[z - first], BITS)

    def unpack(self, stack: Stack, shape: tuple[int, ...]) -> Ints:
        """The inverse of `pack`."""
        sides = (shape[2], shape[3])
        state, states, drawn = self.begin(shape[0], sides), [], []
        for rung in self.rungs:
            state = self.step("reach", rung.name, state)
            states.append(state)
            drawn.append(_told(stack, rung, rung.count(shape[0], sides)))
            state = self.taken(rung, state, drawn[-1] << rung.finer, shape[0], sides)
        x = self.picture(state, stack, shape)
        seen, stack.masked = self.engine.run("look", x), True
        for rung, before, z in zip(reversed(self.rungs), reversed(states), reversed(drawn), strict=True):
            undraw(stack, self.bells, z, *self._bell(rung, *self.doubt(rung, before, seen)))
        stack.scramble()
        stack.unscramble()
        return x

    # The model --------------------------------------------------------------------------------------------------------

    def begin(self, n: int, sides: Sides) -> Ints | None:
        if self.top is None:
            return None
        return np.broadcast_to(self.top, (n, len(self.top), sides[0] // self.unit, sides[1] // self.unit))

    def step(self, what: str, name: str, state: Ints | None, *more: Ints) -> Ints | None:
        """The state after a graph, or as it was where the model has no such graph."""
        graph = f"{what}/{name}"
        return self.engine.run(graph, _known(state), *more)[0] if graph in self.graphs else state

    def doubt(self, rung: Rung, state: Ints | None, seen: list[Ints]) -> tuple[Ints, Ints]:
        """Centre and log scale of each live latent's posterior, FINE bits after the point."""
        said = seen[rung.seen]
        if f"guess/{rung.name}" in self.graphs:
            said = self.asked("guess", rung.name, state, said)
        mean, scale = rung.halves(said, rung.doubt_bits)
        return np.clip(mean, -rung.farthest, rung.farthest), scale

    def _bell(self, rung: Rung, mean: Ints, scale: Ints) -> tuple[Ints, Ints]:
        """The row of each latent's bell, and the grid point at which that begins."""
        shift = FINE - rung.fineness
        centre = (mean * PARTS + (1 << (shift - 1))) >> shift
        scale = np.clip(scale, *rung.scales) + rung.fineness * LN2
        return self.bells.row(centre, (scale * STEPS + (1 << (FINE - 1))) >> FINE)

    def taken(self, rung: Rung, state: Ints | None, z: Ints, n: int, sides: Sides) -> Ints:
        """The state that knows z, of z_bits after the point; where there was none, z itself."""
        whole = np.zeros((n, rung.depth, math.prod(rung.sites(sides))), np.int64)
        whole[:, rung.live] = z.reshape(n, len(rung.live), -1)
        whole = whole.reshape(n, rung.depth, *rung.sites(sides))
        return whole if state is None else _known(self.step("take", rung.name, state, whole))

    def asked(self, what: str, name: str, state: Ints | None, *more: Ints) -> Ints:
        """What a graph says of a state."""
        return self.engine.run(f"{what}/{name}", _known(state), *more)[0]

    def picture(self, state: Ints | None, stack: Stack, shape: tuple[int, ...]) -> Ints:
        """The picture of a state, its pixels popped piece by piece."""
        patches = _patches(np.zeros(shape, np.int64), self.patch)
        for piece in self.pieces:
            state = self.step("reach", piece.name, state)
            patches[:, piece.which] = piece.speech.pop(stack, self.asked("say", piece.name, state))
            state = self.step("take", piece.name, state, patches[:, piece.which])
        return _pixels(patches, self.patch)

    def coarser(self, width: int) -> Packer:
        """The same for pictures of which `width` levels are told as one."""
        return replace(self, pieces=tuple(replace(p, speech=p.speech.coarser(width)) for p in self.pieces))


def schedule(n: int, cost: int, draws: int) -> Iterator[tuple[int, int, int]]:
    """First picture, number of pictures and lanes of each batch of n pictures that cost so many thousandths of a bit,
    of which the draws take so many for a while: half of what the stack holds may go into draws, a quarter into lanes.

    >>> list(schedule(40, 1_000_000, 600_000))
    [(0, 1, 1), (1, 1, 4), (2, 1, 8), (3, 2, 8), (5, 4, 16), (9, 4, 32), (13, 8, 32), (21, 16, 64), (37, 3, 128)]
    """
    done, first = 0, n * cost * WASTE // 10_000
    while done < n:
        held = done * cost
        count = min(power(max(held // 2, first) // draws, BATCH), n - done)
        yield done, count, power(max(held // 4, first) // (1000 * LANE), LANES)
        done += count


def power(x: int, most: int) -> int:
    """The power of two at or below x, from 1 to `most`."""
    return min(1 << max(x.bit_length() - 1, 0), most)


def draw(stack: Stack, bells: Bells, rows: Ints, first: Ints) -> Ints:
    """Grid points, drawn from their bells."""
    z = np.zeros(len(rows), np.int64)

    def find(slot: Ints, part: slice) -> tuple[Ints, Ints]:
        place = bells.find(rows[part], slot)
        z[part] = first[part] + place
        return bells.at(rows[part], place)

    stack.pop(len(rows), BITS, find)
    return z


def undraw(stack: Stack, bells: Bells, z: Ints, rows: Ints, first: Ints) -> None:
    """The inverse of `_draw`."""
    start, freq = bells.at(rows, z - first)
    if not freq.all():
        raise UserError("a learned block is damaged: it holds a latent that its picture would not have")
    stack.push(start, freq, BITS)


def _told(stack: Stack, rung: Rung, count: int) -> Ints:
    """Grid points, from the prior."""
    edges, first = rung.prior
    z = np.zeros(count, np.int64)

    def find(slot: Ints, part: slice) -> tuple[Ints, Ints]:
        place = np.searchsorted(edges, slot, "right") - 1
        z[part] = place + first
        return edges[place], edges[place + 1] - edges[place]

    stack.pop(count, BITS, find)
    return z


def _known(state: Ints | None) -> Ints:
    if state is None:
        raise UserError("the profile is damaged: a network is asked before anything is known")
    return state


def _patches(x: Ints, patch: int) -> Ints:
    """(n, c, h, w) as (n, c * patch^2, h / patch, w / patch), as torch's pixel_unshuffle lays them out."""
    n, c, height, width = x.shape
    apart = x.reshape(n, c, height // patch, patch, width // patch, patch).transpose(0, 1, 3, 5, 2, 4)
    return np.ascontiguousarray(apart).reshape(n, c * patch * patch, height // patch, width // patch)


def _pixels(patches: Ints, patch: int) -> Ints:
    """The inverse of `_patches`."""
    n, c, height, width = patches.shape
    apart = patches.reshape(n, c // patch**2, patch, patch, height, width).transpose(0, 1, 4, 2, 5, 3)
    return np.ascontiguousarray(apart).reshape(n, c // patch**2, height * patch, width * patch)
