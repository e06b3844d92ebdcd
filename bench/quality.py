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
    from torch import Tensor

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
            ours = train_ours(minutes / SHARE, threads, Path(folder), ask)
            table.rows.append(row(ours, f"<= {-theirs['log_p']:.2f}", ask))
            table.notes.append(verdict(theirs, ours))
            if ask.ours:
                asked = f"<= {GOAL}" if ask.ours == 10 else ""
                table.rows.append(row(train_ours(ask.ours, threads, Path(folder), ask), asked, ask))
        except Broken as error:
            ask.broken.append(f"quality: {error}")
    return [table]


def verdict(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    """Whether an eighth of the time was enough."""
    nats = ours["log_p"] - theirs["log_p"]
    word = "better" if nats >= 0 else "WORSE"
    return (
        f"In 1/{SHARE} of the time ours is {abs(nats):.2f} nats {word} than theirs. Both are scored on the same "
        f"{ours['images']:,} test images, with the same coins and {ours['samples']} samples."
    )


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


def peer_model(path: str, space: Space) -> Any:
    """Their weights in a model of ours that is the same function: 784-512-latent, its mirror, coins for pixels.

    Ours sees pixels as -1 .. 1, theirs as 0 .. 1, which the first layer can take in; ours says the logarithm of a
    scale, theirs that of a variance. That the two agree is checked, on the code and on the picture of it.
    """
    import numpy as np
    import torch

    from morphogen.core.build import part

    with np.load(path) as file:
        kept = {name: torch.from_numpy(file[name]) for name in file.files}
    latent, width = kept["encoder.embedding.weight"].shape
    spec = {"use": "vae", "latent": latent, "net": {"use": "mlp", "widths": [width]}, "likelihood": "bernoulli"}
    model = part("models", spec)(space, None)
    model.load_state_dict(translated(kept))
    check(model, kept, torch.rand(16, *space.shape).round())
    return model


def translated(kept: dict[str, Tensor]) -> dict[str, Tensor]:
    """Their names and conventions to ours."""
    import torch

    said = {"posterior.net.body.1.weight": 0.5 * kept["encoder.layers.0.0.weight"]}
    shift = said["posterior.net.body.1.weight"].sum(1)
    said["posterior.net.body.1.bias"] = kept["encoder.layers.0.0.bias"] + shift
    for what in ("weight", "bias"):
        heads = [kept[f"encoder.embedding.{what}"], 0.5 * kept[f"encoder.log_var.{what}"]]
        said[f"posterior.net.leave.linear.{what}"] = torch.cat(heads)
        said[f"likelihood.net.body.1.{what}"] = kept[f"decoder.layers.0.0.{what}"]
        said[f"likelihood.net.leave.linear.{what}"] = kept[f"decoder.layers.1.0.{what}"]
    return said


def check(model: Any, kept: dict[str, Tensor], x: Tensor) -> None:
    """Their formulas, from their numbers, against our model."""
    import torch
    from torch.nn.functional import linear

    def layer(h: Tensor, name: str) -> Tensor:
        return linear(h.double(), kept[f"{name}.weight"].double(), kept[f"{name}.bias"].double())

    with torch.inference_mode():
        h = torch.relu(layer(x.flatten(1), "encoder.layers.0.0"))
        mean, scale = layer(h, "encoder.embedding"), torch.exp(0.5 * layer(h, "encoder.log_var"))
        pixels = torch.sigmoid(layer(torch.relu(layer(mean, "decoder.layers.0.0")), "decoder.layers.1.0"))
        q = model.posterior(x)
        ours = (q.mean, q.log_scale.exp(), model.decode(q.mean).flatten(1))
    apart = max(float((a - b).abs().max()) for a, b in zip((mean, scale, pixels), ours, strict=True))
    if not apart < 1e-3:
        raise SystemExit(f"our model with pythae's weights is another function: {apart:.2g} apart")


def score(ask: argparse.Namespace) -> None:
    """The same images, coins and draws for both: all of them are drawn by place."""
    import torch

    import morphogen as mg
    from morphogen import machine
    from morphogen.data.find import open_data
    from morphogen.examples import Data
    from morphogen.metrics.likelihood import log_likelihood

    machine.prepare()
    data = open_data(DATA)
    test = Data(data, "test").limited(ask.images)
    model: Any = peer_model(ask.what, data.space) if ask.kind == "peer" else mg.open(ask.what).model
    began = time.perf_counter()
    device = torch.device("cpu")
    with machine.autocast(device, machine.choose_precision(ask.precision, device)):
        facts = log_likelihood(model.cpu(), test.batches(), ask.samples).facts()
    took = {"score_s": time.perf_counter() - began, "precision": ask.precision}
    print(json.dumps(facts | took | {"data": test.facts()}))


def main() -> None:
    """Score one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["peer", "run"])
    parser.add_argument("what", help="weights.npz of pythae, or the folder of a run")
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32", help="of the networks")
    score(parser.parse_args())


if __name__ == "__main__":
    main()
