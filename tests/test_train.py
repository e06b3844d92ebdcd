"""Training's promises: exact resuming, micro-batches, players, what is not finite, signals, the plan, recipes."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent / "crash"))

import child
from child import advance, content, duel, make, on_the_shelf, same, spec, training

from morphogen import machine, recipe, session
from morphogen.core import noise
from morphogen.core.batch import Batch
from morphogen.core.model import Model, Turn
from morphogen.core.space import Space, Vector
from morphogen.data.batches import Batches, Order
from morphogen.data.dataset import Dataset, Split
from morphogen.data.find import open_data
from morphogen.data.stores import MemoryStore
from morphogen.errors import Failure, UserError
from morphogen.optim import Average, Optimiser, learning_rate
from morphogen.plan import Plan
from morphogen.ranks import Ranks
from morphogen.run import Run
from morphogen.train import Training, train

loop = sys.modules["morphogen.train"]  # the module; the name morphogen.train is the function of the API

BATCH_NORM = {"use": "vae", "latent": 2, "net": {"use": "mlp", "widths": [16], "norm": "batch"}}
CONV = {"use": "vae", "latent": 2, "net": {"use": "conv", "width": 4, "norm": "batch"}}
VAMP = {"use": "vae", "latent": 2, "net": {"use": "mlp", "widths": [16]}, "prior": {"use": "vamp", "components": 3}}
IWAE = {"use": "vae", "latent": 2, "samples": 3, "net": {"use": "mlp", "widths": [16]}, "terms": ["bound"]}
GAME: dict[str, Any] = {
    "use": "gan", "latent": 2, "net": {"use": "mlp", "widths": [16]}, "penalties": ["r1", "lecam", "spectral"],
    "augment": "ada", "encoder": "mlp", "steps": 2,
}  # fmt: skip
DYNAMIC = {"use": "digits", "binary": "dynamic"}

RESUMED: dict[str, dict[str, Any]] = {
    "plain": {},
    "bfloat16": {"precision": "bfloat16"},
    "accumulated": {"micro": 7},
    "accumulated bfloat16": {"micro": 7, "precision": "bfloat16"},
    "dynamic": {"data": DYNAMIC},
    "batch norm": {"model": BATCH_NORM},
    "batch norm, no average": {"model": BATCH_NORM, "ema": 0.0},
    "no average": {"ema": 0.0, "decay": 0.1, "clip": 1.0},
    "convolutions": {"model": CONV, "micro": 10},
    "vamp": {"model": VAMP, "data": DYNAMIC, "micro": 11, "log_every": 3},
    "iwae": {"model": IWAE},
    "tokens": {"data": "patterns"},
    "table": {"data": "blobs"},
    "game": {"model": GAME, "micro": 9},
    "two players": {"model": "duel", "lr": {"judge": 1e-2, "forger": 1e-3}},
    "two players, accumulated": {"model": "duel", "micro": 6, "log_every": 4},
}


@pytest.fixture(autouse=True)
def _duel() -> Iterator[None]:
    machine.prepare()  # once and first: made-up data that is made by products must come out the same every time
    with on_the_shelf(duel):
        yield


def untimed(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in r.items() if k != "time" and not k.endswith("/s")} for r in records]


# Resuming --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", RESUMED)
def test_resuming_from_any_step_is_bit_identical(case: str, tmp_path: Path) -> None:
    tree = spec(**{"steps": 10} | RESUMED[case])
    run, data = make(tmp_path / "whole", tree)
    whole = training(run, data)
    advance(whole, 10)
    wanted, log = content(whole), untimed(run.log())
    assert len(log) >= 3
    for step in (0, 1, 4, 9):
        run, _ = make(tmp_path / f"{step}", tree, data)
        t = training(run, data)
        advance(t, step)
        t.save()
        advance(t, 10)  # goes on and is lost, with its log
        again = training(Run.open(run.path), open_data(tree["data"]))
        assert again.step == step
        advance(again, 10)
        assert same(content(again), wanted), step
        assert untimed(run.log()) == log, step


def test_a_saved_run_says_the_same_as_one_that_never_saved(tmp_path: Path) -> None:
    tree = spec(steps=8, micro=6, model=BATCH_NORM)
    run, data = make(tmp_path / "a", tree)
    quiet = training(run, data)
    advance(quiet, 8)
    run, _ = make(tmp_path / "b", tree, data)
    saving = training(run, data)
    for step in range(1, 9):
        advance(saving, step)
        saving.save()
        saving.average.average.eval()
        session.review(saving.average.average, data, torch.device("cpu"), torch.float32)
    assert same(content(quiet), content(saving))


def test_weights_for_use_are_the_average(tmp_path: Path) -> None:
    run, data = make(tmp_path / "a", spec(model=BATCH_NORM))
    t = training(run, data)
    advance(t, 6)
    t.save()
    used = run.model().state_dict()
    assert not used.keys() ^ t.average.average.state_dict().keys()
    assert all(torch.equal(used[k], v) for k, v in t.average.average.state_dict().items())
    assert any(not torch.equal(used[k], v) for k, v in t.model.state_dict().items())


def test_the_average_follows_the_weights_of_every_step(tmp_path: Path) -> None:
    run, data = make(tmp_path / "a", spec(ema=0.8))
    t = training(run, data)
    name, p = next(iter(t.model.named_parameters()))
    wanted = p.detach().double()
    for step, _ in zip(range(8), train(t), strict=False):
        keep = min(0.8, (1 + step) / (10 + step))
        wanted = keep * wanted + (1 - keep) * p.detach().double()
    mine = dict(t.average.average.named_parameters())[name]
    assert close(mine, wanted)
    assert not close(mine, p.detach())


def test_no_average_means_the_model_itself(tmp_path: Path) -> None:
    run, data = make(tmp_path / "a", spec(ema=0.0))
    t = training(run, data)
    advance(t, 3)
    t.save()
    assert not [k for k in t.tensors() if k.startswith("average")]
    assert all(torch.equal(run.model().state_dict()[k], v) for k, v in t.model.state_dict().items())


def test_noise_depends_on_all_that_it_is_counted_by() -> None:
    like = torch.zeros(1)

    def drawn(**more: Any) -> Tensor:
        with noise.source(noise.Noise(**{"seed": 1, "stream": "train", "step": 5} | more)):
            noise.normal((4,), event=0, like=like) if more.get("draws") == 0 else None
            return noise.normal((4,), event=0, like=like)

    same_again, others = drawn(), [{"seed": 2}, {"stream": "view"}, {"step": 6}, {"draws": 1}, {"draws": 0}]
    assert torch.equal(same_again, drawn())
    assert not any(torch.equal(same_again, drawn(**other)) for other in others)
    assert torch.equal(drawn(draws=0), drawn(draws=1))


def test_batches_and_noise_of_a_step_do_not_depend_on_what_was_asked_before() -> None:
    data = open_data(DYNAMIC)
    fresh = [Batches(data, "train", 50, seed=1).at(s).x for s in (0, 40, 80)]
    one = Batches(data, "train", 50, seed=1)
    for step in (80, 3, 0, 40):
        x = one.at(step).x
        if step in (0, 40, 80):
            assert torch.equal(x, fresh[(0, 40, 80).index(step)])
    assert set(fresh[0].unique().tolist()) == {0.0, 1.0}


def test_every_epoch_has_an_order_of_its_own_and_sees_every_row_once() -> None:
    data = open_data("digits")
    batches = Batches(data, "train", 100, seed=1)
    count = len(batches)
    order = Order(count, 1)
    first, second = order.rows(0, count), order.rows(count, 2 * count)
    assert not torch.equal(first, second)
    assert torch.equal(first.sort().values, torch.arange(count))
    assert torch.equal(second.sort().values, torch.arange(count))
    assert torch.equal(order.rows(count - 5, count + 5), torch.cat([first[-5:], second[:5]]))
    assert not torch.equal(first, Order(count, 2).rows(0, count))


def close(a: Tensor, b: Tensor) -> bool:
    """Equal within float error."""
    return torch.allclose(a.double(), b.double(), rtol=2e-4, atol=2e-5 * float(b.abs().max()) + 1e-12)


# Micro-batches ---------------------------------------------------------------------------------------------------


def gradients(tmp_path: Path, rows: int | None, **more: Any) -> dict[str, Tensor]:
    """What one step would do, as the optimisers see it."""
    run, data = make(tmp_path / f"micro-{rows}", spec(**{"batch": 24} | more | {"micro": rows}))
    t = training(run, data)
    seen: dict[str, Tensor] = {}
    for player, optimiser in t.optimisers.items():

        def step(rate: float, optimiser: Optimiser = optimiser, player: str = player) -> Tensor:
            for name, p in optimiser.members.items():
                assert p.grad is not None
                seen[f"{player}|{name}"] = p.grad.clone()
                p.grad = None
            return torch.zeros(())

        optimiser.step = step  # type: ignore[method-assign]
    logs = t.play()
    return seen | {f"log|{k}": v for k, v in logs.items()}


@pytest.mark.parametrize("case", ["plain", "dynamic", "vamp", "iwae", "tokens", "table", "two players"])
def test_micro_batches_give_the_same_gradient(case: str, tmp_path: Path) -> None:
    whole = gradients(tmp_path, None, **RESUMED[case])
    for micro in (12, 7, 1):
        split = gradients(tmp_path, micro, **RESUMED[case])
        assert split.keys() == whole.keys()
        for name, value in whole.items():
            assert close(split[name], value), (micro, name)


class graphs(Model):
    """Counts how many of its micro-batches are in memory at a time."""

    players: ClassVar[dict[str, str]] = {"model": "*"}
    alive: ClassVar[list[int]] = [0, 0]
    largest: ClassVar[int] = 1000

    def __init__(self, space: Space, labels: Vector | None = None, /) -> None:
        super().__init__()
        self.space, self.w = space, nn.Parameter(torch.ones(space.size))
        self.norm = nn.BatchNorm1d(space.size)

    def play(self, batch: Batch, step: int) -> Iterator[Turn]:
        if len(batch) > self.largest:
            raise torch.OutOfMemoryError(f"{len(batch)} rows do not fit")
        yield Turn("model", Held.apply(self.w, self.norm(batch.x.flatten(1))).mean())
        if len(batch) > self.largest - 1 and step == 2:
            raise torch.OutOfMemoryError("nor does the second turn")
        yield Turn("model", (self.w**2).sum())

    def review(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": batch.x.flatten(1).sum(1)}


class Held(torch.autograd.Function):
    """A product whose graph is counted from forward to backward."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        graphs.alive[0] += 1
        graphs.alive[1] = max(graphs.alive)
        return (w * x).sum(1)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        graphs.alive[0] -= 1
        (x,) = ctx.saved_tensors
        return (g[:, None] * x).sum(0), None


