"""The fingerprint of a data set: sha256 over its space, its stored bytes, its labels and the options that made it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from morphogen.core.space import Space
from morphogen.data.dataset import Dataset, Split
from morphogen.data.stores import MemoryStore

__all__ = ["dataset_of", "digest", "fingerprint", "restamp"]


def digest(values: Tensor | None) -> str:
    """sha256 of the bytes of a tensor, its shape and its type."""
    if values is None:
        return ""
    sha = hashlib.sha256(f"{tuple(values.shape)}{values.dtype}".encode())
    sha.update(values.contiguous().cpu().numpy().data.cast("B") if values.numel() else b"")
    return sha.hexdigest()


def fingerprint(space: Space, content: Any, options: Mapping[str, Any]) -> str:
    """One stamp for all that a data set is; `content` is made of digests of its bytes."""
    facts = {"space": space.facts(), "content": content, "options": dict(options)}
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def restamp(old: str, **options: Any) -> str:
    """The stamp of what was made from stamped data."""
    return hashlib.sha256(f"{old} {json.dumps(options, sort_keys=True)}".encode()).hexdigest()


def dataset_of(
    name: str, space: Space, parts: Mapping[str, tuple[Tensor, Tensor | None]], options: Mapping[str, Any], **rest: Any
) -> Dataset:
    """A data set of tensors in memory, stamped. `rest` are the other fields of a Dataset."""
    content = {split: [digest(x), digest(y)] for split, (x, y) in parts.items()}
    splits = {split: Split(MemoryStore(x), y) for split, (x, y) in parts.items()}
    return Dataset(name, space, splits, fingerprint(space, content, options), **rest)
