"""How fast are pictures packed and unpacked, without files around it? `python bench/packer.py [RUN ...]`

Processor time of one thread for blocks of 1,337 test digits (1 MiB), in MB of raw pixels a second, and which share of
it the networks take: the rest is tables and entropy coding. Without a run: a dense VAE, 784-256-16, three logistics,
with the weights that it begins with, which are as fast as any.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lossless import pictures
from morphogen.codec.frozen import profile_of_model
from morphogen.codec.learned import Learned, learned_of_run
from morphogen.core.build import part
from morphogen.core.space import Image
from morphogen.opened import OpenRun

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LOGISTICS = {"use": "logistics", "mixture": 3}
DENSE = {"use": "vae", "latent": 16, "net": {"use": "mlp", "widths": [256]}, "likelihood": LOGISTICS}
BLOCK, BLOCKS = 1337, 4


class Clocked:
    """An engine that counts its processor time."""

    def __init__(self, engine: object) -> None:
        self.engine, self.seconds = engine, 0.0

    def run(self, name: str, *inputs: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """What the engine says."""
        began = time.process_time()
        said: list[NDArray[np.int64]] = self.engine.run(name, *inputs)  # type: ignore[attr-defined]
        self.seconds += time.process_time() - began
        return said


def timed(engine: Clocked, work: Callable[[], object], size: int) -> str:
    """MB/s, and the share of the networks."""
    engine.seconds, began = 0.0, time.process_time()
    work()
    seconds = time.process_time() - began
    return f"{1e-6 * size / seconds:5.2f} MB/s (networks {engine.seconds / seconds:.0%})"


def measured(learned: Learned, x: NDArray[np.uint8]) -> str:
    """Both ways, block by block."""
    engine = Clocked(learned.packer.engine)
    object.__setattr__(learned.packer, "engine", engine)  # it is frozen, like all that codes
    blocks = [x[i : i + BLOCK] for i in range(0, len(x), BLOCK)]
    learned.encode(blocks[0][:64])  # warm
    packed: list[bytes] = []
    packs = timed(engine, lambda: packed.extend(map(learned.encode, blocks)), x.size)
    unpacks = timed(engine, lambda: [learned.decode(p, b.shape) for p, b in zip(packed, blocks, strict=True)], x.size)
    return f"packs {packs}, unpacks {unpacks}"


def main() -> None:
    """Each codec."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*")
    runs = parser.parse_args().runs
    torch.set_num_threads(1)
    x = pictures("mnist", BLOCK * BLOCKS)[0][..., None]
    for run in runs:
        print(f"{run}: {measured(learned_of_run(OpenRun(Path(run))), x)}", flush=True)
    if not runs:
        model = part("models", DENSE)(Image(28, 28, 1, 256)).eval()
        seen = torch.from_numpy(x[:256]).permute(0, 3, 1, 2) / 255
        print(f"dense: {measured(Learned(profile_of_model(model, seen).to_bytes()), x)}")


if __name__ == "__main__":
    main()