def test_micro_batches_save_memory(tmp_path: Path) -> None:
    """One graph lives at a time: what accumulation is for."""
    with on_the_shelf(graphs):
        graphs.alive[:] = [0, 0]
        run, data = make(tmp_path / "a", spec(model="graphs", micro=4, batch=20))
        training(run, data).play()
        assert graphs.alive == [0, 1]


def test_turns_that_depend_on_the_data_are_refused(tmp_path: Path) -> None:
    run, data = make(tmp_path / "a", spec(micro=10))
    t = training(run, data)
    real = t.model.play

    def play(batch: Batch, step: int) -> Iterator[Turn]:
        if batch.start == 0:
            yield from real(batch, step)

    t.model.play = play  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="depend on the data"):
        t.play()


# Memory ----------------------------------------------------------------------------------------------------------


def choke(t: Training, largest: int) -> None:
    """Batches of more than `largest` rows do not fit."""
    real = t.model.play

    def play(batch: Batch, step: int) -> Iterator[Turn]:
        for turn in real(batch, step):
            if len(batch) > largest:
                raise torch.OutOfMemoryError(f"{len(batch)} rows do not fit")
            yield turn

    t.model.play = play  # type: ignore[method-assign]


@pytest.mark.parametrize("model", [child.TINY, "duel"])
def test_out_of_memory_halves_the_micro_batch_and_keeps_the_step(model: Any, tmp_path: Path) -> None:
    run, data = make(tmp_path / "a", spec(model=model, batch=40))
    wanted = training(run, data)
    advance(wanted, 6)
    run, _ = make(tmp_path / "b", spec(model=model, batch=40), data)
    t = training(run, data)
    advance(t, 3)
    choke(t, 12)
    advance(t, 6)
    assert t.micro == 10
    for name, value in content(wanted).items():
        if not name.startswith("sum"):
            assert close(content(t)[name], value), name
    events = [r["event"] for r in run.log() if "event" in r]
    assert ["out of memory" in e for e in events] == [True, True]


