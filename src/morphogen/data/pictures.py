"""One picture file, looked at and decoded with every care: what people keep in folders was made by anyone.

Only PNG, JPEG, WebP, BMP and GIF (the first frame) are decoded, whatever the file is called; the size is checked
before a pixel is decoded; a file that is cut off or damaged is refused with a reason, never half read.
"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pictures
from PIL import ImageOps, UnidentifiedImageError

__all__ = ["FOREIGN", "FORMATS", "SUFFIXES", "Refused", "Seen", "decode", "glance", "quiet", "shown"]

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".gif"}
FOREIGN = {".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".jxl", ".svg", ".psd", ".ico", ".tga", ".ppm", ".pgm"}
GREY = {"1", "L", "LA", "I;16", "I"}
MAX_PIXELS = 50_000_000
MAX_BYTES = 200_000_000
ORIENTATION = 0x0112

Pixels = NDArray[np.uint8]


class Refused(Exception):
    """Why a file is skipped."""


@dataclass(frozen=True)
class Seen:
    """What the header of a picture says. `deep`: 16 bits a channel, of which 8 are kept."""

    width: int
    height: int
    grey: bool
    alpha: bool
    deep: bool


@contextmanager
def quiet() -> Iterator[None]:
    """Pillow's warnings are kept from the user: what matters in them we check ourselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def shown(path: str | Path) -> str:
    """A path that can be printed: bytes that are not text, and control characters, are spelt out."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def glance(path: Path) -> Seen:
    """The header only."""
    with _opened(path) as picture:
        width, height = picture.size
        if picture.mode in ("I", "F") and picture.format != "PNG":
            raise Refused(f"mode {picture.mode} is not 8-bit colour or grey")
        if _turn(picture) >= 5:
            width, height = height, width
        alpha = "transparency" in picture.info or picture.mode in ("LA", "PA", "RGBA", "La", "RGBa")
        return Seen(width, height, _is_grey(picture), alpha, picture.mode in ("I;16", "I;16B", "I"))


def decode(path: Path, width: int, height: int, channels: int) -> tuple[Pixels, bytes]:
    """The picture as (height, width, channels), and its own pixels before they were fitted, for the hash."""
    with _opened(path) as picture:
        turn = _turn(picture)
        plain = _plain(picture)
        if turn > 1:
            plain = _turned(plain, turn)
        own = f"{plain.size}{plain.mode}".encode() + plain.tobytes()
        plain = _coloured(plain, channels)
        if plain.size != (width, height):
            plain = ImageOps.fit(plain, (width, height), Pictures.Resampling.LANCZOS)
        pixels: Pixels = np.asarray(plain, dtype=np.uint8).reshape(height, width, channels)
        return pixels, own


@contextmanager
def _opened(path: Path) -> Iterator[Pictures.Image]:
    """An open picture; every failure of Pillow inside the block becomes a reason."""
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise Refused("not a regular file")
        if facts.st_size == 0:
            raise Refused("empty file")
        if facts.st_size > MAX_BYTES:
            raise Refused(f"file of {facts.st_size / 1e6:.0f} MB, more than {MAX_BYTES / 1e6:.0f}")
        if path.suffix.lower() in FOREIGN:
            raise Refused(f"{path.suffix[1:].upper()} is not read; convert it to PNG")
        with Pictures.open(path, formats=FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise Refused(f"{picture.width} x {picture.height} pixels, more than {MAX_PIXELS / 1e6:.0f} million")
            if not picture.width or not picture.height:
                raise Refused("no pixels")
            yield picture
    except Refused:
        raise
    except UnidentifiedImageError:
        raise Refused(f"not a picture in {', '.join(FORMATS)}") from None
    except Pictures.DecompressionBombError:
        raise Refused(f"more than {MAX_PIXELS / 1e6:.0f} million pixels") from None
    except Exception as error:
        raise Refused(" ".join(str(error).split())[:120].replace(str(path), "it") or type(error).__name__) from None


def _is_grey(picture: Pictures.Image) -> bool:
    if picture.mode != "P":
        return picture.mode in GREY or picture.mode.startswith("I;16")
    palette = np.asarray(picture.getpalette() or [], dtype=np.uint8)
    triples = palette[: len(palette) // 3 * 3].reshape(-1, 3)
    return bool(len(triples)) and bool((triples == triples[:, :1]).all())


def _turn(picture: Pictures.Image) -> int:
    """EXIF's orientation, 1 to 8; a damaged note says nothing."""
    if picture.format == "PNG" and "exif" not in picture.info:
        return 1
    try:
        turn = picture.getexif().get(ORIENTATION, 1)
    except Exception:
        return 1
    return turn if isinstance(turn, int) and 1 <= turn <= 8 else 1


def _turned(picture: Pictures.Image, turn: int) -> Pictures.Image:
    t = Pictures.Transpose
    ways = (t.FLIP_LEFT_RIGHT, t.ROTATE_180, t.FLIP_TOP_BOTTOM, t.TRANSPOSE, t.ROTATE_270, t.TRANSVERSE, t.ROTATE_90)
    return picture.transpose(ways[turn - 2])


def _plain(picture: Pictures.Image) -> Pictures.Image:
    """Decoded as L, RGB or RGBA."""
    picture.load()
    if picture.mode.startswith("I"):
        deep = np.asarray(picture).astype(np.int64).clip(0, 65535)
        return Pictures.fromarray(((deep * 255 + 32767) // 65535).astype(np.uint8))
    if "transparency" in picture.info or picture.mode in ("LA", "PA", "RGBA", "La", "RGBa"):
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
