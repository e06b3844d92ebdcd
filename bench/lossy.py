"""What do pictures cost that may come back a little changed? `python bench/lossy.py cifar10 --run RUN`

Bits a pixel and PSNR of JPEG, WebP and archives of `morphogen compress RUN --loss L`, at several qualities each:
`kodak`, its pictures as files of their own; `cifar10` and other sets by name, the first --n test pictures as one sheet
for JPEG and WebP, so that they do not pay for 1,024 headers, and as one .npy for us. Ours are whole archives but for
the model, whose bytes are said beside; they are opened again, and PSNR is of what comes out. `--picture FILE` draws it.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lossless import pictures, sheet
from morphogen.codec.learned import learned_of, learned_of_run
from morphogen.codec.lossy import Lossy
from morphogen.codec.pack import pack
from morphogen.codec.unpack import unpack
from morphogen.opened import OpenRun

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

QUALITIES = (2, 5, 10, 20, 35, 50, 75, 90, 95)
LOSSES = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8)


@dataclass(frozen=True)
class Point:
    """One quality of one codec."""

    codec: str
    knob: str
    bits: float  # a pixel
    psnr: float


def psnr(these: Sequence[Pixels], those: Sequence[Pixels]) -> float:
    """In decibels, of the mean squared error over all levels of all pictures."""
    error = sum(float(np.square(a.astype(np.float64) - b).sum()) for a, b in zip(these, those, strict=True))
    return 10 * math.log10(255**2 * sum(a.size for a in these) / max(error, 1e-9))


def by_pillow(name: str, x: Sequence[Pixels], pixels: int) -> Iterator[Point]:
    """JPEG or WebP, best settings of Pillow."""
    for quality in QUALITIES:
        how = {"optimize": True} if name == "JPEG" else {"method": 6}
        files = []
        for each in x:
            file = io.BytesIO()
            Image.fromarray(each).save(file, name, quality=quality, **how)
            files.append(file.getvalue())
        back = [np.asarray(Image.open(io.BytesIO(data)).convert("RGB" if x[0].ndim == 3 else "L")) for data in files]
        yield Point(name, f"quality {quality}", 8 * sum(map(len, files)) / pixels, psnr(x, back))


def ours(run: str, x: Sequence[Pixels], pixels: int, told: list[str]) -> Iterator[Point]:
    """Archives, written and opened."""
    learned = learned_of_run(OpenRun(Path(run)))
    for loss in LOSSES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for number, each in enumerate(x):
                np.save(folder / f"{number:02}.npy", each)
            files, out = sorted(folder.glob("*.npy")), folder / "x.mgn"
            said = pack(files, out, Lossy(learned, loss, None))
            unpack(str(out), str(folder / "back"), learned_of)
            back = [np.load(folder / "back" / file.name) for file in files]
            size = said["bytes_of_the_archive"] - said["bytes_of_the_model"]
            told[:] = [f"{Path(run).name}: its model takes {said['of them the model']:,} bytes"]
            yield Point(Path(run).name, f"loss {loss:g}", 8 * size / pixels, psnr(x, back))


def drawn(points: Sequence[Point], title: str, path: Path) -> None:
    """PSNR over bits a pixel."""
    from matplotlib.figure import Figure

    from morphogen.figures import CLASSES, INK, save

    figure = Figure(figsize=(6.4, 4.2), dpi=100, layout="constrained", facecolor="white")
    axis = figure.subplots()
    for name, colour in zip(dict.fromkeys(p.codec for p in points), CLASSES, strict=False):
        line = [(p.bits, p.psnr) for p in points if p.codec == name]
        axis.plot(*zip(*line, strict=True), marker="o", markersize=3.5, linewidth=1.5, color=colour, label=name)
    axis.set_xscale("log", base=2)
    axis.set(xlabel="bits a pixel", ylabel="PSNR, dB")
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_title(title, fontsize=10, color=INK)
    axis.grid(color="#e6e6e6", linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    save(figure, path, {"command": "bench/lossy.py"})


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set")
    parser.add_argument("--run", action="append", default=[])
    parser.add_argument("--n", type=int, default=1024)
    parser.add_argument("--picture", type=Path)
    said = parser.parse_args()
    if said.set == "kodak":
        files = sorted(Path(os.environ["MORPHOGEN_DATA"], "kodak").glob("*.png"))[: said.n]
        apart: list[Pixels] = [np.asarray(Image.open(file).convert("RGB")) for file in files]
        mine: list[Pixels] = apart
    else:
        x, _ = pictures(said.set, said.n)
        apart, mine = [sheet(x)], [x]
    pixels = sum(each.shape[0] * each.shape[1] for each in apart)
    points: list[Point] = []
    told: list[str] = []
    for name in ("JPEG", "WebP"):
        points += by_pillow(name, apart, pixels)
    for run in said.run:
        points += ours(run, mine, pixels, told)
    print("| codec | knob | bits a pixel | PSNR, dB |\n|---|---|---:|---:|")
    print("\n".join(f"| {p.codec} | {p.knob} | {p.bits:.3f} | {p.psnr:.2f} |" for p in points))
    print("\n".join(told))
    if said.picture:
        drawn(points, f"{said.set}, {pixels:,} pixels", said.picture)


if __name__ == "__main__":
    main()
