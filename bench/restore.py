"""Restoration beside the classical methods, on the same damaged test pictures.

    python bench/restore.py RESTORER [--latent RUN] [-n 500] [--classical] [--json FILE]
    python bench/restore.py - --sprites sprites32.npz     # the sprites at half their size, as data to train on

Damages: the right half missing, 75 % of the pixels missing, noise of deviation 0.2 and 0.5 (not cut at the ends),
a quarter of the size on each side. Ours: a trained restorer, blind (told what is missing, never how noisy a picture
is), and the posterior of an unconditional latent model, which is told the damage. Theirs, by scikit-image: biharmonic
inpainting, total variation (Chambolle), non-local means, wavelets (BayesShrink, VisuShrink), bicubic and Lanczos
enlargement (Pillow), Richardson-Lucy after bicubic; each is told the strength of noise where it takes one, and has its
parameters from a grid, the best mean PSNR of 50 validation pictures for each damage. The fill of gaps that both of ours
start from stands among the classical ones.

PSNR and SSIM are means over pictures (of the whole picture, what is seen included), PSNR with its standard error.
Coverage is of ranks among 39 draws in the middle 90 %, of the pixels that are not given; "wide" is how often the 90 %
interval holds the truth where it has a width. Needs the dev extra.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as Pictures
from torch import Tensor

from morphogen import machine
from morphogen.core import noise
from morphogen.core.damage import Chain, chain, missing
from morphogen.core.noise import Noise
from morphogen.core.worded import read_damage
from morphogen.data.find import called, open_data
from morphogen.examples import find_examples
from morphogen.metrics.closeness import coverage, psnr, ssim
from morphogen.opened import OpenRun
from morphogen.restoration import refined, restore_batch

DAMAGES = ("mask=half", "mask=0.75", "noise=0.2", "noise=0.5", "shrink=4")
CHOSEN_ON = 50
ROWS = 100

Method = Callable[[np.ndarray, Any], np.ndarray]  # one picture (h, w, c), NaN where missing, and a parameter


def denoisers(sigma: float) -> dict[str, tuple[Method, list[Any]]]:
    """By scikit-image, each with a grid around what its papers advise."""
    from skimage import restoration as theirs

    def tv(y: np.ndarray, weight: float) -> np.ndarray:
        return theirs.denoise_tv_chambolle(y, weight=weight * sigma, channel_axis=-1, max_num_iter=200)

    def means(y: np.ndarray, how: tuple[float, int]) -> np.ndarray:
        h, patch = how
        return theirs.denoise_nl_means(
            y, patch_size=patch, patch_distance=7, h=h * sigma, sigma=sigma, fast_mode=True, channel_axis=-1
        )

    def wavelet(y: np.ndarray, how: tuple[str, str, str]) -> np.ndarray:
        method, mode, name = how
        return theirs.denoise_wavelet(
            y, sigma=sigma, method=method, mode=mode, wavelet=name, channel_axis=-1, rescale_sigma=False
        )

    ways = [(m, s, w) for m in ("BayesShrink", "VisuShrink") for s in ("soft", "hard") for w in ("db1", "db2", "sym4")]
    return {
        "total variation": (tv, [0.4, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0, 2.5]),
        "non-local means": (means, [(h, p) for h in (0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0) for p in (3, 5, 7)]),
        "wavelet": (wavelet, ways),
    }


def enlargers(factor: int) -> dict[str, tuple[Method, list[Any]]]:
    """By Pillow, and Richardson-Lucy with the box that shrank the picture."""
    from skimage import restoration as theirs

    def enlarged(y: np.ndarray, filter: Any) -> np.ndarray:
        size = (y.shape[1] * factor, y.shape[0] * factor)
        layers = [Pictures.fromarray(y[..., c].astype(np.float32)).resize(size, filter) for c in range(y.shape[2])]
        return np.stack([np.asarray(layer) for layer in layers], -1)

    def richardson(y: np.ndarray, rounds: int) -> np.ndarray:
        box = np.full((factor, factor), 1 / factor**2)
        start = enlarged(y, Pictures.Resampling.BICUBIC).clip(1e-3, 1)
        return np.stack([theirs.richardson_lucy(start[..., c], box, rounds) for c in range(y.shape[2])], -1)

    return {
        "bicubic": (enlarged, [Pictures.Resampling.BICUBIC]),
        "Lanczos": (enlarged, [Pictures.Resampling.LANCZOS]),
        "Richardson-Lucy": (richardson, [2, 5, 10, 20]),
    }


def inpainters() -> dict[str, tuple[Method, list[Any]]]:
    """Biharmonic, after the first guess that ours start from, too."""
    from skimage import restoration as theirs

    def biharmonic(y: np.ndarray, _: Any) -> np.ndarray:
        hole = np.isnan(y)
        if not hole.any():
            return y
        return theirs.inpaint_biharmonic(np.where(hole, 0, y), hole.any(-1), channel_axis=-1)

    return {"biharmonic": (biharmonic, [None])}


def classical(damage: Chain, y: Tensor, valid: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """What each method makes of y, with the parameter that is best on the validation pictures."""
    said = damage.told()
    if said.startswith("mask"):
        methods = inpainters()
    elif said.startswith("noise"):
        methods = denoisers(float(said.partition("=")[2]))
    else:
        methods = enlargers(int(said.partition("=")[2]))
    found = {"first guess of ours": damage.guess(y)} if damage.hides else {}
    for name, (method, grid) in methods.items():
        best = max(grid, key=lambda p: float(psnr(each(method, valid[0], p), valid[1]).mean())) if grid[1:] else grid[0]
        found[f"{name} ({best})" if grid[1:] else name] = each(method, y, best)
    return {name: t.clamp(0, 1) for name, t in found.items()}


def each(method: Method, y: Tensor, parameter: Any) -> Tensor:
    """Picture by picture."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = [np.atleast_3d(method(one.permute(1, 2, 0).double().numpy(), parameter)) for one in y]
    return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2).float().clamp(0, 1)


