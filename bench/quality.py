"""Time to quality: both train on digits binarised anew at every visit, and one program scores both.

    python bench/quality.py peer WEIGHTS.npz     what our code says of pythae's weights, put into our model
    python bench/quality.py run RUN              and of a run of ours

The scoring runs in a process of its own: the driver imports no torch.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from page import Table
from sides import HOME, THEIRS, Broken, last_json, process
from speed import Ask

if TYPE_CHECKING:
    from morphogen.core.space import Space

__all__ = ["quality"]

DATA = {"use": "mnist", "binary": "dynamic", "valid": 2000}
SHARE = 8  # ours has one part in so many of their time
GOAL = 85.5  # nats, after ten minutes on two cores
MORPHOGEN = str(Path(sys.executable).with_name("morphogen"))


def quality(ask: Ask) -> list[Table]:
    """The log p(x) that theirs reaches in `minutes`, and what ours reaches in an eighth of that."""
    head = (
        "who",
        "threads",
        "training, s",
        "whole process, s",
        "steps",
        "-log p(x), nats (95 %)",
        "-ELBO",
        "scoring, s",
        "asked",
    )
    table = Table("quality", head)
    threads = max(ask.threads)
    minutes = 0.2 if ask.quick else ask.minutes
    with tempfile.TemporaryDirectory() as folder:
        try:
            theirs = train_theirs(minutes, threads, Path(folder), ask)
            table.rows.append(row(theirs, "", ask))
            bound = f"<= {-theirs['log_p']:.2f}"
            table.rows.append(row(train_ours(minutes / SHARE, threads, Path(folder), ask), bound, ask))
            if ask.ours:
                asked = f"<= {GOAL}" if ask.ours == 10 else ""
                table.rows.append(row(train_ours(ask.ours, threads, Path(folder), ask), asked, ask))
        except Broken as error:
            ask.broken.append(f"quality: {error}")
    return [table]


def row(said: dict[str, Any], asked: str, ask: Ask) -> Sequence[str]:
    ask.records.append(said)
    low, high = said["interval"]
    return (
        said["who"], str(said["threads"]), f"{said['seconds']:.0f}", f"{said['wall']:.0f}", f"{said['steps']:,}",
        f"{-said['log_p']:.2f} ({-high:.2f} to {-low:.2f})", f"{-said['elbo']:.2f}", f"{said['scoring']:.0f}", asked,
    )  # fmt: skip


def train_theirs(minutes: float, threads: int, folder: Path, ask: Ask) -> dict[str, Any]:
    print(f"  quality: theirs, {minutes:g} minutes, {threads} threads ...", flush=True)
    command = [*THEIRS, "quality", "--minutes", str(minutes), "--threads", str(threads), "--out", str(folder / "peer")]
    took, printed = process(command, threads, 60 * minutes + 900)
    said = last_json(printed)
    facts = {"who": f"pythae, its default VAE, {minutes:g} min", "threads": threads, "wall": took.wall}
    score = scored("peer", said["weights"], threads, ask)
    return facts | {"seconds": said["seconds"], "steps": said["steps"]} | score


def train_ours(minutes: float, threads: int, folder: Path, ask: Ask) -> dict[str, Any]:
    print(f"  quality: ours, {minutes:g} minutes, {threads} threads ...", flush=True)
    run = folder / f"ours-{minutes:g}"
    words = ["train", "mnist", "mnist", f"train.minutes={minutes}", "--run", str(run), "--quiet"]
    took, _ = process([MORPHOGEN, *words], threads, 60 * minutes + 900)
    last = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    times = [(line["time"], line["step"]) for line in last if "time" in line]
    if not times:
        raise Broken(f"{run}/log.jsonl says nothing of time")
    facts = {"who": f"`morphogen train mnist mnist train.minutes={minutes:g}`", "threads": threads, "wall": took.wall}
    return facts | {"seconds": times[-1][0], "steps": times[-1][1]} | scored("run", str(run), threads, ask)


def scored(kind: str, what: str, threads: int, ask: Ask) -> dict[str, Any]:
    samples, images = (50, 200) if ask.quick else (500, ask.images)
    command = [sys.executable, str(HOME / "quality.py"), kind, what, "--samples", str(samples), "--images", str(images)]
    took, printed = process(command, threads, 7200)
    said = last_json(printed)
    print(f"    log p(x) = {said['log_p']:.2f} nats, of {images:,} images with {samples} samples", flush=True)
    return said | {"scoring": took.wall, "samples": samples, "images": images}


# In the process that scores ---------------------------------------------------------------------------------------


def peer_model(path: str, space: Space, latent: int) -> Any:
    """Their weights in a model of ours that is the same function: 784-512-latent, a mirror, coins for pixels."""
    import numpy as np
    import peer_nets

    from morphogen.core.build import part

    spec = {"use": "vae", "latent": latent, "net": {"use": "mlp", "widths": [512]}, "likelihood": "bernoulli"}
    model = part("models", spec)(space, None)
    with np.load(path) as kept:
        peer_nets.load(model, dict(kept), "mlp")
    return model


def score(ask: argparse.Namespace) -> None:
    """The same images, coins and draws for both: all of them are drawn by place."""
    import morphogen as mg
    from morphogen import machine
    from morphogen.data.find import open_data
    from morphogen.examples import Data
    from morphogen.metrics.likelihood import log_likelihood

    machine.prepare()
    data = open_data(DATA)
    test = Data(data, "test").limited(ask.images)
    model = peer_model(ask.what, data.space, ask.latent) if ask.kind == "peer" else mg.open(ask.what).model
    began = time.perf_counter()
    facts = log_likelihood(model.cpu().eval(), test.batches(), ask.samples).facts()
    print(json.dumps(facts | {"score_s": time.perf_counter() - began, "data": test.facts()}))


def main() -> None:
    """Score one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["peer", "run"])
    parser.add_argument("what", help="weights.npz of pythae, or the folder of a run")
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--latent", type=int, default=16)
    score(parser.parse_args())


if __name__ == "__main__":
    main()
