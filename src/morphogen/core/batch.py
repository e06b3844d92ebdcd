"""What one step sees."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["BLANK", "Batch", "guess"]

BLANK = -1  # the label of what has none; below it lie guesses


def guess(y: Tensor) -> Tensor:
    """Classes as guesses at them, and guesses as classes: -2 - k for k, and so for whoever asks y >= 0 no labels."""
    return BLANK - 1 - y


@dataclass
class Batch:
    """What one step, or one rank's or micro-batch's share of it, sees. `start` and `total` place it in the whole;
    `y` is BLANK or a guess where a label is not known."""

    x: Tensor
    y: Tensor | None = None
    start: int = 0
    total: int = 0

    def __len__(self) -> int:
        return len(self.x)

    def shares(self, rows: int) -> list[Batch]:
        """The same batch as micro-batches of at most `rows`."""
        total = self.total or len(self)
        starts = range(0, len(self), rows)
        return [
            Batch(self.x[i : i + rows], None if self.y is None else self.y[i : i + rows], self.start + i, total)
            for i in starts
        ]
