"""Damages as people say them, on a command line or in a recipe:

    noise=0.2    mask=half    mask=hole.png    shrink=4 + noise=0.05    blur, sigma=1.5 + noise

A damage is a name on the shelf, and what follows `=` its first argument; more of them are named, after commas.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Any, cast

from torch import Tensor, nn

from morphogen.core import noise
from morphogen.core.build import Part, describe, names, part
from morphogen.core.damage import Chain, chain
from morphogen.core.space import Space
from morphogen.errors import UserError, did_you_mean

__all__ = ["one_of", "read_damage", "shown"]

MOST = 16  # damages in a row


def read_damage(said: str) -> list[Part]:
    """The damages that a line of text names, in their order.

    >>> [p.spec for p in read_damage("shrink=4 + noise=0.05")]
    [{'use': 'shrink', 'factor': 4}, {'use': 'noise', 'sigma': 0.05}]
    """
    known = names("damages")
    if not said.strip():
        raise UserError(f"which damage? the word is empty; there are: {', '.join(known)}, as in noise=0.2")
    pieces = re.split(r"\s\+\s|\+(?=[a-z]+(?:[=+, ]|$))", said)
    if len(pieces) > MOST:
        raise UserError(f"{len(pieces)} damages in a row are more than anything survives; give {MOST} at most")
    return [_one(piece.strip(), known) for piece in pieces]


def _one(said: str, known: list[str]) -> Part:
    first, *rest = (word.strip() for word in said.split(","))
    name, given, value = (word.strip() for word in first.partition("="))
    if name not in known:
        raise UserError(f"there is no damage {name!r}; {did_you_mean(name, known)}; it goes like noise=0.2 + mask=half")
    takes = [argument.name for argument in describe("damages", name)[1]]
    spec: dict[str, Any] = {"use": name}
    if given:
        if not takes:
            raise UserError(f"{name} takes no value, and was given {value!r}; use {name} alone")
        spec[takes[0]] = _value(value)
    for word in rest:
        key, equals, value = (w.strip() for w in word.partition("="))
        if not equals:
            raise UserError(f"{name}: {word!r} says no value; use {word or 'NAME'}=VALUE, or + before another damage")
        spec[key] = _value(value)
    return part("damages", spec)


def _value(said: str) -> Any:
    try:
        return tomllib.loads(f"it = {said}")["it"]
    except tomllib.TOMLDecodeError:
        return said


def shown(damages: list[str], space: Space) -> Sequence[Chain]:
    """The damages that fit the space, as they were said."""
    fits: list[Chain] = []
    troubles: list[str] = []
    for said in damages:
        parts = read_damage(said)
        try:
            fits.append(chain(space, parts))
        except UserError as error:
            troubles.append(str(error))
    if not fits:
        why = "; ".join(troubles) or "none was said"
        raise UserError(f"damages = {damages}: none of them fits this data ({why}); give at least one that does")
    return cast("Sequence[Chain]", nn.ModuleList(fits))


def one_of(damages: Sequence[Chain], x: Tensor) -> Chain:
    """One of them, drawn for a whole batch: for all of its shares alike."""
    pick = float(noise.uniform((), event=0, like=x))
    return damages[min(int(pick * len(damages)), len(damages) - 1)]
