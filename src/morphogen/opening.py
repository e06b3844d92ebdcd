"""The first lines of a training: the data, the model, the machine, and how long it will take once that was measured."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from morphogen.core.space import Image, Space

if TYPE_CHECKING:
    from morphogen.data.dataset import Dataset
    from morphogen.train import Progress, Training

__all__ = ["Expectation", "opening", "tell"]

MEASURED_STEPS, MEASURED_SECONDS = 5, 2.0  # steps after the first, or seconds, by which the length of a plan is told
LONG = 60.0  # minutes from which a plan on a processor is told with a remedy


def tell(lines: Iterable[str]) -> None:
    """Lines to the terminal, or to whoever reads what is said beside the results."""
    if sys.stderr is not None:
        for line in lines:
            print(line, file=sys.stderr, flush=True)


def opening(training: Training, data: Dataset) -> list[str]:
    """What is trained on what: examples, classes, what an example is; parameters, device, precision, batch."""
    counts = ", ".join(f"{len(split):,} {name}" for name, split in data.splits.items())
    classes = f"; {len(data.classes):,} classes" if len(data.classes) > 1 else ""
    model = training.run.recipe["model"]
    name = model if isinstance(model, str) else str(model.get("use"))
    parameters = sum(p.numel() for p in training.model.parameters())
    precision = str(training.precision).removeprefix("torch.")
    how = f"{training.ranks.device}, {precision}, batches of {training.batch:,}"
    lines = [
        f"data    {data.name}: {counts} {data.space.plural} {shape(data.space)}{classes}",
        f"model   {name}: {parameters:,} parameters; {how}",
    ]
    if training.limit is not None:
        epochs = training.limit * training.batch / max(len(data.splits["train"]), 1)
        lines.append(f"plan    {training.limit:,} steps, {epochs:,.1f} times over the data")
    else:
        lines.append(f"plan    {training.plan.minutes:g} minutes")
    if training.compiling:
        lines.append("compiling the step first, which takes up to a minute and is repaid ...")
    return lines


def shape(space: Space) -> str:
    """What one example is, in words.

    >>> shape(Image(28, 20, 1, 2)), shape(Image(64, 64, 3))
    ('of 20 x 28, grey, 2 levels', 'of 64 x 64, 3 channels, 256 levels')
    """
    if isinstance(space, Image):
        colours = "grey" if space.channels == 1 else f"{space.channels} channels"
        return f"of {space.width} x {space.height}, {colours}" + (f", {space.levels:,} levels" if space.levels else "")
    levels = f", {space.levels:,} levels" if space.levels else ""
    return f"of {space.size:,} numbers{levels}"


class Expectation:
    """How many minutes a plan of steps will take, said once, after the first few of them; with a remedy where long."""

    def __init__(self, training: Training, quiet: bool) -> None:
        self.training, self.told = training, quiet or training.limit is None
        self.begun: tuple[int, float] | None = None

    def __call__(self, progress: Progress) -> None:
        if self.told:
            return
        now = time.monotonic()
        if self.begun is None:  # the first step also fills caches and compiles
            self.begun = progress.step, now
            return
        steps, seconds = progress.step - self.begun[0], now - self.begun[1]
        if steps < MEASURED_STEPS and seconds < MEASURED_SECONDS:
            return
        self.told = True
        left = (self.training.limit or 0) - progress.step
        if left > 0:
            tell([expected(seconds / steps * left / 60)])


def expected(minutes: float) -> str:
    """A plan's length in words.

    >>> expected(0.2), expected(12.4)
    ('time    less than a minute', 'time    about 12 minutes')
    >>> expected(90)
    'time    about 90 minutes on this machine; train.minutes=10 makes the plan fit ten minutes'
    """
    if minutes < 1:
        return "time    less than a minute"
    about = f"about {minutes:.0f} minute{'s' if round(minutes) != 1 else ''}"
    remedy = " on this machine; train.minutes=10 makes the plan fit ten minutes" if minutes > LONG else ""
    return f"time    {about}{remedy}"
