"""Players, turns, and what a model may be able to do.

A *player* owns parameters; a *turn* is (player, loss). A model plays a step by yielding its turns, and the trainer
sends each loss back to its own player and to nobody else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import ClassVar, Protocol, runtime_checkable

from torch import Tensor, nn

from morphogen.core.batch import Batch
from morphogen.core.damage import Damage
from morphogen.core.distribution import Distribution
from morphogen.core.inference import Inference
from morphogen.core.space import Space, Vector

__all__ = [
    "Classifies",
    "Decodes",
    "Encodes",
    "Model",
    "Restores",
    "Samples",
    "Scores",
    "Speaks",
    "Steers",
    "Turn",
    "teams",
]


@dataclass(frozen=True)
class Turn:
    """One player's loss in one step; `keep` where a later turn needs the same graph; `log` is worth remembering."""

    player: str
    loss: Tensor
    keep: bool = False
    log: Mapping[str, Tensor] = field(default_factory=dict)


class Model(nn.Module):
    """What the trainer needs to know. `players` maps a name to a pattern; the first that matches owns a parameter."""

    players: ClassVar[Mapping[str, str]] = {"model": "*"}
    space: Space
    labels: Vector | None = None  # of what it is told, or says
    blanks: ClassVar[bool] = False  # whether it learns from examples without a label, too

    def play(self, batch: Batch, step: int) -> Iterator[Turn]:
        """The turns of one step. Never yield inside `with`; let the order depend on the step, never on the data."""
        raise NotImplementedError

    def review(self, batch: Batch) -> dict[str, Tensor]:
        """One number per datum of each measure, NaN where it has none (an error without a label); "loss" is the one
        that validation minimises."""
        raise NotImplementedError


def teams(model: Model) -> dict[str, dict[str, nn.Parameter]]:
    """Who owns which parameters: disjoint and complete, or an error."""
    team: dict[str, dict[str, nn.Parameter]] = {player: {} for player in model.players}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        owner = next((p for p, pattern in model.players.items() if fnmatchcase(name, pattern)), None)
        if owner is None:
            raise ValueError(f"no player of {type(model).__name__} owns the parameter {name!r}")
        team[owner][name] = parameter
    return {player: members for player, members in team.items() if members}


@runtime_checkable
class Samples(Protocol):
    """Makes new examples."""

    space: Space

    def sample(self, n: int, y: Tensor | None = None, temperature: float = 1.0) -> Tensor: ...


@runtime_checkable
class Encodes(Protocol):
    """Turns examples into codes."""

    space: Space

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor: ...


@runtime_checkable
class Decodes(Protocol):
    """Turns codes into examples."""

    space: Space
    code: Space

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor: ...


@runtime_checkable
class Classifies(Protocol):
    """Says how likely each class is: log probabilities, (n, classes)."""

    def classify(self, x: Tensor) -> Tensor: ...


@runtime_checkable
class Restores(Protocol):
    """Undoes damage by itself: means whose mean is that of x as far as is known, and so many draws."""

    space: Space

    def restore(self, y: Tensor, damage: Damage, samples: int) -> tuple[Tensor, Tensor]: ...


@runtime_checkable
class Steers(Protocol):
    """Knows which ways its code can be moved to much effect, without looking at data."""

    def directions(self) -> tuple[Tensor, Tensor]: ...


@runtime_checkable
class Speaks(Protocol):
    """Says p(x|z) of codes, with all its doubt."""

    space: Space
    code: Space

    def spoken(self, z: Tensor, y: Tensor | None = None) -> Distribution: ...


@runtime_checkable
class Scores(Protocol):
    """Says how likely examples are; `mass` is whether by probabilities of the data's own levels, not by a density."""

    space: Space

    @property
    def mass(self) -> bool: ...

    def infer(self, x: Tensor, y: Tensor | None = None, samples: int = 1) -> Inference: ...
