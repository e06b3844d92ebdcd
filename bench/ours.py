"""Drives Morphogen by its own loop, on the very models that pythae is driven on; the twin of `peer_pythae.py`.

The same sub-commands, the same answers. What is timed in `step` is the training loop of the library (`train`) as a run
uses it: gather, read, forward, backward, gradient norm, guard against NaN, AdamW, log; the moving average is off, since
pythae keeps none.
"""

from __future__ import annotations

import time

STARTED = time.perf_counter()

import argparse  # noqa: E402
import json  # noqa: E402
import resource  # noqa: E402
import shutil  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))


def say(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


def recipe(ask: argparse.Namespace) -> dict[str, Any]:
    """The recipe of pythae's model: its nets, a Bernoulli likelihood on grey pixels, Adam at a constant rate."""
    return {
        "data": {"use": "mnist", "valid": 0},
        "model": {
            "use": "vae", "latent": ask.latent, "net": f"pythae-{ask.model}", "posterior": "pythae-normal",
            "likelihood": "bernoulli",
        },
        "train": {
            "epochs": ask.epochs, "batch": ask.batch, "lr": ask.rate, "warmup": 0, "floor": 1.0, "ema": 0.0,
            "compile": ask.compile, "log_every": 1000, "validate_every": 10**9,
        },
        "precision": ask.precision,
        "device": "cpu",
        "seed": ask.seed,
    }  # fmt: skip


def facts() -> dict[str, Any]:
    import torch

    import morphogen

    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "morphogen": morphogen.__version__,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "peak_mib": usage.ru_maxrss / 1024,
        "cpu_s": usage.ru_utime + usage.ru_stime,
    }


class Worker:
    """The training loop of a run, step by step."""

    def __init__(self, ask: argparse.Namespace) -> None:
        import torch

        import peer_nets  # noqa: F401  (registers the nets)
        from morphogen.ranks import Ranks
        from morphogen.session import start
        from morphogen.train import Training

        if ask.threads:
            torch.set_num_threads(ask.threads)
        self.ask, self.folder = ask, tempfile.mkdtemp()
        run, data = start(
            recipe(ask) | {"train": recipe(ask)["train"] | {"epochs": 1000}}, None, [], f"{self.folder}/run"
        )
        self.training = Training(run, data, Ranks())
        self.steps: Iterator[Any] | None = None

    def run(self, steps: int) -> dict[str, Any]:
        from morphogen.train import train

        if self.steps is None:
            self.steps = train(self.training)
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(steps):
            next(self.steps)
        wall = time.perf_counter() - wall
        sums = self.training.sums
        loss = float(sums["loss/model"]) / self.training.counted if self.training.counted else float("nan")
        return {"seconds": wall, "cpu_seconds": time.process_time() - cpu, "steps": steps, "loss": loss}

    def parity(self, file: str) -> dict[str, Any]:
        """The losses of the steps in `file`, from its weights, on its rows, with its noise."""
        import numpy as np
        import torch

        import peer_nets
        from morphogen.core.batch import Batch

        kept = np.load(file)
        peer_nets.load(self.training.model, kept)
        space, store = self.training.data.space, self.training.data.splits["train"].x
        losses = []
        for rows, eps in zip(kept["rows"], kept["noise"], strict=True):
            batch = Batch(space.read(store.gather(torch.from_numpy(rows))), None, 0, len(rows))
            self.training.batches = peer_nets.Given(batch, len(rows))
            with peer_nets.given_noise(torch.from_numpy(eps)):
                logs = self.training.play()
            losses.append(float(logs["loss/model"]))
            self.training.step += 1
        return {"loss": losses, "peer": kept["loss"].tolist()}

    def sample(self, count: int, batch: int = 500) -> dict[str, Any]:
        import torch

        from morphogen import machine
        from morphogen.tasks.make import drawn

        model = self.training.average.average.eval()
        cpu, wall = time.process_time(), time.perf_counter()
        with torch.no_grad(), machine.autocast(torch.device("cpu"), self.training.precision):
            x = drawn(model, count, 0).x  # what `morphogen sample` does
        wall = time.perf_counter() - wall
        assert x.shape == (count, 1, 28, 28)
        return {"seconds": wall, "cpu_seconds": time.process_time() - cpu, "images": count}

    def facts(self) -> dict[str, Any]:
        return facts() | {
            "model": self.ask.model,
            "parameters": sum(p.numel() for p in self.training.model.parameters()),
        }

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def step(ask: argparse.Namespace) -> None:
    """{"do": "run", "steps": 50} -> {"seconds": ...}; also parity, sample, facts; an empty line or EOF ends."""
    worker = Worker(ask)
    say(ready=True, **worker.facts())
    for line in sys.stdin:
        if not line.strip():
            break
        request = json.loads(line)
        try:
            say(**getattr(worker, request.pop("do"))(**request))
        except Exception as error:  # the other side decides what to do about it
            say(error=f"{type(error).__name__}: {error}")
    worker.close()


def whole(ask: argparse.Namespace) -> None:
    """What a user's script does, from nothing to pictures, by the Python API."""
    phases: dict[str, float] = {}
    last = STARTED

    def mark(name: str) -> None:
        nonlocal last
        now = time.perf_counter()
        phases[name], last = now - last, now

    import morphogen as mg
    import peer_nets  # noqa: F401  (registers the nets)

    folder = Path(ask.out or tempfile.mkdtemp())
    shutil.rmtree(folder / "run", ignore_errors=True)
    run = mg.train(recipe(ask), None, run=folder / "run", quiet=True)
    mark("import, load, train, save")
    score = run.score(samples=1)
    mark("evaluate")
    pictures = run.sample(ask.count)
    mark("sample")
    again = run.reconstruct("mnist", n=10_000)
    mark("reconstruct")
    assert len(pictures) == ask.count
    assert len(again) == 20_000
    say(
        seconds=time.perf_counter() - STARTED,
        phases=phases,
        test_loss=score["elbo"],
        **facts(),
    )
    shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["step", "whole"])
    parser.add_argument("--model", choices=["mlp", "conv", "resnet"], default="mlp")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--latent", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--out", default="")
    ask = parser.parse_args()
    {"step": step, "whole": whole}[ask.what](ask)


if __name__ == "__main__":
    main()
