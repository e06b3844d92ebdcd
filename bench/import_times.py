"""What importing a package costs, each time in a fresh process: `.venv/bin/python bench/import_times.py`.

Prints medians over interleaved rounds. The bare interpreter is the first row, and is what all others pay too. typer is
no dependency: `.venv/bin/python -m pip install typer` first, or its rows are left out.
"""

from __future__ import annotations

import importlib.util
import statistics
import subprocess
import sys
import time

VERBS = ("train", "resume", "show", "runs", "sample", "reconstruct", "interpolate", "traverse", "encode", "decode")
ARGPARSE = f"""
import argparse
parser = argparse.ArgumentParser()
verbs = parser.add_subparsers()
for name in {VERBS}:
    verb = verbs.add_parser(name, help="what it does")
    verb.add_argument("run", help="a run folder")
    verb.add_argument("-n", type=int, default=16, help="how many")
parser.parse_args(["--help"])
"""
TYPER = f"""
import typer
app = typer.Typer()
def verb(run: str, n: int = 16) -> None:
    "What it does."
for name in {VERBS}:
    app.command(name)(verb)
app(["--help"])
"""
PROGRAMS = {
    "pass": "pass",
    "import argparse": "import argparse",
    "import typer": "import typer",
    "import rich.progress": "import rich.progress",
    "import pydantic": "import pydantic",
    "import numpy": "import numpy",
    "import PIL.Image": "import PIL.Image",
    "import matplotlib.figure and Agg": "import matplotlib.figure, matplotlib.backends.backend_agg",
    "import matplotlib.pyplot": "import matplotlib.pyplot",
    "import torch": "import torch",
    "ten verbs in argparse, --help": ARGPARSE,
    "ten verbs in typer, --help": TYPER,
}
ROUNDS = 11


def seconds(program: str) -> float:
    """Wall time of one fresh process."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Time every program in turn, round after round, so that a busy moment hits all of them alike."""
    there = importlib.util.find_spec("typer") is not None
    programs = {name: program for name, program in PROGRAMS.items() if there or "typer" not in name}
    taken: dict[str, list[float]] = {name: [] for name in programs}
    for program in programs.values():
        seconds(program)  # warms the file cache
    for _ in range(ROUNDS):
        for name, program in programs.items():
            taken[name].append(seconds(program))
    print(f"| program | median ms of {ROUNDS} | fastest ms |\n|---|---:|---:|")
    for name, times in taken.items():
        print(f"| {name} | {1000 * statistics.median(times):.0f} | {1000 * min(times):.0f} |")


if __name__ == "__main__":
    main()
