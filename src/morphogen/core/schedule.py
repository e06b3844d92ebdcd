"""A number that changes with the step: weights of terms, mostly."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator, PositiveInt

from morphogen.core.build import Part, part, register

__all__ = ["Weight", "constant", "cyclical", "ramp", "schedule"]

Step = Callable[[int], float]


@register("schedules")
def constant(*, value: float = 1.0) -> Step:
    """The same number at every step."""
    return lambda step: value


@register("schedules")
def ramp(*, start: float = 0.0, to: float = 1.0, steps: int = 10_000, wait: int = 0) -> Step:
    """From `start` to `to` in a straight line over `steps` steps, after `wait` steps (Bowman et al. 2016).

    >>> weight = ramp(steps=10)
    >>> weight(0), weight(5), weight(50)
    (0.0, 0.5, 1.0)
    """
    return lambda step: start + (to - start) * min(max(step - wait, 0) / max(steps, 1), 1.0)


@register("schedules")
def cyclical(*, start: float = 0.0, to: float = 1.0, period: PositiveInt = 10_000, rise: float = 0.5) -> Step:
    """Up over the `rise` share of every `period`, then level, then down again at once (Fu et al. 2019).

    >>> weight = cyclical(period=10)
    >>> weight(0), weight(5), weight(9), weight(10)
    (0.0, 1.0, 1.0, 0.0)
    """
    return lambda step: start + (to - start) * min((step % period) / max(rise * period, 1e-9), 1.0)


@register("schedules")
def cosine(*, start: float = 1.0, to: float = 0.0, steps: int = 10_000) -> Step:
    """From `start` to `to` along half a cosine (Loshchilov and Hutter 2017)."""
    return lambda step: to + (start - to) * 0.5 * (1 + math.cos(math.pi * min(step / max(steps, 1), 1.0)))


def _weight(spec: Any) -> Any:
    return spec if isinstance(spec, (int, float)) else part("schedules", spec)


Weight = Annotated[float | Part, BeforeValidator(_weight)]


def schedule(weight: float | Part) -> Step:
    """A weight as a function of the step: a number is a constant."""
    if isinstance(weight, Part):
        made: Step = weight()
        return made
    return constant(value=float(weight))
