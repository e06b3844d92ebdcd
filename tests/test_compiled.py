"""A compiled step is the step: the same numbers, and what changes with the step is not frozen into the program."""

from __future__ import annotations

import pytest
import torch

from morphogen import machine
from morphogen.compiled import worth_compiling
from morphogen.ranks import Ranks
from morphogen.session import start
from morphogen.train import Training, train

CPU = torch.device("cpu")
needs_compiler = pytest.mark.skipif(not machine.compiler_found(CPU), reason="no C++ compiler on this machine")
SMALL = ["model.latent=3", "model.net.widths=[16]", "train.batch=16", "precision=float32", "train.warmup=4"]


@pytest.fixture
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def trained(path, leaves, steps=12):
    run, data = start("vae", "digits", [*SMALL, "train.steps=100", *leaves], path)
    training = Training(run, data, Ranks())
    losses = []
    for progress in train(training):
        losses.append({name: float(value) / training.counted for name, value in training.sums.items()})
        if progress.step == steps:
            break
    return training, losses


@needs_compiler
@pytest.mark.filterwarnings("ignore")  # the compiler's own
@pytest.mark.parametrize(
    "leaves",
    [
        [
            'model.terms.1={use="rate", weight={use="ramp", steps=8}}',
            "train.clip=50.0",
            "train.skip=1e5",
            "train.decay=0.1",
        ],
        ["data.binary=dynamic", "model.net=mlp", "model.net.norm=batch", "model.labelled=true", "model.prior=mixture"],
    ],
    ids=["ramp, clip and decay", "coins, batch norm, labels and a mixture"],
)
def test_a_compiled_run_is_the_run(tmp_path, leaves, double):
    """In double precision: in single, Adam makes of a gradient that is zero, but for rounding, a whole step."""
    eager, expected = trained(tmp_path / "eager", [*leaves, "train.compile=false"])
    compiled, got = trained(tmp_path / "compiled", [*leaves, "train.compile=true"])
    assert eager.program is None
    assert compiled.program is not None
    for ours, theirs in zip(got, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-8)
    for name, tensor in eager.tensors().items():
        apart = (compiled.tensors()[name].double() - tensor.double()).norm()  # counts are whole numbers
        assert apart <= 1e-7 * tensor.double().norm() + 1e-9, name


def test_what_cannot_be_compiled_goes_on_and_says_so(tmp_path, capsys):
    training, losses = trained(tmp_path / "run", ["train.compile=true", "train.micro=4"], steps=2)
    assert training.program is None
    assert len(losses) == 2
    assert "not compiled" in capsys.readouterr().err


def test_only_long_runs_are_compiled_by_themselves(monkeypatch):
    monkeypatch.setattr(machine, "compiler_found", lambda device: True)
    assert [worth_compiling("auto", steps, None, CPU) for steps in (1_000, 20_000)] == [False, True]
    assert [worth_compiling("auto", None, minutes, CPU) for minutes in (10.0, 60.0)] == [False, True]
    assert worth_compiling(True, 1, None, CPU)
    assert not worth_compiling(False, 10**6, None, CPU)
    monkeypatch.setattr(machine, "compiler_found", lambda device: False)
    assert not worth_compiling("auto", 10**6, None, CPU)
