"""What `mg.train` does: words of Python to settings of a recipe, then the train task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from morphogen.data.frames import sheet_of_frame
from morphogen.data.given import hold
from morphogen.errors import UserError
from morphogen.opened import OpenRun
from morphogen.recipe import to_toml
from morphogen.tasks.train import train

__all__ = ["leaf_words", "train_and_open"]


def train_and_open(recipe: Any, data: Any, leaves: Mapping[str, Any], more: dict[str, Any]) -> OpenRun:
    """Train and open; what is neither `y`, `run` nor `quiet` is a setting."""
    import torch

    y, run, quiet = more.pop("y", None), more.pop("run", None), bool(more.pop("quiet", False))
    data = _at_hand(data, y)
    words = leaf_words(dict(leaves) | more)
    with torch.inference_mode(False), torch.enable_grad():  # whatever the caller is in the middle of
        facts = train(recipe, data, words, run=None if run is None else Path(run), quiet=quiet)
    return OpenRun(facts["run"])


def _at_hand(data: Any, y: Any) -> Any:
    """A name, a path or a recipe as it is; anything else is an array, a data frame or columns at hand."""
    recipe = isinstance(data, Mapping) and sheet_of_frame(data) is None
    if data is not None and not recipe and not isinstance(data, (str, Path)):
        return hold(data, y)
    if y is not None:
        raise UserError("y is the labels of an array: mg.train(recipe, x, y=labels); a set or a file has its own")
    return data


def leaf_words(leaves: Mapping[str, Any]) -> list[str]:
    """Settings as a command line has them; short names stay short until the recipe is known.

    >>> leaf_words({"steps": 5000, "model__latent": 64, "model.net.use": "conv", "seed": 1})
    ['steps=5000', 'model.latent=64', 'model.net.use="conv"', 'seed=1']
    """
    words = []
    for name, value in leaves.items():
        path = name.replace("__", ".")
        if value is None:
            raise UserError(f"{path} = None: leave it out to have the recipe's own value")
        words.append(f"{path}={to_toml({'x': value}).removeprefix('x = ')}")
    return words
