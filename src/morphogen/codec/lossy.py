"""Lossy, for whoever makes blocks: a model that tells pictures nearly, in place of one that tells them exactly.

What is stored is what will be read: a block's checksum, and the archive's, are of the pictures that come back.
"""

from __future__ import annotations

import math

import numpy as np

from morphogen.codec.learned import NOTCH, Learned, Tiles
from morphogen.codec.sketch import NOTCHES
from morphogen.errors import UserError

__all__ = ["Lossy"]

WHOLE = 256  # sides of tiles, about: latents of neighbours are not torn apart at too many edges
LARGEST = 2.0**4  # of `loss`, or its inverse


class Lossy:
    """Sketches with `loss`, tells nearly with at most `error`; with both, nearly where a sketch is too far off."""

    def __init__(self, learned: Learned, loss: float | None, error: int | None) -> None:
        if loss is not None and not 1 / LARGEST <= loss <= LARGEST:
            raise UserError(
                f"loss = {loss:g} is not from {1 / LARGEST:g} to {LARGEST:g}; 1 is what the model is made for"
            )
        if error is not None and not 1 <= error < NOTCH:
            raise UserError(f"max-error = {error} is not from 1 to {NOTCH - 1} levels; leave it out to lose nothing")
        learned.must_be_bytes()
        self._learned, self._error = learned, error
        self._notch = None if loss is None else round(NOTCHES * math.log2(loss))
        self.profile, self.digest = learned.profile, learned.digest

    def tile(self, height: int, width: int, channels: int) -> tuple[int, int] | None:
        """The size of the tiles that a picture is cut into."""
        if self._notch is None:
            return self._learned.tile(height, width, channels)
        return self._learned.tile_of(height, width, channels, WHOLE)

    def encode(self, tiles: Tiles) -> bytes:
        """Tiles as bytes, told nearly."""
        if self._notch is not None:
            data = self._learned.sketch(tiles, self._notch)
            if self._error is None or _apart(tiles, self.decode(data, tiles.shape)) <= self._error:
                return data
        return self._learned.near(tiles, self._error or 0)

    def decode(self, data: bytes, shape: tuple[int, ...]) -> Tiles:
        """What comes back."""
        n, height, width, channels = shape
        return self._learned.decode(data, (n, height, width, channels))

    def accepts(self, tiles: Tiles, back: Tiles) -> bool:
        """Whether what comes back is near enough."""
        return self._error is None or _apart(tiles, back) <= self._error


def _apart(tiles: Tiles, others: Tiles) -> int:
    """How far the two are apart where they are furthest."""
    return int(np.abs(tiles.astype(np.int16) - others.astype(np.int16)).max())
