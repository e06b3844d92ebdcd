"""What a profile may ask of a reader: each number that a table, a shift or a loop is made of has its limits.

A profile may come from anyone. Its graphs are proven (`proof.py`); this is for its facts and its curves. Whoever keeps
within these limits makes tables of less than 100 MiB, and shifts and divides by what can be shifted and divided by.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from morphogen.codec.chunks import Damaged
from morphogen.codec.graph import SIDE
from morphogen.codec.profile import Profile
from morphogen.codec.tables import FINE

__all__ = ["bounded"]

ONE = 1 << FINE
Limits = tuple[int, int]
SPACE: dict[str, Limits] = {"channels": (1, 64), "levels": (2, 256)}
WHOLE: dict[str, Limits] = {"patch": (1, 8), "unit": (1, 256), "cost": (1, 1 << 40), "draws": (1, 1 << 40)}
RUNG: dict[str, Limits] = {
    "seen": (0, 63), "depth": (1, 4096), "fineness": (0, 9), "farthest": (ONE, 16 * ONE), "z_bits": (0, 16),
}  # fmt: skip
SCALES: Limits = (-8 * ONE, ONE)  # of a posterior's log scale: e^1 on the finest grid is a bell of 16,000 points
BLEND: dict[str, Limits] = {
    "mixture": (1, 256), "depth": (1, 64), "levels": (2, 256), "low": (-16 * ONE, 16 * ONE),
    "high": (-16 * ONE, 16 * ONE), "least": (-16 * ONE, 16 * ONE), "most": (-16 * ONE, 16 * ONE),
}  # fmt: skip
MOST = 64  # rungs, or pieces
CURVES: dict[str, Limits] = {  # what each is looked up at, and the most that it says, as a power of two
    "logistic": (1 << 18, 28), "normal": (1 << 18, 28), "exp": (1 << 21, 28), "tanh": (1 << 21, 15),
    "falling": (1 << 21, 31),
}  # fmt: skip
SAID, DOUBTED = (-16, 32), (-16, FINE)  # bits after the point of what is said of pixels, and of all else


def bounded(profile: Profile) -> None:
    """Stop unless all facts and curves are within limits, and fit together."""
    try:
        _facts(profile.facts)
        for name, graph in profile.graphs.items():
            least, most = SAID if name.startswith("say/") else DOUBTED
            if not all(least <= port.bits <= most for port in graph.outputs):
                _refuse(f"{name} speaks too finely")
        for name, limits in CURVES.items():
            _curve(name, profile.arrays[f"curve/{name}"], *limits)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        _refuse(f"it lacks {error}")


def _facts(facts: Mapping[str, Any]) -> None:
    _within(facts, WHOLE, "")
    _within(facts["space"], SPACE, "space")
    patch, unit, tile = facts["patch"], facts["unit"], facts["tile"]
    if unit % patch or (tile is not None and not all(1 <= side <= SIDE for side in _ints(tile, 2))):
        _refuse("its tiles do not fit")
    if not 1 <= len(facts["rungs"]) <= MOST or not 1 <= len(facts["pieces"]) <= MOST:
        _refuse("it has too many rungs or pieces")
    for rung in facts["rungs"]:
        _rung(rung, unit)
    told = [channel for piece in facts["pieces"] for channel in _ints(piece["which"])]
    if sorted(told) != list(range(facts["space"]["channels"] * patch**2)):
        _refuse("its pieces are not the whole picture")
    for piece in facts["pieces"]:
        if piece["speech"]["kind"] == "blend":
            _blend(piece["speech"])


def _rung(facts: Mapping[str, Any], unit: int) -> None:
    _within(facts, RUNG, "a rung")
    live = _ints(facts["live"])
    if not live or not all(0 <= n < facts["depth"] for n in live) or sorted(set(live)) != live:
        _refuse("a rung's live channels are not its own")
    least, most = _ints(facts["scales"], 2)
    if not SCALES[0] <= least <= most <= SCALES[1] or facts["z_bits"] < facts["fineness"]:
        _refuse("a rung's grid does not fit")
    noise = _ints(facts["noise"], facts["depth"])
    if not all(SCALES[0] <= each <= SCALES[1] for each in noise):
        _refuse("a rung's noise does not fit")
    if facts["step"] is not None and not 1 <= _ints([facts["step"]], 1)[0] <= unit:
        _refuse("a rung's sites do not fit")


def _blend(facts: Mapping[str, Any]) -> None:
    _within(facts, BLEND, "a likelihood")
    if not facts["low"] < facts["high"] or not facts["least"] <= facts["most"]:
        _refuse("a likelihood's edges do not fit")


def _curve(name: str, array: NDArray[np.integer], far: int, high: int) -> None:
    """An array of where a curve begins, the power of two of its steps, and its values: they never fall, from 0 up."""
    if array.ndim != 1 or len(array) < 4:
        _refuse(f"its curve {name} is too short")
    low, step, values = int(array[0]), int(array[1]), array[2:].astype(np.int64)
    if not -far <= low <= 0 or not 0 <= step <= 20 or low + ((len(values) - 1) << step) > far:
        _refuse(f"its curve {name} is too wide")
    least = -(1 << high) if name == "tanh" else 0
    if values[0] < least or values[-1] > 1 << high or (np.diff(values) < 0).any():
        _refuse(f"its curve {name} falls, or rises too high")
    at_rest = int(values[min(-low >> step, len(values) - 1)])
    if name in ("exp", "falling") and at_rest < 1:
        _refuse(f"its curve {name} is nothing where it must not be")


def _within(facts: Mapping[str, Any], limits: Mapping[str, Limits], of: str) -> None:
    for name, (least, most) in limits.items():
        value = facts[name]
        if type(value) is not int or not least <= value <= most:
            _refuse(f"{f'{of}: ' if of else ''}{name} is not from {least} to {most}")


def _ints(values: Any, count: int | None = None) -> list[int]:
    """A list of whole numbers, so many of them."""
    if not isinstance(values, list) or not all(type(n) is int for n in values) or count not in (None, len(values)):
        _refuse("it has something else where whole numbers must be")
    return values


def _refuse(why: str) -> NoReturn:
    raise Damaged(f"the profile is damaged: {why}")
