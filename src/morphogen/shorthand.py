"""Short names of settings: `steps=5000` for train.steps=5000, `latent=64` for model.latent=64. One table for Python and
the command line, made from the signatures that a recipe is checked against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from morphogen.errors import UserError
from morphogen.recipe import TOP

__all__ = ["is_setting", "long_names", "spelled_out"]

ALWAYS = ("steps", "epochs", "minutes", "batch", "lr")  # of training, whatever else a model or a set calls so
TRAINING = (
    *ALWAYS,
    "labelled",
    "start",
    "spread",
    "micro",
    "warmup",
    "floor",
    "betas",
    "decay",
    "clip",
    "skip",
    "ema",
    "compile",
    "save_every",
    "log_every",
    "validate_every",
    "patience",
    "overfit",
    "track",
)  # fmt: skip  (what Plan takes; a test compares. It is written down so that a mistake is told before torch is loaded.)


def is_setting(name: str) -> bool:
    """Whether the word is a setting of training, or of every recipe: what can be known before a recipe is read."""
    return name in TOP or name in TRAINING


def spelled_out(recipe: Mapping[str, Any], words: Iterable[str]) -> list[str]:
    """Settings with their whole names, in the tables of this recipe; a name that two tables know is refused."""
    known: dict[str, list[str]] | None = None
    said = []
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name and "." not in name and name not in TOP:
            known = long_names(recipe) if known is None else known
            homes = [f"train.{name}"] if name in ALWAYS else known.get(name, [])
            if len(homes) > 1:
                raise UserError(f"{name!r} is ambiguous: write {' or '.join(f'{home}={value}' for home in homes)}")
            if not homes:
                raise UserError(f"unknown setting {name!r}; {_near(name, known)}")
            name = homes[0]
        said.append(name + equals + value)
    return said


def _near(name: str, known: Mapping[str, list[str]]) -> str:
    """The whole name of a setting that is spelt much like it, or where they are listed."""
    near = get_close_matches(name, [*known, *TOP], n=1, cutoff=0.6)
    if not near:
        return "`morphogen recipes RECIPE` lists those of a recipe"
    return f"did you mean {' or '.join(known.get(near[0], near))!r}?"


def long_names(recipe: Mapping[str, Any]) -> dict[str, list[str]]:
    """The whole names that each short name may stand for, in a recipe as it is written."""
    known: dict[str, list[str]] = {name: [f"train.{name}"] for name in TRAINING}
    for table in ("model", "data"):
        for name in _arguments(table, recipe.get(table)):
            known.setdefault(name, []).append(f"{table}.{name}")
    return known


def _arguments(table: str, spec: Any) -> list[str]:
    """What the model or the data that is named there takes."""
    from morphogen.core.build import describe, names

    use = spec.get("use") if isinstance(spec, Mapping) else spec
    shelf = {"model": "models", "data": "data"}[table]
    own = [a.name for a in describe(shelf, use)[1]] if isinstance(use, str) and use in names(shelf) else []
    if table == "data":
        import inspect

        from morphogen.data.find import common

        own += [name for name in inspect.signature(common).parameters if name not in own]
    return [name for name in own if name not in TOP]
