"""Tables: are new rows worth as much as real ones to a learner, are they copies, and are missing cells filled well?

    python bench/tables.py breast_cancer wine made --seeds 5 --keep figures.jsonl

Of each seed, three quarters of the rows (by class, drawn by the seed) are trained on and the others held out. Every
figure is of held-out rows; those of several seeds stand as mean and 95 % interval (Student's t over seeds).
"""

# ruff: noqa: E501

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import QuantileTransformer

sys.path.insert(0, str(Path(__file__).parent))
from made_table import NAMES, made_table, write_rows
from morphogen import session
from morphogen.core import noise
from morphogen.core.noise import Noise
from morphogen.core.table import Word
from morphogen.data.rows import read_rows
from morphogen.metrics.downstream import downstream
from morphogen.metrics.jackknife import student
from morphogen.metrics.privacy import privacy
from morphogen.opened import OpenRun

MISSING, HOLES, RIVAL_ROWS = 0.2, 2000, 5000  # share of cells, rows that are filled, rows that KNN looks among
MADE_ROWS = 50_000


def rows_of(name):
    if name == "made":
        return list(NAMES), made_table(MADE_ROWS)
    data = {"breast_cancer": load_breast_cancer, "wine": load_wine}[name]()
    rows = [[*map(float, x), str(data.target_names[y])] for x, y in zip(data.data, data.target, strict=True)]
    return [*map(str, data.feature_names), "class"], rows


def trained(name, seed, folder, leaves):
    """A run on three quarters of the rows, their stored values, and those of the rest."""
    names, rows = rows_of(name)
    kept, held = train_test_split(rows, test_size=0.25, random_state=seed, stratify=[row[-1] for row in rows])
    path, other = (write_rows(folder / f"{part}.csv", names, some) for part, some in (("train", kept), ("held", held)))
    data = {"use": "table", "path": str(path), "test": 0.0}
    run, found = session.start("tabular", data, [f"seed={seed}", *leaves], folder / "run")
    session.fit(run, found, quiet=True)
    train = torch.cat([split.x.values for split in found.splits.values()])
    return OpenRun(run), train, read_rows(other, run.space, True)


def holes(stored, how, draw):
    """Which cells are taken away: completely at random, or by how large the row's first number is, which stays."""
    chance = np.full(stored.shape, MISSING)
    if how == "mar":
        rank = stored[:, 0].argsort().argsort() / len(stored)
        chance = np.repeat(2 * MISSING * rank[:, None], stored.shape[1], 1)
        chance[:, 0] = 0
    return draw.random(stored.shape) < chance


def errors(truth, filled, gone, space, scale):
    """Root mean square error over the deviation of each column of numbers; share of words that are wrong."""
    number, word = [], []
    for place, column in enumerate(space.columns):
        rows = gone[:, place]
        if not rows.any():
            continue
        off = truth[rows, place] - filled[rows, place]
        if isinstance(column, Word):
            word.append((off != 0).mean())
        elif scale[place] > 0:
            number.append(np.sqrt((off**2).mean()) / scale[place])
    return [float(np.mean(number)), float(np.mean(word))]


class Rival:
    """An imputer of scikit-learn: numbers standardised or on a normal scale, words one-hot, the largest wins."""

    def __init__(self, imputer, space, train, normal):
        self.space, self.imputer = space, imputer
        self.numbers = [i for i, c in enumerate(space.columns) if not isinstance(c, Word)]
        self.middle, self.scale = train[:, self.numbers].mean(0), train[:, self.numbers].std(0)
        self.normal = (
            QuantileTransformer(n_quantiles=min(1000, len(train)), output_distribution="normal") if normal else None
        )
        if normal:
            self.normal.fit(train[:, self.numbers])
        imputer.fit(self.seen(train))

    def seen(self, rows):
        x = rows[:, self.numbers]
        x = self.normal.transform(x) if self.normal else (x - self.middle) / self.scale
        parts = [x]
        for i, column in enumerate(self.space.columns):
            if isinstance(column, Word):
                hot = (rows[:, i : i + 1] == np.arange(column.width)).astype(float)
                hot[np.isnan(rows[:, i])] = np.nan
                parts.append(hot)
        return np.concatenate(parts, 1)

    def fill(self, rows):
        said, filled = self.imputer.transform(self.seen(rows)), rows.copy()
        count = len(self.numbers)
        x = said[:, :count]
        x = self.normal.inverse_transform(x) if self.normal else x * self.scale + self.middle
        for k, i in enumerate(self.numbers):
            filled[:, i] = np.where(np.isnan(rows[:, i]), x[:, k], rows[:, i])
        for i, column in enumerate(self.space.columns):
            if isinstance(column, Word):
                best = said[:, count : count + column.width].argmax(1)
                filled[:, i] = np.where(np.isnan(rows[:, i]), best, rows[:, i])
                count += column.width
        return filled


