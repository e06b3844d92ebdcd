"""Measures Morphogen, most of it beside pythae 0.1.2, and prints tables: `python bench/run.py [SECTION ...]`.

    machine     what this is, and whether it is at rest: a look at it before and after every section
    startup     `import morphogen` and `morphogen --help`
    step        a training step of the same model, in turn
    sample      images from the prior, in turn
    whole       a whole process: import, load, train an epoch, evaluate, save, sample, reconstruct, in turn
    streaming   training from a file of 4 GB
    quality     test log p(x) after so many minutes of theirs and an eighth of them of ours (about half an hour)
    codecs      test pictures in xz, PNG, WebP and JPEG XL, and in archives of ours: --runs mnist=RUN,...

Without names: machine, startup, step, sample and whole. What is found is also added to .bench/results/SECTION.jsonl;
--write puts the tables into docs/benchmarks.md. Whatever fails says so, and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from lossless import SETS, Asked, codecs
from page import Table, caption, put
from probe import Machine, look
from quality import quality
from sides import HOME, THEIRS
from small import machine, startup, streaming
from speed import STEPS, Ask, sample, step, whole

SECTIONS: dict[str, Callable[[Ask], list[Table]]] = {
    "startup": startup, "step": step, "sample": sample, "whole": whole, "streaming": streaming, "quality": quality,
    "codecs": codecs,
}  # fmt: skip
USUAL = ("machine", "startup", "step", "sample", "whole")
QUICK = ("machine", "startup", "step", "sample")
BESIDE_PEER = {"step", "sample", "whole", "quality"}
PAGE, RESULTS = HOME.parent / "docs" / "benchmarks.md", HOME.parent / ".bench" / "results"
PROTOCOL = {
    "machine": "Medians of 15 interleaved products.",
    "startup": "Fresh processes in turn, timed from outside, after one of each to warm the file cache.",
    "step": "Both trainers alive, one process each, in turn after a warm-up; medians of pairs; batch 100, Adam.",
    "sample": "Both processes alive, in turn after one round that does not count; 500 images at a time.",
    "whole": "Whole processes in turn, timed from outside to the exit; peak memory as the system counts it.",
    "streaming": "Interleaved pairs; the file was read once before; peak memory of a process that only streams.",
    "codecs": "One after the other, one process a set, ours with the start of the command; sheets in one thread.",
    "quality": "One after the other; scored in float32 by `metrics.likelihood`.",
}


def threads(said: str) -> list[int]:
    """`1,2` as numbers."""
    numbers = [int(word) for word in said.split(",")]
    if min(numbers) < 1:
        raise argparse.ArgumentTypeError("threads must be at least 1")
    return numbers


def positive(said: str) -> int:
    """A number above 0."""
    if int(said) < 1:
        raise argparse.ArgumentTypeError(f"{said} is not above 0")
    return int(said)


def pairs(said: str) -> list[tuple[str, str]]:
    """`mnist=runs/a,cifar10=runs/b` as pairs."""
    found = [(name, run) for name, _, run in (word.partition("=") for word in said.split(","))]
    if not all(name and run for name, run in found):
        raise argparse.ArgumentTypeError(f"{said!r} is not SET=RUN, or several with commas")
    return found


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of: machine, {', '.join(SECTIONS)}")
    parser.add_argument(
        "--threads", type=threads, default=None, help="e.g. 1,2, of both sides (default: all cores; --quick: 1)"
    )
    parser.add_argument("--rounds", type=positive, default=None, help="pairs (default: 3 to 15, as each section needs)")
    parser.add_argument("--nets", default="mlp,conv,resnet", help="of step and sample (default: all)")
    parser.add_argument("--quick", action="store_true", help="does everything work? the figures mean nothing")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md")
    parser.add_argument("--minutes", type=float, default=15.0, help="quality: theirs (default 15); ours has an eighth")
    parser.add_argument("--ours", type=float, default=None, metavar="MINUTES", help="quality: ours once more, so long")
    parser.add_argument("--images", type=positive, default=10_000, help="quality: test images to score")
    parser.add_argument("--gb", type=float, default=4.0, help="streaming: size of the file")
    parser.add_argument("--runs", type=pairs, default=[], metavar="SET=RUN,...", help="codecs: ours, e.g. mnist=runs/a")
    parser.add_argument("--sets", default=",".join(SETS), help=f"codecs: test sets (default: {','.join(SETS)})")
    parser.add_argument("--n", type=positive, default=None, help="codecs: so many test pictures (default: all)")
    said = parser.parse_args(words)
    unknown = [name for name in said.sections if name not in {"machine", *SECTIONS}]
    if unknown:
        parser.error(f"no section {', '.join(unknown)}; there are machine, {', '.join(SECTIONS)}")
    if said.write and said.quick:
        parser.error("--quick measures nothing that is worth writing down")
    said.sections = said.sections or list(QUICK if said.quick else USUAL)
    said.nets, said.sets = said.nets.split(","), [name for name in said.sets.split(",") if name]
    if set(said.nets) - {case.net for case in STEPS}:
        parser.error(f"--nets takes mlp, conv and resnet, not {', '.join(said.nets)}")
    return said


def command(section: str, said: argparse.Namespace) -> str:
    """What to type to measure this section again."""
    words = ["python", "bench/run.py", section]
    if section not in ("machine", "startup"):
        words += ["--threads", ",".join(map(str, said.threads))]
    words += ["--rounds", str(said.rounds)] if said.rounds and section not in ("streaming", "quality", "codecs") else []
    if section == "quality":
        words += ["--minutes", f"{said.minutes:g}"] + (["--ours", f"{said.ours:g}"] if said.ours else [])
        words += ["--images", str(said.images)] if said.images != 10_000 else []
    words += ["--gb", f"{said.gb:g}"] if section == "streaming" else []
    if section == "codecs":
        words += ["--runs", ",".join(f"{name}={run}" for name, run in said.runs)] if said.runs else []
        words += ["--sets", ",".join(said.sets)] if tuple(said.sets) != SETS else []
        words += ["--n", str(said.n)] if said.n else []
    return shlex.join(words + (["--quick"] if said.quick else []))


def keep(section: str, ask: Ask, before: Machine, after: Machine, typed: str) -> None:
    """A line of JSON for each result, with the circumstances, in a folder that git ignores."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    about = {"command": typed, "before": before.facts(), "after": after.facts()}
    with (RESULTS / f"{section}.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(record | about) + "\n" for record in ask.records or [{}])


def measure(section: str, said: argparse.Namespace, before: Machine) -> tuple[Machine, list[str]]:
    """One section, printed and kept; the machine afterwards, and what failed."""
    usual = (said.threads, said.rounds, said.quick, said.minutes, said.ours, said.images, said.gb, said.nets)
    ask = Asked(*usual, runs=said.runs, sets=said.sets, n=said.n)
    began = time.perf_counter()
    tables = machine(before) if section == "machine" else SECTIONS[section](ask)
    after = before if section == "machine" or said.quick else look()
    typed = command(section, said)
    under = caption(typed, PROTOCOL[section], before, after)
    print(f"\n== {section} ({time.perf_counter() - began:.0f} s) ==\n")
    print("\n\n".join([*(table.text() for table in tables), under]) + "\n", flush=True)
    keep(section, ask, before, after, typed)
    if said.write and not ask.broken:
        put(PAGE, section, "\n\n".join([*(table.markdown() for table in tables), under]))
    elif said.write:
        print(f"{PAGE.name} keeps what it says of {section}: not all of it could be measured\n")
    return after, ask.broken


def main(words: Sequence[str] | None = None) -> int:
    """Section after section, the machine looked at in between."""
    said = arguments(words)
    if BESIDE_PEER & set(said.sections) and not Path(THEIRS[0]).exists():
        print(f"{THEIRS[0]} is not there: run `bash bench/setup_peer.sh` first", file=sys.stderr)
        return 2
    here = look(first=True)
    said.threads = said.threads or [1 if said.quick else here.cores]
    broken: list[str] = []
    for section in said.sections:
        here, failed = measure(section, said, here)
        broken += failed
    for line in broken:
        print(f"FAILED {line}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
