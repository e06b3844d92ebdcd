"""What a frozen decoder says about pixels, as integer intervals: the likelihoods of `families/`, without floats.

`Coins` are black and white pixels. A `Blend` is a mixture of bells over levels, logistic or normal, colours of one site
in turn (`families/logistics.py` has the formula): each level has the interval between the mixture's integral at its
edges,

    F(v) = floor(S(v) (2^24 - levels) / 2^24) + v,   S(v) = sum_k w_k C((edge_v - m_k) e^(-l_k)),
    S(0) = 0,   S(levels) = 2^24

so that every level has a frequency of at least one. What is known of a colour weighs the components for the next.
Where a few levels may pass for one, `width` neighbours share an interval and come back as the one in their middle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from morphogen.codec.ans import Stack
from morphogen.codec.tables import BITS, FINE, Curve
from morphogen.errors import UserError

__all__ = ["Blend", "Coins", "Speech", "speech_of"]

Ints = NDArray[np.int64]
MASS = 28  # bits of a bell's integral
SHARE = 14  # bits of the components' weights
ARGUMENT = 11  # bits after the point of what a bell's integral is looked up at
LINK = 14


class Speech(Protocol):
    """A likelihood of levels: (n, depth, h, w) of them, given (n, numbers, h, w) of what the decoder said."""

    def push(self, stack: Stack, said: Ints, x: Ints) -> None: ...

    def pop(self, stack: Stack, said: Ints) -> Ints: ...

    def coarser(self, width: int) -> Speech:
        """The same where `width` levels are told as one."""


@dataclass(frozen=True)
class Coins:
    """Pixels of two levels; `said` are logits with `bits` after the point."""

    bits: int
    sigmoid: Curve

    def push(self, stack: Stack, said: Ints, x: Ints) -> None:
        """As intervals [0, p0) and [p0, 1)."""
        none = self._none(said)
        x = x.reshape(-1)
        stack.push(np.where(x == 1, none, 0), np.where(x == 1, (1 << BITS) - none, none), BITS)

    def pop(self, stack: Stack, said: Ints) -> Ints:
        """The pixels back."""
        none, out = self._none(said), np.zeros(said.size, np.int64)

        def find(slot: Ints, part: slice) -> tuple[Ints, Ints]:
            low = none[part]
            one = slot >= low
            out[part] = one
            return np.where(one, low, 0), np.where(one, (1 << BITS) - low, low)

        stack.pop(said.size, BITS, find)
        return out.reshape(said.shape)

    def coarser(self, width: int) -> Speech:
        """Black and white are all there is."""
        raise UserError("pictures of two levels have no error but a wrong pixel; leave max-error out")

    def _none(self, said: Ints) -> Ints:
        """The frequency of 0."""
        argument = -_shifted(said.reshape(-1), self.bits, ARGUMENT)
        none: Ints = np.clip(self.sigmoid(argument) >> (MASS - BITS), 1, (1 << BITS) - 1)
        return none


@dataclass(frozen=True)
class Blend:
    """`mixture` bells a site, `depth` colours; numbers a component: its logit where there are several, means, log
    scales, links between colours. `start` is added to all that is said; edges lie from `low` to `high` on the means'
    axis."""

    bits: int
    mixture: int
    depth: int
    levels: int
    low: int
    high: int
    scales: tuple[int, int]
    start: Ints
    integral: Ints
    reach: int
    exp: Curve
    tanh: Curve
    width: int = 1  # levels that are told as one

    def coarser(self, width: int) -> Speech:
        """The same where `width` levels are told as one."""
        return replace(self, width=width)

    @property
    def links(self) -> int:
        """Links of each component."""
        return self.depth * (self.depth - 1) // 2 if self.mixture > 1 else 0

    def push(self, stack: Stack, said: Ints, x: Ints) -> None:
        """All colours at all sites: the last one first, so that they are popped in order."""
        weight, mean, inverse, link = self._parts(said)
        colours = np.moveaxis(x, 1, 0).reshape(self.depth, -1)
        first = colours // self.width * self.width
        last = np.minimum(first + self.width, self.levels)
        intervals: list[tuple[Ints, Ints]] = []
        for j in range(self.depth):
            m = self._moved(mean, link, colours, j)
            low, high = (self._mass(m, inverse[:, j], edge[j]) for edge in (first, last))
            start, end = (self._edge(weight, mass, edge[j]) for edge, mass in ((first, low), (last, high)))
            intervals.append((start, end - start))
            weight = _weighed(weight, high - low) if j + 1 < self.depth else weight
        for start, freq in reversed(intervals):
            stack.push(start, freq, BITS)

    def pop(self, stack: Stack, said: Ints) -> Ints:
        """The levels back."""
        weight, mean, inverse, link = self._parts(said)
        n, _, height, width = said.shape
        colours = np.zeros((self.depth, n * height * width), np.int64)
        for j in range(self.depth):
            m = self._moved(mean, link, colours, j)
            first, last = self._pop(stack, weight, m, inverse[:, j])
            colours[j] = np.minimum(first + self.width // 2, self.levels - 1)
            if j + 1 < self.depth:
                low, high = (self._mass(m, inverse[:, j], edge) for edge in (first, last))
                weight = _weighed(weight, high - low)
        return np.moveaxis(colours.reshape(self.depth, n, height, width), 0, 1)

    def _pop(self, stack: Stack, weight: Ints, m: Ints, inverse: Ints) -> tuple[Ints, Ints]:
        """One colour of all sites: the levels between whose edges a slot lies, by halving."""
        first = np.zeros(m.shape[1], np.int64)
        count = -(-self.levels // self.width)

        def find(slot: Ints, part: slice) -> tuple[Ints, Ints]:
            w, mean, inv = weight[:, part], m[:, part], inverse[:, part]
            low, start, end = np.zeros_like(slot), np.zeros_like(slot), np.full_like(slot, 1 << BITS)
            for power in reversed(range((count - 1).bit_length())):
                middle = low + (self.width << power)
                edge = self._edge(w, self._mass(mean, inv, middle), np.minimum(middle, self.levels))
                above = edge <= slot
                low, start, end = np.where(above, middle, low), np.where(above, edge, start), np.where(above, end, edge)
            first[part] = low
            return start, end - start

        stack.pop(m.shape[1], BITS, find)
        return first, np.minimum(first + self.width, self.levels)

    def _parts(self, said: Ints) -> tuple[Ints, Ints, Ints, Ints]:
        """Weights (k, sites), means, inverse scales (k, depth, sites) and links (k, links, sites)."""
        k, c = self.mixture, self.depth
        n, _, height, width = said.shape
        told = np.moveaxis(said.reshape(n, k, -1, height, width), 0, 2).reshape(k, -1, n * height * width)
        apart = np.repeat(self.start[:, :, None], told.shape[2], 2)
        apart[:, : told.shape[1]] += _shifted(told, self.bits, FINE)  # a family may tell means only
        ones = 1 if k > 1 else 0
        mean, scale, link = apart[:, ones : ones + c], apart[:, ones + c : ones + 2 * c], apart[:, ones + 2 * c :]
        inverse = self.exp(-np.clip(scale, *self.scales))
        weight = _shares(self.exp(apart[:, 0] - apart[:, 0].max(0))) if ones else np.full_like(mean[:, 0], 1 << SHARE)
        return weight, mean, inverse, self.tanh(link) if link.shape[1] else link

    def _moved(self, mean: Ints, link: Ints, colours: Ints, j: int) -> Ints:
        """The means of a colour, given those before it."""
        m = mean[:, j]
        row = j * (j - 1) // 2
        for i in range(j if self.links else 0):
            x = colours[i] * (self.high - self.low) // (self.levels - 1) + self.low
            m = m + (link[:, row + i] * x >> LINK)
        return m

    def _mass(self, m: Ints, inverse: Ints, v: Ints) -> Ints:
        """Each bell's integral up to the lower edge of level v; nothing below the first, all below the last."""
        edge = (2 * v - 1) * (self.high - self.low) // (2 * (self.levels - 1)) + self.low
        place = ((edge - m) * inverse >> (2 * FINE - ARGUMENT)) + self.reach
        mass = self.integral.take(place, mode="clip")
        if v.min() <= 0:
            mass = np.where(v <= 0, 0, mass)
        return np.where(v >= self.levels, 1 << MASS, mass) if v.max() >= self.levels else mass

    def _edge(self, weight: Ints, mass: Ints, v: Ints) -> Ints:
        """F(v)."""
        share: Ints = (weight * mass).sum(0) >> (SHARE + MASS - BITS)
        return (share * ((1 << BITS) - self.levels) >> BITS) + v