def test_out_of_memory_half_way_through_a_step_takes_the_whole_step_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Players that moved, and statistics that were gathered, before the memory ran out."""
    seen = []
    for largest in (1000, 20):
        monkeypatch.setattr(graphs, "largest", largest)
        with on_the_shelf(graphs):
            run, data = make(tmp_path / f"{largest}", spec(model="graphs", batch=20))
            t = training(run, data)
            advance(t, 1)
            t.save()
            t.micro = 10 if largest == 1000 else 20
            advance(t, 5)
        assert t.micro == 10
        seen.append(content(t))
    assert same(*seen)
    assert int(seen[1]["model|norm.num_batches_tracked"]) == 9  # the first step in one piece, four steps in two


def test_out_of_memory_with_one_row_is_a_failure(tmp_path: Path) -> None:
    run, data = make(tmp_path / "a", spec(batch=8))
    t = training(run, data)
    choke(t, 0)
    with pytest.raises(Failure, match="one example at a time"):
        advance(t, 1)


def test_other_errors_of_torch_are_not_taken_for_a_lack_of_memory(tmp_path: Path) -> None:
    run, data = make(tmp_path / "a", spec(batch=8))
    t = training(run, data)
    t.model.play = lambda batch, step: (_ for _ in ()).throw(RuntimeError("shapes differ"))  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="shapes differ"):
        advance(t, 1)


# Players ---------------------------------------------------------------------------------------------------------


def test_each_player_moves_by_its_own_loss_alone(tmp_path: Path) -> None:
    run, data = make(tmp_path / "a", spec(model="duel", batch=16))
    t = training(run, data)
    assert {k: sorted(v) for k, v in t.team.items()} == {
        player: sorted(n for n, _ in t.model.named_parameters() if n.startswith(player))
        for player in ("judge", "forger")
    }
    batch = t.batches.at(0)
    with noise.source(noise.Noise(t.seed, "train", 0, batch.start, batch.total)):
        game = t.model.play(batch, 0)
        turn = next(game)
        want = torch.autograd.grad(turn.loss, list(t.team["judge"].values()))
    before = content(t)
    moved: list[set[str]] = []
    for player, optimiser in t.optimisers.items():
        real = optimiser.step

        def step(rate: float, real: Any = real, player: str = player) -> Tensor:
            if player == "judge":
                got = [p.grad for p in t.team["judge"].values()]
                assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))
            assert all(p.grad is None for n, p in t.model.named_parameters() if not n.startswith(player))
            old = {n: p.detach().clone() for n, p in t.model.named_parameters()}
            norm = real(rate)
            moved.append({n.partition(".")[0] for n, p in t.model.named_parameters() if not torch.equal(p, old[n])})
            return norm

        optimiser.step = step  # type: ignore[method-assign]
    logs = t.play()
    assert moved == [{"judge"}, {"forger"}]
    assert {"loss/judge", "loss/forger", "gradient/judge", "gradient/forger", "opinion"} == logs.keys()
    assert not same(before, content(t))


def test_a_duel_pulls_the_forger_to_the_data(tmp_path: Path) -> None:
    run, data = make(tmp_path / "a", spec(model="duel", data="blobs", batch=64, steps=150, lr=1e-2, log_every=150))
    t = training(run, data)
    before = {k: v.clone() for k, v in t.model.state_dict().items()}
    (record,) = [r for r in advance(t, 150) if r["step"] == 150]
    assert math.isfinite(record["loss/judge"])
    assert all(not torch.equal(before[k], v) for k, v in t.model.state_dict().items())
    with noise.source(noise.Noise(0)):
        fake = t.model.forger(torch.randn(500, 4, generator=torch.Generator().manual_seed(0)))
    assert float(fake.detach().mean(0).norm()) < 1.0


# What is not finite ----------------------------------------------------------------------------------------------


def poison(t: Training, where: str, steps: set[int], value: float) -> None:
    """Put `value` into the input, the loss, a gradient, a weight or a statistic at these steps ."""
    real_at, real_play = t.batches.at, t.model.play
    armed = set(steps)

    def at(step: int) -> Batch:
        batch = real_at(step)
        if where == "input" and step in armed:
            batch.x[3].fill_(value)
        if where == "weight" and step in armed:
            armed.discard(step)
            with torch.no_grad():
                next(t.model.parameters()).view(-1)[2] = value
        return batch

    def play(batch: Batch, step: int) -> Iterator[Turn]:
        for turn in real_play(batch, step):
            if step in armed and where == "loss":
                yield Turn(turn.player, turn.loss * value, log=turn.log)
            elif step in armed and where == "constant":
                yield Turn(turn.player, turn.loss + value, log=turn.log)
            elif step in armed and where == "gradient":
                w = next(t.model.parameters())
                hook = w.register_hook(lambda g: g.clone().fill_(value))
                yield turn
                hook.remove()
            elif step in armed and where == "log":
                yield Turn(turn.player, turn.loss, log={"rate": torch.tensor(value)})
            else:
                yield turn
        if step in armed and where == "statistic":
            armed.discard(step)
            for name, buffer in t.model.named_buffers():
                if name.endswith("running_var"):
                    buffer.view(-1)[0] = value

    t.batches.at, t.model.play = at, play  # type: ignore[method-assign]


def all_finite(tensors: dict[str, Tensor]) -> bool:
    return all(bool(torch.isfinite(v).all()) for v in tensors.values() if v.is_floating_point())


@pytest.mark.parametrize("every", [1, 5])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("where", ["input", "loss", "constant", "gradient", "weight", "log"])
def test_what_is_not_finite_never_stays(where: str, value: float, every: int, tmp_path: Path) -> None:
    run, data = make(tmp_path / "a", spec(model=BATCH_NORM, batch=16, steps=20, log_every=1))
    t = training(run, data)
    t.ask_every = every  # as on a GPU, where asking waits for the device
    advance(t, 4)
    t.save()
    good = content(t)
    poison(t, where, {6}, value)
    back = None
    for progress in train(t):
        if every == 1:
            assert all_finite(content(t)), progress.step
        if back is None and t.shunned:
            back = progress.step
            assert back == 5  # rolled back to 4, then one step
        if progress.step in (9, 13):
            t.save()
    assert t.step == 20
    assert t.shunned == [6]
    assert t.caution == 0.5
    assert all_finite(content(t))
    (event,) = [r["event"] for r in run.log() if "event" in r]
    assert "step 6 was not finite" in event
    for path in run.states():
        assert all_finite(child.disk.open_sealed(path)[0])
    assert all_finite(dict(run.model().state_dict()))
    # what follows the roll-back is what a sound run does that passes the step over at half the learning rate
    clean, _ = make(tmp_path / "b", spec(model=BATCH_NORM, batch=16, steps=20, log_every=1), data)
    c = training(clean, data)
    advance(c, 4)
    assert same(content(c), good)
    c.shunned, c.caution = [6], 0.5
    advance(c, 20)
    assert same(content(c), content(t))


def test_a_broken_statistic_never_reaches_a_state(tmp_path: Path) -> None:
    run, data = make(tmp_path / "a", spec(model=BATCH_NORM, batch=16, steps=12))
    t = training(run, data)
    advance(t, 4)
    t.save()
    poison(t, "statistic", {6}, float("nan"))
    advance(t, 8)
    t.save()  # refuses, and goes back
    assert t.step == 4
    assert t.caution == 0.5
    advance(t, 12)
    t.save()
    assert all_finite(child.disk.open_sealed(run.states()[0])[0])


def test_after_three_roll_backs_training_fails_and_names_the_step(tmp_path: Path) -> None:
    run, data = make(tmp_path / "a", spec(batch=16, steps=20))
    t = training(run, data)
    advance(t, 2)
    t.save()
    poison(t, "loss", {5, 6, 7, 8}, float("nan"))
    with pytest.raises(Failure, match=r"step 8 .*loss/model = nan.*after 3 attempts.*train\.lr"):
        advance(t, 20)
    assert t.caution == 0.125
    assert run.states()[0].stem.endswith("000000002")
    assert all_finite(child.disk.open_sealed(run.states()[0])[0])


def test_a_roll_back_without_a_state_begins_again(tmp_path: Path) -> None:
    run, data = make(tmp_path / "a", spec(batch=16, steps=10, model=BATCH_NORM))
    t = training(run, data)
    poison(t, "input", {3}, float("nan"))
    advance(t, 10)
    clean, _ = make(tmp_path / "b", spec(batch=16, steps=10, model=BATCH_NORM), data)
    c = training(clean, data)
    c.shunned, c.caution = [3], 0.5
    advance(c, 10)
    assert same(content(c), content(t))


def test_the_last_step_may_break_too(tmp_path: Path) -> None:
    run, data = make(tmp_path / "a", spec(batch=16, steps=7))
    t = training(run, data)
    t.ask_every = 100
    advance(t, 1)
    t.save()
    poison(t, "loss", {6}, float("nan"))
    assert [p.step for p in train(t)][-1] == 6  # the seventh was passed over
    assert t.step == 7
    assert t.shunned == [6]
    assert all_finite(content(t))


# The optimiser and the average -----------------------------------------------------------------------------------


def members() -> dict[str, nn.Parameter]:
    g = torch.Generator().manual_seed(0)
    return {name: nn.Parameter(torch.randn(*size, generator=g)) for name, size in {"w": (5, 4), "b": (4,)}.items()}


@pytest.mark.parametrize("clip", [None, 0.5, 1e6])
def test_the_fused_step_is_adamw_with_torchs_own_clipping(clip: float | None) -> None:
    ours, theirs = members(), members()
    optimiser = Optimiser(ours, betas=(0.8, 0.99), decay=0.1, clip=clip)
    groups = [{"params": [theirs["w"]], "weight_decay": 0.1}, {"params": [theirs["b"]], "weight_decay": 0.0}]
    adam = torch.optim.AdamW(groups, lr=1e-2, betas=(0.8, 0.99), eps=1e-8)
    g = torch.Generator().manual_seed(1)
    for step in range(6):
        for name in ours:
            gradient = torch.randn(ours[name].shape, generator=g) * 10 ** (step - 3)
            ours[name].grad, theirs[name].grad = gradient.clone(), gradient.clone()
        limit = clip if clip is not None else math.inf
        norm = torch.nn.utils.clip_grad_norm_(list(theirs.values()), limit)
        said = optimiser.step(1e-2)
        adam.step()
        assert torch.allclose(said, norm)
        for name in ours:
            assert torch.allclose(ours[name], theirs[name], rtol=1e-5, atol=1e-7), (step, name)


def test_an_update_that_is_not_finite_moves_nothing() -> None:
    ours = members()
    optimiser = Optimiser(ours, decay=0.1, clip=1.0)
    for p in ours.values():
        p.grad = torch.ones_like(p)
    optimiser.step(1e-2)
    before = {k: v.clone() for k, v in optimiser.state().items()} | {k: p.detach().clone() for k, p in ours.items()}
    for value in (math.nan, math.inf):
        for p in ours.values():
            p.grad = torch.ones_like(p)
        ours["b"].grad[1] = value
        assert not math.isfinite(float(optimiser.step(1e-2)))
        assert same(optimiser.state() | {k: p.detach() for k, p in ours.items()}, before)


def test_a_gradient_that_is_too_large_is_left_out() -> None:
    ours = members()
    optimiser, before = Optimiser(ours, skip=10.0), {k: p.detach().clone() for k, p in ours.items()}
    for size, moves in ((3.0, False), (1.0, True)):  # of 24 numbers: norms of 14.7 and 4.9
        for p in ours.values():
            p.grad = torch.full_like(p, size)
        optimiser.step(1e-2)
        assert moves != same({k: p.detach() for k, p in ours.items()}, before)
    assert {float(moments["step"]) for moments in optimiser.moments.values()} == {1.0}


def test_moments_of_another_model_are_refused() -> None:
    optimiser = Optimiser(members())
    state = {k: v.clone() for k, v in optimiser.state().items()}
    optimiser.load(state)
    for bad in (
        {k: v for k, v in state.items() if k != "w|exp_avg"},
        state | {"x|step": torch.zeros(())},
        state | {"b|exp_avg": torch.zeros(1)},
        state | {"b|exp_avg_sq": torch.full((4,), math.nan)},
    ):
        with pytest.raises(UserError, match="moments"):
            optimiser.load(bad)


class one(Model):
    """One number and one statistic."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([value]))
        self.register_buffer("seen", torch.tensor([value]))


