"""A stand-in for the learned codec, and archives made with it: what the container does does not depend on the model."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from morphogen.codec.pack import pack
from morphogen.errors import UserError


class Fake:
    """Differences along the bytes, deflated, with a checksum of its own."""

    def __init__(self, tile=(8, 8), profile=b"a profile"):
        self.size, self.profile, self.digest = tile, profile, hashlib.sha256(profile).digest()

    def tile(self, height, width, channels):
        return self.size

    def encode(self, tiles):
        flat = tiles.reshape(-1)
        return zlib.compress(np.diff(flat, prepend=flat.dtype.type(0)).tobytes(), 6)

    def decode(self, data, shape):
        pump = zlib.decompressobj()
        size = int(np.prod(shape))
        try:
            raw = pump.decompress(data, size + 1)
        except zlib.error:
            raise UserError("a learned block is damaged") from None
        if len(raw) != size or not pump.eof or pump.unused_data:
            raise UserError("a learned block is damaged")
        return np.cumsum(np.frombuffer(raw, np.uint8), dtype=np.uint8).reshape(shape)

    def accepts(self, tiles, back):
        return np.array_equal(tiles, back)


def fake_of(profile):
    """As `learned_of`: a profile that is none is refused."""
    if not profile.startswith(b"a profile"):
        raise UserError("this is no profile")
    return Fake(profile=profile)


def smooth(*shape, seed=0):
    """Pixels that can be compressed, (..., height, width, channels)."""
    rng = np.random.default_rng(seed)
    y, x, c = np.ogrid[: shape[-3], : shape[-2], : shape[-1]]
    noise = rng.integers(0, 3, shape)
    return (3 * y + 2 * x + 40 * c + noise + rng.integers(0, 50)).astype(np.uint8)


def picture(path: Path, pixels, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(path, **more)


def folder(home: Path) -> Path:
    """One of everything."""
    from PIL.PngImagePlugin import PngInfo

    home.mkdir(parents=True)
    for number, shape in enumerate([(28, 28, 1), (8, 8, 1), (17, 33, 3), (1, 1, 1), (90, 70, 3)]):
        picture(home / f"p{number}.png", smooth(*shape, seed=number))
    note = PngInfo()
    note.add_text("Author", "somebody")
    picture(home / "noted.png", smooth(30, 20, 3), pnginfo=note, compress_level=9, dpi=(72, 72))
    np.save(home / "grey.npy", smooth(50, 28, 28, 1)[..., 0])
    np.save(home / "first.npy", smooth(5, 20, 33, 3).transpose(0, 3, 1, 2).copy())
    np.save(home / "wide.npy", smooth(1, 500, 800, 3).transpose(0, 3, 1, 2).copy())
    np.save(home / "floats.npy", np.arange(30.0))
    (home / "sub" / "deep").mkdir(parents=True)
    (home / "sub" / "text.txt").write_text("many words " * 300)
    (home / "sub" / "deep" / "noise.bin").write_bytes(np.random.default_rng(1).bytes(70_000))
    (home / "sub" / "empty").write_bytes(b"")
    (home / "sub" / "run.sh").write_text("#!/bin/sh\n")
    (home / "sub" / "run.sh").chmod(0o755)
    (home / "map.ppm").write_bytes(b"P6\n12 9\n255\n" + smooth(9, 12, 3).tobytes())
    picture(home / "photo.jpg", smooth(20, 20, 3))
    Image.fromarray(np.arange(100, dtype=np.uint16).reshape(10, 10) * 600).save(home / "deep.png")
    np.savez_compressed(home / "both.npz", x=smooth(10, 8, 8, 1), y=np.arange(10))
    return home


def small(home: Path, **more) -> tuple[Path, dict[str, bytes]]:
    """A small archive with every kind of chunk and codec, and what it holds."""
    home.mkdir(parents=True)
    picture(home / "a.png", smooth(12, 10, 1))
    (home / "t.txt").write_text("words and words and words and words")
    (home / "r.bin").write_bytes(np.random.default_rng(2).bytes(40))
    np.save(home / "n.npy", smooth(3, 8, 8, 3))
    out = home.parent / f"{home.name}.mgn"
    pack(sorted(home.iterdir()), out, Fake(), **more)
    held = {path.name: path.read_bytes() for path in home.iterdir()}
    return out, held
