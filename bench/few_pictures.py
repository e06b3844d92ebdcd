"""What does augmentation bring where pictures are few? `python bench/few_pictures.py --seeds 0,1,2 --steps 7500`

The recipe `sprites-gan` learns from 500 sprites, with and without what its critic sees being changed; FID of 10,000
samples against the test characters, features own:sprites, of each seed, and their spread between trainings. Runs are
kept under runs/, go on from where they stand, and are only judged when they are there already. What is found is
written to .bench/results/few-pictures.jsonl as it comes; with --table, the table of it is printed.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import morphogen as mg
from morphogen.run import Run
from morphogen.session import fit

HOME = Path(__file__).resolve().parent.parent
RESULTS = HOME / ".bench" / "results" / "few-pictures.jsonl"
PICTURES, STOPPED = 500, 75
T = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}  # Student, 95 %, by seeds


def one(augment: str, seed: int, steps: int, home: Path) -> dict[str, Any]:
    """A training, from where it stands, and its score."""
    path = home / f"few-pictures-{augment}-{seed}"
    if path.exists():
        fit(Run.open(path), quiet=True)
        run = mg.open(path)
    else:
        leaves = {"data.limit": PICTURES, "model.augment": augment, "train.steps": steps, "seed": seed}
        run = mg.train("sprites-gan", run=path, quiet=True, device="cpu", **leaves)
    log = run.run.log()
    if not any(record.get("fraction") == 1.0 for record in log):
        raise SystemExit(STOPPED)  # a signal ended the training early: it goes on the next time
    fid = run.judge(scores="fid", features="own:sprites")["fid"]
    p = next((record["augment/p"] for record in reversed(log) if "augment/p" in record), None)
    return {"augment": augment, "seed": seed, "steps": steps, "fid": fid["value"], "interval": fid["interval"], "p": p}


def table(found: Sequence[dict[str, Any]]) -> str:
    """A line for each augmentation: the mean over seeds, its interval by Student's t, and every seed."""
    lines = ["| augmentation | steps | seeds | FID, mean | 95 % of trainings' mean | each seed | p at the end |"]
    lines.append("|---|---:|---:|---:|---:|---:|---:|")
    for augment, steps in dict.fromkeys((f["augment"], f["steps"]) for f in found):
        rows = [f for f in found if (f["augment"], f["steps"]) == (augment, steps)]
        ordered = sorted(rows, key=lambda f: f["seed"])
        values = [f["fid"] for f in ordered]
        mean = statistics.fmean(values)
        between = "one seed"
        if len(values) > 1:
            half = T.get(len(values), 2.0) * statistics.stdev(values) / len(values) ** 0.5
            between = f"{mean - half:.2f} to {mean + half:.2f}"
        each, p = (
            ", ".join(f"{v:.2f}" for v in values),
            ", ".join(f"{f['p']:.2f}" for f in ordered if f["p"] is not None),
        )
        lines.append(f"| `{augment}` | {steps:,} | {len(values)} | {mean:.2f} | {between} | {each} | {p} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--augments", default="none,ada", help="which, with commas between them")
    parser.add_argument("--seeds", default="0,1,2", help="random seeds, with commas between them")
    parser.add_argument("--steps", type=int, default=7500, help="steps of each training")
    parser.add_argument("--runs", type=Path, default=HOME / "runs", help="where runs are kept")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where what is found is written")
    parser.add_argument("--table", action="store_true", help="print the table of what was found")
    asked = parser.parse_args()
    asked.results.parent.mkdir(parents=True, exist_ok=True)
    kept = [json.loads(line) for line in asked.results.read_text().splitlines()] if asked.results.exists() else []
    if asked.table:
        print(table(kept))
        return
    for seed in map(int, asked.seeds.split(",")):  # seed by seed, so that what is there compares
        for augment in asked.augments.split(","):
            if any((f["augment"], f["seed"], f["steps"]) == (augment, seed, asked.steps) for f in kept):
                continue
            said = one(augment, seed, asked.steps, asked.runs)
            with asked.results.open("a") as file:
                file.write(json.dumps(said) + "\n")
            print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
