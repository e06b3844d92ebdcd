"""Score: how good made-up rows of a table are, column by column, pair by pair, to learn from, and for privacy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from morphogen.tasks.task import Count, Seed, task

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from morphogen.core.model import Samples
    from morphogen.core.table import Table
    from morphogen.examples import Data

__all__ = ["resemble"]


@task(exact=True)
def resemble(
    model: Samples,
    data: Data,
    n: Count | None = None,
    *,
    target: str | None = None,
    samples: Path | None = None,
    seed: Seed = 0,
) -> dict[str, Any]:
    """Quality of generated rows of a table: columns, pairs of columns, train on made and test on real, privacy.

    data: held-out rows to compare with; default: the run's own test rows
    n: number of rows; default: as many as there are training rows
    target: the column that classifiers predict from the others; default: the last
    samples: a file of rows to look at, instead of drawing from the model
    seed: random seed

    morphogen resemble last
    morphogen resemble runs/tabular-customers --target income --json
    """
    from morphogen.core.table import Table
    from morphogen.errors import UserError, did_you_mean
    from morphogen.metrics.downstream import LEARNERS, downstream
    from morphogen.metrics.privacy import privacy

    space = model.space
    if not isinstance(space, Table):
        raise UserError(f"resemble compares the columns of tables, and this model makes {space.plural}; use judge")
    if target is not None and target not in space.names:
        raise UserError(f"target = {target!r} is no column; {did_you_mean(target, space.names)}")
    train, test = _rows(data, "train"), _rows(data, data.split)
    made = _made(model, samples, len(train) if n is None else n, seed)
    place = len(space.columns) - 1 if target is None else space.names.index(target)
    real, new, held = train.numpy(), made.numpy(), test.numpy()
    said = {"columns": _columns(new, real, held, space), "pairs": _pairs(new, real, held, space)}
    try:
        said["downstream"] = downstream(real, new, held, space, place, seed=seed)
    except UserError as refusal:
        said["downstream"] = {"not_measured": str(refusal)}
    said["privacy"] = privacy(train, test, made, space, seed=seed)
    said["protocol"] = {
        "rows": f"{len(made):,} made, {len(train):,} training, {len(test):,} held out ({data.split})",
        "columns": "made against training rows: Kolmogorov-Smirnov of numbers, total variation of words",
        "pairs": "difference of Spearman's correlation, Cramer's V, or the correlation ratio of ranks",
        "held_out": "the same of held-out rows against training rows: what chance alone does",
        "learners": f"{', '.join(LEARNERS)} of scikit-learn; interval: 95 %, bootstrap over held-out rows",
        "closer": "P(a made row is closer to its closest training row than a held-out one); 0.5 is right",
        "membership": "P(a training row is closer to the made rows than a held-out one); 0.5 gives nothing away",
        "samples": str(samples) if samples else f"drawn by `sample`, seed {seed}",
    }
    return said


def _rows(data: Data, split: str) -> Tensor:
    """All stored rows of a split."""
    import torch

    from morphogen.errors import UserError

    part = data.data.splits.get(split)
    if part is None or not len(part) or data.split == "train":
        raise UserError(
            "resemble needs training rows and others that were held out; name no data, or a table with --split test"
        )
    return part.x.gather(torch.arange(len(part)))


def _made(model: Samples, given: Path | None, n: int, seed: int) -> Tensor:
    from morphogen import files
    from morphogen.tasks.make import drawn
    from morphogen.work import device_of, labels_of

    if given is not None:
        return files.load_examples([given], model.space)[0][:n]
    return model.space.write(drawn(model, n, seed, y=labels_of(model, None, n, device_of(model))).x)


def _columns(new: Any, real: Any, held: Any, space: Table) -> dict[str, Any]:
    from morphogen.metrics.resemblance import apart_by_column

    return _told(apart_by_column(new, real, space), apart_by_column(held, real, space))


def _pairs(new: Any, real: Any, held: Any, space: Table) -> dict[str, Any]:
    from morphogen.metrics.resemblance import apart_by_pair

    ours, theirs = apart_by_pair(new, real, space), apart_by_pair(held, real, space)
    return _told(*({" and ".join(pair): value for pair, value in found.items()} for found in (ours, theirs)))


def _told(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, Any]:
    if not ours:
        return {"not_measured": "there is one column"}
    worst = max(ours, key=lambda name: ours[name])
    mean, held = (sum(found.values()) / max(len(found), 1) for found in (ours, theirs))
    return {"mean": mean, "held_out": held, "worst": ours[worst], "which": worst}
