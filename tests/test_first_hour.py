"""The first hour with one's own pictures: nets and likelihoods that fit them, plans that fit, words that say so."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from morphogen import opening, progress, recipe, session
from morphogen.core.build import part
from morphogen.core.noise import Noise, source
from morphogen.core.space import Image, Vector
from morphogen.families.normal_discrete import DiscreteNormal, discrete_normal
from morphogen.nets.auto import fitting
from morphogen.nets.dcgan import dcgan
from morphogen.nets.mlp import mlp
from morphogen.plan import Plan
from morphogen.train import Progress


@pytest.mark.parametrize("levels", [3, 17, 256])
@pytest.mark.parametrize("mean", [-0.2, 0.0, 0.31, 1.0, 1.4])
def test_levels_have_the_chance_that_a_normal_falls_on_them(levels: int, mean: float) -> None:
    at = torch.arange(levels, dtype=torch.float64) / (levels - 1)
    half = 0.5 / (levels - 1)
    for scale in (5 / (levels - 1), 20 / (levels - 1)):
        p = DiscreteNormal(torch.full_like(at, mean), torch.full_like(at, math.log(scale)), levels, 0)
        chance = torch.special.ndtr((at + half - mean) / scale) - torch.special.ndtr((at - half - mean) / scale)
        assert p.log_prob(at).exp().tolist() == pytest.approx(chance.tolist(), abs=1e-7, rel=1e-4)
        assert float(p.log_prob(at).exp().sum()) <= 1
        draws = (mean + scale * torch.randn(200_000, generator=torch.Generator().manual_seed(0)).double()).clamp(0, 1)
        told = [float(t[0]) for t in p.moments()]
        assert told[0] == pytest.approx(float(draws.mean()), abs=0.01 * min(scale, 1))
        assert told[1] == pytest.approx(float(draws.var()), rel=0.02, abs=1e-6)


def test_a_picture_that_is_far_from_its_mean_has_a_slope_and_no_nan() -> None:
    mean = torch.linspace(-40, 40, 81, requires_grad=True)
    for x in (0.0, 0.5, 1.0):
        log_p = DiscreteNormal(mean, torch.tensor(math.log(1 / 255)), 256, 0).log_prob(torch.full_like(mean, x))
        (slope,) = torch.autograd.grad(log_p.sum(), mean)
        assert torch.isfinite(log_p).all()
        assert torch.isfinite(slope).all()


def test_the_likelihood_begins_at_the_mean_and_spread_of_the_data() -> None:
    space = Image(4, 4, 3)
    family = discrete_normal(space)
    draw = torch.Generator().manual_seed(0)
    want = torch.tensor([[0.2, 0.5, 0.8], [0.02, 0.1, 0.05]])
    x = want[0].reshape(3, 1, 1) + want[1].reshape(3, 1, 1) * torch.randn(200, 3, 4, 4, generator=draw)
    family.begin(x)
    said: DiscreteNormal = family(torch.zeros(2, 3, 4, 4))
    assert said.mean[0, :, 0, 0].tolist() == pytest.approx(want[0].tolist(), abs=0.01)
    assert said.log_scale[:, 0, 0].exp().tolist() == pytest.approx(want[1].tolist(), rel=0.1)
    with source(Noise(0)):
        assert ((said.sample((5,)) * 255) % 1).max() < 1e-3


@pytest.mark.parametrize(("channels", "side"), [(1, 64), (3, 64), (1, 105)])
def test_vae_takes_nets_that_fit_pictures(channels: int, side: int) -> None:
    space = Image(side, side, channels)
    spec = recipe.find("vae")["model"]
    model = part("models", spec)(space, None)
    assert sum(p.numel() for p in model.parameters()) < 5_000_000
    assert isinstance(model.posterior.net.net, dcgan)
    assert isinstance(model.likelihood.family, discrete_normal)


def test_small_pictures_and_rows_get_dense_layers() -> None:
    for inp, out in ((Image(28, 28), Vector(8)), (Vector(8), Image(28, 28)), (Vector(2000), Vector(8))):
        assert isinstance(fitting(inp, out).net, mlp)
    assert isinstance(fitting(Image(2, 2000), Vector(8)).net, mlp)  # nothing to halve


def test_the_usual_length_of_a_plan_goes_by_the_data() -> None:
    steps = [Plan.complete({"batch": 64}, count)["steps"] for count in (20, 320, 3_200, 60_000)]
    assert steps == [3_000, 3_000, 15_000, 20_000]
    assert Plan.complete({"minutes": 2.0}, 320).get("steps") is None
    whole, _ = session.complete("vae", "digits", [])
    assert whole["train"]["steps"] < 20_000


@pytest.mark.parametrize(("steps", "batch"), [(20, 64), (300, 64), (20_000, 128)])
@pytest.mark.parametrize("valid", [0, 40, 500, 5_000, 50_000])
def test_looking_takes_a_twentieth_of_the_examples_that_training_takes(steps: int, batch: int, valid: int) -> None:
    count, seen = Plan(steps=steps, batch=batch).looks(steps, valid)
    assert 1 <= count <= 20
    assert 0 <= seen <= valid
    cost = (count - 1) * seen / 3  # the last look is taken whatever it costs
    assert cost <= 0.05 * steps * batch * 1.1
    assert seen >= min(valid, 500)


def test_what_is_trained_on_what_is_said_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, data = session.start("vae", "digits", ["train.steps=9", "train.batch=16"], tmp_path / "run")
    session.fit(run, data)
    said = capsys.readouterr().err
    first = said.splitlines()[0]
    assert first.startswith("data    digits: 1,4")
    for word in ("train", "valid", "test", "images of 8 x 8, grey, 17 levels", "10 classes"):
        assert word in first
    for word in ("parameters; cpu, ", "batches of 16", "plan    9 steps", "time    less than a minute"):
        assert word in said
    session.fit(run, data, quiet=True)
    assert not capsys.readouterr().err


def test_a_plan_of_more_than_an_hour_is_told_with_the_remedy() -> None:
    assert "train.minutes=10" in opening.expected(61)
    assert "train.minutes=10" not in opening.expected(59)


def test_the_time_left_counts_neither_compiling_nor_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    line = progress.Line("run")
    monkeypatch.setattr(line, "tell", lambda *_: None)
    for step in range(1, 41):
        now[0] += {1: 60.0, 20: 3_600.0}.get(step, 0.5)  # it compiles before the first step, and sleeps before another
        line(Progress(step, step / 100, None), {})
    hours, _, rest = line.left(0.4).rpartition(":")
    assert 28 <= 60 * int(hours) + int(rest) <= 32


def test_the_last_record_of_a_plan_of_minutes_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan may end while the caller looks at validation, after a step that no record was due for."""
    import importlib

    loop: Any = importlib.import_module("morphogen.train")
    now = [0.0]
    monkeypatch.setattr(loop.time, "perf_counter", lambda: now[0])
    run, data = session.start("vae", "digits", ["train.minutes=1", "train.batch=16"], tmp_path / "run")
    training = loop.Training(run, data, loop.Ranks())
    for said in loop.train(training):
        now[0] += 7.0  # the caller's time
        last = said.step
    records = [r for r in run.log() if "fraction" in r]
    assert [r["step"] for r in records] == [1, last]
    assert records[-1]["time"] >= 60
    assert records[-1]["fraction"] >= 1


def test_a_record_is_written_after_a_while_however_few_the_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    loop: Any = importlib.import_module("morphogen.train")
    now = iter(range(0, 10**6, 5))
    monkeypatch.setattr(loop.time, "perf_counter", lambda: float(next(now)))
    run, data = session.start("vae", "digits", ["train.steps=30", "train.batch=16"], tmp_path / "run")
    list(loop.train(loop.Training(run, data, loop.Ranks())))
    steps = [r["step"] for r in run.log() if "fraction" in r]
    assert len(steps) > 5
    assert steps[-1] == 30


def test_being_asked_to_stop_while_it_compiles_is_no_fault_of_the_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import importlib

    loop: Any = importlib.import_module("morphogen.train")
    asked: list[int] = []

    def interrupted(*_: Any) -> None:
        asked.append(2)
        raise RuntimeError("C++ compile error")

    monkeypatch.setattr(loop, "CompiledStep", interrupted)
    run, data = session.start("vae", "digits", ["train.steps=2", "train.compile=true"], tmp_path / "run")
    training = loop.Training(run, data, loop.Ranks(), asked)
    training.play()
    assert "not compiled" not in capsys.readouterr().err
