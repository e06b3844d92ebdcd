"""What a training begins with, other than its recipe and data as they are: the weights of another run, or labels that
its codes spread from a few examples to their neighbours; or the first few examples alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from morphogen import disk
from morphogen.catalogue import locate
from morphogen.core.batch import BLANK
from morphogen.core.conditional import Conditional, Family
from morphogen.core.model import Model
from morphogen.data.dataset import Dataset
from morphogen.data.labels import demand_labels, known
from morphogen.errors import UserError
from morphogen.examples import as_of
from morphogen.ranks import Ranks
from morphogen.run import SPREAD, Run, fill
from morphogen.spreading import encoder, gathered, spread

__all__ = ["as_begun", "as_told", "begin", "start_from"]

LOOKED_AT = 1_000  # examples that say where a likelihood begins


def start_from(model: Model, path: str | Path) -> None:
    """Put the weights of a trained run into a fresh model, or into the part of it that the run's recipe describes."""
    held = Run.open(locate(path)).model().state_dict()
    parts = [part for part in model.modules() if isinstance(part, Model)]
    for part in parts:
        if _shapes(part) == {name: tensor.shape for name, tensor in held.items()}:
            fill(part, held, Path(path))
            return
    names = ", ".join(type(part).__name__ for part in parts)
    raise UserError(
        f"train.start = {path}: no part of this model ({names}) has the shapes of what is there; give both the same "
        "recipe, and data of the same space"
    )


def begin(model: Model, data: Dataset, path: str | None) -> None:
    """A fresh model begins with the weights of another run, where one is named; otherwise likelihoods that can begin at
    the mean and spread of the first examples do so."""
    if path:
        start_from(model, path)
        return
    told = [part for part in model.modules() if isinstance(part, Conditional)]
    about = [p.family for p in told if p.of == data.space and type(p.family).begin is not Family.begin]
    if about:
        split = data.splits["train"]
        x = data.space.read(split.x.gather(torch.arange(min(len(split), LOOKED_AT))))
        for family in about:
            family.begin(x if data.view is None else data.view(x))


def as_begun(run: Run, data: Dataset, ranks: Ranks) -> Dataset:
    """The data as a run learns from it."""
    return _spread(run, _overfit(run, data), ranks)


def _overfit(run: Run, data: Dataset) -> Dataset:
    """With train.overfit=N, the first N examples are all there is: a model that cannot learn them has a fault."""
    count = run.recipe["train"].get("overfit")
    if not count:
        return data
    few = data.splits["train"].first(count)
    return replace(data, splits={"train": few, "valid": few, "test": few})


def _spread(run: Run, data: Dataset, ranks: Ranks) -> Dataset:
    """With train.spread=RUN, training examples with guesses where labels were spread among that run's codes. They are
    kept in the run, so that resuming needs the other one no more."""
    path = run.recipe["train"].get("spread")
    if path is None:
        return data
    if ranks.rank == 0 and not (run.path / SPREAD).is_file():
        guesses, told = _among(data, Path(path), ranks.device)
        disk.seal(run.path / SPREAD, {"guesses": guesses}, {"run": run.identity, "from": str(path)})
        reached = f"{int((guesses.sum(1) > 0).sum()):,} of {len(guesses):,} examples"
        run.append({"step": 0, "event": f"{told:,} labels were spread to {reached} among the codes of {path}"})
    ranks.wait()
    guesses = run.bound(run.path / SPREAD)[0]["guesses"]
    return replace(data, splits=data.splits | {"train": replace(data.splits["train"], guesses=guesses)})


def _among(data: Dataset, path: Path, device: torch.device) -> tuple[Tensor, int]:
    """How likely each class is of each training example, and of how many it is known."""
    labels = data.splits["train"].y
    told = 0 if labels is None else int((labels != BLANK).sum())
    if len(data.classes) < 2 or not told:
        raise UserError(f"train.spread = {path} spreads labels, and {data.name} has none of two classes; label some")
    if told == len(data.splits["train"]):
        raise UserError(f"train.spread = {path}: every example of {data.name} has a label; leave it away")
    other = Run.open(locate(path))
    model = encoder(other, other.model().to(device))
    codes, y = gathered(as_of(data, other.space, path), "train", model.encode, model)
    return spread(codes, y, len(data.classes)), told


def as_told(model: Model, data: Dataset) -> Dataset:
    """The data with labels as a model takes them: to one that has to be told them all, guesses are labels, and held-out
    examples without one are not shown."""
    train = data.splits["train"]
    if model.labels is None or model.blanks:
        return data
    if train.guesses is not None:
        train = replace(train, y=torch.where(train.guesses.sum(1) > 0, train.guesses.argmax(1), BLANK), guesses=None)
    demand_labels(train)
    held = {name: known(split) for name, split in data.splits.items() if name != "train"}
    return replace(data, splits={"train": train} | held)


def _shapes(part: nn.Module) -> dict[str, object]:
    return {name: tensor.shape for name, tensor in part.state_dict().items()}
