"""The same bits on machines that differ in instructions, libraries' kernels, threads and batches: one process a cell.

One machine can only pretend: environment variables limit the instructions that torch, oneDNN and MKL use. The control,
a float32 network, does differ between these cells, so they are no empty show.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
import torch

import morphogen.models.ladder
import morphogen.models.vae  # noqa: F401
from morphogen.codec.freeze import freeze
from morphogen.codec.profile import Profile
from morphogen.codec.rungs import told_of
from morphogen.core.build import part
from morphogen.core.space import Image

CELL = Path(__file__).with_name("cell.py")
ATEN = ["default", "avx2", None]
ONEDNN = ["SSE41", "AVX2", None]
MKL = ["SSE4_2", "AVX2", None]
QUICK = [("default", "SSE41", "SSE4_2", 1, 8), ("avx2", "AVX2", "AVX2", 2, 1), (None, None, None, 1, 64)]
MODELS = [
    {"use": "ladder", "rungs": [1, 1], "width": 12, "latent": 3, "pieces": 2},
    {"use": "vae", "net": {"use": "mlp", "widths": [64, 32], "act": "silu"}, "latent": 5},
]


@pytest.fixture(scope="module")
def profiles(tmp_path_factory):
    """A small ladder and a small vae, frozen."""
    folder, paths = tmp_path_factory.mktemp("exact"), []
    for i, recipe in enumerate(MODELS):
        torch.manual_seed(i)
        model = part("models", recipe)(Image(8, 12, 1, 256)).eval().requires_grad_(False)
        for p in model.parameters():
            p += 0.1 * torch.randn(p.shape)
        told = told_of(model, torch.randint(0, 256, (64, 1, 8, 12)) / 255)
        given = {n: Fraction(1, 255) for n in told.examples if n == "x" or n.startswith("piece/")}
        graphs, arrays = freeze(told.functions, told.examples, given, frozenset(told.wide))
        paths.append(folder / f"{i}.mgp")
        paths[-1].write_bytes(Profile({}, graphs, arrays).to_bytes())
    return paths


def said_in(paths, aten, onednn, mkl, threads, batch, *more):
    """What a cell says of the integers, and of the floats."""
    limits = {"ATEN_CPU_CAPABILITY": aten, "ONEDNN_MAX_CPU_ISA": onednn, "MKL_ENABLE_INSTRUCTIONS": mkl}
    env = {k: v for k, v in os.environ.items() if k not in limits} | {k: v for k, v in limits.items() if v}
    command = [sys.executable, str(CELL), *map(str, paths), f"--batch={batch}", f"--threads={threads}", *more]
    run = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    integers, floats = run.stdout.split()
    return integers, floats


def check(paths, cells):
    asked, _ = said_in(paths, None, None, None, 1, 64, "--oracle")
    said = {cell: said_in(paths, *cell) for cell in cells}
    assert {cell for cell, (integers, _) in said.items() if integers != asked} == set()
    assert len({floats for _, floats in said.values()}) > 1, (
        "the control is the same everywhere: these cells show nothing"
    )


def test_every_cell_says_what_the_oracle_says(profiles):
    check(profiles, QUICK)


@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_every_cell_of_all_says_what_the_oracle_says(profiles):
    check(profiles, itertools.product(ATEN, ONEDNN, MKL, (1, 2), (1, 8, 64)))