def test_the_average_has_its_known_answer() -> None:
    """(1 + t) / (10 + t) of the old at first, then `decay`; statistics are copied."""
    model, mean = one(0.0), one(0.0)
    average, wanted = Average(model, mean, 0.5), 0.0
    for step in range(12):
        model.w.data.fill_(float(step + 1))
        model.seen.fill_(float(step + 1))
        keep = min(0.5, (1 + step) / (10 + step))
        wanted = keep * wanted + (1 - keep) * (step + 1)
        average.update(step)
        assert mean.w.item() == pytest.approx(wanted, rel=1e-6)
        assert float(mean.seen) == step + 1
    assert mean.w.item() != model.w.item()


# The plan --------------------------------------------------------------------------------------------------------


def test_the_learning_rate_has_known_values() -> None:
    assert [learning_rate(1.0, 0.0, s, 4, 0.1) for s in (0, 1, 2, 3, 4)] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert [learning_rate(2.0, f, 10**6, 4, 0.1) for f in (0, 0.5, 1, 2)] == pytest.approx([2.0, 1.1, 0.2, 0.2])
    assert learning_rate(1.0, 1 / 3, 10**6, 0, 0.0) == pytest.approx(0.75)
    rates = [learning_rate(1.0, s / 100, s, 10, 0.01) for s in range(101)]
    assert rates[:9] == sorted(rates[:9])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    plan = Plan(lr={"judge": 0.5}, warmup=0)
    assert plan.rate("judge", 0.0, 0) == 0.5
    assert plan.rate("forger", 0.0, 0) == 1e-3


