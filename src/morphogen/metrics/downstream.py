"""What made-up rows are worth to whoever learns from them: train on synthetic, test on real (Esteban, Hyland and
Raetsch 2017, "Real-valued medical time series generation with recurrent conditional GANs"), against train on real."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morphogen.core.table import Table, Word
from morphogen.errors import UserError

__all__ = ["LEARNERS", "downstream"]

LEARNERS = ("logistic or ridge regression", "random forest (200 trees)", "histogram gradient boosting")
BOOTSTRAPS, FEWEST = 1000, 10
Values = NDArray[np.float64]


def downstream(real: Values, made: Values, test: Values, space: Table, target: int, *, seed: int = 0) -> dict[str, Any]:
    """How well the target of real rows is told by learners of real rows, and by learners of made-up ones."""
    words = isinstance(space.columns[target], Word)
    real, made, test = (rows[~np.isnan(rows[:, target])] for rows in (real, made, test))
    if len(test) < FEWEST:
        raise UserError(f"{len(test)} held-out rows have a {space.names[target]!r}, and {FEWEST} are needed")
    middle = np.nan_to_num(np.nanmedian(real, axis=0))
    hits = {}
    for name, rows in (("real", real), ("made", made)):
        if len(np.unique(rows[:, target])) < 2:
            raise UserError(f"{space.names[target]!r} is the same in all {name} rows; name another target")
        learners = _learners(words, seed)
        hits[name] = [_hits(learner, rows, test, space, target, middle) for learner in learners]
    score = _score(test[:, target], words)
    each = {name: [score(h, slice(None)) for h in found] for name, found in hits.items()}
    mean = {name: float(np.mean(found)) for name, found in each.items()}
    draw = np.random.default_rng(seed)
    ratios = []
    for _ in range(BOOTSTRAPS):
        chosen = draw.integers(0, len(test), len(test))
        a, b = (float(np.mean([score(h, chosen) for h in hits[name]])) for name in ("made", "real"))
        ratios.append(a / b if b > 0 else np.nan)
    low, high = np.nanquantile(ratios, [0.025, 0.975])
    return {
        "target": space.names[target], "score": "accuracy" if words else "R squared", **mean,
        "ratio": mean["made"] / mean["real"] if mean["real"] > 0 else float("nan"),
        "interval": [float(low), float(high)],
        "each": {name: [each["real"][i], each["made"][i]] for i, name in enumerate(LEARNERS)},
    }  # fmt: skip


def _learners(words: bool, seed: int) -> Sequence[Any]:
    from sklearn import ensemble, linear_model
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if words:
        first = linear_model.LogisticRegression(max_iter=2000)
        kinds = (ensemble.RandomForestClassifier, ensemble.HistGradientBoostingClassifier)
    else:
        first, kinds = linear_model.Ridge(), (ensemble.RandomForestRegressor, ensemble.HistGradientBoostingRegressor)
    return [
        make_pipeline(StandardScaler(), first),
        kinds[0](200, random_state=seed, n_jobs=1),
        kinds[1](random_state=seed),
    ]


def _hits(learner: Any, rows: Values, test: Values, space: Table, target: int, middle: Values) -> Values:
    """What the learner says of the test rows: 1 where it is right, or how far it is off, squared."""
    learner.fit(_features(rows, space, target, middle), rows[:, target])
    said = learner.predict(_features(test, space, target, middle))
    words, truth = isinstance(space.columns[target], Word), test[:, target]
    hits: Values = np.asarray(said == truth if words else (said - truth) ** 2).astype(np.float64)
    return hits


def _score(truth: Values, words: bool) -> Any:
    if words:
        return lambda hits, rows: float(hits[rows].mean())
    return lambda off, rows: float(1 - off[rows].mean() / max(float(truth[rows].var()), 1e-300))


def _features(rows: Values, space: Table, target: int, middle: Values) -> Values:
    """Numbers, the training median where they are missing; words as one of a group, none where they are missing."""
    columns = []
    for place, column in enumerate(space.columns):
        cells = rows[:, place]
        if place == target:
            continue
        if isinstance(column, Word):
            columns.append(cells[:, None] == np.arange(column.width))
        else:
            columns.append(np.where(np.isnan(cells), middle[place], cells)[:, None])
    return np.concatenate(columns, 1).astype(np.float64)
