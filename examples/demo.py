"""The first two minutes: train on the embedded digits, then ask the same run for everything. `make demo` runs this.

Nothing here is special: each line after a `$` is a command that you can type. A second demo gets a folder of its own.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from itertools import chain, count
from pathlib import Path

import morphogen as mg
from morphogen import files

MORPHOGEN = Path(os.path.relpath(sys.executable)).with_name("morphogen")
ROW = 10


def morphogen(arguments: str) -> None:
    """Show a command and run it; a failure ends the demo with its exit code."""
    print(f"\n$ morphogen {arguments}", flush=True)
    done = subprocess.run([MORPHOGEN, *shlex.split(arguments)])
    if done.returncode:
        raise SystemExit(done.returncode)


def fresh() -> Path:
    """runs/demo, or runs/demo-2, -3 ... where that is taken."""
    names = chain(["demo"], (f"demo-{number}" for number in count(2)))
    return next(path for name in names if not (path := Path("runs") / name).exists())


def show(run: Path) -> None:
    """Samples in the terminal, asked for from Python: every command is a method of an opened run."""
    samples = mg.open(run).sample(3 * ROW)
    print("\n>>> mg.open(run).sample(30)")
    for start in range(0, len(samples), ROW):
        print(
            files.show(samples.x[start : start + ROW], samples.space, colour=sys.stdout.isatty(), count=ROW), flush=True
        )


def main() -> None:
    """Train, look, ask, and say where everything is."""
    began = time.perf_counter()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as fast for pictures of 8x8, and steady on a busy machine
    run = fresh()
    morphogen(f"train vae digits train.minutes=0.5 train.patience=3 --run {run}")
    morphogen(f"sample {run} -n 64 -o {run}/samples.png")
    show(run)
    morphogen(f"reconstruct {run} -n 8 -o {run}/reconstructions.png")
    morphogen(f"interpolate {run} -o {run}/interpolation.gif")
    morphogen(f"encode {run} -o {run}/codes.npz")
    morphogen(f"score {run}")
    print(f"""
Done in {time.perf_counter() - began:.0f} s. All of it is in {run}:
  samples.png            digits that nobody wrote
  reconstructions.png    test digits above, what the model makes of them below
  interpolation.gif      one digit turning into another
  codes.npz              every test digit as a short row of numbers
  recipe.toml log.jsonl weights.safetensors curves.png report.md

What to try next ({MORPHOGEN} is `morphogen` after `source .venv/bin/activate`):
  morphogen show {run}
  morphogen train conv-vae ./my-pictures     any folder of pictures, of any size
  morphogen train vae mnist model.latent=8   change any leaf of a recipe
  morphogen recipes                          what there is to train; also: data, tasks
The guide begins at docs/guide/index.md.""")


if __name__ == "__main__":
    main()