@pytest.mark.parametrize("steps", [1, 10, 40, 137, 1000, 20_000])
def test_a_short_plan_is_not_spent_on_warming_up_and_the_average_keeps_up_with_it(steps: int) -> None:
    plan = Plan(steps=steps, floor=1.0)
    rates = [plan.rate("model", plan.fraction(step, steps, 0.0), step) for step in range(steps)]
    late = [step for step, rate in enumerate(rates) if rate < 1e-3]
    assert len(late) <= max(1, math.ceil(0.02 * steps))  # the first step has no second moment to go by, and is small
    assert late == list(range(len(late)))
    assert Plan(minutes=3.0, floor=1.0).rate("model", 0.02, 3) == 1e-3  # there the clock says how far it is
    model, mean = one(0.0), one(0.0)
    average = Average(model, mean, plan.ema)
    for step in range(steps):
        model.w.data.fill_(float(step + 1))
        average.update(step)
    assert steps - mean.w.item() <= max(2.0, steps / 8)  # weights of the last eighth of the plan, on average


def test_a_warm_up_that_was_asked_for_is_that_long() -> None:
    plan = Plan(steps=40, warmup=20, floor=1.0)
    assert [plan.rate("model", s / 40, s) for s in (0, 9, 19, 39)] == pytest.approx([5e-5, 5e-4, 1e-3, 1e-3])


