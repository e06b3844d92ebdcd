"""Our estimators beside scikit-learn's on its digits: `python bench/estimators.py codes labels outliers --seeds 10`

The 1,797 digits (8x8, 0 to 16, divided by 16) are split in halves, stratified, by each seed. Every estimator is used
with its defaults, but for what the table names. Our defaults were chosen on other splits of digits, wine and two moons.
Numbers are means over seeds with a 95 % interval by Student's t.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from sklearn.svm import SVC, OneClassSVM

from morphogen.sklearn import SemiSupervisedVAEClassifier, VAEOutlierDetector, VAETransformer

LABELS = 5  # of each class
Row = tuple[str, float, float]  # who, how good, how many seconds


def halves(seed: int) -> list[Any]:
    x, y = load_digits(return_X_y=True)
    return train_test_split(x / 16, y, test_size=0.5, stratify=y, random_state=seed)


def timed(name: str, work: Callable[[], float]) -> Row:
    began = time.process_time()
    return name, work(), time.process_time() - began


def codes(seed: int) -> Iterator[Row]:
    """Accuracy of a logistic regression upon so many components."""
    x, x_test, y, y_test = halves(seed)
    for k in (2, 8):
        makers = {
            "PCA": PCA(k, random_state=seed),
            "VAETransformer": VAETransformer(k, random_state=seed, device="cpu"),
        }
        for name, maker in makers.items():
            whole = make_pipeline(maker, StandardScaler(), LogisticRegression(max_iter=2000))
            yield timed(f"{name}, {k} components", lambda whole=whole: whole.fit(x, y).score(x_test, y_test))


def labels(seed: int) -> Iterator[Row]:
    """Accuracy where five rows of each class have a label."""
    x, x_test, y, y_test = halves(seed)
    draw = np.random.RandomState(seed)
    few = np.full_like(y, -1)
    for kind in range(10):
        few[draw.permutation(np.flatnonzero(y == kind))[:LABELS]] = kind
    known = few >= 0
    regression = LogisticRegression(max_iter=2000)
    contestants = {
        "LogisticRegression, labelled rows alone": (regression, known),
        "SVC, labelled rows alone": (SVC(), known),
        "SelfTrainingClassifier(LogisticRegression)": (SelfTrainingClassifier(regression), known | True),
        "SelfTrainingClassifier(SVC)": (SelfTrainingClassifier(SVC(probability=True, random_state=seed)), known | True),
        "SemiSupervisedVAEClassifier": (SemiSupervisedVAEClassifier(random_state=seed, device="cpu"), known | True),
        "LabelSpreading, rbf": (LabelSpreading(), known | True),
        "LabelSpreading, 7 neighbours": (LabelSpreading(kernel="knn", n_neighbors=7), known | True),
    }
    for name, (model, rows) in contestants.items():
        yield timed(name, lambda m=model, r=rows: m.fit(x[r], few[r]).score(x_test, y_test))


def outliers(seed: int) -> Iterator[Row]:
    """How well the other digits are told from one, by the area under the curve; the class is the seed, modulo ten."""
    x, x_test, y, y_test = halves(seed)
    kind = seed % 10
    contestants = {
        "IsolationForest": IsolationForest(random_state=seed),
        "OneClassSVM": OneClassSVM(),
        "LocalOutlierFactor": LocalOutlierFactor(novelty=True),
        "VAEOutlierDetector, 2 components": VAEOutlierDetector(random_state=seed, device="cpu"),
        "VAEOutlierDetector, 8 components": VAEOutlierDetector(8, random_state=seed, device="cpu"),
    }

    def area(model: Any) -> float:
        return float(roc_auc_score(y_test == kind, model.fit(x[y == kind]).score_samples(x_test)))

    for name, model in contestants.items():
        yield timed(name, lambda model=model: area(model))


def table(work: Callable[[int], Iterator[Row]], seeds: int) -> str:
    said: dict[str, list[tuple[float, float]]] = {}
    for seed in range(seeds):
        for name, good, seconds in work(seed):
            said.setdefault(name, []).append((good, seconds))
    lines = [
        f"{work.__doc__} {seeds} seeds.",
        "",
        "| estimator | mean | 95 % interval | seconds of CPU |",
        "|---|---|---|---|",
    ]
    for name, found in said.items():
        good, seconds = np.array(found).T
        half = stats.t.ppf(0.975, seeds - 1) * good.std(ddof=1) / seeds**0.5
        low, high = good.mean() - half, min(good.mean() + half, 1.0)  # of measures that are 1 at most
        lines.append(f"| {name} | {good.mean():.3f} | {low:.3f} to {high:.3f} | {seconds.mean():.1f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="+", choices=("codes", "labels", "outliers"))
    parser.add_argument("--seeds", type=int, default=10)
    said = parser.parse_args()
    warnings.simplefilter("ignore")  # LabelSpreading divides by nothing where a row has no neighbours
    for what in said.what:
        print(table({"codes": codes, "labels": labels, "outliers": outliers}[what], said.seeds), flush=True)
        print()


if __name__ == "__main__":
    main()
