"""A training that starts from the weights of another run: the same model on other data, or a part of a larger one."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from morphogen.core.model import Model
from morphogen.errors import UserError
from morphogen.run import Run, fill

__all__ = ["start_from"]


def start_from(model: Model, path: str | Path) -> None:
    """Put the weights of a trained run into a fresh model, or into the part of it that the run's recipe describes."""
    held = Run.open(path).model().state_dict()
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


def _shapes(part: nn.Module) -> dict[str, object]:
    return {name: tensor.shape for name, tensor in part.state_dict().items()}
