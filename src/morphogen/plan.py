"""How long to train, how fast, and how often to look: the `train` table of a recipe."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from morphogen.core.build import check, plain
from morphogen.errors import UserError
from morphogen.optim import learning_rate

__all__ = ["Plan"]


FEWEST_STEPS, MOST_STEPS, EPOCHS = 3_000, 20_000, 300  # of a plan whose length nobody said
LOOKS, LOOK_SHARE, LOOK_AT_LEAST, LOOK_AT_MOST = 20, 0.05, 500, 10_000  # validation, its share of the time, examples


def usual(examples: int | None, batch: int) -> int:
    """How many steps where nobody said: 300 passes over the examples, within 3,000 to 20,000 steps.

    >>> usual(320, 64), usual(1_437, 128), usual(60_000, 128)
    (3000, 3368, 20000)
    """
    return MOST_STEPS if examples is None else min(max(round(EPOCHS * examples / batch), FEWEST_STEPS), MOST_STEPS)


class Plan:
    """Ends after `steps`, `epochs` or `minutes`, whichever was given; where none was, after what the data asks for.

    steps: length of the training in steps
    epochs: length of the training in passes through the data
    minutes: length of the training in minutes
    batch: examples a step (batch size)
    labelled: of each batch, so many examples that have a label
    start: a run whose weights the training starts from (fine-tuning)
    spread: a run among whose codes the labels are spread before training
    micro: examples at a time; the gradients of a batch are accumulated; none: the whole batch
    lr: peak of the learning rate; a number, or one for each player
    warmup: steps in which the learning rate rises to its peak; auto: at most 2 % of the plan
    floor: learning rate at the end, as a share of the peak
    betas: the two decay rates of Adam
    decay: weight decay
    clip: largest norm of a gradient; none: not clipped
    skip: skip steps whose gradient has a larger norm; none: no step is skipped
    ema: decay of the moving average of the weights that are kept; 0: no averaging
    compile: torch.compile; auto: where the run is long enough to repay it and a compiler is there
    save_every: steps between two saved states; none: about once a minute
    log_every: steps between two lines of the log
    validate_every: steps between two validations; none: chosen by the length of the plan
    patience: early stopping: end after so many validations without improvement, keep the best weights
    overfit: train and validate on the first N examples alone, to see whether the model can learn at all
    track: trackers beside the log: tensorboard, trackio
    """

    def __init__(
        self,
        *,
        steps: int | None = None,
        epochs: float | None = None,
        minutes: float | None = None,
        batch: int = 128,
        labelled: int | None = None,
        start: str | None = None,
        spread: str | None = None,
        micro: int | None = None,
        lr: float | dict[str, float] = 1e-3,
        warmup: int | Literal["auto"] = "auto",
        floor: float = 0.01,
        betas: tuple[float, float] = (0.9, 0.999),
        decay: float = 0.0,
        clip: float | None = None,
        skip: float | None = None,
        ema: float = 0.999,
        compile: bool | Literal["auto"] = "auto",
        save_every: int | None = None,
        log_every: int = 50,
        validate_every: int | None = None,
        patience: int | None = None,
        overfit: int | None = None,
        track: list[Literal["tensorboard", "trackio"]] = [],  # noqa: B006  (never written to)
    ) -> None:
        if sum(limit is not None for limit in (steps, epochs, minutes)) > 1:
            raise UserError("train takes one of steps, epochs and minutes, not several")
        positive: dict[str, float | None] = dict(
            steps=steps, epochs=epochs, minutes=minutes, batch=batch, micro=micro, clip=clip, skip=skip,
            patience=patience,
            save_every=save_every, validate_every=validate_every,
        )  # fmt: skip
        positive |= {f"lr.{k}": v for k, v in lr.items()} if isinstance(lr, dict) else {"lr": lr}
        for name, value in positive.items():
            if value is not None and not 0 < value < math.inf:
                raise UserError(f"train.{name} must be above 0 and finite, not {value}")
        for name, value in dict(
            warmup=0 if warmup == "auto" else warmup,
            floor=floor,
            decay=decay,
            overfit=overfit or 0,
            labelled=labelled or 0,
        ).items():
            if not 0 <= value < math.inf:
                raise UserError(f"train.{name} must be at least 0 and finite, not {value}")
        if labelled and labelled > batch:
            raise UserError(f"train.labelled = {labelled} of a batch of {batch}; make train.batch larger")
        if not all(0 <= beta < 1 for beta in betas):
            raise UserError(f"train.betas must be at least 0 and below 1, not {list(betas)}")
        if not 0 <= ema < 1:
            raise UserError(f"train.ema must be at least 0 and below 1, not {ema}")
        self.steps, self.epochs, self.minutes = steps, epochs, minutes
        self.batch, self.labelled, self.micro, self.lr = batch, labelled or 0, micro, lr
        self.warmup, self.floor, self.betas, self.decay, self.clip, self.ema = warmup, floor, betas, decay, clip, ema
        self.compile, self.log_every, self.patience, self.overfit = compile, max(log_every, 1), patience, overfit
        self.track, self.skip, self.start, self.spread = list(track), skip, start, spread
        self.save_every, self.validate_every = save_every, validate_every

    @classmethod
    def from_recipe(cls, table: Mapping[str, Any]) -> Plan:
        """The plan that a recipe's `train` table describes."""
        return cls(**check(cls, table, "train"))

    @staticmethod
    def complete(table: Mapping[str, Any], examples: int | None = None) -> dict[str, Any]:
        """The table with its defaults filled in, for so many examples to learn from."""
        whole: dict[str, Any] = plain(check(Plan, table, "train"))
        if not any(key in whole for key in ("steps", "epochs", "minutes")):
            whole = {"steps": usual(examples, whole["batch"])} | whole
        return whole

    def limit(self, examples: int) -> int | None:
        """The number of steps, where it is known beforehand."""
        if self.minutes is not None:
            return None
        if self.epochs is not None:
            return max(1, round(self.epochs * examples / self.batch))
        return self.steps if self.steps is not None else 20_000

    def fraction(self, step: int, limit: int | None, elapsed: float) -> float:
        """How much of the plan is behind us, 0 to 1."""
        return step / limit if limit is not None else elapsed / (60 * (self.minutes or 1.0))

    def looks(self, limit: int, valid: int) -> tuple[int, int]:
        """How often to look at validation in so many steps, and at how many of its examples: all looks together take
        about a twentieth of the time, since a look at an example is a third of a step on one."""
        affordable = LOOK_SHARE * 3 * limit * self.batch
        count = round(min(max(affordable / max(min(valid, LOOK_AT_LEAST), 1), 1), LOOKS))
        return count, min(valid, LOOK_AT_MOST, max(LOOK_AT_LEAST, int(affordable / count)))

    def rate(self, player: str, fraction: float, step: int) -> float:
        """The learning rate of a player."""
        peak = self.lr.get(player, 1e-3) if isinstance(self.lr, dict) else self.lr
        return learning_rate(peak, fraction, step, self.warmup, self.floor)
