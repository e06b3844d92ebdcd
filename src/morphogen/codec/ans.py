"""Asymmetric numeral systems over many lanes at once (Duda 2013; Giesen 2014, "Interleaved entropy coders"): a stack
of symbols that is a few large integers, the lanes, and the words that they have shed.

Pushing a symbol of frequency f among 2^bits costs bits - log2 f; popping gives back what was pushed, last in, first
out. What was never pushed can be popped, too (bits-back coding: Townsend, Bird and Barber 2019): a pop is a draw,
which the push of the same symbol undoes. Below the bottom of the stack lies an endless supply of fixed words for the
first draws; whoever unpacks must find them again, word by word: that is the check at the end.

More lanes are quicker, and few symbols fill only few of them. So a stack begins with one, and `widen` doubles them:
the new lanes' states are drawn from the old ones, as any symbol is. `narrow` pushes them back: no bit is lost.

Draws want bits that are even and know nothing. What was pushed last is neither: it is a latent of the picture before,
and draws made of it cost 2 to 5 % of all bits (docs/LOG.md). So between `scramble` and `unscramble` all that is drawn
from is masked by fixed noise, by its place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morphogen.errors import UserError

__all__ = ["MOST_BITS", "Stack"]

Ints = NDArray[np.int64]
Words = NDArray[np.uint32]
LOW, WORD, MOST_BITS = 31, 32, 31  # a lane's state is in [2^31, 2^63), it sheds words of 32 bits
KINDS = 5  # bits that say how long a state is: 31 + 0 .. 31
CHUNK = 1 << 12
NOISE = 1 << 40  # where in the supply the masks begin


def supply(start: int, count: int) -> Words:
    """The words below the bottom, by their place: splitmix64 (Steele, Lea and Flood 2014), the upper half."""
    with np.errstate(over="ignore"):
        x = np.arange(start + 1, start + 1 + count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((x ^ (x >> np.uint64(31))) >> np.uint64(32)).astype(np.uint32)


class Stack:
    """Lanes (int64) above words (uint32); `taken` of the supply's words are in use."""

    def __init__(self, lanes: Ints | None = None, words: Words | None = None, *, endless: bool = True) -> None:
        self.lanes: Ints = np.full(1, 1 << LOW, np.int64) if lanes is None else lanes
        self.room = np.zeros(CHUNK, np.uint32) if words is None else words.copy()
        self.count = 0 if words is None else len(words)
        self.taken, self.endless = 0, endless
        self.masked = False

    @property
    def bits(self) -> float:
        """How much it holds."""
        return float(np.log2(self.lanes.astype(np.float64)).sum()) + WORD * self.count

    # Symbols ----------------------------------------------------------------------------------------------------------

    def push(self, start: Ints, freq: Ints, bits: Ints | int) -> None:
        """Symbols of [start, start + freq) among 2^bits, so that `pop` gives them in this order."""
        width, total = len(self.lanes), len(start)
        for first in range((total - 1) // width * width, -1, -width):
            part = slice(first, first + width)
            self._push(start[part], freq[part], bits if isinstance(bits, int) else bits[part])

    def _push(self, start: Ints, freq: Ints, bits: Ints | int) -> None:
        lanes = self.lanes[: len(start)]
        full = lanes >> (2 * LOW + 1 - bits) >= freq
        self._shed(lanes[full])
        lanes = np.where(full, lanes >> WORD, lanes)
        whole, rest = np.divmod(lanes, freq)
        self.lanes[: len(start)] = (whole << bits) + rest + start

    def pop(self, count: int, bits: Ints | int, find: Callable[[Ints, slice], tuple[Ints, Ints]]) -> None:
        """`count` symbols; `find` says start and freq of those whose slots it is shown, which lie at a slice of all."""
        width = len(self.lanes)
        for first in range(0, count, width):
            part = slice(first, min(first + width, count))
            here = bits if isinstance(bits, int) else bits[part]
            lanes = self.lanes[: part.stop - first]
            slot = lanes & ((1 << here) - 1)
            start, freq = find(slot, part)
            lanes = freq * (lanes >> here) + slot - start
            empty = lanes < (1 << LOW)
            need = int(np.count_nonzero(empty))
            if need:
                lanes[empty] = (lanes[empty] << WORD) | self._fetch(need)
            self.lanes[: part.stop - first] = lanes

    def push_even(self, values: Ints, bits: Ints | int) -> None:
        """Numbers below 2^bits, all alike likely."""
        self.push(values, np.ones_like(values), bits)

    def pop_even(self, count: int, bits: Ints | int) -> Ints:
        """Numbers below 2^bits, all alike likely."""
        out = np.zeros(count, np.int64)

        def find(slot: Ints, part: slice) -> tuple[Ints, Ints]:
            out[part] = slot
            return slot, np.ones_like(slot)

        self.pop(count, bits, find)
        return out

    # Lanes ------------------------------------------------------------------------------------------------------------

    def widen(self) -> None:
        """Twice the lanes; the states of the new ones are drawn from the old."""
        count = len(self.lanes)
        more = self.pop_even(count, KINDS)
        low = self.pop_even(count, LOW)
        high = self.pop_even(count, more)
        self.lanes = np.concatenate([self.lanes, (((1 << more) | high) << LOW) | low])

    def narrow(self) -> None:
        """Half the lanes, the inverse of `widen`."""
        count = len(self.lanes) // 2
        self.lanes, gone = self.lanes[:count].copy(), self.lanes[count:]
        low, high = gone & ((1 << LOW) - 1), gone >> LOW
        more = np.frexp(high.astype(np.float64))[1].astype(np.int64) - 1  # floor(log2): exact, below 2^32
        self.push_even(high - (1 << more), more)
        self.push_even(low, LOW)
        self.push_even(more, np.int64(KINDS) + np.zeros(count, np.int64))

    def resize(self, lanes: int) -> None:
        """Widen or narrow to a power of two."""
        while len(self.lanes) < lanes:
            self.widen()
        while len(self.lanes) > lanes:
            self.narrow()

    # Draws ------------------------------------------------------------------------------------------------------------

    def scramble(self) -> None:
        """From here on, what is popped from or pushed on is masked."""
        self.lanes ^= self._noise(self.count, len(self.lanes)) & ((1 << LOW) - 1)
        self.masked = True

    def unscramble(self) -> None:
        """The end of draws; of undone draws, since a mask undoes itself."""
        self.masked = False

    def _noise(self, place: int, count: int) -> Ints:
        """Fixed noise by place, counted from the top of the supply."""
        return supply(NOISE + place - self.taken, count).astype(np.int64)

    # Words ------------------------------------------------------------------------------------------------------------

    def _shed(self, lanes: Ints) -> None:
        start, self.count = self.count, self.count + len(lanes)
        if self.count > len(self.room):
            self.room = np.concatenate([self.room[:start], np.zeros(self.count + CHUNK, np.uint32)])
        words = lanes & ((1 << WORD) - 1)
        self.room[start : self.count] = words ^ self._noise(start, len(lanes)) if self.masked else words

    def _fetch(self, need: int) -> Ints:
        if need > self.count:
            if not self.endless:
                raise UserError("a learned block is damaged: it ends before its pictures do")
            short = need - self.count
            self.room = np.concatenate([supply(self.taken, short)[::-1], self.room])
            self.count, self.taken = self.count + short, self.taken + short
        self.count -= need
        words = self.room[self.count : self.count + need].astype(np.int64)
        return words ^ self._noise(self.count, need) if self.masked else words

    # Bytes ------------------------------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """How many words are of the supply, one lane, the words."""
        self.resize(1)
        words = self.room[: self.count]
        parts: list[Any] = [np.array([self.taken], "<u4"), self.lanes.astype("<i8"), words.astype("<u4")]
        return b"".join(part.tobytes() for part in parts)

    @classmethod
    def from_bytes(cls, data: bytes) -> Stack:
        """What `to_bytes` said, from which no more can be taken than there is."""
        if len(data) < 12 or len(data) % 4:
            raise UserError(f"a learned block is damaged: {len(data)} bytes are no stack")
        lanes = np.frombuffer(data, "<i8", 1, offset=4).astype(np.int64)
        stack = cls(lanes, np.frombuffer(data, "<u4", offset=12).astype(np.uint32), endless=False)
        stack.taken = int(np.frombuffer(data, "<u4", 1)[0])
        if not (1 << LOW) <= lanes[0] < (1 << (2 * LOW + 1)):
            raise UserError("a learned block is damaged: its state is out of range")
        return stack

    def check_end(self) -> None:
        """Refuse a stack that is not as it was when the first picture was packed."""
        words = self.room[: self.count]
        fine = len(self.lanes) == 1 and int(self.lanes[0]) == 1 << LOW and self.count == self.taken
        if not fine or not np.array_equal(words, supply(0, self.count)[::-1]):
            raise UserError("a learned block is damaged: what is left at its end is not what was there at its start")
