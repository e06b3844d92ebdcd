"""Sums and differences of codes (Radford, Metz and Chintala 2016, "Unsupervised representation learning with deep
convolutional generative adversarial networks"): a mean of a few codes says what they have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from morphogen.core.build import names as on_shelf
from morphogen.errors import UserError, did_you_mean
from morphogen.examples import find_examples
from morphogen.sides import class_named, drawn, known, only
from morphogen.work import cloud

if TYPE_CHECKING:
    from morphogen.abilities import Autoencodes
    from morphogen.opened import OpenRun

__all__ = ["mean_code", "result_label", "signed"]

SIGNS = {"+": 1.0, "-": -1.0}


def signed(terms: Sequence[str]) -> list[tuple[float, str]]:
    """Each term with its sign.

    >>> signed("7 - 1 + 4".split())
    [(1.0, '7'), (-1.0, '1'), (1.0, '4')]
    """
    if len(terms) == 1 and not Path(terms[0]).exists():
        terms = terms[0].split()
    words = list(terms) if terms and terms[0] in SIGNS else ["+", *terms]
    signs, things = words[::2], words[1::2]
    if len(signs) != len(things) or any(sign not in SIGNS for sign in signs) or any(t in SIGNS for t in things):
        raise UserError(
            f"{' '.join(terms)!r} is no sum; write A - B + C, with blanks between, and quote names that have some"
        )
    if len(things) < 2:
        raise UserError("a sum has two terms at least: A - B + C")
    return [(SIGNS[sign], thing) for sign, thing in zip(signs, things, strict=True)]


def mean_code(
    run: OpenRun, model: Autoencodes, word: str, n: int, label: int | None, fit: bool
) -> tuple[Tensor, int | None]:
    """The mean code of a file, a folder or a set, or else of a class of the run's own training examples; its class."""
    if _is_class(run, word):
        own = find_examples(run.run, None, split="train", label=None, fit=False)
        rows, y = known(own)
        kind = class_named(own, word)
        rows = rows[y == kind]
        if not len(rows):
            raise UserError(f"the run's training examples have none of {word}; name another class, or files")
        return cloud(model, drawn(only(own, rows), n)).codes.mean(0), kind
    data = drawn(find_examples(run.run, [word], split=None, label=label, fit=fit), n)
    y_all = data.data.splits[data.split].y
    kinds = set() if y_all is None else set(y_all.tolist())
    return cloud(model, data).codes.mean(0), kinds.pop() if len(kinds) == 1 else label


def result_label(model: Autoencodes, kinds: Sequence[int | None]) -> Tensor | None:
    """The labels of each term and of the result, for a label-conditional model."""
    if getattr(model, "labels", None) is None:
        return None
    said = [kind for kind in kinds if kind is not None]
    if not said:
        raise UserError("this model is label-conditional; give the class of the result: --label CLASS")
    return torch.tensor([said[-1] if kind is None else kind for kind in kinds])


def _is_class(run: OpenRun, word: str) -> bool:
    """A file of that name comes first."""
    classes = [str(name) for name in run.run.facts.get("classes") or []]
    if Path(word).exists():
        return False
    if word in classes or (word.isascii() and word.isdigit() and int(word) < len(classes)):
        return True
    if word not in on_shelf("data"):
        raise UserError(f"{word!r} is no file, no set and no class of the run's data; {did_you_mean(word, classes)}")
    return False
