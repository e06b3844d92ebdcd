"""Streaming from disk against training from memory: images a second, and the largest resident memory.

    python bench/streaming.py --gb 4

A .npy file of random pictures is generated in a temporary folder and removed at the end. Three figures: the batches
alone, and a two-layer VAE-like step on them (the figure that a user sees), in memory (a part of the file) and from the
file once it is warm, in interleaved pairs; then the peak resident memory of a fresh process that only streams.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from morphogen.core.space import Image
from morphogen.data.batches import Batches
from morphogen.data.dataset import Dataset, Split, Store
from morphogen.data.find import open_data
from morphogen.data.stores import FileStore, MemoryStore

SIDE = 28


def generate(path: Path, gigabytes: float) -> None:
    """Random pictures, written in pieces."""
    count = int(gigabytes * 1e9) // SIDE**2
    noise = np.random.default_rng(0)
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, SIDE, SIDE, 1))
    for begin in range(0, count, 1 << 16):
        out[begin : begin + (1 << 16)] = noise.integers(0, 256, out[begin : begin + (1 << 16)].shape, dtype=np.uint8)
    out.flush()
    del out


def batches(store: Store, size: int) -> Batches:
    """The batches of a bare store."""
    return Batches(Dataset("bench", Image(SIDE, SIDE), {"train": Split(store)}, "bench"), "train", size)


def step_on(source: Batches) -> Callable[[int], None]:
    """One step of a dense autoencoder, 784-400-20-400-784, and fused AdamW."""
    torch.manual_seed(0)
    wide = SIDE**2
    encoder = nn.Sequential(nn.Linear(wide, 400), nn.ReLU(), nn.Linear(400, 20))
    net = nn.Sequential(encoder, nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, wide))
    optimiser = torch.optim.AdamW(net.parameters(), 1e-3, fused=True)

    def step(number: int) -> None:
        x = source.at(number).x.flatten(1)
        optimiser.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(net(x), x).backward()
        optimiser.step()

    return step


def seconds(step: Callable[[int], object], first: int, steps: int) -> float:
    """Wall time of so many steps."""
    begin = time.perf_counter()
    for number in range(first, first + steps):
        step(number)
    return time.perf_counter() - begin


def compare(memory: Callable[[int], object], disk: Callable[[int], object], size: int, steps: int) -> dict[str, float]:
    """Images a second of both, and the median ratio of interleaved pairs."""
    pairs = []
    for turn in range(8):
        pairs.append((seconds(memory, turn * steps, steps), seconds(disk, turn * steps, steps)))
    pairs = pairs[1:]
    images = size * steps
    return {
        "memory_images_per_s": round(images / statistics.median(m for m, _ in pairs)),
        "file_images_per_s": round(images / statistics.median(f for _, f in pairs)),
        "ratio": round(statistics.median(m / f for m, f in pairs), 3),
    }


def resident(path: Path, steps: int, size: int) -> dict[str, float]:
    """Peak memory of this process, which opens the file as a user would and trains on it."""
    begin = time.perf_counter()
    source = Batches(open_data(path), "train", size)
    opened = time.perf_counter() - begin
    took = seconds(step_on(source), 0, steps)
    status = Path("/proc/self/status").read_text()  # not ru_maxrss, which a child takes over from its parent
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1e6
    return {"open_s": round(opened, 1), "images_per_s": round(steps * size / took), "peak_rss_gb": round(peak, 3)}


def main() -> None:
    """Print the figures as JSON."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--gb", type=float, default=4.0)
    ask.add_argument("--batch", type=int, default=100)
    ask.add_argument("--steps", type=int, default=300)
    ask.add_argument("--resident", type=Path, help="stream this file and print the peak memory")
    asked = ask.parse_args()
    if asked.resident:
        print(json.dumps(resident(asked.resident, 10 * asked.steps, asked.batch)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pictures.npy"
        generate(path, asked.gb)
        file = FileStore(path)
        for begin in range(0, len(file), 10_000):
            file.gather(torch.arange(begin, min(begin + 10_000, len(file))))
        memory = batches(MemoryStore(file.gather(torch.arange(min(len(file), 500_000)))), asked.batch)
        disk = batches(file, asked.batch)
        word = {"gb": asked.gb, "batch": asked.batch, "threads": torch.get_num_threads()}
        for what, a, b in (("batches alone", memory.at, disk.at), ("training", step_on(memory), step_on(disk))):
            print(json.dumps(word | {"what": what} | compare(a, b, asked.batch, asked.steps)), flush=True)
        disk.close()
        command = [sys.executable, __file__, "--resident", str(path), "--batch", str(asked.batch)]
        print(subprocess.run(command, check=True, capture_output=True, text=True).stdout, end="")


if __name__ == "__main__":
    main()