def test_steps_epochs_and_minutes_end_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = open_data("digits")
    examples = len(data.splits["train"])
    run, _ = make(tmp_path / "steps", spec(steps=5), data)
    assert [p.step for p in train(training(run, data))] == [1, 2, 3, 4, 5]
    tree = spec(batch=100)
    tree["train"] = Plan.complete({"epochs": 0.5, "batch": 100, "log_every": 1})
    run, _ = make(tmp_path / "epochs", tree, data)
    assert [p.step for p in train(training(run, data))][-1] == round(examples / 200)
    assert Plan().limit(10) == 20_000
    assert Plan.complete({})["steps"] == 20_000
    assert "steps" not in Plan.complete({"minutes": 2.0})
    ticks = itertools.count()
    monkeypatch.setattr(
        loop.time, "perf_counter", lambda: 0.5 * next(ticks)
    )  # every look at the clock costs half a second
    tree["train"] = Plan.complete({"minutes": 0.2, "log_every": 1, "batch": 10})
    run, _ = make(tmp_path / "minutes", tree, data)
    t = training(run, data)
    fractions = [p.fraction for p in train(t)]
    assert len(fractions) in (11, 12, 13)  # a second a step
    assert fractions == sorted(fractions)
    assert fractions[-1] >= 1 - 1 / 12
    assert t.elapsed >= 12
    t.save()
    again = training(Run.open(run.path), data)
    assert again.fraction >= 1
    assert again.elapsed == t.elapsed


@pytest.mark.parametrize(
    "table",
    [
        {"steps": 0}, {"steps": 3, "epochs": 1.0}, {"minutes": math.nan}, {"epochs": math.inf}, {"batch": 0},
        {"lr": 0.0}, {"lr": -1.0}, {"lr": math.nan}, {"lr": {"model": math.inf}}, {"warmup": -1}, {"clip": 0.0},
        {"micro": 0}, {"save_every": 0}, {"validate_every": 0}, {"patience": 0}, {"ema": 1.0}, {"ema": -0.1},
        {"betas": [0.9, 1.0]}, {"decay": -1.0}, {"overfit": -2},
        {"setps": 3}, {"steps": "many"}, {"track": ["evil"]},
    ],
)  # fmt: skip
def test_plans_that_make_no_sense_are_refused(table: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(table))):
        Plan.from_recipe(table)


def fitted(path: Path, data: Dataset | None = None, **plan: Any) -> tuple[Run, dict[str, Any]]:
    run, data = make(path, spec(**plan), data)
    return run, session.fit(run, data, quiet=True)


def test_patience_ends_a_run_and_keeps_the_best_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([5.0, 3.0, 4.0, math.nan, 3.5, 9.0])
    kept: dict[int, dict[str, Tensor]] = {}

    def review(model: Model, *rest: Any) -> dict[str, float]:
        kept[len(kept)] = {k: v.clone() for k, v in model.state_dict().items()}
        return {"loss": next(losses)}

    monkeypatch.setattr(session, "review", review)
    run, facts = fitted(tmp_path / "a", steps=50, validate_every=2, patience=3)
    assert facts["step"] == 10  # looks at 2, 4 (the best), 6, 8, 10
    assert same(dict(run.model().state_dict()), kept[1])
    state = run.load_state()
    assert state is not None
    assert state[1]["best"] == 3.0
    assert state[1]["finished"] is True
    assert session.fit(Run.open(run.path), quiet=True)["step"] == 10  # finished stays finished
    assert same(dict(run.model().state_dict()), kept[1])


def test_patience_survives_a_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def review(model: Model, *rest: Any) -> dict[str, float]:
        return {"loss": float(sum(p.double().abs().sum() for p in model.parameters()))}  # grows as weights do

    monkeypatch.setattr(session, "review", review)
    plan = {"steps": 60, "validate_every": 2, "save_every": 3, "patience": 4, "lr": 0.05}
    whole, facts = fitted(tmp_path / "a", **plan)
    run, data = make(tmp_path / "b", spec(**plan))
    for _ in range(40):
        sitting = session.Session(run, data, Ranks(), [1], True)  # asked to stop: one step a sitting
        said = sitting.go()
        if not said["stopped"]:
            break
    assert said["step"] == facts["step"] < 60
    assert same(child.final(run.path), child.final(whole.path))


def test_patience_needs_something_to_wait_for(tmp_path: Path) -> None:
    data = open_data("digits")
    alone = Dataset("digits", data.space, {"train": data.splits["train"]}, data.fingerprint, data.classes)
    with pytest.raises(UserError, match="patience"):
        fitted(tmp_path / "a", alone, patience=2)
    _, facts = fitted(tmp_path / "b", alone, steps=3)
    assert facts["step"] == 3


def test_overfit_trains_on_a_few_examples_as_they_are(tmp_path: Path) -> None:
    data = open_data(DYNAMIC)
    run, _ = make(tmp_path / "a", spec(data=DYNAMIC, overfit=4, steps=30, batch=20), data)
    sitting = session.Session(run, data, Ranks(), [], True)
    t = sitting.training
    assert t.batch == 4
    first, second = t.batches.at(0).x, data.space.read(data.splits["train"].x.gather(torch.arange(4)))
    assert {float(v) for v in first.unique()} == {0.0, 1.0}  # the view of the data stays
    assert len(second) == 4
    sitting.go()
    losses = [r["loss/model"] for r in run.log() if "loss/model" in r]
    assert losses[-1] < 0.8 * losses[0]
    run, _ = make(tmp_path / "b", spec(overfit=40, steps=2, batch=20))
    t = session.Session(run, open_data("digits"), Ranks(), [], True).training
    seen = []
    real = t.batches.at
    t.batches.at = lambda step: (seen.append(step), real(step))[1]  # type: ignore[method-assign]
    advance(t, 2)
    assert seen == [0, 1]  # all forty are seen


