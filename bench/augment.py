"""Does made data help a small classifier that has few labels? `python bench/augment.py --seeds 0,1,2,3,4`

Honest and small: 20 labelled training examples a class, drawn by the seed, are all there is, for the generative model
too: a conditional VAE is trained on these 200 alone. A small CNN (metrics/classifier.py) is taught on them with
classical augmentation (shifts, turns, scalings); against it, the same first weights and as many steps with a quarter of
each batch made by the VAE: samples of a class, mixes of two of a class, jitter of one. Copies are left out. A second
setting has the other training examples without labels: a VAE that is told none is trained on all, and mixes start from
the codes of the 200. A third leaves classical augmentation out on either side. Tested on the 10,000 test examples;
paired over the seeds, the interval is Student's t of the differences. `--tested valid` is for choosing constants. What
is done is kept in --home, a line of JSON for each seed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from torch import Tensor

import morphogen as mg
from morphogen.augmenting import make
from morphogen.data.dataset import Dataset
from morphogen.data.find import open_data
from morphogen.examples import Data
from morphogen.leaks import Leaks
from morphogen.makers import MAKERS, Labelled
from morphogen.metrics.classifier import accuracy, teach
from morphogen.opened import OpenRun
from morphogen.sides import only
from morphogen.worth import classical, interval, labelled_subset, mixed_batches, verdict

EACH, MADE, STEPS, SHARE = 20, 2000, 400, 0.25
SMALL = {"model.latent": 16, "model.net.widths": [256, 256], "train.batch": 64, "train.steps": 1500}
BESIDE = {"train.minutes": 1.5}
CLASSICAL, NONE = "classical", "no classical"
ARMS = {  # name: which model, how, how boldly, and what both classifiers are taught with besides
    "samples": ("alone", "samples", 1.0, CLASSICAL),
    "mix": ("alone", "mix", 1.0, CLASSICAL),
    "jitter": ("alone", "jitter", 1.0, CLASSICAL),
    "mix, unlabelled rest": ("beside", "mix", 1.0, CLASSICAL),
    "mix, no classical": ("alone", "mix", 1.0, NONE),
}


def few(data: Dataset, seed: int) -> Data:
    """The labelled examples of a seed, and nothing else."""
    whole = Data(data, "train")
    return only(whole, labelled_subset(data.splits["train"].y.long(), EACH, seed))


def alone(data: Dataset, seed: int, home: Path) -> OpenRun:
    """A conditional VAE of the labelled examples alone."""
    path = home / f"{data.name}-{seed}"
    if not path.exists():
        given = few(data, seed)
        part = given.data.splits["train"]
        held, names = home / f"{data.name}-{seed}.npz", np.array(data.classes)[part.y.numpy()]
        np.savez(held, x=part.x.gather(torch.arange(len(given))).numpy(), y=names)
        recipe = {"use": "array", "path": str(held), "valid": 0, "test": 0}
        mg.train("conditional-vae", recipe, SMALL, run=path, quiet=True, seed=seed, device="cpu")
    return mg.open(path)


def beside(data: Dataset, seed: int, home: Path) -> OpenRun:
    """One VAE of all training examples, which is told no labels; the same for every seed."""
    path = home / f"{data.name}-all"
    if not path.exists():
        mg.train("vae", data.name, BESIDE, run=path, quiet=True, device="cpu")
    return mg.open(path)


def made(run: OpenRun, given: Data, by: str, boldness: float, seed: int) -> tuple[Tensor, Tensor, int]:
    """New examples, their classes, and how many copies were left out."""
    labelled = Labelled.of(given, run.model)
    leaks = Leaks.among(labelled.all(), run.space)
    with torch.no_grad():
        said = make(run.model, labelled, MAKERS[by], MADE, leaks=leaks, space=run.space, seed=seed, boldness=boldness)
    return said.made.x, said.made.y, said.left_out


def measured(name: str, seed: int, home: Path, tested: str, arms: Sequence[str]) -> dict[str, float]:
    """The share right of each arm, and of what it is held against."""
    data = open_data(name)
    given = few(data, seed)
    test = list(Data(data, tested).batches())
    labelled = Labelled.of(given, None)
    real = (labelled.all(), labelled.y)
    changes = {CLASSICAL: classical(data.space)[0], NONE: lambda x: x}

    def right(base: str, more: tuple[Tensor, Tensor] | None) -> float:
        batch = mixed_batches(real, more, seed=seed, share=SHARE, change=changes[base])
        return accuracy(teach(data.space, len(data.classes), batch, steps=STEPS, seed=seed), test)

    said = {base: right(base, None) for base in dict.fromkeys(ARMS[arm][3] for arm in arms)}
    for arm in arms:
        which, by, boldness, base = ARMS[arm]
        x, y, left_out = made({"alone": alone, "beside": beside}[which](data, seed, home), given, by, boldness, seed)
        said[arm] = right(base, (x, y))
        said[f"{arm}: copies"] = left_out
    return said


def table(rows: list[dict], sets: Sequence[str]) -> str:
    """Markdown."""
    lines = ["| set | made data | right without | right with | gain (points, 95 %) | copies left out | verdict |"]
    lines.append("|---|---|---|---|---|---|---|")
    for name in sets:
        mine = [row["said"] for row in rows if row["set"] == name]
        for arm in [arm for arm in ARMS if all(arm in said for said in mine)] if len(mine) > 1 else []:
            base = ARMS[arm][3]
            gain, low, high = interval([said[arm] - said[base] for said in mine])
            before, after, left = (mean([said[k] for said in mine]) for k in (base, arm, f"{arm}: copies"))
            span = f"{100 * gain:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})"
            right = f"{100 * before:.2f} % | {100 * after:.2f} %"
            lines.append(f"| {name} | {arm} | {right} | {span} | {left:.0f} | {verdict(low, high)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure what is not there yet, and print the table."""
    asked = argparse.ArgumentParser(description=__doc__.split("`")[0])
    asked.add_argument("--sets", default="mnist,fashion-mnist")
    asked.add_argument("--seeds", default="0,1,2,3,4")
    asked.add_argument("--arms", default="|".join(ARMS), help="names with | between them")
    asked.add_argument("--tested", default="test", choices=["test", "valid"])
    asked.add_argument("--home", type=Path, default=Path("runs/augment-bench"))
    said = asked.parse_args()
    said.home.mkdir(parents=True, exist_ok=True)
    kept = said.home / f"{said.tested}.jsonl"
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    sets, seeds, arms = said.sets.split(","), [int(seed) for seed in said.seeds.split(",")], said.arms.split("|")
    for name, seed in product(sets, seeds):
        if not any((row["set"], row["seed"]) == (name, seed) for row in rows):
            rows.append({"set": name, "seed": seed, "said": measured(name, seed, said.home, said.tested, arms)})
            with kept.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
            print(rows[-1], flush=True)
    print(f"\n{EACH} labels a class, {MADE} made, {STEPS} steps, tested on {said.tested}\n")
    print(table([row for row in rows if row["seed"] in seeds], sets))


if __name__ == "__main__":
    main()
