"""Which modes do two games keep, with the same nets and the same steps? `python bench/modes_kept.py --seeds 0,1,2`

The recipe `points-gan` as it ships (r3, R1 and R2), and the same with the first paper's game and no penalty, on ring
and grid. A run is kept under runs/ and, when it is there already, only counted. 10,000 samples of each; a mode is found
where one of them lies within three deviations of its centre, and such samples are the good ones (metrics/modes.py).
`--picture FILE` draws the samples of the first seed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

import morphogen as mg
from morphogen.data.gaussians import centres
from morphogen.figures import CLASSES, FAINT, INK, save
from morphogen.metrics.modes import NEAR, Modes, count_centres
from morphogen.opened import OpenRun
from morphogen.run import Run
from morphogen.session import fit

GAMES: dict[str, dict[str, object]] = {
    "r3": {},
    "nonsaturating": {"model.game": "nonsaturating", "model.penalties": []},
}
TITLES = {"r3": "r3 with R1 and R2", "nonsaturating": "the first game, no penalty"}
SETS, SAMPLES = ("ring", "grid"), 10_000
GOOD, ASTRAY = CLASSES[0], CLASSES[1]


def trained(game: str, data: str, seed: int, home: Path) -> OpenRun:
    """The run, from where it stands."""
    path = home / f"points-{game}-{data}-{seed}"
    if path.exists():
        fit(Run.open(path), quiet=True)
        return mg.open(path)
    return mg.train("points-gan", data, run=path, quiet=True, seed=seed, device="cpu", **GAMES[game])


def counted(run: OpenRun) -> tuple[Tensor, Tensor, Modes]:
    """Samples in the data's own units, where the modes lie, and what is found of them."""
    where, sigma = centres(run.run.recipe["data"])
    x = torch.as_tensor(run.space.write(run.sample(SAMPLES, seed=0).x))
    return x, where, count_centres(x, where, sigma)


def row(data: str, game: str, seed: int, run: OpenRun, modes: Modes) -> str:
    """A line of the table."""
    assert modes.quality is not None
    seconds = next(record["time"] for record in reversed(run.run.log()) if "time" in record)
    found = f"{modes.hit} of {len(modes.counts)}"
    share = f"{100 * float(modes.quality.mean()):.0f} %"
    return f"| {data} | {game} | {seed} | {found} | {int(modes.counts.min())} | {share} | {seconds:.0f} |"


def drawn(shown: dict[tuple[str, str], tuple[Tensor, Tensor, Modes]], path: Path) -> None:
    """Samples, good ones in one colour and the others in another; a circle around a mode that is lost."""
    figure = Figure(figsize=(8.0, 8.4), dpi=100, layout="constrained", facecolor="white")
    for axis, ((data, game), (x, where, modes)) in zip(figure.subplots(2, 2).flatten(), shown.items(), strict=True):
        assert modes.quality is not None
        good, lost = modes.quality > 0, modes.counts == 0
        axis.scatter(*x[~good].T, s=1.5, color=ASTRAY, alpha=0.35, linewidths=0)
        axis.scatter(*x[good].T, s=1.5, color=GOOD, linewidths=0)
        axis.scatter(*where[lost].T, s=160, facecolors="none", edgecolors=FAINT, linewidths=1.0)
        reach = 1.2 * float(where.abs().max())
        axis.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])
        axis.spines[:].set_color("#e6e6e6")
        share = f"{100 * float(good.double().mean()):.0f} % good"
        axis.set_title(f"{data}, {TITLES[game]}\n{modes.hit} of {len(where)} modes, {share}", fontsize=10, color=INK)
    save(figure, path, {"command": "bench/modes_kept.py", "near": NEAR, "samples": SAMPLES})


def main() -> None:
    """Train, count, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--home", type=Path, default=Path("runs"))
    parser.add_argument("--picture", type=Path)
    asked = parser.parse_args()
    print("| set | game | seed | modes found | samples of the rarest | good samples | seconds |\n|" + " --- |" * 7)
    seeds, shown = [int(seed) for seed in asked.seeds.split(",")], {}
    for seed in seeds:
        for data in SETS:
            for game in reversed(GAMES):
                run = trained(game, data, seed, asked.home)
                said = counted(run)
                print(row(data, game, seed, run, said[2]), flush=True)
                if seed == seeds[0]:
                    shown[data, game] = said
    if asked.picture:
        drawn(shown, asked.picture)


if __name__ == "__main__":
    main()
