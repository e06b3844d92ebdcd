"""Speed beside pythae: training steps, sampling, and whole processes."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from page import Table
from sides import OURS, THEIRS, Broken, Worker, last_json, process, worker
from tally import Took, median, paired, parity, rounds

__all__ = ["Ask", "sample", "step", "whole"]


BUDGET, WHOLE_BUDGET = 30.0, 120.0  # seconds for the pairs of one row


@dataclass
class Ask:
    """What was asked for, and where sections put what they find."""

    threads: Sequence[int]
    rounds: int | None = None
    quick: bool = False
    minutes: float = 15.0
    ours: float | None = None
    images: int = 10_000
    gigabytes: float = 4.0
    nets: Sequence[str] = ("mlp", "conv", "resnet")
    records: list[dict[str, Any]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def times(self, usual: int, quick: int = 2, seconds: float = BUDGET) -> tuple[int, float]:
        """How many rounds, and after how many seconds fewer will do; those that were asked for are all done."""
        if self.rounds:
            return self.rounds, math.inf
        return (quick, math.inf) if self.quick else (usual, seconds)


@dataclass(frozen=True)
class Case:
    """A net, how ours runs it, how much makes a round, and what is asked of the ratio."""

    net: str
    precision: str
    goal: float
    units: int  # steps or images of a round
    rounds: int
    rate: float = 1e-3
    compile: bool = False
    warm: int = 20  # steps before anything counts
    compared: int = 20  # steps of the parity

    @property
    def name(self) -> str:
        return f"{self.net}, {self.precision}" + (", compiled" if self.compile else "")

    @property
    def tolerance(self) -> float:
        """How far apart losses may be, relatively: rounding, amplified by the steps before."""
        return 1e-3 if self.precision == "float32" else 1e-2

    def theirs(self) -> list[str]:
        return [*THEIRS, "step", "--model", self.net, "--rate", str(self.rate)]

    def ours(self) -> list[str]:
        how = ["--precision", self.precision, *(["--compile"] if self.compile else [])]
        return [*OURS, "step", "--model", self.net, "--rate", str(self.rate), *how]


STEPS = (
    Case("mlp", "float32", 2.2, 100, 15),
    Case("mlp", "float32", 0.0, 100, 15, compile=True),
    Case("mlp", "bfloat16", 3.3, 100, 15, compile=True),
    Case("resnet", "bfloat16", 1.5, 4, 9, warm=4, compared=5),
    Case("conv", "bfloat16", 1.5, 1, 7, rate=1e-4, warm=2, compared=3),
)
SAMPLES = (
    Case("mlp", "bfloat16", 4.0, 10_000, 11),
    Case("mlp", "float32", 0.0, 10_000, 11),
    Case("resnet", "bfloat16", 1.5, 1_000, 9),
)


def chosen(cases: Sequence[Case], ask: Ask) -> list[Case]:
    """The cases asked for; of a smoke test, the first."""
    return [case for case in cases if case.net in ask.nets][: 1 if ask.quick else None]


def goal(least: float) -> str:
    return f"{least:g}x" if least else "none"


def each(ask: Ask, table: Table, cases: Sequence[Case], row: Callable[[Case, int, Ask], Sequence[str]]) -> list[Table]:
    """A row for each case and number of threads; what fails says so in its row, and does not stop the others."""
    for threads in ask.threads:
        for case in cases:
            print(f"  {table.section}: {case.name}, {threads} threads ...", flush=True)
            try:
                table.rows.append(row(case, threads, ask))
            except Broken as error:
                ask.broken.append(f"{table.section}, {case.name}, {threads} threads: {error}")
                blank = ["" for _ in table.head[table.words + 1 :]]
                table.rows.append([case.name, str(threads), *blank[:-1], "FAILED"])
    return [table]


# Training steps ---------------------------------------------------------------------------------------------------


def step(ask: Ask) -> list[Table]:
    """Milliseconds of a training step, theirs and ours in turn."""
    head = (
        "net, precision of ours", "threads", "theirs, ms", "ours, ms", "ratio, wall (min to max)", "ratio, CPU",
        "pairs x steps", "largest difference of losses", "asked",
    )  # fmt: skip
    return each(ask, Table("step", head), chosen(STEPS, ask), step_row)


def step_row(case: Case, threads: int, ask: Ask) -> Sequence[str]:
    with worker(case.theirs(), threads) as theirs:
        apart = losses_apart(case, theirs, threads)
        if not apart <= case.tolerance:
            raise Broken(f"losses differ by {apart:.2g}, more than {case.tolerance:g}: not the same work")
        with worker(case.ours(), threads) as ours:
            same_size(theirs, ours)
            ours.ask("run", steps=case.warm)
            steps = a_second_of(theirs.took("run", steps=case.warm), case.units)
            turns = {
                "theirs": lambda: theirs.took("run", steps=steps),
                "ours": lambda: ours.took("run", steps=steps),
            }
            taken = rounds(turns, *ask.times(case.rounds))
    return step_said(case, threads, taken, apart, ask)


def a_second_of(took: Took, most: int) -> int:
    """Steps that theirs takes in about a second."""
    return max(1, min(most, round(took.units / took.wall)))


def losses_apart(case: Case, theirs: Worker, threads: int) -> float:
    """Parity: their weights, rows and noise, in a worker of ours that is not measured."""
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/parity.npz"
        theirs.ask("parity", steps=case.compared, file=file)
        with worker(case.ours(), threads) as ours:
            said = ours.ask("parity", file=file)
    return parity(said["peer"], said["loss"])


def same_size(theirs: Worker, ours: Worker) -> None:
    sizes = [side.ready["parameters"] for side in (theirs, ours)]
    if sizes[0] != sizes[1]:
        raise Broken(f"theirs has {sizes[0]:,} parameters, ours {sizes[1]:,}")


def step_said(case: Case, threads: int, taken: dict[str, list[Took]], apart: float, ask: Ask) -> Sequence[str]:
    wall, cpu = (
        paired(*([getattr(t, what) for t in taken[who]] for who in ("theirs", "ours"))) for what in ("wall", "cpu")
    )
    theirs, ours = (1000 * median(taken[who], "wall") for who in ("theirs", "ours"))
    ask.records.append(
        {"net": case.net, "precision": case.precision, "compile": case.compile, "threads": threads, "theirs_ms": theirs,
         "ours_ms": ours, "wall": wall.facts(), "cpu": cpu.facts(), "parity": apart, "goal": case.goal}
    )  # fmt: skip
    return (
        case.name, str(threads), f"{theirs:.2f}", f"{ours:.2f}", str(wall), f"{cpu.median:.2f}x",
        f"{wall.pairs} x {taken['ours'][0].units}", f"{apart:.1e}", goal(case.goal),
    )  # fmt: skip


# Sampling ---------------------------------------------------------------------------------------------------------


def sample(ask: Ask) -> list[Table]:
    """Images a second from the prior, theirs and ours in turn."""
    head = (
        "net, precision of ours", "threads", "theirs, images/s", "ours, images/s", "ratio, wall (min to max)",
        "ratio, CPU", "pairs x images", "asked",
    )  # fmt: skip
    return each(ask, Table("sample", head), chosen(SAMPLES, ask), sample_row)


def sample_row(case: Case, threads: int, ask: Ask) -> Sequence[str]:
    with worker(case.theirs(), threads) as theirs, worker(case.ours(), threads) as ours:
        same_size(theirs, ours)
        for side in (theirs, ours):
            side.ask("sample", count=case.units)
        turns = {
            "theirs": lambda: theirs.took("sample", count=case.units),
            "ours": lambda: ours.took("sample", count=case.units),
        }
        taken = rounds(turns, *ask.times(case.rounds))
    wall, cpu = (paired(*([getattr(t, what) for t in taken[who]] for who in turns)) for what in ("wall", "cpu"))
    speeds = [1 / median(taken[who], "wall") for who in turns]
    ask.records.append(
        {"net": case.net, "precision": case.precision, "threads": threads, "theirs_per_s": speeds[0],
         "ours_per_s": speeds[1], "wall": wall.facts(), "cpu": cpu.facts(), "goal": case.goal}
    )  # fmt: skip
    return (
        case.name, str(threads), *(f"{s:,.0f}" for s in speeds), str(wall), f"{cpu.median:.2f}x",
        f"{wall.pairs} x {case.units:,}", goal(case.goal),
    )  # fmt: skip


# Whole processes --------------------------------------------------------------------------------------------------


def whole(ask: Ask) -> list[Table]:
    """Import, load, an epoch, evaluate, save, sample and reconstruct 10,000: whole processes in turn."""
    head = (
        "ours in", "threads", "theirs, s", "ours, s", "ratio, wall (min to max)", "ratio, CPU", "peak of theirs, MiB",
        "of ours", "share", "test loss of theirs", "of ours", "pairs", "asked",
    )  # fmt: skip
    table = Table("whole", head)
    for threads in ask.threads:
        print(f"  whole: {threads} threads ...", flush=True)
        try:
            whole_rows(table, threads, ask)
        except Broken as error:
            ask.broken.append(f"whole, {threads} threads: {error}")
            table.rows.append(["float32, bfloat16", str(threads), *[""] * (len(head) - 3), "FAILED"])
    return [table]


def whole_rows(table: Table, threads: int, ask: Ask) -> None:
    """One of theirs, one of ours in each precision, in turn."""
    said: dict[str, list[dict[str, Any]]] = {}

    def one(name: str, command: Sequence[str]) -> Took:
        with tempfile.TemporaryDirectory() as folder:
            took, printed = process([*command, "--threads", str(threads), "--out", str(Path(folder) / "out")], threads)
        said.setdefault(name, []).append(last_json(printed))
        print(f"    {name}: {took.wall:.1f} s", flush=True)
        return took

    precisions = ("bfloat16",) if ask.quick else ("float32", "bfloat16")
    ours = {p: [*OURS, "whole", "--model", "mlp", "--precision", p] for p in precisions}
    commands = {"theirs": [*THEIRS, "whole", "--model", "mlp"], **ours}
    turns = {name: partial(one, name, command) for name, command in commands.items()}
    taken = rounds(turns, *ask.times(5, 1, WHOLE_BUDGET), least=2)
    for precision in precisions:
        table.rows.append(whole_said(precision, threads, taken, said, ask))


def whole_said(
    precision: str, threads: int, taken: dict[str, list[Took]], said: dict[str, list[dict[str, Any]]], ask: Ask
) -> Sequence[str]:
    sides = ("theirs", precision)
    wall, cpu = (paired(*([getattr(t, what) for t in taken[who]] for who in sides)) for what in ("wall", "cpu"))
    seconds, peaks = ([median(taken[who], what) for who in sides] for what in ("wall", "peak"))
    losses = [abs(float(said[who][-1]["test_loss"])) for who in sides]
    if parity(losses[:1], losses[1:]) > 0.03:  # different seeds, one epoch
        raise Broken(f"test losses of {losses[0]:.2f} and {losses[1]:.2f}: not the same work")
    ask.records.append(
        {"precision": precision, "threads": threads, "seconds": seconds, "wall": wall.facts(), "cpu": cpu.facts(),
         "peak_mib": peaks, "test_loss": losses, "phases": [said[who][-1].get("phases") for who in sides], "goal": 2.0}
    )  # fmt: skip
    return (
        precision, str(threads), *(f"{s:.1f}" for s in seconds), str(wall), f"{cpu.median:.2f}x",
        *(f"{p:,.0f}" for p in peaks), f"{peaks[1] / peaks[0]:.2f}x", *(f"{x:.2f}" for x in losses), str(wall.pairs),
        "2x; memory 0.5x",
    )  # fmt: skip