def ours(run: OpenRun, y: Tensor, x: Tensor, damage: Chain) -> dict[str, Any]:
    """Restored by a model, with seconds and coverage."""
    device = torch.device("cpu")
    precision = machine.choose_precision("auto", device)
    means, draws, began = [], [], time.perf_counter()
    for place, start in enumerate(range(0, len(y), ROWS)):
        with torch.no_grad(), noise.source(Noise(0, "bench", place)), machine.autocast(device, precision):
            found = restore_batch(run.model, y[start : start + ROWS], damage, approach=refined())
        means.append(found.mean.clamp(0, 1))
        draws.append(found.draws)
    seconds = time.perf_counter() - began
    of = missing(y) if damage.hides else torch.ones_like(x, dtype=torch.bool)
    with noise.source(Noise(1, "bench")):
        held = coverage(torch.cat(draws, 1), x, run.space, of)
    return {"mean": torch.cat(means), "seconds": seconds, **held}


def line(name: str, mean: Tensor, x: Tensor, more: dict[str, Any]) -> dict[str, Any]:
    """One row of the table."""
    decibels = psnr(mean, x)
    said = {"method": name, "psnr": float(decibels.mean()), "ssim": float(ssim(mean, x).mean())}
    said["error"] = float(decibels.std() / len(x) ** 0.5)
    return said | {k: v for k, v in more.items() if k != "mean"}


def half_sprites(path: Path) -> None:
    """All sprites, each pixel the mean of four."""
    data = open_data("sprites")
    x = torch.cat([split.x.gather(torch.arange(len(split))) for split in data.splits.values()])
    small = torch.nn.functional.avg_pool2d(x.movedim(-1, 1).float(), 2).round().to(torch.uint8)
    np.savez_compressed(path, x=small.movedim(1, -1).contiguous().numpy())


def main() -> None:
    """The table of one data set, in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a trained restorer, or - for none")
    parser.add_argument("--latent", help="a run of an unconditional model")
    parser.add_argument("-n", type=int, default=500)
    parser.add_argument("--latent-n", type=int, default=100, help="the latent model restores only the first so many")
    parser.add_argument("--classical", action="store_true", help="the classical methods, too")
    parser.add_argument("--split", default="test")
    parser.add_argument("--damages", nargs="*", default=DAMAGES)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sprites", type=Path)
    asked = parser.parse_args()
    if asked.sprites:
        return half_sprites(asked.sprites)
    machine.prepare()
    torch.set_grad_enabled(False)
    runs = {"trained restorer": asked.run, "latent model": asked.latent}
    opened = {name: OpenRun(path) for name, path in runs.items() if path and path != "-"}
    first = next(iter(opened.values()))
    x = find_examples(first.run, None, split=asked.split, label=None, fit=False).first(asked.n).x
    fair = find_examples(first.run, None, split="valid", label=None, fit=False).first(CHOSEN_ON).x
    table: dict[str, list[dict[str, Any]]] = {}
    print(f"{called(first.run.recipe['data'])}, {len(x)} {asked.split} pictures\n")
    print(
        "| damage | method | PSNR, dB | SSIM | coverage | wide | s |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |"
    )
    for said in asked.damages:
        damage = chain(first.space, read_damage(said))
        with noise.source(Noise(0, "harm")):
            y, y_fair = damage(x), damage(fair)
        rows = table[said] = []
        for name, run in opened.items():
            n = asked.latent_n if name == "latent model" else asked.n
            found = ours(run, y[:n], x[:n], damage)
            rows.append(line(f"{name}, first {n}" if n < len(x) else name, found["mean"], x[:n], found))
        if asked.classical:
            began = time.perf_counter()
            theirs = classical(damage, y, (y_fair, fair))
            apart = {"seconds": time.perf_counter() - began}
            rows += [line(name, mean, x, apart) for name, mean in theirs.items()]
            n = asked.latent_n
            best = max(theirs, key=lambda name: float(psnr(theirs[name], x).mean()))
            rows.append(line(f"the best of these, first {n}", theirs[best][:n], x[:n], apart))
        for row in rows:
            held = f"{row['coverage']:.1%} | {row['coverage_where_wide']:.1%}" if "coverage" in row else " | "
            print(
                f"| {said} | {row['method']} | {row['psnr']:.2f} +- {row['error']:.2f} | {row['ssim']:.3f} | {held} "
                f"| {row['seconds']:.1f} |",
                flush=True,
            )
    if asked.json:
        asked.json.write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
