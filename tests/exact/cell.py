"""One machine, as far as an environment can pretend to be another: prints what a profile's graphs say, as one sha256,
and what a float32 network says, as another. The environment is set before this starts.

    python tests/exact/cell.py PROFILE... --batch 8 [--threads 2] [--oracle]
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np

from morphogen.codec.integers import Oracle
from morphogen.codec.profile import Profile

COUNT, SIDES = 64, (8, 12)


def inputs_of(graph, rng):
    """Examples of every input, many of them at the ends of its range and beyond."""
    for port in graph.inputs:
        shape = [side or SIDES[i - 1] for i, side in enumerate(port.shape)]
        low, high = port.range
        x = rng.integers(low - 9, high + 10, (COUNT, *shape))
        ends = rng.integers(0, 4, x.shape)
        yield np.where(ends == 0, low, np.where(ends == 1, high, x // (1 + rng.integers(0, 999, x.shape))))


def said_by(profile, engine, batch):
    """sha256 of all that an engine says of a profile."""
    sha, rng = hashlib.sha256(), np.random.default_rng(0)
    for name in sorted(profile.graphs):
        x = list(inputs_of(profile.graphs[name], rng))
        parts = [engine.run(name, *(a[i : i + batch] for a in x)) for i in range(0, COUNT, batch)]
        for outputs in zip(*parts, strict=True):
            sha.update(np.ascontiguousarray(np.concatenate(outputs)).astype("<i8").tobytes())
    return sha.hexdigest()


def floats(batch):
    """sha256 of what a plain float32 network says: the control, which is to differ."""
    import torch
    from torch.nn import functional as F

    rng, sha = np.random.default_rng(1), hashlib.sha256()
    x = torch.from_numpy(rng.standard_normal((COUNT, 16, 24, 24)).astype(np.float32))
    kernels = [torch.from_numpy(rng.standard_normal((16, 16, 3, 3)).astype(np.float32) / 12) for _ in range(3)]
    for i in range(0, COUNT, batch):
        h = x[i : i + batch]
        for kernel in kernels:
            h = F.silu(F.conv2d(h, kernel, padding=1))
        sha.update(h.contiguous().numpy().tobytes())
    return sha.hexdigest()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("profiles", nargs="+", type=Path)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--oracle", action="store_true")
    asked = parser.parse_args()
    sha = hashlib.sha256()
    for path in asked.profiles:
        profile = Profile.from_bytes(path.read_bytes())
        if asked.oracle:
            engine = Oracle(profile.graphs, profile.arrays)
        else:
            import torch

            from morphogen.codec.carried import Carried

            torch.set_num_threads(asked.threads)
            engine = Carried(profile.graphs, profile.arrays)
        sha.update(said_by(profile, engine, asked.batch).encode())
    print(sha.hexdigest(), "none" if asked.oracle else floats(asked.batch))


if __name__ == "__main__":
    main()
