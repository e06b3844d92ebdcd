"""What goes wrong in a step, and the way back: numbers that are not finite, memory that runs out.

A step that was not finite moves nothing (the optimiser sees to that). Here it is noticed, training goes back to the
last good state with half the learning rate, and the step is passed over; three times, then it is a failure. On a GPU
asking means waiting, so it is asked now and then, and always before anything is saved.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from morphogen.core.model import Model
from morphogen.errors import Failure
from morphogen.optim import Average, Optimiser
from morphogen.ranks import Ranks
from morphogen.run import Run

__all__ = ["NEVER", "Recovery", "out_of_memory"]

ROLL_BACKS = 3
NEVER = 2**62  # the step at which a healthy training breaks


def out_of_memory(error: RuntimeError) -> bool:
    """Whether this is what torch says when memory runs out, on a GPU or on the CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


class Recovery:
    """The part of a training that looks after its health."""

    run: Run
    ranks: Ranks
    model: Model
    average: Average
    team: dict[str, dict[str, nn.Parameter]]
    optimisers: dict[str, Optimiser]
    step: int
    micro: int
    counted: int
    caution: float  # what the learning rate is multiplied by
    shunned: list[int]  # steps that are passed over
    sums: dict[str, Tensor]
    broken: Tensor  # the first step since the last state that was not finite, NEVER if there is none
    program: Any
    moved = False  # whether a player has moved in the step under way

    def tensors(self) -> dict[str, Tensor]:
        """Everything that a state holds."""
        raise NotImplementedError

    def resume(self) -> dict[str, Any]:
        """Go on from the newest state."""
        raise NotImplementedError

    @property
    def fraction(self) -> float:
        """How much of the plan is behind us."""
        raise NotImplementedError

    def watch(self, logs: dict[str, Tensor]) -> None:
        """Remember the step if anything that it said was not finite."""
        fine = torch.isfinite(torch.stack([v.detach().float() for v in logs.values()])).all()
        self.broken = torch.where(fine, self.broken, self.broken.clamp_max(self.step))

    def sound(self, *, thoroughly: bool = False) -> bool:
        """Whether every step since the last state was finite; thoroughly: and all that would be saved."""
        if thoroughly and int(self.broken) == NEVER:
            floats = [t for t in self.tensors().values() if t.is_floating_point()]
            fine = bool(torch.stack([torch.isfinite(t).all() for t in floats]).all())
            if self.ranks.any(not fine):
                self.broken.fill_(self.step)
        return int(self.broken) == NEVER

    def over(self) -> bool:
        """Whether the plan is fulfilled, by steps that were all finite."""
        if self.fraction < 1:
            return False
        if self.sound():
            return True
        self.roll_back()
        return False

    def roll_back(self, logs: Mapping[str, Tensor] = {}) -> None:
        """Back to the last good state with half the learning rate; the step that went wrong will be passed over."""
        bad = int(self.broken)
        trouble = ", ".join(f"{k} = {float(v):g}" for k, v in logs.items() if not math.isfinite(float(v)))
        trouble = trouble or "weights or statistics"
        shunned, caution = [*self.shunned, bad], self.caution * 0.5
        if len(shunned) > ROLL_BACKS:
            raise Failure(
                f"training broke at step {bad} (not finite: {trouble}) after {ROLL_BACKS} attempts; "
                "lower train.lr, set train.clip, or look at the data of that batch; the last good state is kept"
            )
        micro = self.micro
        self._back()
        self.shunned, self.caution, self.micro = shunned, caution, micro
        if self.ranks.rank == 0:
            self.run.append(
                {
                    "step": self.step,
                    "event": f"step {bad} was not finite ({trouble}): rolled back, learning rate halved",
                }
            )

    def _back(self) -> None:
        """To the last good state, or to the very beginning where none was saved."""
        for members in self.team.values():
            for parameter in members.values():
                parameter.grad = None
        if self.resume():
            return
        fresh = self.run.build().state_dict()
        for module in (self.model, self.average.average):
            module.load_state_dict(fresh)
        for optimiser in self.optimisers.values():
            optimiser.load({name: torch.zeros_like(moment) for name, moment in optimiser.state().items()})
        self.step, self.counted, self.sums = 0, 0, {}
        self.broken.fill_(NEVER)

    def halve(self, error: RuntimeError) -> None:
        """Out of memory: smaller micro-batches, the same step."""
        if self.micro <= 1:
            raise Failure(f"out of memory with one example at a time: {error}; use a smaller model") from None
        if self.ranks.world > 1:  # the others have gone on: there is no step to take back together
            raise Failure(
                f"out of memory on rank {self.ranks.rank}: {error}; set train.micro={self.micro // 2}"
            ) from None
        micro, self.program = -(-self.micro // 2), None
        if self.moved or self._remembers():
            shunned, caution = self.shunned, self.caution
            self._back()
            self.shunned, self.caution = shunned, caution
        self.micro = micro
        for members in self.team.values():
            for parameter in members.values():
                parameter.grad = None
        if self.ranks.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.ranks.rank == 0:
            self.run.append({"step": self.step, "event": f"out of memory: micro-batches of {self.micro} from here on"})

    def _remembers(self) -> bool:
        """Whether thinking alone changes the model (the statistics of batch norm): half a step is then not the same."""
        return len(self.model.state_dict()) > len(list(self.model.parameters()))
