"""What a training says of its steps: the mean of each measure since the last record, and the pace."""

from __future__ import annotations

from torch import Tensor

from morphogen.core.precision import at_least_single
from morphogen.data.dataset import Dataset
from morphogen.plan import Plan
from morphogen.ranks import Ranks
from morphogen.run import Run

__all__ = ["Records"]

LOG_SECONDS = 20.0  # a record is written after so long, however few steps it is of


class Records:
    """The part of a training that keeps its log."""

    run: Run
    ranks: Ranks
    data: Dataset
    plan: Plan
    batch: int
    step: int
    elapsed: float
    sums: dict[str, Tensor]  # of each measure, since the last record
    counted: int  # steps since then

    @property
    def fraction(self) -> float:
        """How much of the plan is behind us."""
        raise NotImplementedError

    def record(self, logs: dict[str, Tensor], seconds: float) -> dict[str, float] | None:
        """Add to the record under way; give it out when it is due."""
        for name, value in logs.items():
            value = at_least_single(value.detach())
            self.sums[name] = self.sums[name] + value if name in self.sums else value.clone()
        self.counted += 1
        if self.step % self.plan.log_every and self.step != 1 and self.fraction < 1 and seconds < LOG_SECONDS:
            return None
        return self.recorded(seconds)

    def recorded(self, seconds: float) -> dict[str, float]:
        """The record under way, given out; its pace is that of so many seconds."""
        names = sorted(self.sums)
        said: dict[str, float] = {
            "step": self.step,
            "fraction": round(self.fraction, 6),
            "time": round(self.elapsed, 3),
        }
        said |= {name: float(self.sums[name]) / self.counted for name in names}
        pace = self.counted * self.batch / seconds if seconds > 0 else 0.0
        said[f"{self.data.space.plural}/s"] = round(pace, 1)
        self.sums, self.counted = {}, 0
        return said

    def log(self, record: dict[str, float]) -> None:
        """One line of the run's log, by the first rank."""
        if self.ranks.rank == 0:
            self.run.append(record)
