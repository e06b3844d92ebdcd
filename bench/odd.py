"""What is odd? `python bench/odd.py one-class` and `python bench/odd.py apart RUN OTHER`: AUROC beside scikit-learn's.

one-class: for each class a VAE is trained on the training pictures of that class alone, and the whole test set is
looked at: is an example of that class? A detector is learned as `morphogen detect` does it: from training examples,
measured by validation examples of the class; of the other classes nothing is seen before the test. A run is kept under
runs/ and, when it is there already, only looked at. Also: how often test examples of the class itself are called odd,
for three rates that were asked for.

apart: the test set of RUN's own data against the test set OTHER.

The peers get the same training pictures as rows of numbers from 0 to 1, with scikit-learn's defaults where not said.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor
from sklearn.svm import OneClassSVM
from torch import Tensor

import morphogen as mg
from morphogen.core.batch import Batch
from morphogen.data.find import open_data
from morphogen.detector import USUAL, Detector
from morphogen.metrics.separation import chance as auroc
from morphogen.opened import OpenRun
from morphogen.run import Run
from morphogen.session import fit

Rows = NDArray[np.float32]
MODEL: dict[str, object] = {
    "model.likelihood": "normal-shared",
    "model.net": {"use": "resnet", "width": 16, "limit": 32, "stages": 2},
    "model.decoder": {"use": "mlp", "widths": [512, 512]},
}
SCORES = ("likelihood", "typicality", "complexity", "reconstruction", "residual", "place", "neighbours", "resemblance")
RATES = (0.01, 0.05, 0.1)
FEW = 2000  # training rows for peers whose time grows with the square of their number
ROWS = 500


def trained(data: str, name: str, minutes: float, home: Path) -> OpenRun:
    """The run of one class, from where it stands."""
    path = home / f"odd-{data}-{name.replace('/', '-')}"
    if path.exists():
        fit(Run.open(path), quiet=True)
        return mg.open(path)
    leaves = {"data.only": [name], "train.minutes": minutes} | MODEL
    return mg.train("vae", data, leaves, run=path, quiet=True, seed=0, device="cpu")


def batches(x: Tensor) -> list[Batch]:
    """Examples in batches."""
    return [Batch(rows) for rows in torch.split(x, ROWS)]


def part(data: Any, split: str, most: int = 5000) -> tuple[Tensor, Tensor]:
    """At most so many examples of a part, evenly spaced, as a model reads them, and their labels."""
    held = data.splits[split]
    count = min(most, len(held))
    rows = torch.arange(count) * len(held) // count
    return data.space.read(held.x.gather(rows)), held.y[rows]


def numbers(detector: Detector, x: Tensor) -> Tensor:
    """What each score says of each example."""
    return torch.cat([detector.numbers(batch) for batch in batches(x)])


def ours(detector: Detector, said: Tensor) -> dict[str, Tensor]:
    """How odd each example is by each score alone and by the usual ones together."""
    alone = {name: detector.only([name]) for name in detector.names}
    odd = {name: one.judged(said[:, [i]]).oddness for i, (name, one) in enumerate(alone.items())}
    places = [detector.names.index(name) for name in USUAL]
    return odd | {"**detect**": detector.only(USUAL).judged(said[:, places]).oddness}


def peers(train: Rows, test: Rows) -> dict[str, Tensor]:
    """scikit-learn's detectors, higher is odder."""
    few = train[:: -(-len(train) // FEW)]
    flat = PCA(0.95, random_state=0).fit(train)
    made: dict[str, Callable[[], Any]] = {
        "IsolationForest": lambda: -IsolationForest(random_state=0).fit(train).score_samples(test),
        f"OneClassSVM ({FEW:,} rows)": lambda: -OneClassSVM().fit(few).score_samples(test),
        f"LocalOutlierFactor ({FEW:,} rows)": lambda: -LocalOutlierFactor(novelty=True).fit(few).score_samples(test),
        "PCA, reconstruction (95 %)": lambda: np.square(test - flat.inverse_transform(flat.transform(test))).sum(1),
    }
    return {name: torch.as_tensor(np.asarray(make(), np.float64)) for name, make in made.items()}


def rows_of(x: Tensor) -> Rows:
    """Pictures as rows."""
    flat: Rows = x.flatten(1).numpy()
    return flat


def spread(odd: Tensor, normal: Tensor) -> tuple[float, float]:
    """95 % of 200 bootstrap draws of examples."""
    draw, said = torch.Generator().manual_seed(0), []
    for _ in range(200):
        picked = [t[torch.randint(len(t), (len(t),), generator=draw)] for t in (odd, normal)]
        said.append(auroc(*picked))
    return float(np.quantile(said, 0.025)), float(np.quantile(said, 0.975))


def one_class(data: str, wanted: list[str], minutes: float, home: Path) -> None:
    """The first table, and the rates."""
    whole = open_data(data)
    x, y = part(whole, "test", 10**6)
    table: dict[str, list[float]] = {}
    called: list[list[float]] = []
    for name in wanted or whole.classes:
        mine = y == whole.classes.index(name)
        own = open_data(data, only=[name])
        (train, _), (valid, _) = (part(own, split) for split in ("train", "valid"))
        model = trained(data, name, minutes, home).model
        detector = Detector.fit(model, batches(train), batches(valid), SCORES)
        said = numbers(detector, x)
        for who, odd in (ours(detector, said) | peers(rows_of(train), rows_of(x))).items():
            table.setdefault(who, []).append(auroc(odd[~mine], odd[mine]))
        usual = detector.only(USUAL)
        p = usual.judged(said[:, [detector.names.index(n) for n in USUAL]]).p[mine]
        called.append([float((p <= rate).double().mean()) for rate in RATES])
        print(f"{name}: {table['**detect**'][-1]:.4f}", flush=True)
    names = wanted or list(whole.classes)
    print(f"\n| {data}, AUROC | {' | '.join(names)} | mean |\n|" + " --- |" * (len(names) + 2))
    for who, each in table.items():
        print(f"| {who} | {' | '.join(f'{v:.3f}' for v in each)} | {np.mean(each):.4f} |")
    print(f"\n| asked for | called odd, mean of {len(names)} | lowest | highest |\n| --- | --- | --- | --- |")
    for rate, column in zip(RATES, np.array(called).T, strict=True):
        print(f"| {rate:.0%} | {column.mean():.1%} | {column.min():.1%} | {column.max():.1%} |")


def apart(run: str, other: str, most: int, scores: list[str]) -> None:
    """The second table: a whole set against another."""
    opened = mg.open(run)
    own = open_data(opened.run.recipe["data"])
    (train, _), (valid, _), (normal, _) = (part(own, split, most) for split in ("train", "valid", "test"))
    odd, _ = part(open_data(other), "test", most)
    detector = Detector.fit(opened.model, batches(train), batches(valid), [*SCORES, *scores])
    said, mine = numbers(detector, odd), numbers(detector, normal)
    print(f"| {own.name} -> {other}, {run} | AUROC | 95 % |\n| --- | --- | --- |")
    from_peers = [peers(rows_of(train), rows_of(x)) for x in (odd, normal)]
    by_odd, by_normal = (a | b for a, b in zip((ours(detector, said), ours(detector, mine)), from_peers, strict=True))
    for who in by_odd:
        low, high = spread(by_odd[who], by_normal[who])
        print(f"| {who} | {auroc(by_odd[who], by_normal[who]):.4f} | {low:.4f} to {high:.4f} |")
    p = detector.only(USUAL).judged(mine[:, [detector.names.index(n) for n in USUAL]]).p
    rates = ", ".join(f"{rate:.0%}: {float((p <= rate).double().mean()):.1%}" for rate in RATES)
    print(f"\ncalled odd of {len(normal):,} test examples of {own.name} itself: {rates}")


def main() -> None:
    """One of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    single = kinds.add_parser("one-class")
    single.add_argument("--data", default="mnist")
    single.add_argument("--classes", default="")
    single.add_argument("--minutes", type=float, default=1.0)
    single.add_argument("--home", type=Path, default=Path("runs"))
    pair = kinds.add_parser("apart")
    pair.add_argument("run")
    pair.add_argument("other")
    pair.add_argument("--most", type=int, default=5000)
    pair.add_argument("--scores", default="")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.kind == "one-class":
        one_class(asked.data, [c for c in asked.classes.split(",") if c], asked.minutes, asked.home)
    else:
        apart(asked.run, asked.other, asked.most, [s for s in asked.scores.split(",") if s])


if __name__ == "__main__":
    main()
