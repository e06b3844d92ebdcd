"""How far training is: a bar where someone is watching, a plain line every ten seconds where nobody is.

with bar("mnist-vae", quiet=False) as show:
    for progress in train(training):
        show(progress, valid)
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from morphogen.escape import shown

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from morphogen.core.batch import Batch
    from morphogen.train import Progress

__all__ = ["Show", "Tally", "Tell", "bar", "counted", "duration", "speed", "unheard"]

Tell = Callable[[int], None]
Show = Callable[["Progress", Mapping[str, float]], None]

LINE_SECONDS, BAR_SECONDS = 10.0, 0.2
PAUSE_SECONDS, PAUSE_STEPS = 5.0, 30.0  # what lasts longer than so many seconds, and so many steps, was a pause


@contextmanager
def bar(title: str, quiet: bool) -> Iterator[Show]:
    """Something to call after every step with where training stands and what validation said last."""
    if quiet or sys.stderr is None:
        yield lambda progress, valid: None
    elif sys.stderr.isatty():
        with _rich_bar() as rich:
            line: Teller = Bar(rich, title)
            yield line
            line.last()
    else:
        line = Line(title)
        yield line
        line.last()


class Teller:
    """What is to be said about a step, and whether it is time to say it."""

    def __init__(self, title: str, seconds: float) -> None:
        self.title, self.seconds = shown(title), seconds
        self.told_at = 0.0
        self.start: float | None = None
        self.before = 0.0
        self.at, self.steps, self.spent = 0.0, 0, 0.0  # when the last step ended; steps since the first, their seconds
        self.record: dict[str, float] = {}
        self.latest: tuple[Progress, Mapping[str, float]] | None = None

    def __call__(self, progress: Progress, valid: Mapping[str, float]) -> None:
        self.latest = (progress, valid)
        self.record = progress.record or self.record
        self._count(progress)
        if time.monotonic() - self.told_at >= self.seconds:
            self.last()

    def _count(self, progress: Progress) -> None:
        """What the steps took. The first one, before which there was compiling, and a pause (the machine slept, or the
        process was stopped) say nothing about the next."""
        now, before = time.monotonic(), self.at
        self.at = now
        if self.start is None:
            self.start = progress.fraction
        elif not self.steps or now - before < max(PAUSE_SECONDS, PAUSE_STEPS * self.spent / self.steps):
            self.steps, self.spent = self.steps + 1, self.spent + now - before
        else:
            self.start += progress.fraction - self.before
        self.before = progress.fraction

    def last(self) -> None:
        """Say where things stand now."""
        self.told_at = time.monotonic()
        if self.latest is not None:
            self.tell(*self.latest)

    def tell(self, progress: Progress, valid: Mapping[str, float]) -> None:
        raise NotImplementedError

    def left(self, fraction: float) -> str:
        """How long it will take from here, once there is something to go by."""
        done = fraction - (self.start or 0.0)
        return duration(self.spent / done * max(1 - fraction, 0.0)) if done > 0 and self.spent > 1 else "-:--"

    def words(self, valid: Mapping[str, float]) -> str:
        """Rate and distortion apart, or the losses of the players; then what validation says."""
        names: list[str] = [name for name in ("rate", "distortion") if name in self.record]
        names = names or [name for name in self.record if name.startswith("loss/")]
        said = [f"{name.removeprefix('loss/')} {self.record[name]:.2f}" for name in names]
        if "loss" in valid:
            said.append(f"valid {valid['loss']:.2f}")
        return shown("  ".join(said))


class Line(Teller):
    """A line now and then, for a file, a pipe or a notebook (where the line is written over)."""

    def __init__(self, title: str) -> None:
        super().__init__(title, LINE_SECONDS)
        self.notebook = "ipykernel" in sys.modules

    def tell(self, progress: Progress, valid: Mapping[str, float]) -> None:
        parts = [
            f"{self.title}: step {progress.step:,}",
            f"{min(progress.fraction, 1):.0%}",
            speed(self.record),
            f"{self.left(progress.fraction)} left",
            self.words(valid),
        ]
        start, end = ("\r", "  ") if self.notebook else ("", "\n")
        print(start + "  ".join(part for part in parts if part), file=sys.stderr, end=end, flush=True)


class Bar(Teller):
    """A bar at the foot of a terminal."""

    def __init__(self, rich: RichProgress, title: str) -> None:
        super().__init__(title, BAR_SECONDS)
        self.rich = rich
        self.task: TaskID = rich.add_task(self.title, total=1.0, step="", speed="", left="-:--", words="")

    def tell(self, progress: Progress, valid: Mapping[str, float]) -> None:
        self.rich.update(
            self.task,
            completed=min(progress.fraction, 1.0),
            step=f"step {progress.step:,}",
            speed=speed(self.record),
            left=self.left(progress.fraction),
            words=self.words(valid),
        )
        self.rich.refresh()


def _rich_bar() -> RichProgress:
    """rich is imported only where there is a terminal. No refresh by a thread: it would take time from the cores."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns: list[Any] = [
        TextColumn("{task.description}", style="bold", markup=False),
        BarColumn(24),
        TaskProgressColumn(),
        TextColumn("{task.fields[step]}", markup=False),
        TextColumn("{task.fields[speed]}", style="green", markup=False),
        TextColumn("{task.fields[left]}", style="cyan", markup=False),
        TextColumn("{task.fields[words]}", markup=False),
    ]
    return Progress(*columns, console=Console(file=sys.stderr), auto_refresh=False)


