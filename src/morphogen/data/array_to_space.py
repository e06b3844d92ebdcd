"""An array as stored values of a model's space: one definition for files and for arrays at hand, whatever the task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from morphogen.core.space import Image, Space
from morphogen.core.table import Table
from morphogen.data.npz import Arrays, Header, examples_in, read_npy
from morphogen.data.rows import known_rows
from morphogen.data.scales import Range, scale_for
from morphogen.data.survey import LARGEST
from morphogen.errors import UserError

__all__ = ["fitted", "fitted_file", "plain"]

Values = NDArray[Any]
AT_ONCE = 8 << 20  # bytes of an array that are turned into levels at a time


def fitted_file(path: Path, space: Space, name: str, known: Mapping[str, Any]) -> Tensor:
    """What an .npy or .npz file holds, as stored values; one whose examples do not fit is refused by its header."""

    def fits(head: Header) -> None:
        _layout(head.shape, space, name)

    if path.suffix.lower() == ".npy":
        return fitted(read_npy(path, fits=fits), space, name, known)
    with Arrays(path) as held:  # of a file with parts of its own, a task takes those for testing, as it does of any set
        parts = [part for part in ("x_test", "x_train") if part in held]
        return fitted(held.read(parts[0] if parts else examples_in(held), fits), space, name, known)


def fitted(values: Values, space: Space, name: str, known: Mapping[str, Any]) -> Tensor:
    """An array as stored values. `known` is what training remembers of its own array, if it was one."""
    values = plain(values, name)
    move = _layout(values.shape, space, name)
    if not len(values):
        raise UserError(f"{name} holds no examples; give at least one")
    real = values.dtype.kind == "f"
    if real:
        _finite(values, space, name)
    if isinstance(space, Image):
        return _pixels(values, move, space, name, known)
    stored = torch.from_numpy(values)
    if isinstance(space, Table):
        seen_by_model = stored.shape[1:] == space.shape != _stored_shape(space)
        return known_rows(space.write(stored.float()) if seen_by_model else stored, space, name)
    if space.levels:
        return _symbols(stored, space, name)
    if not real and space.kind == "sound":
        raise UserError(f"{name} holds {values.dtype}; sounds are floats in -1..1 (of 16 bits: x / 32768)")
    return stored.to(torch.float32)


def plain(values: Values, name: str) -> Values:
    """Numbers of this machine's own kinds; what is no number is refused."""
    if values.dtype.hasobject or values.dtype.kind not in "buif":
        what = "records of several fields" if values.dtype.names else str(values.dtype)
        raise UserError(f"{name} holds {what}; save numbers (uint8, int or float) instead")
    kind = np.dtype(np.float64) if values.dtype.itemsize > 8 else values.dtype.newbyteorder("=")
    return np.ascontiguousarray(values.astype(kind, copy=False)).reshape(values.shape)


def _stored_shape(space: Space) -> tuple[int, ...]:
    return tuple(space.write(torch.zeros(1, *space.shape)).shape[1:])


def _layout(shape: tuple[int, ...], space: Space, name: str) -> str:
    """How the axes are to be moved: "" as they are, "last" the channels to the end, "add" an axis for one channel."""
    stored, mine = _stored_shape(space), tuple(shape[1:])
    if len(shape) and mine == stored:
        return ""
    if isinstance(space, Image) and mine == space.shape:
        return "last"
    if isinstance(space, Image) and space.channels == 1 and mine == space.sites:
        return "add"
    if isinstance(space, Table) and mine == space.shape:
        return ""
    said = "a single value" if not shape else f"examples of shape {mine}"
    wanted = " or ".join(dict.fromkeys(str(s) for s in (stored, tuple(space.shape))))
    raise UserError(f"{name}: {said}, the model's are {wanted}; the first axis counts the examples")


def _finite(values: Values, space: Space, name: str) -> None:
    if not values.size:
        return
    low, high = float(np.fmin.reduce(values, axis=None)), float(np.fmax.reduce(values, axis=None))  # of NaN alone, NaN
    gaps = bool(np.isnan(values).any())
    if (gaps and not space.gaps) or np.isinf((low, high)).any():
        more = " (NaN is a missing cell)" if space.gaps else ""
        raise UserError(f"{name} holds values that are not finite; mend or drop those rows{more}")
    if max(-low, high) > LARGEST and not isinstance(space, Table):
        raise UserError(f"{name} holds a number beyond 1e30; scale that column, or drop the row")


def _pixels(values: Values, move: str, space: Image, name: str, known: Mapping[str, Any]) -> Tensor:
    whole = values.dtype.kind != "f" or all(bool((block == np.rint(block)).all()) for block in _blocks(values))
    seen = Range(str(values.dtype), float(values.min()), float(values.max()), whole)
    scale = scale_for(seen, space.levels, name, known)
    like = space.write(torch.zeros(1, *space.shape))
    stored, place = torch.empty(len(values), *like.shape[1:], dtype=like.dtype), 0
    for block in _blocks(values):
        some = scale.stored(torch.from_numpy(block))
        some = some.movedim(1, -1) if move == "last" else some.unsqueeze(-1) if move == "add" else some
        stored[place : place + len(block)] = some
        place += len(block)
    return stored


def _blocks(values: Values) -> list[Values]:
    rows = max(1, AT_ONCE // max(1, values.nbytes // max(1, len(values))))
    return [values[start : start + rows] for start in range(0, len(values), rows)]


def _symbols(stored: Tensor, space: Space, name: str) -> Tensor:
    wide = stored.to(torch.float64) if stored.dtype == torch.uint64 else stored
    if wide.is_floating_point() and not bool((wide == wide.round()).all()):
        raise UserError(f"{name} holds fractions, and the model's {space.plural} are of whole numbers; save integers")
    whole = wide.to(torch.int64)
    if not 0 <= int(whole.min()) <= int(whole.max()) < space.levels:
        raise UserError(f"{name} holds values outside 0 .. {space.levels - 1}, which the model knows")
    return whole.to(space.write(torch.zeros(1, *space.shape)).dtype)
