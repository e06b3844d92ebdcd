"""How many test pictures are named wrongly after 100 labels? `python bench/labels.py METHOD --data mnist --sets 0-9`

    few-labels      the recipe as it ships
    few-spread      the same, the labels spread first among the codes of one VAE (recipe codes, which knows no labels)
    neighbours      what is spread alone: a test picture is named by its neighbours among those codes
    few-tones       the same with milder warps, mirrors, tones changed and nothing hidden: for photographs, say
    spread-tones    few-tones with labels spread first
    alone-tones     the net and the views of few-tones, taught by the labelled pictures alone
    m1-m2           M2 upon the codes of one VAE, which was trained without labels (Kingma et al. 2014)
    m1-m2-spread    M2 upon the codes of the VAE of few-spread, with its guesses weighed in by agreement
    supervised      the net and the views of few-labels, taught by the labelled pictures alone
    probe-codes     logistic regression on the codes of that VAE
    probe-pixels    logistic regression on pixels

Ten labels of each class are drawn from the training pictures by the number of the label set; the other training
pictures have none. All 10,000 test pictures are judged, once, at the end of a plan that was fixed before. Runs are kept
under runs/, go on from where they stand, and are only judged when they are there already. What is found is written to
.bench/results/labels.jsonl as it comes; without methods, the table of it is printed.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

import morphogen as mg
from morphogen.data.batches import Batches
from morphogen.data.find import open_data
from morphogen.data.labels import known
from morphogen.metrics.classes import wilson
from morphogen.opened import OpenRun
from morphogen.recipe import find
from morphogen.run import Run
from morphogen.session import fit
from morphogen.spreading import gathered
from morphogen.spreading import neighbours as spread_among
from morphogen.work import device_of

HOME = Path(__file__).resolve().parent.parent
RESULTS = HOME / ".bench" / "results" / "labels.jsonl"
LABELS, STOPPED = 10, 75
T = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}  # Student, 95 %, by sets
WIDE = {"model.net.widths": [600, 600], "model.latent": 50}
M1_STEPS, M2_STEPS, ALONE_STEPS, TONES_STEPS, CODES_MINUTES, UPON_STEPS = 8000, 5000, 1500, 1600, 4.0, 1500
KEPT = 30  # codes of the VAE that say something: of the others the centres vary by less than 0.25

Found = tuple[int, float]  # test pictures named wrongly, seconds of training


def trained(recipe: Any, data: str, path: Path, **leaves: object) -> OpenRun:
    """The run, from where it stands."""
    if path.exists():
        fit(Run.open(path), quiet=True)
        return mg.open(path)
    return mg.train(recipe, data, run=path, quiet=True, device="cpu", **leaves)


def seconds(run: OpenRun) -> float:
    """How long it trained."""
    return next(float(record["time"]) for record in reversed(run.run.log()) if "time" in record)


def judged(run: OpenRun) -> Found:
    """What the run's model names wrongly of the test pictures."""
    if not any(record.get("fraction") == 1.0 for record in run.run.log()):
        raise SystemExit(STOPPED)  # a signal ended the training early: it goes on the next time
    said = run.classify(None, split="test", most=1)
    return round((1 - said["accuracy"]) * said["labelled"]), seconds(run)


def seen(data: str, home: Path) -> OpenRun:
    """The VAE of all training pictures among whose codes labels are spread."""
    return trained("codes", data, home / f"codes-{data}", minutes=CODES_MINUTES)


def few_spread(data: str, number: int, home: Path) -> Found:
    among = seen(data, home)
    leaves = {"data.labels": LABELS, "data.labels_seed": number, "train.spread": str(among.path)}
    return judged(trained("few-labels", data, home / f"few-spread-{data}-{number}", **leaves))


def neighbours(data: str, number: int, home: Path) -> Found:
    model = seen(data, home).model
    found = open_data(data, labels=LABELS, labels_seed=number)
    (z, y), (z_test, y_test) = (gathered(found, split, model.encode, model) for split in ("train", "test"))
    said = spread_among(z, y, len(found.classes)).say(z_test).argmax(1)
    return int((said != y_test).sum()), 0.0


