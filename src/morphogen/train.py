"""The loop, one for everything: a generator of Progress.

The caller shows, samples, validates, saves and stops; there are no callbacks. A step is a pure function of (weights,
seed, step): batches and noise are counted, not remembered, so a resumed run is bit for bit the uninterrupted one.
"""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from morphogen import machine
from morphogen.compiled import CompiledStep, NotCompilable, worth_compiling
from morphogen.core import noise
from morphogen.core.batch import Batch
from morphogen.core.model import Model, Turn, teams
from morphogen.core.noise import Noise
from morphogen.data.batches import Batches
from morphogen.data.dataset import Dataset
from morphogen.errors import UserError
from morphogen.optim import Average, Optimiser
from morphogen.plan import Plan
from morphogen.ranks import Ranks
from morphogen.records import Records
from morphogen.recovery import NEVER, Recovery, out_of_memory
from morphogen.run import Run, fill
from morphogen.run_checks import check_state
from morphogen.starting import as_told, begin

__all__ = ["Progress", "Training", "train"]

KEPT = ("step", "elapsed", "caution", "shunned", "micro", "counted")


@dataclass(frozen=True)
class Progress:
    """Where training stands after a step; `record` is there when it was time to write one."""

    step: int
    fraction: float
    record: dict[str, float] | None


