"""The loop, one for everything: a generator of Progress.

The caller shows, samples, validates, saves and stops; there are no callbacks. A step is a pure function of (weights,
seed, step): batches and noise are counted, not remembered, so a resumed run is bit for bit the uninterrupted one.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from morphogen import machine
from morphogen.core import noise
from morphogen.core.batch import Batch
from morphogen.core.model import Model, Turn, teams
from morphogen.core.noise import Noise
from morphogen.data.batches import Batches
from morphogen.data.dataset import Dataset
from morphogen.errors import Failure
from morphogen.optim import Average, Optimiser
from morphogen.plan import Plan
from morphogen.ranks import Ranks
from morphogen.run import Run, fill

__all__ = ["Progress", "Training", "train"]

ROLL_BACKS = 3


@dataclass(frozen=True)
class Progress:
    """Where training stands after a step; `record` is there when it was time to write one."""

    step: int
    fraction: float
    record: dict[str, float] | None


class Training:
    """Everything that changes while a run is trained, and nothing else."""

    def __init__(self, run: Run, data: Dataset, ranks: Ranks) -> None:
        machine.prepare()
        self.run, self.data, self.ranks = run, data, ranks
        self.seed = int(run.recipe["seed"])
        self.plan = Plan.from_recipe(run.recipe["train"])
        self.precision = machine.choose_precision(run.recipe["precision"], ranks.device)
        self.model: Model = run.build().to(ranks.device)
        self.team = teams(self.model)
        averaged = copy.deepcopy(self.model).requires_grad_(False) if self.plan.ema else self.model
        self.average = Average(self.model, averaged, self.plan.ema)
        self.optimisers = {
            player: Optimiser(members, betas=self.plan.betas, decay=self.plan.decay, clip=self.plan.clip)
            for player, members in self.team.items()
        }
        examples = len(data.splits["train"])
        self.batch = min(self.plan.batch, examples)
        self.batches = Batches(
            data, "train", self.batch, seed=self.seed, device=ranks.device, rank=ranks.rank, world=ranks.world
        )
        self.limit = self.plan.limit(examples)
        share = -(-self.batch // ranks.world)
        self.micro = min(self.plan.micro or share, share)
        self.step, self.elapsed, self.caution = 0, 0.0, 1.0
        self.shunned: list[int] = []
        self.sums: dict[str, Tensor] = {}
        self.counted = 0

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
        """A state to resume from and, unless better ones are kept, the weights for use."""
        if self.ranks.rank == 0:
            if weights:
                self.run.save_weights(self.average.average, {"step": self.step})
            self.run.save_state(self.step, self.tensors(), self.facts() | facts)
        self.ranks.wait()

    def resume(self) -> dict[str, Any]:
        """Go on from the newest state that verifies; its facts, or none where the run is fresh."""
        state = self.run.load_state()
        if state is None:
            return {}
        tensors, facts = state
        groups: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            kind, _, rest = name.partition("|")
            groups.setdefault(kind, {})[rest] = tensor
        where = self.run.states()[0]
        fill(self.model, groups["model"], where)
        if self.average.average is not self.model:
            fill(self.average.average, groups["average"], where)
        for player, optimiser in self.optimisers.items():
            moments = groups.get("optimiser", {})
            optimiser.load({k.partition("|")[2]: v for k, v in moments.items() if k.partition("|")[0] == player})
        self.sums = {k: v.to(self.ranks.device) for k, v in groups.get("sum", {}).items()}
        for name in ("step", "elapsed", "caution", "shunned", "micro", "counted"):
            setattr(self, name, facts[name])
        if self.ranks.rank == 0:
            self.run.forget_after(self.step)
        return facts

    # One step ---------------------------------------------------------------------------------------------------

    @property
    def fraction(self) -> float:
        """How much of the plan is behind us."""
        elapsed = self.elapsed if self.limit is not None else self.ranks.first(self.elapsed)
        return self.plan.fraction(self.step, self.limit, elapsed)

    def play(self) -> dict[str, Tensor]:
        """The turns of one step, each loss sent back to its own player and to nobody else."""
        self.model.train()
        batch = self.batches.at(0 if self.plan.overfit else self.step)
        whole = batch.total or len(batch)
        shares = [batch] if len(batch) <= self.micro else batch.shares(self.micro)
        games = [self._game(share) for share in shares]
        weights = [len(share) / whole for share in shares]
        logs: dict[str, Tensor] = {}
        fraction = self.fraction
        for turns in zip(*games, strict=True):  # micro-batches play in lockstep
            player = turns[0].player
            members = self.team[player]
            for turn, weight in zip(turns, weights, strict=True):
                (turn.loss * weight if weight != 1 else turn.loss).backward(
                    inputs=list(members.values()), retain_graph=turn.keep
                )
                for name, value in {f"loss/{player}": turn.loss.detach(), **turn.log}.items():
                    logs[name] = logs[name] + value * weight if name in logs else value * weight
            self.ranks.sum_([p.grad for p in members.values() if p.grad is not None])
            rate = self.caution * self.plan.rate(player, fraction, self.step)
            logs[f"gradient/{player}"] = self.optimisers[player].step(rate)
        return logs

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

    def healthy(self, logs: dict[str, Tensor]) -> bool:
        """Whether every gradient of the step was finite. (On a GPU, asked only now and then: asking waits for it.)"""
        if self.ranks.device.type != "cpu" and self.step % self.plan.log_every:
            return True
        return all(math.isfinite(float(v)) for name, v in logs.items() if name.startswith(("gradient", "loss")))

    def roll_back(self, logs: dict[str, Tensor]) -> None:
        """Back to the last good state with half the learning rate; the step that went wrong will be passed over."""
        bad, shunned, caution = self.step, [*self.shunned, self.step], self.caution * 0.5
        trouble = ", ".join(f"{k} = {float(v):g}" for k, v in logs.items() if not math.isfinite(float(v)))
        if len(shunned) > ROLL_BACKS:
            raise Failure(
                f"training broke at step {bad} ({trouble}) after {ROLL_BACKS} attempts from earlier states; "
                "lower train.lr, set train.clip, or look at the data of that batch; the last good state is kept"
            )
        self.resume()
        self.shunned, self.caution = shunned, caution
        if self.ranks.rank == 0:
            self.run.append(
                {"step": self.step, "event": f"step {bad} was not finite ({trouble}): rolled back, learning rate halved"}
            )

    def halve(self, error: RuntimeError) -> None:
        """Out of memory: smaller micro-batches, the same step."""
        if self.micro <= 1:
            raise Failure(f"out of memory with one example at a time: {error}; use a smaller model") from None
        self.micro = -(-self.micro // 2)
        for members in self.team.values():
            for parameter in members.values():
                parameter.grad = None
        if self.ranks.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.ranks.rank == 0:
            self.run.append({"step": self.step, "event": f"out of memory: micro-batches of {self.micro} from here on"})

    def record(self, logs: dict[str, Tensor], seconds: float) -> dict[str, float] | None:
        """Add to the record under way; give it out when it is due."""
        for name, value in logs.items():
            value = value.detach().float()
            self.sums[name] = self.sums[name] + value if name in self.sums else value.clone()
        self.counted += 1
        if self.step % self.plan.log_every and self.step != 1 and self.step != self.limit:
            return None
        names = sorted(self.sums)
        losses = [self.sums[n] for n in names if not n.startswith("gradient")]
        self.ranks.sum_(losses)
        said: dict[str, float] = {"step": self.step, "fraction": round(self.fraction, 6), "time": round(self.elapsed, 3)}
        said |= {name: float(self.sums[name]) / self.counted for name in names}
        said["images/s"] = round(self.counted * self.batch / seconds, 1) if seconds > 0 else 0.0
        self.sums, self.counted = {}, 0
        return said


def _out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


def train(training: Training) -> Iterator[Progress]:
    """Play steps until the plan is fulfilled or the caller stops asking."""
    began = last = time.perf_counter()
    while training.fraction < 1:
        if training.step in training.shunned:
            training.step += 1
            continue
        try:
            logs = training.play()
        except RuntimeError as error:
            if not _out_of_memory(error):
                raise
            training.halve(error)
            continue
        if not training.healthy(logs):
            training.roll_back(logs)
            began = last = time.perf_counter()
            continue
        training.average.update(training.step)
        training.step += 1
        now = time.perf_counter()
        training.elapsed += now - last
        last = now
        record = training.record(logs, now - began)
        if record is not None:
            began = now
            if training.ranks.rank == 0:
                training.run.append(record)
        yield Progress(training.step, training.fraction, record)
        paused = time.perf_counter()  # the time that the caller takes counts against a budget, but not as speed
        training.elapsed += paused - last
        began, last = began + paused - last, paused