def few_labels(data: str, number: int, home: Path) -> Found:
    path = home / f"few-labels-{data}-{number}"
    return judged(trained("few-labels", data, path, **{"data.labels": LABELS, "data.labels_seed": number}))


MILD = {"turn": 5.0, "shear": 0.05, "pull": 0.02, "cut": 0.0, "tone": 0.4, "mirror": True}
TONES = {f"model.strong.{name}": value for name, value in MILD.items()} | {"model.weak.mirror": True}


def few_tones(data: str, number: int, home: Path) -> Found:
    leaves = TONES | {"data.labels": LABELS, "data.labels_seed": number, "model.lessons.1.sure": 0.95}
    return judged(trained("few-labels", data, home / f"few-tones-{data}-{number}", steps=TONES_STEPS, **leaves))


def spread_tones(data: str, number: int, home: Path) -> Found:
    among = seen(data, home)
    leaves = TONES | {"data.labels": LABELS, "data.labels_seed": number, "train.spread": str(among.path)}
    path = home / f"spread-tones-{data}-{number}"
    return judged(trained("few-labels", data, path, steps=TONES_STEPS, **leaves))


def alone_tones(data: str, number: int, home: Path) -> Found:
    leaves = TONES | {"data.labels": LABELS, "data.labels_seed": number, "train.batch": 64, "train.labelled": 64}
    return judged(trained("supervised", data, home / f"alone-tones-{data}-{number}", steps=ALONE_STEPS, **leaves))


def supervised(data: str, number: int, home: Path) -> Found:
    """Every batch is of labelled pictures."""
    leaves = {"data.labels": LABELS, "data.labels_seed": number, "train.batch": 64, "train.labelled": 64}
    path = home / f"supervised-{data}-{number}"
    return judged(trained("supervised", data, path, steps=ALONE_STEPS, **leaves))


def codes(data: str, home: Path) -> OpenRun:
    """The VAE of all training pictures, which knows no labels."""
    leaves = WIDE | {"data.binary": "dynamic", "train.compile": False, "train.batch": 200}
    return trained("vae", data, home / f"m1-{data}", steps=M1_STEPS, **leaves)


def m1_m2(data: str, number: int, home: Path) -> Found:
    below = codes(data, home)
    leaves = {"data.labels": LABELS, "data.labels_seed": number, "model.until": 0, "train.start": str(below.path)}
    leaves |= {"model.codes": KEPT}
    return judged(trained("m1-m2", data, home / f"m1-m2-{data}-{number}", steps=M2_STEPS, **leaves))


def m1_m2_spread(data: str, number: int, home: Path) -> Found:
    below = seen(data, home)
    leaves = {
        "data.labels": LABELS, "data.labels_seed": number, "train.spread": str(below.path),
        "model.lower": below.run.recipe["model"], "model.until": 0, "train.start": str(below.path),
        "model.upper.classifier.lessons": [
            {"use": "taught", "weight": 10.0}, {"use": "agreement", "sure": 0.0, "weight": 10.0}
        ],
    }  # fmt: skip
    recipe = find("m1-m2") | {"data": {"use": data}}
    return judged(trained(recipe, data, home / f"m1-m2-spread-{data}-{number}", steps=UPON_STEPS, **leaves))


def probed(data: str, number: int, see: Callable[[Tensor], Tensor], **options: object) -> Found:
    """Logistic regression, as `classify --by probe` has it, on what `see` sees."""
    found = open_data(data, labels=LABELS, labels_seed=number, **options)
    found.splits["train"] = known(found.splits["train"])
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    for split in ("train", "test"):
        batches = [*Batches(found, split, 500, shuffle=False).sweep(500)]
        seen[split] = (
            torch.cat([see(b.x).flatten(1) for b in batches]),
            torch.cat([b.y for b in batches if b.y is not None]),
        )
    (x, y), (x_test, y_test) = seen["train"], seen["test"]
    centre, scale = x.mean(0), x.std(0, correction=0).clamp_min(1e-6)
    fitted = LogisticRegression(max_iter=2000).fit(((x - centre) / scale).numpy(), y.numpy())
    return int((fitted.predict(((x_test - centre) / scale).numpy()) != y_test.numpy()).sum()), 0.0