def test_a_larger_batch_than_there_are_examples_is_cut(tmp_path: Path) -> None:
    run, data = make(tmp_path / "a", spec(batch=10**6, steps=1))
    t = training(run, data)
    assert t.batch == len(data.splits["train"])
    advance(t, 1)


# Machines, data, seeds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("leaf", "word"),
    [
        ("precision=float16", "precision"),
        ("precision=3", "precision"),
        ("device=gpu0", "device"),
        ("device=cuda:7", "device"),
        ("device=meta", "device"),
        ("seed=-1", "seed"),
        ("seed=1.5", "seed"),
        ("seed=true", "seed"),
        ("train.batch=0", "batch"),
        ("model.latnet=3", "latent"),
        ("modle.latent=3", "model"),
        ("data.use=digist", "digits"),
        ('train.track=["wandb"]', "track"),
    ],
)
def test_mistakes_are_named_before_anything_runs(leaf: str, word: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=word):
        session.start("vae", "digits", [leaf], tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_precision_is_what_was_asked(tmp_path: Path) -> None:
    cpu = torch.device("cpu")
    assert machine.choose_precision("float32", cpu) == torch.float32
    assert machine.choose_precision("bfloat16", cpu) == torch.bfloat16
    seen = set()
    for precision in ("float32", "bfloat16"):
        run, data = make(tmp_path / precision, spec(precision=precision))
        t = training(run, data)
        layer = next(m for m in t.model.modules() if isinstance(m, nn.Linear))
        layer.register_forward_hook(lambda m, i, o: seen.add(o.dtype))
        t.play()
        assert all(p.dtype == torch.float32 for p in t.model.parameters())
    assert seen == {torch.float32, torch.bfloat16}


def test_data_that_changed_since_is_refused(tmp_path: Path) -> None:
    run, data = make(tmp_path / "a", spec(steps=2))
    session.fit(run, data, quiet=True)
    other = Dataset(data.name, data.space, data.splits, "0" * 64, data.classes)
    with pytest.raises(UserError, match="data has changed"):
        session.fit(Run.open(run.path), other, quiet=True)
    x = data.splits["train"].x.gather(torch.arange(100))
    x[5, 0, 0, 0] += 1
    splits = data.splits | {"train": Split(MemoryStore(x), data.splits["train"].y[:100])}
    from morphogen.data.stamp import dataset_of

    a, b = (
        dataset_of("a", data.space, {"train": (v, None)}, {}).fingerprint
        for v in (x, splits["train"].x.gather(torch.arange(100)).flip(0))
    )
    assert a != b


def test_other_seeds_give_other_weights_and_the_global_generator_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    finals = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        run, data = make(tmp_path / name, spec(seed=seed))
        t = training(run, data)
        advance(t, 3)
        finals.append(content(t))
        torch.rand(7)
    torch.manual_seed(5)
    assert torch.equal(before, torch.get_rng_state())
    assert same(finals[0], finals[1])
    assert not same(finals[0], finals[2])


def test_the_same_seed_gives_the_same_weights_anywhere(tmp_path: Path) -> None:
    """Other hash seeds, working directories, locales, time zones, umasks."""
    states = []
    running = []
    for number, (hashes, locale, zone) in enumerate(
        (("0", "C", "UTC"), ("7", "C.UTF-8", "Asia/Tokyo"), ("random", "tr_TR", "")[:3:])
    ):
        where = tmp_path / f"cwd-{number}"
        where.mkdir()
        run, _ = make(tmp_path / f"run-{number}", spec(steps=4, data=DYNAMIC, model=BATCH_NORM))
        running.append((run, subprocess.Popen(
            [sys.executable, "-W", "error", child.__file__, "fit", str(run.path)], cwd=where, stderr=subprocess.PIPE,
            env=child.environment(PYTHONHASHSEED=hashes, LC_ALL=locale, LANG=locale, TZ=zone),
        )))  # fmt: skip
    for run, process in running:
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors[-2000:]
        states.append(child.final(run.path))
    here, data = make(tmp_path / "here", spec(steps=4, data=DYNAMIC, model=BATCH_NORM))
    session.fit(here, data, quiet=True)
    assert all(same(s, child.final(here.path)) for s in states)
    print(f"{len(states) + 1}/{len(states) + 1} identical")


# Signals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_and_stops_and_resuming_is_exact(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = {"steps": 12, "save_every": 5, "validate_every": 4}
    whole, _ = fitted(tmp_path / "whole", **plan)
    run, data = make(tmp_path / "run", spec(**plan))
    before = signal.getsignal(number)
    real = Training.play
    at = 7

    def play(self: Training) -> dict[str, Tensor]:
        if self.step == at:
            os.kill(os.getpid(), number)
        return real(self)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "play", play)
        facts = session.fit(run, data, quiet=True)
    assert facts["stopped"] is True
    assert facts["step"] == 8  # the step was finished
    assert run.states()[0].stem == "step-000000008"
    assert signal.getsignal(number) is before
    assert session.fit(Run.open(run.path), quiet=True)["stopped"] is False
    assert same(child.final(run.path), child.final(whole.path))


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    run, _ = make(tmp_path / "run", spec(steps=10**6, save_every=3, validate_every=10**6))
    code = (
        "import os, signal, sys; import child; from morphogen.train import Training; real = Training.play\n"
        "def play(self):\n"
        "    if self.step == 5: os.kill(os.getpid(), signal.SIGTERM); os.kill(os.getpid(), signal.SIGINT)\n"
        "    return real(self)\n"
        "Training.play = play; child.fit(sys.argv[1])\n"
    )
    path = os.pathsep.join([child.environment()["PYTHONPATH"], str(Path(child.__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-c", code, str(run.path)], env=child.environment(PYTHONPATH=path), timeout=200, check=False
    )
    assert done.returncode == 128 + signal.SIGINT
    assert Run.open(run.path).states()[0].stem == "step-000000003"  # the last good one
    assert training(Run.open(run.path), open_data("digits")).step == 3


# Recipes ---------------------------------------------------------------------------------------------------------

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
leaf = (
    text
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_subnormal=False)
    | st.just("a\x00\x1f\x7f\u2028\\\"'\n\r\t")
)
tables = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=12
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(recipe.TOP), tables, max_size=4))
def test_recipes_survive_being_written(tmp_path_factory: pytest.TempPathFactory, tree: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("toml") / "r.toml"
    path.write_text(recipe.to_toml(tree), encoding="utf-8", newline="")
    assert recipe.read(path) == tree


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["model.latent", "train.lr", "seed", "data.path", "model.net.widths", "model.terms.0.weight"]),
    st.text(),
)
def test_any_leaf_is_taken_or_refused(tmp_path_factory: pytest.TempPathFactory, key: str, value: str) -> None:
    base = {"model": {"use": "vae", "terms": ["distortion", {"use": "rate"}]}, "data": {"use": "digits"}}
    try:
        tree = recipe.change(base, [f"{key}={value}"])
        written = recipe.to_toml(tree)
        said = written.encode()
    except UserError:
        return
    path = tmp_path_factory.mktemp("toml") / "r.toml"
    path.write_bytes(said)
    again = recipe.read(path)
    assert again == tree or "nan" in written
    assert base == {"model": {"use": "vae", "terms": ["distortion", {"use": "rate"}]}, "data": {"use": "digits"}}


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30))
def test_any_words_of_the_command_line_are_taken_or_refused(words: str) -> None:
    with contextlib.suppress(UserError):
        recipe.to_toml(recipe.change({"model": "vae", "train": {"steps": 1}}, [words]))