def _shifted(x: Ints, have: int, want: int) -> Ints:
    return x << (want - have) if want >= have else (x + (1 << (have - want - 1))) >> (have - want)


def _shares(weight: Ints) -> Ints:
    """Weights that sum to 2^SHARE; what rounding leaves goes to the heaviest."""
    share: Ints = (weight << SHARE) // weight.sum(0)
    heaviest = share.argmax(0)[None]
    rest = (1 << SHARE) - share.sum(0, keepdims=True)
    np.put_along_axis(share, heaviest, np.take_along_axis(share, heaviest, 0) + rest, 0)
    return share


def _weighed(weight: Ints, mass: Ints) -> Ints:
    """Weights after a colour is known: w_k times what component k gave it."""
    both = weight * mass
    both = (both >> (SHARE + MASS - 34)) + 1  # below 2^35, so that shares of many components fit
    return _shares(both)


def speech_of(
    facts: Mapping[str, Any], bits: int, arrays: Mapping[str, NDArray[np.integer]], curves: Mapping[str, Curve]
) -> Speech:
    """The likelihood that a profile describes."""
    try:
        if facts["kind"] == "coins":
            return Coins(bits, curves["logistic"])
        if facts["kind"] != "blend" or facts["bell"] not in ("logistic", "normal"):
            raise UserError(f"the profile speaks of {facts['kind']!r}, which this reader does not know")
        bell = curves[facts["bell"]]
        reach = -bell.low
        integral = bell(np.arange(-reach, reach + 1))
        k, c = facts["mixture"], facts["depth"]
        start = arrays[facts["start"]].astype(np.int64)
        numbers = (1 + 2 * c + c * (c - 1) // 2) if k > 1 else 2 * c
        if start.shape != (k, numbers) or not (2 <= facts["levels"] <= 256 and 1 <= k <= 256 and 1 <= c <= 64):
            raise UserError("the profile is damaged: its likelihood does not fit together")
        return Blend(
            bits, k, c, facts["levels"], facts["low"], facts["high"], (facts["least"], facts["most"]), start, integral,
            reach, curves["exp"], curves["tanh"],
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"the profile is damaged: its likelihood lacks {error}") from None
