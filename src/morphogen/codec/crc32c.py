"""CRC32C (Castagnoli, as in iSCSI, RFC 3720), in NumPy: the bytes are cut into many lanes of equal length, which step
through a table side by side, and the lanes' remainders are folded into one, two by two.

Where google-crc32c is installed (the extra `crc32c`), the processor has an instruction for it; the sums are the same.
A remainder also knows where a single flipped bit lies, because each place leaves another one: `mend` turns it back.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["by_numpy", "crc32c", "mend"]

POLYNOMIAL = 0x82F63B78  # bits in reversed order
SMALL, MIDDLE = 4096, 1 << 16  # bytes below which a plain loop is as fast, and below which lanes are short
Words = NDArray[np.uint32]


def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


TABLE = _table()


@cache
def _pairs() -> Words:
    """What two bytes at once do to a remainder."""
    one, low = np.array(TABLE, np.uint32), np.arange(1 << 16, dtype=np.uint32)
    first = one[low & 255] ^ (low >> 8)
    result: Words = one[first & 255] ^ (first >> 8)
    return result


@cache
def _listed() -> list[int]:
    return [int(pair) for pair in _pairs()]


def by_numpy(data: bytes | bytearray | memoryview) -> int:
    """The checksum of some bytes, anywhere.

    >>> hex(by_numpy(b"123456789"))
    '0xe3069283'
    """
    if len(data) < SMALL:
        value, pairs = 0xFFFFFFFF, _listed()
        for (pair,) in struct.iter_unpack("<H", data[: len(data) & ~1]):
            value = pairs[(value ^ pair) & 0xFFFF] ^ (value >> 16)
        if len(data) % 2:
            value = TABLE[(value ^ data[-1]) & 255] ^ (value >> 8)
        return value ^ 0xFFFFFFFF
    return _fold(*_remainders(data)) ^ 0xFFFFFFFF


def _by_instruction() -> Callable[[bytes | bytearray | memoryview], int]:
    """The checksum by google-crc32c, where that is installed and in C; else by NumPy."""
    try:
        from google_crc32c import implementation, value
    except ImportError:
        return by_numpy
    if implementation != "c":
        return by_numpy
    return lambda data: value(data if isinstance(data, bytes) else bytes(data))


_sum = _by_instruction()


def crc32c(data: bytes | bytearray | memoryview) -> int:
    """The checksum of some bytes, by the fastest way that is here."""
    return _sum(data)


def _remainders(data: bytes | bytearray | memoryview) -> tuple[Words, int]:
    """Of every lane, and log2 of a lane's bytes. Zeros in front of all bytes change no remainder that begins with 0."""
    power = 6 if len(data) < MIDDLE else 8
    lanes = -(-len(data) >> power)
    padded = np.zeros(lanes << power, np.uint8)
    start = len(padded) - len(data)
    padded[start:] = np.frombuffer(data, np.uint8)
    padded[start : start + 4] ^= 255  # the register begins with ones
    state, table = np.zeros(lanes, "<u4"), _pairs()
    low, place, found = state.view("<u2")[::2], np.empty(lanes, np.intp), np.empty(lanes, np.uint32)
    for words in np.ascontiguousarray(padded.view("<u2").reshape(lanes, -1).T):
        np.bitwise_xor(low, words, out=place, casting="unsafe")
        table.take(place, out=found, mode="clip")  # never out of bounds; without a mode, `out` would be copied
        np.right_shift(state, 16, out=state)
        np.bitwise_xor(state, found, out=state)
    return state, power


def _fold(state: Words, power: int) -> int:
    """Neighbours become one, twice as long, until one is left."""
    while len(state) > 1:
        if len(state) % 2:
            state = np.concatenate([np.zeros(1, np.uint32), state])
        state = _times(8 << power, state[::2]) ^ state[1::2]
        power += 1
    return int(state[0])


def _times(n: int, values: Words) -> Words:
    """What n zero bits after them do to remainders: x^n times each, modulo the polynomial; n is a power of two."""
    table = _power(n)
    low: Words = table[0][values & 255] ^ table[1][values >> 8 & 255]
    high: Words = table[2][values >> 16 & 255] ^ table[3][values >> 24]
    return low ^ high


@cache
def _power(n: int) -> Words:
    """x^n times every value of each of the four bytes, by squaring."""
    values = np.arange(256, dtype=np.uint32) << 8 * np.arange(4, dtype=np.uint32)[:, None]
    if n > 1:
        return _times(n // 2, _times(n // 2, values))
    return (values >> 1 ^ np.where(values & 1, POLYNOMIAL, 0)).astype(np.uint32)


def mend(data: bytes, crc: int) -> bytes | None:
    """The bytes with that one bit turned which makes the checksum right; None where no single bit does."""
    wrong = crc32c(data) ^ crc
    if wrong and not wrong & (wrong - 1):
        return data  # it is the checksum itself that has the flipped bit
    marks = np.array([POLYNOMIAL], np.uint32)  # what a flip of the last bit, of the one before ... leaves
    while len(marks) < 8 * len(data):
        marks = np.concatenate([marks, _times(len(marks), marks)])
    found = np.flatnonzero(marks[: 8 * len(data)] == wrong)
    if not len(found):
        return None
    place, whole = int(found[0]), bytearray(data)
    whole[len(data) - 1 - place // 8] ^= 128 >> place % 8
    return bytes(whole)
