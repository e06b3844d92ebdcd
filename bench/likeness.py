"""Tables: how like the real ones new rows are, and what can be learned from them, beside a mixture of 20 normals.

    python bench/likeness.py loans made diabetes breast_cancer factors --seeds 3 --keep likeness.jsonl

Three quarters of the rows (drawn by the seed) are trained on, the others held out. `quality` is the mean of two: 1 less
the mean distance of columns (Kolmogorov-Smirnov, total variation), and 1 less the mean difference of associations of
pairs, as `morphogen resemble` has them, against the training rows and against those held out; `worth` is the accuracy,
or R squared, of three learners that are trained on new rows and tested on held-out ones. The rival: numbers by their
quantiles on a normal scale, words one-hot, GaussianMixture(20) of scikit-learn. Real rows stand beside both.
"""

# ruff: noqa: E501  (formulas stand whole)

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import QuantileTransformer

sys.path.insert(0, str(Path(__file__).parent))
from made_table import NAMES, made_table, write_rows
from morphogen import session
from morphogen.core.table import Word
from morphogen.data.rows import read_rows
from morphogen.metrics.downstream import downstream
from morphogen.metrics.jackknife import student
from morphogen.metrics.resemblance import apart_by_column, apart_by_pair
from morphogen.opened import OpenRun

SETS = ("loans", "made", "diabetes", "breast_cancer", "wine", "factors")
FIGURES = ("quality", "quality_held", "worth")


def loans(count=2000, seed=0):
    """Made-up loans: ratios with heaps, one mean-filled cell among whole numbers, rates of few values in float32."""
    draw = np.random.default_rng(seed)
    z, own = draw.normal(size=count), draw.random(count) < 0.3
    score = np.where(
        draw.random(count) < 0.0005, 1.72100840336134, 1 + np.minimum(3, draw.poisson(np.exp(-0.3 + 0.5 * own)))
    )
    ratio = np.where(
        draw.random(count) < 0.2, 0.8, np.clip(0.7 + 0.15 * z + 0.05 * draw.normal(size=count), 0.02, 1.95)
    )
    cost = 0.25 + 0.05 * z + 0.02 * draw.normal(size=count)
    debt = cost * 1.2 + 0.05 * draw.normal(size=count)
    rate = np.float32([3.1, 1.8, 3.2, 4.3, 10.6, 8.9, 3.9])[
        draw.choice(7, count, p=[0.3, 0.1, 0.2, 0.15, 0.1, 0.1, 0.05])
    ]
    deny = draw.random(count) < 1 / (1 + np.exp(-(-2 + 1.2 * z + 0.8 * own + 0.3 * score)))
    words = [np.where(flags, "yes", "no") for flags in (own, draw.random(count) < 0.4, deny)]
    columns = [cost, debt, ratio, score, rate, *words]
    names = ["cost", "debt", "ratio", "score", "rate", "own", "single", "deny"]
    return names, [list(row) for row in zip(*(c.tolist() for c in columns), strict=True)]


def factors(count=4000, width=20, seed=0):
    """Five hidden numbers, bent by tanh, with noise."""
    draw = np.random.default_rng(seed)
    x = np.tanh(draw.normal(size=(count, 5)) @ draw.normal(size=(5, width)) * 0.6) + 0.1 * draw.normal(
        size=(count, width)
    )
    y = x[:, 0] * x[:, 1] + 0.3 * x[:, 2] + 0.1 * draw.normal(size=count)
    return [*(f"x{i}" for i in range(width)), "y"], np.column_stack([x, y]).tolist()


def rows_of(name):
    if name == "loans":
        return loans()
    if name == "factors":
        return factors()
    if name == "made":
        return list(NAMES), made_table(4000)
    if name == "diabetes":
        data = load_diabetes(scaled=False)
        return [*data.feature_names, "target"], [
            [*map(float, x), float(y)] for x, y in zip(data.data, data.target, strict=True)
        ]
    data = {"breast_cancer": load_breast_cancer, "wine": load_wine}[name]()
    return [*map(str, data.feature_names), "class"], [
        [*map(float, x), str(data.target_names[y])] for x, y in zip(data.data, data.target, strict=True)
    ]


