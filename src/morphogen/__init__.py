"""Morphogen: models with hidden variables. One latent model, every task.

>>> import morphogen as mg
>>> run = mg.train("vae", "digits", steps=2000)  # doctest: +SKIP
>>> run.sample(16)  # doctest: +SKIP
>>> mg.compress(run.path, ["pictures/"], out="pictures.mgn")  # doctest: +SKIP
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from morphogen.errors import UserError
    from morphogen.opened import OpenRun
    from morphogen.typed import (
        checks,
        compare,
        compress,
        contents,
        decompress,
        prune,
        recipes,
        runs,
    )

__version__ = "0.1.0"
FREE = (
    "checks",
    "compare",
    "compress",
    "contents",
    "decompress",
    "prune",
    "recipes",
    "runs",
)  # tasks that need no opened run


__all__ = [
    "OpenRun", "UserError", "__version__", "checks", "compare", "compress", "contents", "decompress", "hold", "open",
    "prune", "recipe_settings", "recipes", "runs", "train",
]  # fmt: skip


def open(path: str | Path) -> OpenRun:  # the word that a reader expects of mg.open; inside this file, use Path.open
    """A trained run, whose methods are the tasks: `mg.open("runs/mnist-vae").sample(16)`."""
    from morphogen.opened import OpenRun

    return OpenRun(path)


def hold(x: Any, y: Any = None) -> dict[str, Any]:
    """Data at hand as a recipe of it. A run that was trained on an array asks for it again in another process."""
    from morphogen.data.given import hold

    return hold(x, y)


def recipe_settings(recipe: str | Path | dict[str, Any], data: Any = None) -> list[dict[str, Any]]:
    """Settings of a recipe, and of a data set, a row each: name, type, default, meaning."""
    from morphogen.facts import Rows
    from morphogen.settings import recipe_settings as settings

    return Rows(settings(recipe, data))


def train(
    recipe: str | Path | dict[str, Any], data: Any = None, leaves: dict[str, Any] | None = None, /, **more: Any
) -> OpenRun:
    """Train a recipe on data and open the run. `data` is a name, a path, or an array, of which `y=` are the labels.

    `steps=5000` is train.steps=5000, `model__latent=64` is model.latent=64, `{"model.latent": 64}` the same; `seed`,
    `device` and `precision` are themselves, `run="folder"` says where to, `quiet=True` shows no progress.
    """
    from morphogen.api import train_and_open

    return train_and_open(recipe, data, dict(leaves or {}), more)


class _Package(ModuleType):
    """The trap: importing morphogen/train.py would put that module in the place of the function `mg.train`."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name == "train" and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name == "UserError":
            from morphogen.errors import UserError

            return UserError
        if name == "OpenRun":
            from morphogen.opened import OpenRun

            return OpenRun
        if name in FREE:
            from morphogen.tasks.task import as_function, find

            task = find(name)
            return as_function(task, lambda said: task.function(**task.read(said)))
        from morphogen.errors import did_you_mean

        raise AttributeError(f"morphogen has no {name!r}; {did_you_mean(name, __all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
