"""Training without a folder: data at hand, the same loop, a model and its log in memory.

For what is fitted by the hundred, as an estimator in a search is: nothing is written, nothing is looked at on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from morphogen.core.build import part
from morphogen.core.model import Model
from morphogen.data.dataset import Dataset
from morphogen.plan import Plan
from morphogen.ranks import Ranks
from morphogen.run import Run
from morphogen.train import Training, train

__all__ = ["Unkept", "learn", "unkept"]


class Unkept(Run):
    """A run that lies nowhere: its log is a list, and it goes back to its beginning where another would to a state."""

    def __init__(self, recipe: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        super().__init__(Path("memory"), dict(recipe), dict(facts))
        self.records: list[dict[str, Any]] = []

    def append(self, record: Mapping[str, Any]) -> None:
        self.records.append(dict(record))

    def log(self) -> list[dict[str, Any]]:
        return list(self.records)

    def forget_after(self, step: int, valid: Mapping[str, Any] | None = None) -> None:
        self.records = [r for r in self.records if r.get("step", 0) <= step]

    def load_state(self) -> None:
        return None

    def save_state(self, step: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Nowhere."""

    def save_weights(self, model: Model, facts: Mapping[str, Any]) -> None:
        """Nowhere."""


def unkept(model: Any, data: Dataset, plan: Mapping[str, Any], seed: int) -> Unkept:
    """A run of a model (a recipe of the models shelf) on data by a plan."""
    recipe = {
        "data": {"use": data.name},
        "model": part("models", model).spec,
        "train": Plan.complete({"compile": False} | dict(plan)),
        "seed": seed,
        "precision": "float32",
    }
    return Unkept(recipe, data.facts())


def learn(run: Unkept, data: Dataset, device: torch.device, show: Callable[[dict[str, Any]], object]) -> Model:
    """Train a run to the end of its plan: the model, ready for use. `show` is given each record."""
    training = Training(run, data, Ranks(device=device))
    for progress in train(training):
        if progress.record is not None:
            show(progress.record)
    return training.average.average.eval().requires_grad_(False)
