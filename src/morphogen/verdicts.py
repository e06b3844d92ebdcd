"""What is told of classes that were said: counts, and, where labels are known, how often they are right."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from morphogen.core.batch import BLANK
from morphogen.data.dataset import Dataset
from morphogen.errors import UserError
from morphogen.metrics.classes import Verdict, calibration_error, confusion, match
from morphogen.naming import Namer

__all__ = ["counted", "judged", "matched", "table"]

SHOWN = 20  # classes that are told apart one by one


def counted(namer: Namer, log_p: Tensor, sure: float) -> dict[str, Any]:
    """How many examples each class was said of."""
    chance, likeliest = log_p.exp().max(1)
    here = chance >= sure
    counts = torch.bincount(likeliest[here], minlength=len(namer.classes))
    said: dict[str, Any] = {"unsure": int((~here).sum())} if sure > 0 else {}
    order = counts.argsort(descending=True, stable=True)[:SHOWN].tolist()
    return said | {"said": {namer.classes[k]: int(counts[k]) for k in sorted(order) if counts[k]}}


def matched(y: Tensor, data: Dataset, namer: Namer) -> Tensor | None:
    """Labels as numbers of the namer's classes, BLANK where there is none; None where there is no label at all."""
    if not bool((y != BLANK).any()):
        return None
    if namer.clusters or not data.classes or data.classes == namer.classes:
        return y
    held = [data.classes[k] for k in sorted(set(y[y != BLANK].tolist()))]
    new = [name for name in held if name not in namer.classes]
    if new:
        raise UserError(
            f"{data.name} has examples of {new[0]!r}, a class that the run was never shown (it knows "
            f"{', '.join(namer.classes[:SHOWN])}); give the files themselves, whose labels are not asked, or train anew"
        )
    places = [namer.classes.index(name) if name in namer.classes else BLANK for name in data.classes]
    return torch.tensor([*places, BLANK])[y]


def judged(namer: Namer, log_p: Tensor, y: Tensor, classes: tuple[str, ...], sure: float) -> dict[str, Any]:
    """Accuracy and what belongs to it, of the examples with a label."""
    known = y != BLANK
    log_p, y = log_p[known], y[known]
    if namer.clusters:
        return _clustered(namer, log_p, y, len(classes))
    names, (chance, likeliest) = namer.classes, log_p.exp().max(1)
    verdict = Verdict(confusion(y, likeliest, len(names), len(names)))
    said: dict[str, Any] = {"labelled": len(y)} | _right(verdict)
    here = chance >= sure
    if sure > 0 and bool(here.any()):
        some = Verdict(confusion(y[here], likeliest[here], len(names), len(names)))
        said |= {f"{key}_where_sure": value for key, value in _right(some).items()}
    said |= {"calibration_error": calibration_error(log_p, y), "surprise": -float(log_p.gather(1, y[:, None]).mean())}
    return said | ({"classes": verdict.of_each(names)} if len(names) <= SHOWN else {})


def _right(verdict: Verdict) -> dict[str, Any]:
    low, high = verdict.interval
    return {"accuracy": verdict.accuracy, "interval": [round(low, 4), round(high, 4)]}


def _clustered(namer: Namer, log_p: Tensor, y: Tensor, classes: int) -> dict[str, Any]:
    """Clusters held against classes: each cluster goes with one class at most, chosen on these labels."""
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    likeliest, classes = log_p.argmax(1), max(classes, int(y.max()) + 1)
    verdict = Verdict(_paired(confusion(y, likeliest, classes, len(namer.classes))))
    words = likeliest.numpy(), y.numpy()
    return {"labelled": len(y)} | _right(verdict) | {
        "rand_index": float(adjusted_rand_score(*words)),
        "mutual_information": float(normalized_mutual_info_score(*words)),
        "note": "each cluster was given at most one class, those that make the accuracy largest on these very labels",
    }  # fmt: skip


def _paired(counts: Tensor) -> Tensor:
    """The columns in the order of the rows that they go with, the others behind."""
    chosen = match(counts)
    spare = [k for k in range(counts.shape[1]) if k not in chosen]
    wide = torch.cat([counts, counts.new_zeros(len(counts), sum(k < 0 for k in chosen))], 1)
    empty = iter(range(counts.shape[1], wide.shape[1]))
    return wide[:, [k if k >= 0 else next(empty) for k in chosen] + spare]


def table(
    namer: Namer, log_p: Tensor, y: Tensor | None, classes: tuple[str, ...]
) -> tuple[Tensor, list[str], list[str]] | None:
    """Counts of each true class by what it was called, with the names of rows and columns."""
    if y is None:
        return None
    known = y != BLANK
    rows = list(classes) if namer.clusters else list(namer.classes)
    likeliest = log_p[known].argmax(1)
    return confusion(y[known], likeliest, len(rows), len(namer.classes)), rows, list(namer.classes)
