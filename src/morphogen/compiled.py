"""A whole step as one program: forward, backward, guard and AdamW, traced once and compiled.

Worth it for long runs of small models, where a third of the time goes to everything but the products. Noise is drawn
before the step and handed in, numbers that change with the step come in as tensors, and tracing runs on tensors
without content: what depends on the values of the data cannot be frozen in by mistake, it is refused, and the run goes
on uncompiled.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor

from morphogen import machine
from morphogen.core import noise
from morphogen.core.batch import Batch
from morphogen.core.model import Model, teams
from morphogen.core.noise import Noise
from morphogen.core.precision import at_least_single
from morphogen.optim import EPSILON, Optimiser

__all__ = ["CompiledStep", "NotCompilable", "worth_compiling"]

STEPS_TO_REPAY = 20_000  # compiling takes 5 to 60 seconds and saves a fifth to a third of each step
MINUTES_TO_REPAY = 30.0

_tracing = threading.Lock()  # torch's tracer patches modules of the process

Draw = tuple[Callable[..., Tensor], tuple[int, ...], int]


class NotCompilable(Exception):
    """Why a step cannot be one program."""


class _Listening(Noise):
    """Notes what is asked for."""

    def __init__(self) -> None:
        super().__init__(0)
        self.asked: list[Draw] = []

    def draw(self, kind: Callable[..., Tensor], size: Sequence[int], event: int, device: torch.device) -> Tensor:
        self.asked.append((kind, tuple(size), event))
        return torch.zeros(tuple(size), device=device)


class _Handed(Noise):
    """Gives what was drawn beforehand."""

    def __init__(self, draws: list[Tensor]) -> None:
        super().__init__(0)
        self.waiting: Iterator[Tensor] = iter(draws)

    def draw(self, kind: Callable[..., Tensor], size: Sequence[int], event: int, device: torch.device) -> Tensor:
        return next(self.waiting)


class CompiledStep:
    """The one turn of a model of one player, for batches of one size."""

    def __init__(
        self,
        model: Model,
        optimiser: Optimiser,
        precision: Callable[[], AbstractContextManager[object]],
        batch: Batch,
        seed: int,
    ) -> None:
        players = list(teams(model))
        if len(players) != 1:
            raise NotCompilable("the model has several players")
        self.model, self.optimiser, self.precision, self.seed = model, optimiser, precision, seed
        self.player = players[0]
        self.parameters = dict(optimiser.members)
        self.buffers = dict(model.named_buffers())
        moments = optimiser.moments
        self.tensors: list[list[Tensor]] = [
            list(self.parameters.values()),
            [moments[name]["exp_avg"] for name in self.parameters],
            [moments[name]["exp_avg_sq"] for name in self.parameters],
            list(self.buffers.values()),
        ]
        self.still = [t.detach() for group in self.tensors for t in group]
        self.counts = [moments[name]["step"] for name in self.parameters]
        self.device = batch.x.device
        self.labelled = batch.labelled
        self.asked: list[Draw] = []
        self.names: list[str] = []
        with _tracing:
            self.program = self._build(batch)

    def __call__(self, batch: Batch, step: int, rate: float) -> dict[str, Tensor]:
        """One step; what it logs."""
        source = Noise(self.seed, "train", step, batch.start, batch.total)
        draws = [source.draw(kind, size, event, self.device) for kind, size, event in self.asked]
        with torch.no_grad():
            said = self.program(*self._flat(batch, draws, step, rate))
        logs = dict(zip(self.names, said, strict=True))
        good = torch.isfinite(logs[f"gradient/{self.player}"]).float()
        torch._foreach_add_(self.counts, [good] * len(self.counts))
        return logs

    def _numbers(self, step: int, rate: float) -> Tensor:
        """What changes with the step: lr / (1 - b1^t), 1 / sqrt(1 - b2^t), lr, step."""
        (first, second), t = self.optimiser.betas, float(self.counts[0]) + 1
        numbers = (rate / (1 - first**t), 1 / math.sqrt(1 - second**t), rate, float(step))
        return torch.tensor(numbers, device=self.device)

    def _flat(self, batch: Batch, draws: list[Tensor], step: int, rate: float) -> list[Tensor]:
        y = [] if batch.y is None else [batch.y]
        given = [self._numbers(step, rate), batch.x, *y, *draws]
        return given + self.still

    def _build(self, batch: Batch) -> Callable[..., Sequence[Tensor]]:
        from torch._inductor import compile as compile_graph
        from torch.fx.experimental.proxy_tensor import make_fx

        labelled = batch.y is not None

        def step(*flat: Tensor) -> tuple[Tensor, ...]:
            return self._step(list(flat), labelled)

        listener = _Listening()
        with noise.source(listener):
            make_fx(step, tracing_mode="fake")(*self._flat(batch, [], 0, 0.0))
        self.asked = listener.asked
        draws = [torch.zeros(size, device=self.device) for _, size, _ in self.asked]
        example = self._flat(batch, draws, 0, 0.0)
        with noise.source(None):
            graph = make_fx(step, tracing_mode="fake")(*example)
        program: Callable[..., Sequence[Tensor]] = compile_graph(graph, list(example))
        return program

    def _step(self, flat: list[Tensor], labelled: bool) -> tuple[Tensor, ...]:
        """The program, in torch: what is traced."""
        numbers, x, rest = flat[0], flat[1], flat[2:]
        y = rest.pop(0) if labelled else None
        draws, rest = rest[: len(self.asked)], rest[len(self.asked) :]
        groups = []
        for group in self.tensors:
            groups.append(rest[: len(group)])
            rest = rest[len(group) :]
        weights, first, second, buffers = groups
        weights = [w.requires_grad_() for w in weights]
        names = dict(zip(self.parameters, weights, strict=True)) | dict(zip(self.buffers, buffers, strict=True))
        with _handing(draws if self.asked else None), torch.enable_grad():
            with torch.nn.utils.stateless._reparametrize_module(self.model, names), self.precision():
                game = self.model.play(Batch(x, y, labelled=self.labelled), numbers[3])  # type: ignore[arg-type]
                turn = next(game)
                if next(game, None) is not None:
                    raise NotCompilable("the model plays several turns a step")
            gradients = torch.autograd.grad(turn.loss, weights, allow_unused=True)
        norm = torch.stack([at_least_single(g).square().sum() for g in gradients if g is not None]).sum().sqrt()
        self._update(numbers, weights, gradients, first, second, norm)
        logs = {f"loss/{self.player}": turn.loss, **turn.log, f"gradient/{self.player}": norm}
        self.names = list(logs)
        return tuple(value.detach() for value in logs.values())

    @torch.no_grad()
    def _update(
        self,
        numbers: Tensor,
        weights: Sequence[Tensor],
        gradients: Sequence[Tensor | None],
        first: Sequence[Tensor],
        second: Sequence[Tensor],
        norm: Tensor,
    ) -> None:
        """AdamW (Loshchilov and Hutter 2019); where the gradient is not finite, or too large, nothing moves."""
        (keep1, keep2), clip, decay = self.optimiser.betas, self.optimiser.clip, self.optimiser.decay
        good = norm < self.optimiser.skip
        share = 1.0 if clip is None else clip / norm.clamp_min(clip)
        for w, g, m, v in zip(weights, gradients, first, second, strict=True):
            if g is None:
                continue
            g = g * share
            new_m = m + (g - m) * (1 - keep1)
            new_v = v * keep2 + g * g * (1 - keep2)
            kept = w * (1 - numbers[2] * decay) if decay and w.dim() > 1 else w
            new_w = kept - numbers[0] * new_m / (new_v.sqrt() * numbers[1] + EPSILON)
            for old, new in ((m, new_m), (v, new_v), (w, new_w)):
                old.copy_(torch.where(good, new, old))


def worth_compiling(wanted: bool | str, steps: int | None, minutes: float | None, device: torch.device) -> bool:
    """Whether to compile: as the recipe says, or, where it says auto, when the run is long enough to repay it."""
    if wanted != "auto":
        return bool(wanted)
    long = (steps or 0) >= STEPS_TO_REPAY or (minutes or 0.0) >= MINUTES_TO_REPAY
    return long and machine.compiler_found(device)


@contextmanager
def _handing(draws: list[Tensor] | None) -> Iterator[None]:
    """Hand out these draws; while none are known yet, leave the listener where it is."""
    if draws is None:
        yield
        return
    with noise.source(_Handed(draws)):
        yield
