"""Our side of `dcgan.py`: the same DCGAN by Morphogen's own loop, from a recipe, as a run is trained.

What is timed is `train`: gather, read, both turns, gradient norms, guard against NaN, Adam, log; the moving average is
off, since the other side keeps none.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import torch

import peer_nets
from dcgan_plain import BETAS, LATENT, serve
from morphogen.core.batch import Batch
from morphogen.ranks import Ranks
from morphogen.session import start
from morphogen.train import Training, train

__all__ = ["Ours", "recipe"]


def recipe(batch: int, rate: float, precision: str) -> dict[str, Any]:
    """DCGAN as a recipe: the critic's last word is the dense layer over 8,192 features that a 4x4 convolution is."""
    return {
        "data": {"use": "sprites"},
        "model": {
            "use": "gan", "latent": LATENT, "net": {"use": "dcgan", "width": 64}, "features": 512 * 16,
            "game": "nonsaturating", "penalties": [],
        },
        "train": {
            "steps": 10**6, "batch": batch, "lr": rate, "betas": BETAS, "warmup": 0, "floor": 1.0, "ema": 0.0,
            "compile": False, "log_every": 1000, "validate_every": 10**9,
        },
        "precision": precision,
        "device": "cpu",
        "seed": 0,
    }  # fmt: skip


class Ours:
    """The training loop of a run, step by step."""

    def __init__(self, ask: argparse.Namespace) -> None:
        self.folder = tempfile.mkdtemp()
        run, data = start(recipe(ask.batch, ask.rate, ask.precision), None, [], f"{self.folder}/run")
        self.training = Training(run, data, Ranks())
        self.steps: Iterator[Any] | None = None

    def run(self, steps: int) -> dict[str, Any]:
        """So many steps."""
        self.steps = self.steps or train(self.training)
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(steps):
            next(self.steps)
        wall = time.perf_counter() - wall
        return {"seconds": wall, "cpu_seconds": time.process_time() - cpu, "steps": steps}

    def parity(self, file: str) -> dict[str, Any]:
        """The losses of the steps in `file`, from its weights, on its rows, with its noise."""
        import numpy as np

        kept = np.load(file)
        self.load({name: torch.from_numpy(kept[name]) for name in kept.files if "|" in name})
        space, store = self.training.data.space, self.training.data.splits["train"].x
        losses = []
        for rows, eps in zip(kept["rows"], kept["noise"], strict=True):
            batch = Batch(space.read(store.gather(torch.from_numpy(rows))), None, 0, len(rows))
            self.training.batches = peer_nets.Given(batch, len(rows))
            with peer_nets.given_noise(torch.from_numpy(eps)):
                logs = self.training.play()
            losses += [float(logs["loss/critic"]), float(logs["loss/generator"])]
            self.training.step += 1
        return {"loss": losses}

    @torch.no_grad()
    def load(self, theirs: dict[str, torch.Tensor]) -> None:
        """Their weights in their order; their first and last convolutions are dense layers of ours, pixel by pixel."""
        own = {k: v for k, v in self.training.model.named_parameters() if v.requires_grad}
        for who in ("generator", "critic"):
            names = [name for name in own if name.startswith(who)]
            values = [value for name, value in theirs.items() if name.startswith(who)]
            for name, value in zip(names, values, strict=True):
                mine = own[name]
                if mine.dim() == 2 and value.dim() == 4:
                    order = (2, 3, 1, 0) if who == "generator" else (0, 2, 3, 1)
                    value = value.permute(*order).reshape(mine.shape)
                if mine.shape != value.shape:
                    raise ValueError(f"{name}: {tuple(mine.shape)} is not their {tuple(value.shape)}")
                mine.copy_(value)

    def facts(self) -> dict[str, Any]:
        """What must be alike."""
        count = sum(p.numel() for p in self.training.model.parameters())
        return {"threads": torch.get_num_threads(), "torch": torch.__version__, "parameters": count}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--threads", type=int, default=1)
    ask = parser.parse_args()
    torch.set_num_threads(ask.threads)
    worker = Ours(ask)
    try:
        serve(worker)
    finally:
        shutil.rmtree(worker.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