class Mixture:
    """The rival."""

    def __init__(self, space, train, seed):
        self.space = space
        self.numbers = [i for i, c in enumerate(space.columns) if not isinstance(c, Word)]
        self.scale = QuantileTransformer(n_quantiles=min(1000, len(train)), output_distribution="normal")
        self.scale.fit(train[:, self.numbers])
        self.mixture = GaussianMixture(20, random_state=seed).fit(self.seen(train))

    def seen(self, rows):
        words = [
            rows[:, i : i + 1] == np.arange(len(c.words))
            for i, c in enumerate(self.space.columns)
            if isinstance(c, Word)
        ]
        return np.concatenate([self.scale.transform(rows[:, self.numbers]), *words], 1).astype(float)

    def sample(self, count):
        x, at = self.mixture.sample(count)[0], len(self.numbers)
        rows = np.empty((count, len(self.space.columns)))
        rows[:, self.numbers] = self.scale.inverse_transform(x[:, :at])
        for i, column in enumerate(self.space.columns):
            if isinstance(column, Word):
                rows[:, i] = x[:, at : at + len(column.words)].argmax(1)
                at += len(column.words)
        return rows


def alike(real, made, space):
    columns, pairs = (each(real, made, space).values() for each in (apart_by_column, apart_by_pair))
    return 1 - (np.mean(list(columns)) + np.mean(list(pairs))) / 2


def one(name, seed, leaves):
    names, rows = rows_of(name)
    labels = [row[-1] for row in rows] if isinstance(rows[0][-1], str) else None
    kept, held = train_test_split(rows, test_size=0.25, random_state=seed, stratify=labels)
    with tempfile.TemporaryDirectory() as folder:
        path, other = (
            write_rows(Path(folder) / f"{part}.csv", names, some) for part, some in (("train", kept), ("held", held))
        )
        began = time.process_time()
        run, found = session.start(
            "tabular", {"use": "table", "path": str(path), "test": 0.0}, [f"seed={seed}", *leaves], Path(folder) / "run"
        )
        session.fit(run, found, quiet=True)
        run, seconds = OpenRun(run), time.process_time() - began
        space = run.space
        train = np.concatenate([split.x.values.numpy() for split in found.splits.values()])
        held = read_rows(other, space, True).numpy()
        made = {
            "morphogen": run.sample(len(train), seed=seed, fill=True).stored,
            "mixture": Mixture(space, train, seed).sample(len(train)),
        }
    said = {"set": name, "seed": seed, "rows": len(train), "held": len(held), "seconds": seconds}
    for who, rows in (made | {"real": held}).items():
        learned = downstream(train, train if who == "real" else rows, held, space, len(space.columns) - 1, seed=seed)
        said[who] = {
            "quality": alike(train, rows, space),
            "quality_held": alike(held, rows, space),
            "worth": learned["made"],
        }
    return said


def told(values):
    spread = (
        f" ± {student(len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5:.3f}" if len(values) > 1 else ""
    )
    return f"{np.mean(values):.3f}{spread}"


def report(figures):
    print(
        "| data | rows | rows from | quality, training rows | quality, held-out rows | worth |\n|---|---|---|---|---|---|"
    )
    for name in dict.fromkeys(f["set"] for f in figures):
        own = [f for f in figures if f["set"] == name]
        for who in ("morphogen", "mixture", "real"):
            cells = [
                told([f[who][key] for f in own]) if (who, key) != ("real", "quality_held") else "1" for key in FIGURES
            ]
            print(f"| {name} | {own[0]['rows']:,} + {own[0]['held']:,} | {who} | {' | '.join(cells)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", choices=SETS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--leaves", nargs="*", default=[])
    asked = parser.parse_args()
    kept = asked.keep.read_text().splitlines() if asked.keep and asked.keep.exists() else []
    figures = [json.loads(line) for line in kept]
    done = {(f["set"], f["seed"]) for f in figures}
    for name in asked.sets:
        for seed in range(asked.seeds):
            if (name, seed) in done:
                continue
            figures.append(one(name, seed, asked.leaves))
            if asked.keep:
                with asked.keep.open("a") as file:
                    file.write(json.dumps(figures[-1]) + "\n")
    report(figures)


if __name__ == "__main__":
    main()
