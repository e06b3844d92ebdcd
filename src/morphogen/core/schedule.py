"""A number that changes with the step: weights of terms, mostly."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

import torch
from pydantic import BeforeValidator, PositiveInt

from morphogen.core.build import Part, part, register

__all__ = ["Count", "Weight", "constant", "cyclical", "ramp", "schedule"]

Step = Callable[[int], float]  # of a step that is a tensor, where a whole step is compiled, it makes a tensor


def _between(x: Any, low: float, high: float) -> Any:
    """x held between two bounds; for numbers and tensors alike, as all arithmetic here is."""
    return x.clamp(low, high) if isinstance(x, torch.Tensor) else min(max(x, low), high)


@register("schedules")
def constant(*, value: float = 1.0) -> Step:
    """The same number at every step.

    value: the number
    """
    return lambda step: value


@register("schedules")
def ramp(*, start: float = 0.0, to: float = 1.0, steps: int = 10_000, wait: int = 0) -> Step:
    """From `start` to `to` in a straight line over `steps` steps, after `wait` steps (Bowman et al. 2016).

    >>> weight = ramp(steps=10)
    >>> weight(0), weight(5), weight(50)
    (0.0, 0.5, 1.0)

    start: value at the first step
    to: value at the end
    steps: steps from start to end
    wait: steps before the ramp begins
    """
    return lambda step: start + (to - start) * _between((step - wait) / max(steps, 1), 0.0, 1.0)


@register("schedules")
def cyclical(*, start: float = 0.0, to: float = 1.0, period: PositiveInt = 10_000, rise: float = 0.5) -> Step:
    """Up over the `rise` share of every `period`, then level, then down again at once (Fu et al. 2019).

    >>> weight = cyclical(period=10)
    >>> weight(0), weight(5), weight(9), weight(10)
    (0.0, 1.0, 1.0, 0.0)

    start: value at the bottom
    to: value at the top
    period: steps of one cycle
    rise: share of the cycle that goes up
    """
    return lambda step: start + (to - start) * min((step % period) / max(rise * period, 1e-9), 1.0)


@register("schedules")
def cosine(*, start: float = 1.0, to: float = 0.0, steps: int = 10_000) -> Step:
    """From `start` to `to` along half a cosine (Loshchilov and Hutter 2017).

    start: value at the first step
    to: value at the end
    steps: steps from start to end
    """

    def at(step: int) -> float:
        turn = math.pi * _between(step / max(steps, 1), 0.0, 1.0)
        cosine: Any = torch.cos if isinstance(turn, torch.Tensor) else math.cos
        said: float = to + (start - to) * 0.5 * (1 + cosine(turn))
        return said

    return at


@register("schedules")
def switch(*, before: float = 1.0, after: float = 4.0, at: int = 10_000) -> Step:
    """`before` until the step `at`, `after` from there on.

    >>> draws = switch(at=10)
    >>> draws(9), draws(10)
    (1.0, 4.0)

    before: value at first
    after: value from the switch on
    at: step of the switch
    """
    return lambda step: before if step < at else after


def _weight(spec: Any) -> Any:
    return spec if isinstance(spec, (int, float)) else part("schedules", spec)


Weight = Annotated[float | Part, BeforeValidator(_weight)]


Count = Annotated[PositiveInt | Part, BeforeValidator(_weight)]


def schedule(weight: float | Part) -> Step:
    """A weight as a function of the step: a number is a constant."""
    if isinstance(weight, Part):
        made: Step = weight()
        return made
    return constant(value=float(weight))