class Training(Recovery, Records):
    """Everything that changes while a run is trained, and nothing else."""

    def __init__(self, run: Run, data: Dataset, ranks: Ranks, asked: Sequence[int] = ()) -> None:
        machine.prepare()
        self.run, self.ranks = run, ranks
        self.seed = int(run.recipe["seed"])
        self.plan = Plan.from_recipe(run.recipe["train"])
        self.precision = machine.choose_precision(run.recipe["precision"], ranks.device)
        self.model: Model = run.build().to(ranks.device)
        if not run.states():
            begin(self.model, data, self.plan.start)
        self.data = as_told(self.model, data)
        self.team = teams(self.model)
        averaged = copy.deepcopy(self.model).requires_grad_(False) if self.plan.ema else self.model
        self.average = Average(self.model, averaged, self.plan.ema)
        self.optimisers = {
            player: Optimiser(
                members, betas=self.plan.betas, decay=self.plan.decay, clip=self.plan.clip, skip=self.plan.skip
            )
            for player, members in self.team.items()
        }
        examples = len(data.splits["train"])
        self.batch = min(self.plan.batch, examples)
        self.batches = Batches(
            self.data, "train", self.batch, seed=self.seed, device=ranks.device, rank=ranks.rank, world=ranks.world,
            labelled=self.plan.labelled,
        )  # fmt: skip
        self.limit = self.plan.limit(examples)
        share = -(-self.batch // ranks.world)
        self.micro = min(self.plan.micro or share, share)
        self.step, self.elapsed, self.caution = 0, 0.0, 1.0
        self.shunned: list[int] = []
        self.sums: dict[str, Tensor] = {}
        self.counted = 0
        self.program: CompiledStep | None = None
        self.aside, self.asked = 0.0, asked  # seconds of this step that are none of training; who asked to stop
        self.compiling = (
            ranks.world == 1
            and data.splits["train"].guesses is None
            and worth_compiling(self.plan.compile, self.limit, self.plan.minutes, ranks.device)
        )
        self.ask_every = 1 if ranks.device.type == "cpu" else self.plan.log_every  # asking a GPU means waiting for it
        self.broken = torch.full((), NEVER, device=ranks.device)

    # What a resumed run needs -----------------------------------------------------------------------------------

    def tensors(self) -> dict[str, Tensor]:
        """Weights, averages, moments, and the sums of the record under way."""
        said = {f"model|{k}": v for k, v in self.model.state_dict().items()}
        if self.average.average is not self.model:
            said |= {f"average|{k}": v for k, v in self.average.average.state_dict().items()}
        for player, optimiser in self.optimisers.items():
            said |= {f"optimiser|{player}|{k}": v for k, v in optimiser.state().items()}
        return said | {f"sum|{k}": v for k, v in self.sums.items()}

    def facts(self) -> dict[str, Any]:
        """The numbers beside the tensors."""
        return {
            "step": self.step,
            "elapsed": self.elapsed,
            "caution": self.caution,
            "shunned": self.shunned,
            "micro": self.micro,
            "counted": self.counted,
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
        }

    def save(self, *, weights: bool = True, **facts: Any) -> None:
        """A state to resume from and, unless better ones are kept, the weights for use; nothing that is broken."""
        if not self.sound(thoroughly=True):
            self.roll_back()
            return
        try:
            if self.ranks.rank == 0:
                if weights:
                    self.run.save_weights(self.average.average, {"step": self.step})
                self.run.save_state(self.step, self.tensors(), self.facts() | facts)
        finally:
            self.ranks.wait()

    def resume(self) -> dict[str, Any]:
        """Go on from the newest state that verifies; its facts, or none where the run is fresh."""
        state = self.run.load_state()
        self.ranks.agree("saved state", hashlib.sha256(str(state and state[1]["step"]).encode()).hexdigest())
        if state is None:
            return {}
        tensors, facts = state
        groups: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            kind, _, rest = name.partition("|")
            groups.setdefault(kind, {})[rest] = tensor
        where = self.run.path / "state"
        check_state(facts, KEPT, where)
        fill(self.model, groups.pop("model", {}), where)
        if self.average.average is not self.model:
            fill(self.average.average, groups.pop("average", {}), where)
        moments = groups.pop("optimiser", {})
        for player, optimiser in self.optimisers.items():
            optimiser.load({k.partition("|")[2]: v for k, v in moments.items() if k.partition("|")[0] == player})
        self.sums = {k: v.to(self.ranks.device) for k, v in groups.pop("sum", {}).items()}
        for kind in groups:
            raise UserError(
                f"{where}: the state of step {facts['step']} holds {kind!r}, which this recipe does not need"
            )
        for name in KEPT:
            setattr(self, name, facts[name])
        self.broken.fill_(NEVER)
        if self.ranks.rank == 0:
            self.run.forget_after(self.step, facts.get("valid"))
        return facts

    # One step ---------------------------------------------------------------------------------------------------

    @property
    def fraction(self) -> float:
        """How much of the plan is behind us."""
        elapsed = self.elapsed if self.limit is not None else self.ranks.first(self.elapsed)
        return self.plan.fraction(self.step, self.limit, elapsed)

    def play(self) -> dict[str, Tensor]:
        """The turns of one step, each loss sent back to its own player and to nobody else."""
        if not self.model.training:  # asked of every module of the model, at each step, for nothing
            self.model.train()
        batch = self.batches.at(self.step % max(1, len(self.batches) // self.batch) if self.plan.overfit else self.step)
        if self.compiling:
            self._compile(batch)
        if self.program is not None:
            self.moved = True
            return self.program(
                batch, self.step, self.caution * self.plan.rate(self.program.player, self.fraction, self.step)
            )
        whole = batch.total or len(batch)
        shares = [batch] if len(batch) <= self.micro else batch.shares(self.micro)
        games = [(self._game(share), len(share) / whole) for share in shares]
        logs: dict[str, Tensor] = {}
        fraction, self.moved = self.fraction, False
        said: dict[str, Tensor] = {}
        while (player := self._turn(games, said)) is not None:
            members = self.team[player]
            self.ranks.sum_([*(p.grad for p in members.values() if p.grad is not None), *said.values()])
            rate = self.caution * self.plan.rate(player, fraction, self.step)
            self.moved = True
            logs |= said | {f"gradient/{player}": self.optimisers[player].step(rate)}
            said.clear()
        return logs

    def _compile(self, batch: Batch) -> None:
        """Make the whole step one program, once; what cannot be compiled goes on as it is."""
        self.compiling, began = False, time.perf_counter()
        (player, *_), context = self.team, partial(machine.autocast, self.ranks.device, self.precision, cache=False)
        try:
            if len(batch) > self.micro:
                raise NotCompilable("the batch is played in parts")
            self.program = CompiledStep(self.model, self.optimisers[player], context, batch, self.seed)
        except Exception as error:  # a compiler fails in more ways than can be named
            if not self.asked:  # asked to stop, the compiler stops as well, which is no fault of its
                why = str(error).strip().splitlines() or [type(error).__name__]
                self.run.complain(f"not compiled, which costs speed and nothing else: {why[0][:300]}", self.step)
        self.aside += time.perf_counter() - began

    def _turn(self, games: list[tuple[Iterator[Turn], float]], said: dict[str, Tensor]) -> str | None:
        """One turn of every micro-batch, each sent back before the next one is thought of: one graph at a time."""
        players: set[str | None] = set()
        for game, weight in games:
            turn = next(game, None)
            players.add(turn.player if turn else None)
            if turn is None:
                continue
            (turn.loss * weight if weight != 1 else turn.loss).backward(  # type: ignore[no-untyped-call]
                inputs=list(self.team[turn.player].values()), retain_graph=turn.keep
            )
            for name, value in {f"loss/{turn.player}": turn.loss.detach(), **turn.log}.items():
                said[name] = said[name] + value * weight if name in said else value * weight
        if len(players) > 1:
            raise ValueError(
                f"the turns of {type(self.model).__name__} depend on the data; let them depend on the step"
            )
        return players.pop()

    def _game(self, share: Batch) -> Iterator[Turn]:
        """The model's turns on one share; the context is there while the model thinks, never while it waits."""
        source = Noise(self.seed, "train", self.step, share.start, share.total)
        game = self.model.play(share, self.step)
        while True:
            with noise.source(source), machine.autocast(self.ranks.device, self.precision):
                turn = next(game, None)
            if turn is None:
                return
            yield turn


def train(training: Training) -> Iterator[Progress]:
    """Play steps until the plan is fulfilled or the caller stops asking."""
    began = last = time.perf_counter()
    while not training.over():
        if training.step in training.shunned:
            training.step += 1
            continue
        try:
            logs = training.play()
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            training.halve(error)
            continue
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise UserError("batch norm needs at least two values per channel; add data, or set norm=none") from None
        training.watch(logs)
        if training.step % training.ask_every == 0 and not training.sound():
            training.roll_back(logs)
            began = last = time.perf_counter()
            continue
        training.average.update(training.step)
        training.step += 1
        now = time.perf_counter()
        training.elapsed += now - last - training.aside
        last, began, training.aside = now, began + training.aside, 0.0
        record = training.record(logs, now - began)
        if record is not None:
            began = now
            training.log(record)
        yield Progress(training.step, training.fraction, record)
        paused = time.perf_counter()  # the time that the caller takes counts against a budget, but not as speed
        training.elapsed += paused - last
        began, last = began + paused - last, paused
    if training.counted:  # a plan of minutes may end in the time that the caller took
        record = training.recorded(last - began)
        training.log(record)
        yield Progress(training.step, training.fraction, record)
