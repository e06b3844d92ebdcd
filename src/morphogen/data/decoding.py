"""The pixels of a picture file, decoded within bounds of memory: in strips, large pictures reduced as they are read.

How much is decoded at one moment is bounded over all threads together, so that small files of huge pictures do not
fill the memory, however many cores there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Condition

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pictures
from PIL import ImageOps

from morphogen.data.pictures import CLEAR, Refused, opened, orientation

__all__ = ["Budget", "decode"]

STRIP = 1 << 20  # pixels that are converted at a time
GAP = 3  # a picture is reduced by averaging only while it stays so many times as large as it is wanted
IN_FLIGHT = 240_000_000  # bytes of pictures that are being decoded, all threads together
HELD = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}  # bytes of a pixel in Pillow's memory; others have 4
COPIES = {"WEBP": 4, "TIFF": 2, "GIF": 2, "AVIF": 3}  # how often a decoder holds the whole picture; others once
RUN_LENGTH = ("bmp_rle",)  # a decoder that holds it six times
PROGRESSIVE = 6  # bytes of a pixel of a progressive JPEG, whatever the size that it is wanted in

# blocks of this size go back to the system when they are freed; smaller ones stay with the thread that freed them
Pictures.core.set_block_size(64 << 20)  # type: ignore[attr-defined]

Pixels = NDArray[np.uint8]
Values = NDArray[np.bool_]


class Budget:
    """Bytes that threads may hold together: whoever would hold more waits until others are done."""

    def __init__(self, most: int) -> None:
        self.most, self.held = most, 0
        self._changed = Condition()

    @contextmanager
    def of(self, size: int) -> Iterator[None]:
        """Hold so many for a while."""
        with self._changed:
            self._changed.wait_for(lambda: self.held + size <= self.most)
            self.held += size
        try:
            yield
        finally:
            with self._changed:
                self.held -= size
                self._changed.notify_all()


budget = Budget(IN_FLIGHT)


def decode(path: Path, width: int, height: int, channels: int) -> tuple[Pixels, Values]:
    """The picture as (height, width, channels), and which of the values 0 .. 255 it held before it was fitted."""
    with opened(path) as picture:
        whole = picture.size
        size = _cost(picture, whole, channels, _shrunk(picture, width, height))
    if size > budget.most:
        raise Refused(
            f"{whole[0]} x {whole[1]} pixels of this kind take {size / 1e6:.0f} MB to decode, more than "
            f"{budget.most / 1e6:.0f}; make it smaller"
        )
    with budget.of(size):
        return _decoded(path, width, height, channels)


def _decoded(path: Path, width: int, height: int, channels: int) -> tuple[Pixels, Values]:
    """The same, unbounded: when it is back, all that it held is free."""
    with opened(path) as picture:
        turn = orientation(picture)
        plain, values = _reduced(picture, channels, _shrunk(picture, width, height))
    if turn > 1:
        plain = _turned(plain, turn)
    if plain.size != (width, height):
        plain = ImageOps.fit(plain, (width, height), Pictures.Resampling.LANCZOS)
    return np.asarray(plain, dtype=np.uint8).reshape(height, width, channels).copy(), values


def _shrunk(picture: Pictures.Image, width: int, height: int) -> int:
    """How many times smaller a picture is made while it is read. A JPEG is decoded at 1/2, 1/4 or 1/8 of its size,
    where that is large enough."""
    wanted = (height, width) if orientation(picture) >= 5 else (width, height)
    picture.draft(None, (GAP * wanted[0], GAP * wanted[1]))
    return max(1, min(picture.width // wanted[0], picture.height // wanted[1]) // GAP)


def _cost(picture: Pictures.Image, whole: tuple[int, int], channels: int, factor: int) -> int:
    """Bytes that it takes to decode a picture, as a bound; `whole`: its size in the file."""
    count = picture.width * picture.height
    held = count * HELD.get(picture.mode, 4)
    if any(tile[0] in RUN_LENGTH for tile in getattr(picture, "tile", ())):
        held *= 6
    held *= COPIES.get(str(picture.format), 1)
    if picture.info.get("progressive"):
        held += PROGRESSIVE * whole[0] * whole[1]
    return held + 3 * count * (1 if channels == 1 else 4) // factor**2


def _reduced(picture: Pictures.Image, channels: int, factor: int) -> tuple[Pictures.Image, Values]:
    """The whole picture with these channels, `factor` times smaller, converted strip by strip."""
    picture.load()
    rows = max(1, STRIP // picture.width // factor) * factor
    values = np.zeros(256, np.bool_)
    made: Pictures.Image | None = None
    for top in range(0, picture.height, rows):
        bottom = min(top + rows, picture.height)
        strip = picture if bottom - top == picture.height else picture.crop((0, top, picture.width, bottom))
        strip = _coloured(_plain(strip), channels)
        values[np.asarray(strip).reshape(-1)] = True
        if factor > 1:
            strip = strip.reduce(factor)
        if bottom - top == picture.height:
            return strip, values
        if made is None:
            made = Pictures.new(strip.mode, (strip.width, -(-picture.height // factor)))
        made.paste(strip, (0, top // factor))
    assert made is not None
    return made, values


def _turned(picture: Pictures.Image, turn: int) -> Pictures.Image:
    t = Pictures.Transpose
    ways = (t.FLIP_LEFT_RIGHT, t.ROTATE_180, t.FLIP_TOP_BOTTOM, t.TRANSPOSE, t.ROTATE_270, t.TRANSVERSE, t.ROTATE_90)
    return picture.transpose(ways[turn - 2])


def _plain(picture: Pictures.Image) -> Pictures.Image:
    """As L, RGB or RGBA."""
    if picture.mode.startswith("I"):
        deep = np.asarray(picture).astype(np.int64).clip(0, 65535)
        return Pictures.fromarray(((deep * 255 + 32767) // 65535).astype(np.uint8))
    if "transparency" in picture.info or picture.mode in CLEAR:
        return picture.convert("RGBA")
    if picture.mode in ("1", "L"):
        return picture.convert("L")
    return picture.convert("RGB")


def _coloured(picture: Pictures.Image, channels: int) -> Pictures.Image:
    """In 1, 3 or 4 channels; where transparency is not kept, the page behind the picture is white."""
    if picture.mode == "RGBA" and channels != 4:
        page = Pictures.new("RGBA", picture.size, "white")
        page.alpha_composite(picture)
        picture = page
    return picture.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])
