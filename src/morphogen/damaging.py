"""Damages as people say them, and the damaged examples that they have: files, arrays, or clean data to be harmed.

    noise=0.2    mask=half    mask=hole.png    shrink=4 + noise=0.05    blur, sigma=1.5 + noise

A damage is a name on the shelf, and what follows `=` its first argument; more of them are named, after commas.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from morphogen import files
from morphogen.core.batch import Batch
from morphogen.core.build import Part, describe, names, part
from morphogen.core.damage import Chain, chain, missing
from morphogen.core.space import Space
from morphogen.errors import UserError, did_you_mean
from morphogen.examples import find_examples
from morphogen.run import Run

__all__ = ["Damaged", "damaged_examples", "nothing_seen", "read_damage"]


def read_damage(said: str) -> list[Part]:
    """The damages that a line of text names, in their order.

    >>> [p.spec for p in read_damage("shrink=4 + noise=0.05")]
    [{'use': 'shrink', 'factor': 4}, {'use': 'noise', 'sigma': 0.05}]
    """
    known = names("damages")
    if not said.strip():
        raise UserError(f"which damage? the word is empty; there are: {', '.join(known)}, as in noise=0.2")
    return [_one(piece.strip(), known) for piece in re.split(r"\s\+\s|\+(?=[a-z]+(?:[=+, ]|$))", said)]


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


@dataclass(frozen=True)
class Damaged:
    """Examples that lack something: y as the damage left them, and x as they were, where that is known."""

    y: Tensor
    damage: Chain
    clean: Tensor | None
    labels: Tensor | None
    names: list[str]

    def batches(self, size: int, device: torch.device) -> Iterator[Batch]:
        """What is damaged, at most `size` at a time."""
        for start in range(0, len(self.y), size):
            labels = None if self.labels is None else self.labels[start : start + size].to(device)
            yield Batch(self.y[start : start + size].to(device), labels)


def damaged_examples(
    run: Run, said: Any, damage: str, *, n: int | None, harm: bool, split: str | None, label: int | None
) -> Damaged:
    """What was given, as it was found; or, to be harmed, clean examples and what the damage makes of them."""
    chained = chain(run.space, read_damage(damage))
    if harm:
        data = find_examples(run, said, split=split, label=label, fit=False).limited(n)
        batch = data.first(len(data))
        if chained.unknown:
            raise UserError(f"to harm clean examples, say how much: {damage!r} leaves a strength open; use noise=0.1")
        return Damaged(chained(run.space.opened(batch.x)), chained, batch.x, batch.y, data.names or [])
    y, named = _given(said, chained, run.path)
    y, named = y[:n], named[:n]
    labels = None if label is None else torch.full((len(y),), label)
    return Damaged(chained.read(y), chained, None, labels, named)


def _given(said: Any, damage: Chain, where: Path) -> tuple[Tensor, list[str]]:
    """Damaged examples as a model would read them, NaN where something is missing."""
    words = [said] if isinstance(said, (str, Path)) else said
    if words is None or (isinstance(words, (list, tuple)) and not words):
        raise UserError(
            f"which examples are to be restored? Name files; the data of {where} is whole, and --harm damages it first"
        )
    if not (isinstance(words, (list, tuple)) and all(isinstance(word, (str, Path)) for word in words)):
        return _as_read(torch.as_tensor(getattr(words, "x", words)).detach().cpu(), damage.left, "the array"), []
    if len(words) == 1 and str(words[0]) in names("data"):
        raise UserError(f"{words[0]} is whole: --harm damages it first; or name files that are damaged")
    ys: list[Tensor] = []
    named: list[str] = []
    for word in words:
        path = Path(word)
        if path.suffix.lower() in (".npy", ".npz") and path.is_file() and (held := _floats(path)) is not None:
            ys.append(_as_read(held, damage.left, str(path)))
            named += [str(path)] if len(ys[-1]) == 1 else [f"{path}[{i}]" for i in range(len(ys[-1]))]
            continue
        try:
            stored, found = files.load_examples(path, damage.left)
        except UserError as error:
            raise UserError(f"{error}{_hint(damage)}") from None
        ys.append(damage.left.opened(damage.left.read(stored)))
        named += found
    return torch.cat(ys), named


def _hint(damage: Chain) -> str:
    """What a damage leaves, where that is of another kind than the model's own examples."""
    if damage.left.shape == damage.space.shape:
        return ""
    return (
        f" ({damage.told()} leaves examples of {tuple(damage.left.shape)} from the model's {tuple(damage.space.shape)})"
    )


def _floats(path: Path) -> Tensor | None:
    """An array of numbers, which may hold NaN; None where it is of whole numbers, or none that can be read."""
    try:
        held = np.load(path, allow_pickle=False)
        values = held["x"] if path.suffix.lower() == ".npz" else held
        return torch.from_numpy(np.ascontiguousarray(values)) if values.dtype.kind == "f" else None
    except (OSError, ValueError, KeyError, EOFError, TypeError):
        return None


def _as_read(y: Tensor, space: Space, where: str) -> Tensor:
    """An array of damaged examples, laid out as a model reads them or as they are stored."""
    stored = space.write(torch.zeros(1, *space.shape)).shape[1:]
    if y.dim() == len(stored) and stored[-1] == 1:
        y = y.unsqueeze(-1)
    if y.shape[1:] != space.shape and y.shape[1:] == stored:
        y = y.movedim(-1, 1) if y.is_floating_point() else space.read(y)
    elif not y.is_floating_point() and space.kind != "tokens":
        y = y.float() / max(space.levels - 1, 1) if space.levels else y.float()
    if y.shape[1:] != space.shape or not len(y):
        raise UserError(
            f"{where} of {tuple(y.shape)} does not fit; damaged examples are (n, {', '.join(map(str, stored))})"
        )
    if y.is_floating_point() and bool(y.isinf().any()):
        raise UserError(f"{where} holds infinite values; use NaN where something is missing")
    if space.kind == "vector" and y.is_floating_point():
        y = space.read(y)
    return y if y.dtype == torch.int64 else y.float()


def nothing_seen(y: Tensor) -> bool:
    """Whether every element of every example is missing."""
    return bool(missing(y).all())
