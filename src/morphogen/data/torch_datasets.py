"""A torch Dataset at hand as arrays: its items are examples, or pairs of an example and its label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from morphogen.errors import UserError

__all__ = ["as_numpy", "unpacked"]


def as_numpy(x: Any) -> NDArray[Any]:
    """An array, a tensor of any device and kind, or rows of lists; a UserError where it is none."""
    try:
        if isinstance(x, (list, tuple)) and x and all(isinstance(row, torch.Tensor) for row in x):
            x = torch.stack([row.detach().cpu() for row in x])
        if isinstance(x, torch.Tensor):
            x = x.detach().cpu()
            x = (x.float() if x.dtype == torch.bfloat16 else x).numpy()
        values: NDArray[Any] = np.asarray(x)
        return values
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"the data is neither a name, nor a path, nor an array: {error}") from None


def unpacked(x: Any, y: Any = None) -> tuple[Any, Any]:
    """Examples and labels of a map-style dataset, as arrays; whatever else x is stays as it is.

    >>> unpacked(TensorDataset(torch.zeros(3, 2), torch.arange(3)))[1].tolist()
    [0, 1, 2]
    """
    if isinstance(x, DataLoader):
        raise UserError("a DataLoader draws batches of its own; give its dataset: loader.dataset")
    if not isinstance(x, Dataset):
        return x, y
    name = type(x).__name__
    if isinstance(x, IterableDataset) or not hasattr(x, "__len__"):
        raise UserError(
            f"{name} has no length, so it cannot be split; give a dataset with a length, or an array of all"
        )
    if not len(x):
        raise UserError(f"{name} holds no examples")
    rows, labels = _tensors(x) if isinstance(x, TensorDataset) else _items(x, name)
    if labels is not None and y is not None:
        raise UserError(f"{name} has labels of its own; leave out y")
    return rows, y if labels is None else labels


def _tensors(x: TensorDataset) -> tuple[Any, Any]:
    if len(x.tensors) > 2:
        raise UserError(
            f"a TensorDataset of {len(x.tensors)} tensors: which are the examples? Give one, or two: x and y"
        )
    return (*x.tensors, None)[0], (*x.tensors, None)[1]


def _items(x: Dataset[Any], name: str) -> tuple[NDArray[Any], NDArray[Any] | None]:
    pairs = [_pair(x[place], name) for place in range(len(x))]  # type: ignore[arg-type]
    examples, labels = zip(*pairs, strict=True)
    shapes = sorted({example.shape for example in examples})
    if len(shapes) > 1:
        raise UserError(f"{name} has examples of shapes {shapes[0]} and {shapes[-1]}; give them one size")
    return np.stack(examples), None if any(label is None for label in labels) else np.asarray(labels)


def _pair(item: Any, name: str) -> tuple[NDArray[Any], Any]:
    parts = item if isinstance(item, (tuple, list)) else (item,)
    if len(parts) not in (1, 2) or isinstance(item, (Mapping, str)):
        raise UserError(f"an item of {name} is {_words(item)}; it must be an example, or a pair of one and its label")
    try:
        example = np.asarray(parts[0].detach().cpu() if isinstance(parts[0], torch.Tensor) else parts[0])
    except (TypeError, ValueError) as error:
        raise UserError(f"an item of {name} is no array: {error}") from None
    if example.dtype.kind not in "buif":
        raise UserError(
            f"an item of {name} holds {_words(parts[0])}; numbers are wanted (ToTensor() makes some of a picture)"
        )
    label = parts[1] if len(parts) == 2 else None
    return example, label.item() if isinstance(label, (torch.Tensor, np.generic)) and _single(label) else label


def _single(label: Any) -> bool:
    return int(np.prod(tuple(label.shape), dtype=np.int64)) == 1


def _words(item: Any) -> str:
    return f"a {type(item).__name__}" + (f" of {len(item)}" if isinstance(item, (tuple, list, dict)) else "")
