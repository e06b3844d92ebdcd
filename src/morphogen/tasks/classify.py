"""Answer: which class each example is of, how sure that is, and how often it is right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from morphogen.tasks.task import Count, task

if TYPE_CHECKING:
    from torch import Tensor

    from morphogen.examples import Data
    from morphogen.naming import Namer
    from morphogen.opened import OpenRun

__all__ = ["classify"]


@task
def classify(
    run: OpenRun,
    data: Data,
    n: Count | None = None,
    *,
    by: Literal["model", "probe", "neighbours", "clusters"] | None = None,
    sure: float = 0.0,
    most: Count = 20,
    out: Path | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """The class of each example with its probability; where labels are known, the accuracy.

    data: a data set by name, or files; default: the run's own test examples
    n: only the first N examples
    by: which classifier: the model, a linear probe of its codes, neighbours among them, or clusters of its prior
    sure: abstain below this probability
    most: number of examples listed
    out: a table (.csv) of all examples, or the confusion matrix as a picture (.png)
    force: overwrite existing files

    morphogen classify last
    morphogen classify runs/few-labels-mnist ./scans --sure 0.9 -o classes.csv
    """
    from morphogen import verdicts
    from morphogen.errors import UserError
    from morphogen.naming import namer_of
    from morphogen.tasks.task import find

    if not 0 <= sure <= 1:
        raise UserError(f"sure = {sure:g} is no probability; give a number from 0 to 1")
    if out is not None:
        _may_write(out, force)
    data = data.limited(n)
    with run.at_work(find("classify"), 0):
        namer = namer_of(run.run, run.model, by)
        log_p, y = _heard(namer, run, data)
    said: dict[str, Any] = {"examples": len(data), "by": namer.how} | verdicts.counted(namer, log_p, sure)
    told = None if y is None else verdicts.matched(y, data.data, namer)
    if told is not None:
        said |= verdicts.judged(namer, log_p, told, data.data.classes or namer.classes, sure)
    rows = _rows(namer, log_p, data, sure)
    if out is not None:
        _write(out, force, rows, verdicts.table(namer, log_p, told, data.data.classes or namer.classes))
        said["wrote"] = str(out)
    protocol = data.facts() | {"run": str(run.path), "weights": run.weights, "probabilities": namer.calibrated}
    return said | {"first": rows[:most], "protocol": protocol}


def _may_write(out: Path, force: bool) -> None:
    """Say that it cannot be written while nothing has been done yet."""
    from morphogen.atomic import may_write
    from morphogen.errors import UserError

    if out.suffix.lower() not in (".csv", ".png"):
        raise UserError(f"{out}: classes are written as a table, .csv, or as a picture of confusions, .png")
    may_write(out, force)


def _heard(namer: Namer, run: OpenRun, data: Data) -> tuple[Tensor, Tensor | None]:
    """Log probabilities of all examples, and their labels where there are any."""
    import torch

    from morphogen.work import device_of

    said, labels = [], []
    for batch in data.batches(device=device_of(run.model)):
        said.append(namer(batch.x))
        if batch.y is not None:
            labels.append(batch.y.cpu())
    return torch.cat(said), torch.cat(labels) if labels else None


def _rows(namer: Namer, log_p: Tensor, data: Data, sure: float) -> list[dict[str, Any]]:
    chance, likeliest = log_p.exp().max(1)
    names = data.names or [f"{data.data.name}/{data.split}/{i}" for i in range(len(data))]
    return [
        {"file": name, "class": namer.classes[k] if p >= sure else None, "probability": round(p, 6)}
        for name, k, p in zip(names, likeliest.tolist(), chance.tolist(), strict=True)
    ]


def _write(
    out: Path, force: bool, rows: list[dict[str, Any]], counts: tuple[Tensor, list[str], list[str]] | None
) -> None:
    import csv
    import io

    from morphogen.atomic import write
    from morphogen.errors import UserError

    if out.suffix.lower() == ".csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, ["file", "class", "probability"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write(out, text.getvalue().encode(), force=force)
        return
    if counts is None:
        raise UserError(f"{out}: no label of these examples is known, so there are no confusions to draw; give a .csv")
    from morphogen import figures
    from morphogen.confusions import matrix

    figures.save(matrix(*counts), out, {"task": "classify"}, force=force)
