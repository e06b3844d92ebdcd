"""The directions that a run knows: those that were learned for its weights, and those that its model offers itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from morphogen.core.model import Steers
from morphogen.directions import Direction
from morphogen.errors import UserError, did_you_mean
from morphogen.run import Run

__all__ = ["keep", "learned", "listed", "may_be_called", "move", "names", "offered"]

PREFIX, OFFERED = "direction_", "way"


def may_be_called(name: str) -> str:
    """The name, if a learned direction may have it."""
    if not name.isidentifier() or not name.isascii() or len(PREFIX + name) > 64:
        raise UserError(f"{name!r} is no name for a direction; use letters, digits and _, and begin with a letter")
    if re.fullmatch(OFFERED + r"\d+", name):
        raise UserError(f"{name!r} is what directions are called that a model offers itself; take another name")
    return name


def keep(run: Run, name: str, direction: Direction, facts: Mapping[str, Any]) -> None:
    """Put it beside the weights that it was learned for; what was kept under that name goes."""
    run.keep(PREFIX + may_be_called(name), {"step": direction.step}, direction.facts() | dict(facts))


def names(run: Run) -> list[str]:
    """What was ever learned for this run, for these weights or for others."""
    return sorted(path.stem.removeprefix(PREFIX) for path in (run.path / "kept").glob(f"{PREFIX}*.safetensors"))


def learned(run: Run, name: str) -> tuple[Tensor, dict[str, Any]] | None:
    """The step of a learned direction and what is known of it; None where the run has been trained on since."""
    held = run.kept(PREFIX + name)
    if held is None:
        return None
    tensors, facts = held
    step, words, separates = tensors.get("step"), facts.get("words"), facts.get("separates")
    if step is None or step.dim() != 1 or not isinstance(words, list) or not isinstance(separates, dict):
        raise UserError(f"what {run.path} keeps as the direction {name!r} is none; learn it again")
    return step, facts


def offered(model: object) -> dict[str, Tensor]:
    """Directions that the model knows without looking at data, the strongest first."""
    if not isinstance(model, Steers):
        return {}
    _, ways = model.directions()
    return {f"{OFFERED}{number}": way.flatten().float().cpu() for number, way in enumerate(ways)}


def move(run: Run, model: object, strengths: Mapping[str, float]) -> tuple[Tensor, list[str]]:
    """Where all of these lead together, as one flat step of a code, and a word about each."""
    own = offered(model)
    step, words = torch.zeros(()), []
    for name, much in strengths.items():
        one, word = _one(run, own, name)
        step = step + much * one
        words.append(f"{name} {much:+g}{word}")
    if not bool(torch.isfinite(step).all()):
        raise UserError(f"{', '.join(words)} leads so far that codes are no numbers any more; give smaller strengths")
    return step, words


def _one(run: Run, own: Mapping[str, Tensor], name: str) -> tuple[Tensor, str]:
    if name in own:
        return own[name], " (offered by the model)"
    there = names(run)
    if name not in there:
        raise UserError(
            f"{run.path} knows no direction {name!r}; {did_you_mean(name, [*there, *own])}; "
            f"`morphogen direction {run.path} NAME` learns one"
        )
    held = learned(run, name)
    if held is None:
        raise UserError(
            f"the direction {name!r} was learned for weights that {run.path} no longer has; learn it again with "
            f"`morphogen direction {run.path} {name}`"
        )
    return held[0], _worth(held[1])


def _worth(facts: Mapping[str, Any]) -> str:
    """How far a learned direction is to be believed."""
    said = facts.get("separates", {}).get(facts.get("by"))
    if said is None:
        return " (never tested: it was learned from too few examples)"
    if said["low"] <= 0.5:
        return " (it separates nothing that can be told: do not believe it)"
    return f" ({facts['by']}, separates {said['area']:.2f})"


def listed(run: Run, model: object) -> list[dict[str, Any]]:
    """A line for each direction: what it goes from and to, how it was learned, what it separates."""
    lines = [_line(run, name) for name in names(run)]
    by = "the model itself"
    return lines + [_row(name, by, "", "offered") for name in offered(model)]


def _line(run: Run, name: str) -> dict[str, Any]:
    try:
        held = learned(run, name)
    except UserError as error:
        return _row(name, "", "", f"cannot be used: {error}")
    if held is None:
        return _row(name, "", "", "of other weights: learn it again")
    facts = held[1]
    said, words = facts["separates"].get(facts["by"]), facts["words"]
    row = _row(name, facts["by"], f"{words[1]} -> {words[0]}", "ready")
    if said is None:
        return row | {"separates": "not tested"}
    span = f"{said['area']:.3f} ({said['low']:.3f} to {said['high']:.3f})"
    return row | {"separates": f"nothing: {span}" if said["low"] <= 0.5 else span}


def _row(name: str, by: str, way: str, state: str) -> dict[str, Any]:
    return {"name": name, "by": by, "from and to": way, "separates": "", "state": state}
