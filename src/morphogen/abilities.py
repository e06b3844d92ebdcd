"""Abilities that belong together, and how a model that lacks one is refused. The single ones are in core/model.py."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from morphogen.core import model as single
from morphogen.core.model import Decodes, Encodes
from morphogen.errors import UserError

__all__ = ["Autoencodes", "Unable", "demand"]

MEANING = {
    "Samples": "draw new examples",
    "Encodes": "turn examples into codes",
    "Decodes": "turn codes into examples",
    "Classifies": "say how likely each class is",
    "Scores": "say how likely examples are",
}


class Unable(UserError):
    """The model lacks an ability that was asked of it."""


@runtime_checkable
class Autoencodes(Encodes, Decodes, Protocol):
    """There and back: examples to codes to examples."""


def demand(model: object, ability: str, task: str, where: str) -> None:
    """Refuse, by name, a model that cannot do what a task needs."""
    wanted: Any = {"Autoencodes": Autoencodes}.get(ability) or getattr(single, ability)
    if isinstance(model, wanted):
        return
    parts = ["Encodes", "Decodes"] if ability == "Autoencodes" else [ability]
    lacking = [part for part in parts if not isinstance(model, getattr(single, part))]
    words = " and ".join(f"{MEANING.get(part, part)} ({part})" for part in lacking)
    raise Unable(
        f"{task} asks a model to {words}, which {type(model).__name__}, the model of {where}, cannot do; "
        "`morphogen tasks` says what each task needs"
    )
