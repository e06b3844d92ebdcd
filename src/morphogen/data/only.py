"""Only some classes of a set: what is normal, where the others are what is to be found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

import torch
from pydantic import BeforeValidator
from torch import Tensor

from morphogen.data.dataset import Dataset, Split
from morphogen.data.stamp import restamp
from morphogen.errors import UserError, did_you_mean

__all__ = ["Only", "only"]


def _names(said: Any) -> Any:
    """3, "3" and ["3"] are the same."""
    return [str(name) for name in (said if isinstance(said, (list, tuple)) else [said])] if said is not None else None


Only = Annotated[list[str], BeforeValidator(_names)]


def only(data: Dataset, classes: Sequence[str]) -> Dataset:
    """The examples of these classes, in every part. Classes keep their names and numbers."""
    wanted = []
    for name in classes:
        if name not in data.classes:
            raise UserError(f"only = {name!r} is no class of {data.name}; {did_you_mean(name, data.classes)}")
        wanted.append(data.classes.index(name))
    splits = {name: _some(split, torch.tensor(wanted)) for name, split in data.splits.items()}
    empty = [name for name, split in splits.items() if not len(split) and len(data.splits[name])]
    if empty or not wanted:
        raise UserError(
            f"only = {', '.join(classes)} leaves no {' or '.join(empty)} examples of {data.name}; name more"
        )
    word = f"only {', '.join(classes)}"
    return replace(
        data,
        splits=splits,
        fingerprint=restamp(data.fingerprint, only=sorted(wanted)),
        protocol=f"{data.protocol}; {word}" if data.protocol else word,
    )


def _some(split: Split, wanted: Tensor) -> Split:
    assert split.y is not None  # a set with classes has labels
    rows = torch.nonzero(torch.isin(split.y.long(), wanted)).flatten()
    return split.rows(rows)
