"""Measures a DCGAN (Radford, Metz and Chintala 2016) of 64 x 64 colour pictures in Morphogen's own loop beside a plain
PyTorch loop of the kind that tutorials show: `python bench/dcgan.py [--threads 1] [--rounds N] [--careful]`.

The same nets (512, 256, 128 and 64 channels, batch norm, 100 numbers of noise), the same batch, the same Adam. Before
anything is timed both sides take the same steps from the same weights, rows and noise, at a tenth of the rate: losses
that differ end it. Then all of them are alive at once, one process each, and take turns; ratios are of neighbours in
time. Needs the sprites; any 64 x 64 pictures would take as long. What is found is added to .bench/results/dcgan.jsonl.
"""

from __future__ import annotations

import argparse
import math
import shlex
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack

from page import Table, caption
from probe import look
from run import keep, positive, threads
from sides import HOME, Broken, Worker, worker
from speed import Ask, a_second_of, goal, same_size
from tally import Took, median, paired, parity, rounds

__all__ = ["main"]

PRECISIONS = {"bfloat16": 2.2, "float32": 0.0}  # of ours, and the ratio that is asked of it
TOLERANCE = {"bfloat16": 1e-2, "float32": 1e-3}
COMPARED = 3  # steps
GENTLY = 2e-5  # rate of the parity: Adam's first steps go by signs of gradients, and rounding turns the smallest
ROUNDS, BUDGET = 9, 120.0
PLAIN = [sys.executable, str(HOME / "dcgan_plain.py")]
OURS = [sys.executable, str(HOME / "dcgan_ours.py")]
HEAD = (
    "ours in", "threads", "theirs, images/s", "ours, images/s", "ratio, wall (min to max)", "ratio, CPU",
    "pairs x steps", "largest difference of losses", "asked",
)  # fmt: skip
PROTOCOL = "All alive, one process each, in turn after a warm-up; medians of pairs; batch {}, Adam, 64 x 64 x 3."


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=threads, default=[1], help="e.g. 1,2, of all sides (default: 1)")
    parser.add_argument("--rounds", type=positive, default=None, help=f"default: {ROUNDS}, fewer after {BUDGET:.0f} s")
    parser.add_argument("--batch", type=positive, default=128)
    parser.add_argument("--careful", action="store_true", help="also a loop by hand in channels-last and bfloat16")
    return parser.parse_args(words)


def apart(batch: int, threads: int) -> dict[str, float]:
    """Parity: the plain side's weights, rows and noise, in workers that are not measured."""
    found, same = {}, ["--batch", str(batch), "--rate", str(GENTLY)]
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/parity.npz"
        with worker([*PLAIN, *same], threads) as plain:
            theirs = plain.ask("parity", file=file, steps=COMPARED)["loss"]
        for precision in PRECISIONS:
            with worker([*OURS, *same, "--precision", precision], threads) as ours:
                same_size(plain, ours)
                found[precision] = parity(theirs, ours.ask("parity", file=file)["loss"])
    for precision, far in found.items():
        if not far <= TOLERANCE[precision]:
            raise Broken(f"losses in {precision} differ by {far:.2g}, more than {TOLERANCE[precision]:g}: other work")
    return found


def measured(said: argparse.Namespace, threads: int) -> dict[str, list[Took]]:
    """Everybody in turn."""
    batch = ["--batch", str(said.batch)]
    commands = {"theirs": [*PLAIN, *batch]} | {p: [*OURS, *batch, "--precision", p] for p in PRECISIONS}
    if said.careful:
        commands["careful"] = [*PLAIN, *batch, "--careful"]
    with ExitStack() as alive:
        sides = {name: alive.enter_context(worker(command, threads)) for name, command in commands.items()}
        for side in sides.values():
            side.ask("run", steps=2)
        steps = a_second_of(sides["theirs"].took("run", steps=1), 20)

        def turn(side: Worker) -> Took:
            return side.took("run", steps=steps)

        turns = {name: lambda side=side: turn(side) for name, side in sides.items()}
        return rounds(turns, said.rounds or ROUNDS, math.inf if said.rounds else BUDGET)


def row(who: str, ask: Ask, threads: int, taken: dict[str, list[Took]], far: float, batch: int) -> Sequence[str]:
    """The plain loop against one of the others."""
    sides = ("theirs", who)
    wall, cpu = (paired(*([getattr(t, what) for t in taken[s]] for s in sides)) for what in ("wall", "cpu"))
    speeds = [batch / median(taken[s], "wall") for s in sides]
    least = PRECISIONS.get(who, 0.0)
    ask.records.append(
        {"ours": who, "threads": threads, "batch": batch, "images_per_s": speeds, "wall": wall.facts(),
         "cpu": cpu.facts(), "parity": far, "goal": least}
    )  # fmt: skip
    return (
        who if who in PRECISIONS else "none: plain PyTorch, channels-last, bfloat16", str(threads),
        *(f"{speed:.1f}" for speed in speeds), str(wall), f"{cpu.median:.2f}x",
        f"{wall.pairs} x {taken[who][0].units}", f"{far:.1e}" if math.isfinite(far) else "", goal(least),
    )  # fmt: skip


def main(words: Sequence[str] | None = None) -> int:
    """Parity, then turns, then a table."""
    said = arguments(words)
    ask, table, before = Ask(said.threads), Table("dcgan", HEAD), look(first=True)
    for count in said.threads:
        print(f"  dcgan: batch {said.batch}, {count} threads ...", flush=True)
        try:
            far = apart(said.batch, count)
            taken = measured(said, count)
            others = [who for who in taken if who != "theirs"]
            table.rows += [row(who, ask, count, taken, far.get(who, math.inf), said.batch) for who in others]
        except Broken as error:
            ask.broken.append(f"dcgan, {count} threads: {error}")
    typed = shlex.join(["python", "bench/dcgan.py", *(sys.argv[1:] if words is None else words)])
    after = look()
    print("\n".join(["", table.text(), "", caption(typed, PROTOCOL.format(said.batch), before, after), ""]))
    keep("dcgan", ask, before, after, typed)
    for line in ask.broken:
        print(f"FAILED {line}", file=sys.stderr)
    return 1 if ask.broken else 0


if __name__ == "__main__":
    sys.exit(main())
