"""What one step sees."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["BLANK", "Batch", "Labelled"]

BLANK = -1  # the label of what has none


@dataclass(frozen=True)
class Labelled:
    """Share of examples that have a label: of the whole set, and of batches, into which more of them may be drawn."""

    of_set: float
    of_batches: float


@dataclass
class Batch:
    """What one step, or one rank's or micro-batch's share of it, sees. `start` and `total` place it in the whole;
    `y` is BLANK where a label is not known, and `guesses` how likely each class then is, as far as was guessed;
    `labelled` is how many have a label on average, where that is known."""

    x: Tensor
    y: Tensor | None = None
    start: int = 0
    total: int = 0
    guesses: Tensor | None = None
    labelled: Labelled | None = None

    def __len__(self) -> int:
        return len(self.x)

    def shares(self, rows: int) -> list[Batch]:
        """The same batch as micro-batches of at most `rows`."""
        total = self.total or len(self)
        starts = range(0, len(self), rows)
        return [self._share(slice(i, i + rows), self.start + i, total) for i in starts]

    def _share(self, of: slice, start: int, total: int) -> Batch:
        y, guesses = (None if rows is None else rows[of] for rows in (self.y, self.guesses))
        return Batch(self.x[of], y, start, total, guesses, self.labelled)