def probe_codes(data: str, number: int, home: Path) -> Found:
    model = codes(data, home).model
    with torch.no_grad():
        return probed(data, number, lambda x: model.encode(x.to(device_of(model))).cpu(), binary="dynamic")


def probe_pixels(data: str, number: int, home: Path) -> Found:
    return probed(data, number, lambda x: x)


METHODS: dict[str, Callable[[str, int, Path], Found]] = {
    "few-labels": few_labels, "few-spread": few_spread, "neighbours": neighbours,
    "few-tones": few_tones, "spread-tones": spread_tones, "supervised": supervised, "alone-tones": alone_tones,
    "m1-m2": m1_m2, "m1-m2-spread": m1_m2_spread, "probe-codes": probe_codes, "probe-pixels": probe_pixels,
}  # fmt: skip


def kept(path: Path) -> list[dict[str, object]]:
    """All that was found so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(found: list[dict[str, object]]) -> str:
    """A line for each method and data: the mean over label sets, its interval, the best and the worst; those of more
    sets first, and of the same sets the better one. Only rows of the same sets compare."""
    lines = [
        "| data | method | label sets | test error | 95 % interval of the mean | best | worst | training, minutes |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|")
    for data in sorted({str(f["data"]) for f in found}):
        groups = [[f for f in found if f["data"] == data and f["method"] == method] for method in METHODS]
        for rows in sorted(
            filter(None, groups), key=lambda rows: (-len(rows), sum(float(str(f["wrong"])) for f in rows))
        ):
            method = rows[0]["method"]
            errors = [100 * float(str(f["wrong"])) / float(str(f["n"])) for f in rows]
            mean = statistics.fmean(errors)
            if len(errors) > 1:
                half = T.get(len(errors), 2.0) * statistics.stdev(errors) / math.sqrt(len(errors))
                between = f"{max(mean - half, 0):.2f} to {mean + half:.2f} %"
            else:
                low, high = wilson(int(str(rows[0]["wrong"])), int(str(rows[0]["n"])))
                between = f"{100 * low:.2f} to {100 * high:.2f} % (of the pictures, one label set)"
            minutes = statistics.fmean(float(str(f["seconds"])) for f in rows) / 60
            lines.append(
                f"| {data} | {method} | {spans(rows)} | {mean:.2f} % | {between} | {min(errors):.2f} % | "
                f"{max(errors):.2f} % | {minutes:.1f} |"
            )
    return "\n".join(lines)


def spans(rows: list[dict[str, object]]) -> str:
    """Which label sets, as `--sets` takes them."""
    said: list[list[int]] = []
    for number in sorted(int(str(row["set"])) for row in rows):
        said = [*said[:-1], [*said[-1], number]] if said and said[-1][-1] == number - 1 else [*said, [number]]
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in said)


def numbers(said: str) -> list[int]:
    """`0-2,5` as numbers."""
    parts = [part.partition("-") for part in said.split(",")]
    return [number for first, _, last in parts for number in range(int(first), int(last or first) + 1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", choices=[[], *METHODS], help="which; without any, the table is printed")
    parser.add_argument("--data", default="mnist", help="a named set of pictures with labels")
    parser.add_argument("--sets", type=numbers, default=[0], help="label sets, as 0-9 or 0,3")
    parser.add_argument("--runs", type=Path, default=HOME / "runs", help="where runs are kept")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where what is found is written")
    asked = parser.parse_args()
    asked.results.parent.mkdir(parents=True, exist_ok=True)
    for method in asked.methods:
        for number in asked.sets:
            if any((f["method"], f["data"], f["set"]) == (method, asked.data, number) for f in kept(asked.results)):
                continue
            wrong, took = METHODS[method](asked.data, number, asked.runs)
            said = {"method": method, "data": asked.data, "set": number, "wrong": wrong, "n": 10_000, "seconds": took}
            with asked.results.open("a") as file:
                file.write(json.dumps(said) + "\n")
            print(json.dumps(said), flush=True)
    if not asked.methods:
        print(table(kept(asked.results)))


if __name__ == "__main__":
    main()
