"""Ten small sets of pictures that no recipe was tuned on, as folders of PNG files: 320 to train, 40 to look at, 40 to
test. Sprites, photographs, clothes, digits and things are cut from the sets that MORPHOGEN_DATA holds; faces, glyphs,
hills and shapes are drawn here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

__all__ = ["SETS", "folder"]

Picture = NDArray[np.uint8]
PARTS = {"train": 320, "valid": 40, "test": 40}
COUNT = sum(PARTS.values())


def folder(name: str, home: Path) -> Path:
    """The set as a folder of files, made where it is not there yet."""
    place = home / name
    if (place / "done").is_file():
        return place
    pictures = SETS[name](np.random.default_rng(0))
    for part, count in PARTS.items():
        (place / part).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.fromarray(next(pictures)).save(place / part / f"{number:03}.png")
    (place / "done").touch()
    return place


def _named(name: str, part: str = "train") -> Picture:
    """Pictures of a set that the program knows, (n, height, width, channels)."""
    from morphogen.data.find import open_data

    split = open_data({"use": name}).splits[part]
    return split.x.gather(torch.arange(min(len(split), 3000))).numpy()


def _known(name: str) -> Callable[[np.random.Generator], Iterator[Picture]]:
    def draw(rng: np.random.Generator) -> Iterator[Picture]:
        pictures = _named(name)
        for row in rng.permutation(len(pictures))[:COUNT]:
            picture = pictures[row]
            yield picture[..., 0] if picture.shape[-1] == 1 else picture

    return draw


def _crops(side: int, shrink: int, grey: bool) -> Callable[[np.random.Generator], Iterator[Picture]]:
    """Pieces of photographs; those of one photograph all lie in one part, so that none is near one of another part."""

    def draw(rng: np.random.Generator) -> Iterator[Picture]:
        from morphogen.data.fetch import data_folders

        files = sorted(p for folder in data_folders() for p in (Path(folder) / "kodak").glob("*.png"))
        each = COUNT // 20
        for file in files[:20]:
            with Image.open(file) as photo:
                small = photo.convert("L" if grey else "RGB")
                small = small.resize((photo.width // shrink, photo.height // shrink), Image.Resampling.BOX)
            for _ in range(each):
                x, y = (int(rng.integers(0, size - side)) for size in small.size)
                yield np.asarray(small.crop((x, y, x + side, y + side)))

    return draw


def _faces(rng: np.random.Generator) -> Iterator[Picture]:
    """Grey faces: head, hair, eyes that look somewhere, brows, nose, mouth, light from one side."""
    side = 256
    across = np.linspace(-1, 1, 64)[None, :]
    while True:
        skin, hair, back = rng.integers(120, 230), rng.integers(10, 120), rng.integers(0, 255)
        page = Image.new("L", (side, side), int(back))
        pen = ImageDraw.Draw(page)
        x, y = 128 + rng.normal(0, 8), 136 + rng.normal(0, 8)
        w, h = 62 * rng.uniform(0.85, 1.15), 84 * rng.uniform(0.9, 1.1)
        long = rng.uniform(0.2, 1.3)
        pen.ellipse((x - w * 1.15, y - h * 1.2, x + w * 1.15, y + h * long), fill=int(hair))
        pen.rectangle((x - w * 0.4, y + h * 0.7, x + w * 0.4, side), fill=int(skin * 0.85))
        pen.ellipse((x - w, y - h, x + w, y + h), fill=int(skin))
        pen.pieslice((x - w, y - h * 1.05, x + w, y + h * 0.4), 200 + rng.uniform(-10, 20), 340, fill=int(hair))
        gaze, lift, smile = rng.uniform(-4, 4), rng.uniform(-6, 6), rng.uniform(-14, 16)
        for s in (-1, 1):
            ex, ey = x + s * w * 0.42, y - h * 0.05
            pen.ellipse((ex - 14, ey - 8, ex + 14, ey + 8), fill=240)
            pen.ellipse((ex - 6 + gaze, ey - 7, ex + 6 + gaze, ey + 7), fill=20)
            pen.line((ex - 16, ey - 18 - lift, ex + 16, ey - 18 + s * lift / 2), fill=int(hair * 0.6), width=6)
        pen.line((x, y, x + 6, y + h * 0.28, x - 4, y + h * 0.3), fill=int(skin * 0.7), width=4)
        my = y + h * 0.55
        pen.line((x - 24, my - smile, x - 10, my, x + 10, my, x + 24, my - smile), fill=int(skin * 0.4), width=7)
        if rng.random() < 0.3:
            for s in (-1, 1):
                pen.ellipse((x + s * w * 0.42 - 20, y - 22, x + s * w * 0.42 + 20, y + 16), outline=10, width=4)
        small = np.asarray(page.filter(ImageFilter.GaussianBlur(2)).resize((64, 64), Image.Resampling.BOX), np.float64)
        lit = small * (1 + rng.uniform(-0.35, 0.35) * across) + rng.normal(0, 3, (64, 64))
        yield lit.clip(0, 255).astype(np.uint8)


def _glyphs(rng: np.random.Generator) -> Iterator[Picture]:
    """Black strokes on white, of one pixel depth: made-up letters of two to four strokes in forty alphabets."""
    letters = [rng.uniform(8, 40, (int(rng.integers(2, 5)), 3, 2)) for _ in range(40)]
    while True:
        page = Image.new("L", (96, 96), 255)
        pen = ImageDraw.Draw(page)
        shift = rng.normal(0, 1.5, 2)
        for stroke in letters[int(rng.integers(40))]:
            points = (stroke + rng.normal(0, 1.0, stroke.shape) + shift) * 2
            pen.line([tuple(p) for p in points.tolist()], fill=0, width=5, joint="curve")
        yield (np.asarray(page.resize((48, 48), Image.Resampling.BOX)) > 127) * np.uint8(255)


def _hills(rng: np.random.Generator) -> Iterator[Picture]:
    """Wide colour pictures: a sky, a sun, rows of hills, trees."""
    height, width = 48, 80
    columns = np.arange(width)
    rows = np.arange(height)[:, None]
    while True:
        top, low = rng.uniform(60, 255, 3), rng.uniform(60, 255, 3)
        x = top + (low - top) * (rows / height)[..., None] * np.ones((1, width, 1))
        sun, at = rng.uniform(4, 9), (rng.uniform(4, 20), rng.uniform(0, width))
        x[(rows - at[0]) ** 2 + (columns - at[1]) ** 2 < sun**2] = (255, 240, 180)
        for layer in range(3):
            waves = rng.uniform(1, 5, 2) * np.sin(columns[:, None] / rng.uniform(4, 16, 2) + rng.uniform(0, 6, 2))
            line = 22 + 8 * layer + waves.sum(1)
            x[rows > line] = rng.uniform(20, 160, 3) * (0.6 + 0.2 * layer)
        for _ in range(int(rng.integers(0, 4))):
            tx, ty = int(rng.integers(4, width - 4)), int(rng.integers(28, 42))
            x[ty - 8 : ty, tx : tx + 2] = (80, 50, 30)
            x[(rows - ty + 9) ** 2 + (columns - tx) ** 2 < 16] = (30, 110, 40)
        yield x.clip(0, 255).astype(np.uint8)


def _shapes(rng: np.random.Generator) -> Iterator[Picture]:
    """A disc, a square or a triangle of any colour on another one, 32 x 32."""
    while True:
        page = Image.new("RGB", (128, 128), tuple(rng.integers(0, 256, 3).tolist()))
        pen = ImageDraw.Draw(page)
        x, y, r, turn = rng.uniform(40, 88), rng.uniform(40, 88), rng.uniform(16, 40), rng.uniform(0, 90)
        paint = tuple(rng.integers(0, 256, 3).tolist())
        kind = int(rng.integers(3))
        if kind == 0:
            pen.ellipse((x - r, y - r, x + r, y + r), fill=paint)
        else:
            pen.regular_polygon((x, y, r), 3 + (kind == 2), rotation=turn, fill=paint)
        yield np.asarray(page.resize((32, 32), Image.Resampling.BOX))


SETS: dict[str, Callable[[np.random.Generator], Iterator[Picture]]] = {
    "sprites": _known("sprites"),
    "photographs": _crops(64, 4, False),
    "faces": _faces,
    "clothes": _known("fashion-mnist"),
    "digits": _known("mnist"),
    "things": _known("cifar10"),
    "grey-photographs": _crops(96, 2, True),
    "glyphs": _glyphs,
    "hills": _hills,
    "shapes": _shapes,
}
