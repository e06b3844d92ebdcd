"""The target column of new rows of a table: the class that a row was drawn for, or one drawn by a classifier."""

from __future__ import annotations

import torch
from torch import Tensor

from morphogen.core import noise
from morphogen.core.model import Encodes, Model
from morphogen.core.noise import Noise
from morphogen.core.table import Table, Word
from morphogen.errors import Failure, UserError
from morphogen.run import Run
from morphogen.values import Values

__all__ = ["with_target"]


def with_target(rows: Values, run: Run, model: Model, y: Tensor | None, seed: int) -> Values:
    """The rows with the column that was the target (`data.target`), where the data had one.

    A label-conditional model was told the class of each row. Of any other model p(y given x) is that of `classify`: a
    class is drawn by its chances, so that the shares of classes and what goes with them are kept.
    """
    target = run.recipe["data"].get("target")
    classes = tuple(str(name) for name in run.facts.get("classes") or ())
    if not isinstance(rows.space, Table) or target is None or len(classes) < 2:
        return rows
    if y is None:
        try:
            y = _drawn(rows, run, model, seed)
        except (UserError, Failure) as reason:
            rows.remark = f"without the column {target!r}: {reason}"
            return rows
    stored = torch.cat([rows.space.write(rows.x), y.cpu().double()[:, None]], 1)
    wider = Table((*rows.space.columns, Word(str(target), classes)), derived=rows.space.derived)
    return Values(wider.following(wider.read(stored)), wider, rows.columns, remark=rows.remark)


def _drawn(rows: Values, run: Run, model: Model, seed: int) -> Tensor:
    """A class for each row, by the chances that the run's own classifier gives it."""
    from morphogen.naming import namer_of
    from morphogen.work import device_of

    if not isinstance(model, Encodes):
        raise UserError("the model has no encoder to classify its rows by")
    namer = namer_of(run, model, None)
    seen = rows.space.read(rows.space.write(rows.x))  # as rows of a file are: nothing in cells that are empty
    chances = torch.cat([namer(part.to(device_of(model))) for part in torch.split(seen, 500)]).exp()
    with noise.source(Noise(seed, "sample/target")):
        at = noise.uniform((len(chances), 1), event=1, like=chances).double()
    return (chances.double().cumsum(1) < at).sum(1).clamp_max(chances.shape[1] - 1)