def unheard(count: int) -> None:
    """Who is told of progress where nobody watches."""


class Tally:
    """Counts work that is done once it has taken a while: on one line of a terminal, or by a line now and then where
    nobody watches; `total` 0 is not known."""

    def __init__(self, total: int, title: str) -> None:
        self.total, self.title, self.done = total, title, 0
        self.began = self.told = time.monotonic()
        self.watched = sys.stderr is not None and sys.stderr.isatty()

    def __call__(self, count: int) -> None:
        self.done += count
        now = time.monotonic()
        passed, over = now - self.began, 0 < self.total <= self.done
        wait = now - self.told < (BAR_SECONDS if self.watched else LINE_SECONDS) or passed < 1
        ends = over and self.told > self.began  # what was begun to be told is told to its end
        if sys.stderr is None or (wait and not ends):
            return
        self.told = now
        left = duration(passed / max(self.done, 1) * max(self.total - self.done, 0))
        said = f"of {self.total:,}  {left} left " if self.total else f"in {duration(passed)} "
        start, end = ("\r", "\n" if over else "") if self.watched else ("", "\n")
        print(f"{start}{self.title}: {self.done:,} {said}", end=end, file=sys.stderr, flush=True)


@contextmanager
def at_verb(name: str) -> Iterator[None]:
    """While a verb is at work, the examples that it goes over are counted under its name."""
    before = working.set(name)
    try:
        yield
    finally:
        working.reset(before)


working: ContextVar[str] = ContextVar("working", default="")  # the verb that is at work, for what it goes over


def counted(batches: Iterable[Batch], total: int, title: str) -> Iterator[Batch]:
    """Batches as they go by, counted on one line of a terminal once they have taken a while."""
    tally = Tally(total, title)
    for batch in batches:
        yield batch
        tally(len(batch))


def speed(record: Mapping[str, float]) -> str:
    """The pace that a record tells, whatever is counted.

    >>> speed({"images/s": 1234.5, "loss/model": 1.0})
    '1,234 images/s'
    """
    return next((f"{value:,.0f} {name}" for name, value in record.items() if name.endswith("/s")), "")


def duration(seconds: float) -> str:
    """Seconds as a clock shows them.

    >>> duration(75), duration(3671)
    ('1:15', '1:01:11')
    """
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
