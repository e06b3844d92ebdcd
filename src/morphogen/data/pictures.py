"""The header of a picture file, read with every care: what people keep in folders was made by anyone.

PNG, JPEG, WebP, AVIF, TIFF, BMP and GIF (the first page or frame) are read, whatever the file is called; the size is
checked before a pixel is decoded; a file that is cut off or damaged is refused with a reason, never half read.
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
from PIL import Image as Pictures
from PIL import UnidentifiedImageError

__all__ = ["CLEAR", "FOREIGN", "FORMATS", "NAMES", "SUFFIXES", "Refused", "Seen", "glance", "opened", "orientation"]
__all__ += ["quiet", "shown"]

FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF")
SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".dib", ".gif"}
NAMES = "PNG, JPEG, WebP, AVIF, TIFF, BMP and GIF"
FOREIGN = {".heic", ".heif", ".jp2", ".jxl", ".svg", ".psd", ".ico", ".tga", ".ppm", ".pgm"}
GREY = {"1", "L", "LA", "I"}
CLEAR = ("LA", "PA", "RGBA", "La", "RGBa")  # modes with transparency
MAX_PIXELS, MAX_SIDE = 50_000_000, 65_535
MAX_BYTES = 200_000_000
ORIENTATION = 0x0112


class Refused(Exception):
    """Why a file is skipped."""


@dataclass(frozen=True)
class Seen:
    """What the header of a picture says. `deep`: 16 bits a channel, of which 8 are kept. `pages`: there are further
    pages or frames, which are not read."""

    width: int
    height: int
    grey: bool
    alpha: bool
    deep: bool
    pages: bool = False


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
    with opened(path) as picture:
        width, height = picture.size
        if picture.mode == "F" or (picture.mode == "I" and picture.format != "PNG"):
            raise Refused(f"{picture.format} of mode {picture.mode} is not 8 or 16 bits of colour or grey")
        if orientation(picture) >= 5:
            width, height = height, width
        alpha = "transparency" in picture.info or picture.mode in CLEAR
        pages = bool(getattr(picture, "is_animated", False))
        return Seen(width, height, _is_grey(picture), alpha, _is_deep(picture), pages)


@contextmanager
def opened(path: Path) -> Iterator[Pictures.Image]:
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
            if max(picture.size) > MAX_SIDE:
                raise Refused(f"{picture.width} x {picture.height} pixels, a side of more than {MAX_SIDE:,}")
            if picture.width * picture.height > MAX_PIXELS:
                raise Refused(f"{picture.width} x {picture.height} pixels, more than {MAX_PIXELS / 1e6:.0f} million")
            if not picture.width or not picture.height:
                raise Refused("no pixels")
            yield picture
    except Refused:
        raise
    except UnidentifiedImageError:
        raise Refused(f"not a picture in {NAMES}") from None
    except Pictures.DecompressionBombError:
        raise Refused(f"more than {MAX_PIXELS / 1e6:.0f} million pixels") from None
    except FileNotFoundError:
        raise Refused("a link to a file that is not there" if path.is_symlink() else "no such file") from None
    except PermissionError:
        raise Refused("may not be read (its permissions)") from None
    except Exception as error:
        raise Refused(" ".join(str(error).split())[:120].replace(str(path), "it") or type(error).__name__) from None


def _is_grey(picture: Pictures.Image) -> bool:
    if picture.mode != "P":
        return picture.mode in GREY or picture.mode.startswith("I;16")
    held = picture.palette  # as the header has it: getpalette() would decode the picture
    wide = len(held.rawmode or "") if held is not None else 0
    if held is None or wide not in (3, 4):
        colours, wide = bytes(picture.getpalette() or []), 3
    else:
        colours = bytes(held.palette)
    entries = np.frombuffer(colours, np.uint8)[: len(colours) // wide * wide].reshape(-1, wide)[:, :3]
    return bool(len(entries)) and bool((entries == entries[:, :1]).all())


def _is_deep(picture: Pictures.Image) -> bool:
    """16 bits a channel, as the header or the decoder's own word for the layout says."""
    if picture.mode.startswith("I"):
        return True
    return any(";16" in str(tile) for tile in getattr(picture, "tile", ()))


def orientation(picture: Pictures.Image) -> int:
    """EXIF's orientation, 1 to 8; a damaged note says nothing."""
    if picture.format == "PNG" and "exif" not in picture.info:
        return 1
    try:
        turn = picture.getexif().get(ORIENTATION, 1)
    except Exception:
        return 1
    return turn if isinstance(turn, int) and 1 <= turn <= 8 else 1