def test_leaves_change_what_they_name() -> None:
    base = {"model": "vae", "train": {"steps": 5}}
    tree = recipe.change(base, ["model.latent=64", "train.lr=1e-4", "seed=7", "model.net=conv", "model.net.width=8"])
    assert tree == {
        "model": {"use": "vae", "latent": 64, "net": {"use": "conv", "width": 8}},
        "train": {"steps": 5, "lr": 1e-4},
        "seed": 7,
    }
    assert base == {"model": "vae", "train": {"steps": 5}}
    terms = {"model": {"use": "vae", "terms": ["distortion", "rate"]}}
    assert recipe.change(terms, ["model.terms.1.weight=4"])["model"]["terms"][1] == {"use": "rate", "weight": 4}
    for bad in (
        "model.terms.2.weight=4",
        "model.terms.²=4",
        "model.use.x.y=1",
        "latent=4",
        "model.latent",
        "=3",
        "seed.x=1",
    ):
        with pytest.raises(UserError):
            recipe.change(
                recipe.change(terms, ["seed=1", "model.use=vae"])
                if bad != "model.use.x.y=1"
                else {"model": {"use": 3}},
                [bad],
            )


@pytest.mark.parametrize(
    ("written", "word"),
    [
        ("modle = 'vae'", "did you mean 'model'"),
        ("model = " + "[" * 5000, "not TOML|deep"),
        ("model" + ".a" * 5000 + " = 1", "levels deep"),
        ("model = " + "[" * 40 + "]" * 40, "levels deep"),
        ("seed = " + "9" * 5000, "not TOML"),
        ("a = 1\na = 2", "not TOML"),
        ("\ufeffseed = 1", "not TOML"),
        ("seed = 1 # " + "x" * (1 << 20), "larger than any recipe"),
        ("[model]\n_target_ = 'os.system'\nuse = 'vae'", "_target_"),
        ("model = { use = 'os:system' }", "holds no 'os:system'"),
    ],
)
def test_hostile_recipes_are_refused_with_words(written: str, word: str, tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(written, encoding="utf-8")
    with pytest.raises(UserError, match=word):
        session.complete(path, "digits", [])


def test_every_shipped_recipe_is_sound() -> None:
    for name in recipe.names():
        tree = recipe.find(name)
        assert recipe.summary(name), name
        assert child.build.part("models", tree["model"]).spec["use"]
        assert Plan.complete(tree.get("train", {}))


def test_the_log_is_json_with_finite_numbers(tmp_path: Path) -> None:
    run, facts = fitted(tmp_path / "a", steps=6, validate_every=3)
    lines = (run.path / "log.jsonl").read_text().splitlines()
    records = [json.loads(line, parse_constant=lambda c: pytest.fail(c)) for line in lines]
    assert [r["step"] for r in records if "loss/model" in r] == [1, 2, 3, 4, 5, 6]
    assert all(r["loss/model"] == pytest.approx(r["rate"] + r["distortion"], rel=1e-5) for r in records if "rate" in r)
    assert facts["valid"]["loss"] == pytest.approx(facts["valid"]["rate"] + facts["valid"]["distortion"])


def test_batch_norm_of_one_number_is_refused_with_a_remedy(tmp_path: Path) -> None:
    """What torch calls an unexpected value has a name and a remedy."""
    t = training(*make(tmp_path / "run", spec(model=BATCH_NORM, micro=1)))
    with pytest.raises(UserError, match="norm=none"):
        advance(t, 1)
