"""What a data set is once it has been found: examples at rest, in parts, with a fingerprint.

A `Store` holds examples as they are stored (uint8 pixels, int tokens, float columns) and gathers rows of them; a
`Dataset` is three stores under one space. How a batch becomes what a model sees is said once, in `batches.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from morphogen.core.batch import BLANK, Batch
from morphogen.core.space import Space

__all__ = ["Batch", "Dataset", "Split", "Store"]


NAMED = 5  # of what was skipped


class Store(Protocol):
    """Examples at rest: in memory, on the device, or in a file that is larger than memory."""

    def __len__(self) -> int: ...
    def gather(self, rows: Tensor) -> Tensor:
        """The stored examples of these rows (int64, on the CPU), in this order."""
        ...

    def to(self, device: torch.device) -> Store:
        """The same store, nearer to `device` where that is possible."""
        ...


@dataclass
class Split:
    """Examples that belong together (train, valid or test) and, where there are any, their labels: -1 where none is.
    `guesses`: how likely each class is of each, where that was guessed before a training. `names`: of their files,
    where each has one."""

    x: Store
    y: Tensor | None = None
    guesses: Tensor | None = None
    names: list[str] | None = None

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, index: Tensor) -> Split:
        """These examples, with all that is known of them, as a split of their own."""
        from morphogen.data.stores import subset

        names = None if self.names is None else [self.names[row] for row in index.tolist()]
        y, guesses = (None if known is None else known[index] for known in (self.y, self.guesses))
        return Split(subset(self.x, index), y, guesses, names)

    def first(self, count: int) -> Split:
        """The first `count` examples as a split of their own."""
        return self.rows(torch.arange(min(count, len(self))))


@dataclass
class Dataset:
    """Data that was found, looked at and split. `view` makes of a read batch what the model sees (binarisation)."""

    name: str
    space: Space
    splits: dict[str, Split]
    fingerprint: str
    classes: tuple[str, ...] = ()
    licence: str = ""
    view: Callable[[Tensor], Tensor] | None = None
    protocol: str = ""
    skipped: list[tuple[str, str]] = field(default_factory=list)
    array: dict[str, Any] = field(default_factory=dict)  # of an array: its dtype, and the number that is white
    remarks: list[str] = field(default_factory=list)  # what a person should know before training
    judge: str = ""  # whose features tell its samples apart, where the classes themselves are not what to learn

    @property
    def labelled(self) -> int:
        """How many training examples have a label."""
        y = self.splits["train"].y
        return 0 if y is None else int((y != BLANK).sum())

    @property
    def warnings(self) -> list[str]:
        """What a person should know before training: the first of what was skipped, and the remarks."""
        few = "; ".join(f"{name}: {reason}" for name, reason in self.skipped[:NAMED])
        more = len(self.skipped) - NAMED
        few += f"; and {more:,} others, which the run's skipped.tsv lists" if more > 0 else ""
        return [*([f"left out of {self.name}: {few}"] if self.skipped else []), *self.remarks]

    def facts(self) -> dict[str, Any]:
        """What a run keeps of its data, so that it can be used where the data is not."""
        return {
            "name": self.name,
            "space": self.space.facts(),
            "classes": list(self.classes),
            "fingerprint": self.fingerprint,
            "protocol": self.protocol,
            "licence": self.licence,
            "sizes": {name: len(split) for name, split in self.splits.items()},
            "skipped": len(self.skipped),
        } | ({"array": self.array} if self.array else {})
