"""Arrays at hand as data: a recipe can write the digest of their content, and this process holds the content itself.

So a run that was trained on an array is a run like any other here; elsewhere it says that its data is not there.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from morphogen.core.build import register
from morphogen.data.arrays import dataset_of_arrays
from morphogen.data.dataset import Dataset
from morphogen.data.frames import hold_frame, sheet_of_frame
from morphogen.data.torch_datasets import as_numpy, unpacked
from morphogen.errors import UserError

__all__ = ["given", "hold"]

Values = NDArray[Any]
NAME = "the array at hand"

_held: dict[str, tuple[Values, Values | None]] = {}


@register("data", "given")
def given(*, digest: str = "", valid: float = 0.1, test: float = 0.1) -> Dataset:
    """An array at hand in Python, `mg.train(recipe, x, y=labels)`: a recipe knows it by its digest alone."""
    if not digest:
        raise UserError("given is an array at hand in Python: mg.train(recipe, x); name a set, a folder or a file here")
    if digest not in _held:
        raise UserError(
            f"the data was an array at hand (digest {digest[:12]}), which this process does not hold: name the data "
            "that you mean, or say mg.hold(x) first, with y=labels if it had any, of the same array"
        )
    return dataset_of_arrays(NAME, *_held[digest], valid, test)


def hold(x: Any, y: Any = None) -> dict[str, Any]:
    """Let this process hold an array or a data frame, and its labels where it has any: a recipe of it as data.

    >>> hold([[0.5, 1.0], [0.25, 2.0]])["use"]
    'given'
    """
    if (sheet := sheet_of_frame(x)) is not None:
        return hold_frame(sheet, y)
    x, y = unpacked(x, y)
    values, labels = _array(x), None if y is None else _labels(y)
    sha = hashlib.sha256(f"{values.shape}{values.dtype.str}".encode())
    sha.update(values.data.cast("B") if values.size else b"")
    if labels is not None:
        sha.update(f"{labels.shape}{labels.dtype.str}".encode() + labels.tobytes())
    stamp = sha.hexdigest()
    _held[stamp] = values, labels
    return {"use": "given", "digest": stamp}


def _array(x: Any) -> Values:
    values = as_numpy(x)
    values = np.ascontiguousarray(values).reshape(values.shape)
    if values.dtype.kind not in "buif" or values.ndim < 2:
        raise UserError(
            f"the data is an array of {values.dtype} {values.shape}; numbers are wanted, a row or a picture for each "
            "example"
        )
    return values


def _labels(y: Any) -> Values:
    """Whole numbers or words; what is None or not a number has no label."""
    values: Values = np.asarray(y.detach().cpu().numpy() if isinstance(y, torch.Tensor) else y)
    if values.dtype.kind != "O":
        return values
    return np.array(["" if word is None or word != word else str(word) for word in values.tolist()])