def imputation(run, train, held, seed):
    """Of each way to lose cells and each imputer its two errors."""
    draw, space = np.random.default_rng(seed), run.space
    truth, real = held.numpy()[:HOLES], train.numpy()
    some = real[draw.permutation(len(real))[:RIVAL_ROWS]]
    scale, said = real.std(0), {}
    rivals = {
        (name, normal): Rival(make(), space, some if name == "knn" else real, normal)
        for name, make in (
            ("iterative", lambda: IterativeImputer(random_state=seed)),
            ("knn", lambda: KNNImputer(n_neighbors=10)),
        )
        for normal in (False, True)
    }
    for how in ("mcar", "mar"):
        gone = holes(truth, how, draw)
        gone[np.isnan(truth)] = False
        given = np.where(gone, np.nan, truth)
        began = time.process_time()
        found = run.restore(torch.from_numpy(given), seed=seed)
        said[how] = {
            "morphogen": errors(truth, found.stored, gone, space, scale),
            "seconds": time.process_time() - began,
        }
        for name in ("iterative", "knn"):
            both = [errors(truth, rivals[name, normal].fill(given), gone, space, scale) for normal in (False, True)]
            said[how][name] = min(both)
    return said


def filled(name, seed, leaves):
    """Of one seed how well missing cells are filled, and no more."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        run, train, held = trained(name, seed, Path(folder), leaves)
        seconds = time.process_time() - began
        return {"set": name, "seed": seed, "train": len(train), "held": len(held), "seconds": seconds,
                "imputation": imputation(run, train, held, seed)}  # fmt: skip


def one(name, seed, leaves):
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        run, train, held = trained(name, seed, Path(folder), leaves)
        seconds = time.process_time() - began
        with torch.no_grad():
            made = torch.from_numpy(run.sample(len(train), seed=seed).stored)
        space, place = run.space, len(run.space.columns) - 1
        worth = downstream(train.numpy(), made.numpy(), held.numpy(), space, place, seed=seed)
        safe = privacy(train, held, made, space, seed=seed)
        filled = imputation(run, train, held, seed)
    return {"set": name, "seed": seed, "train": len(train), "held": len(held), "seconds": seconds,
            "downstream": worth, "privacy": safe, "imputation": filled}  # fmt: skip


def told(values):
    values = np.array(values, float)
    if len(values) < 2:
        return f"{values.mean():.3f}"
    return f"{values.mean():.3f} ± {student(len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5:.3f}"


def column(figures, part, key):
    return [f[part][key] for f in figures]


def report_worth(figures):
    print(
        "| data | rows | seeds | accuracy, real | accuracy, made | ratio | copies (held-out rows) | closer | membership |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    sets = list(dict.fromkeys(f["set"] for f in figures))
    for name in sets:
        own = [f for f in figures if f["set"] == name]
        col = partial(column, own)
        copies = f"{sum(col('privacy', 'copies'))} ({sum(col('privacy', 'held_out_copies'))})"
        cells = [name, f"{own[0]['train']:,} + {own[0]['held']:,}", len(own), told(col("downstream", "real")),
                 told(col("downstream", "made")), told(col("downstream", "ratio")), copies,
                 told(col("privacy", "closer")), told(col("privacy", "membership"))]  # fmt: skip
        print("| " + " | ".join(map(str, cells)) + " |")


def report_filling(figures):
    sets = list(dict.fromkeys(f["set"] for f in figures))
    print("\n| data | cells missing | of | morphogen | IterativeImputer | KNNImputer |\n|---|---|---|---|---|---|")
    for name in sets:
        own = [f["imputation"] for f in figures if f["set"] == name]
        for how, words in (("mcar", "20 % completely at random"), ("mar", "20 % by the first column")):
            for at, what in enumerate(("numbers (NRMSE)", "words (error)")):
                cells = [told([f[how][who][at] for f in own]) for who in ("morphogen", "iterative", "knn")]
                print("| " + " | ".join([name, words, what, *cells]) + " |")
    for name in sets:
        print(f"\n{name}: trained in {told([f['seconds'] for f in figures if f['set'] == name])} s of one core")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="+", choices=("breast_cancer", "wine", "made"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--filling", action="store_true", help="only how missing cells are filled")
    parser.add_argument("--leaves", nargs="*", default=[])
    asked = parser.parse_args()
    figures = (
        [json.loads(line) for line in asked.keep.read_text().splitlines()] if asked.keep and asked.keep.exists() else []
    )
    measure = filled if asked.filling else one
    done = {(f["set"], f["seed"]) for f in figures}
    for seed in range(asked.first, asked.first + asked.seeds):
        for name in asked.sets:
            if (name, seed) in done:
                continue
            with noise.source(Noise(seed, "bench")):
                figures.append(measure(name, seed, asked.leaves))
            if asked.keep:
                with asked.keep.open("a") as file:
                    file.write(json.dumps(figures[-1]) + "\n")
    if not asked.filling:
        report_worth(figures)
    report_filling(figures)


if __name__ == "__main__":
    main()
