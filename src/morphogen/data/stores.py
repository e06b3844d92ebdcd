"""Where examples rest: a tensor in memory (or on the device), or a .npy file that may be larger than memory.

A file is read with `preadv`, row by row or in runs of rows, never through a memory map: mapped pages count as the
process's own memory, pages of the system's file cache do not, and they are as warm.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from morphogen.data.dataset import Store
from morphogen.data.npz import read_header
from morphogen.errors import UserError

__all__ = ["FileStore", "Mapped", "MemoryStore", "Rows", "blocks", "npy_header", "subset"]

BLOCK_BYTES = 8 << 20


class MemoryStore:
    """Examples as one tensor."""

    def __init__(self, values: Tensor) -> None:
        self.values = values.contiguous()

    def __len__(self) -> int:
        return len(self.values)

    def gather(self, rows: Tensor) -> Tensor:
        return self.values.index_select(0, rows.to(self.values.device, non_blocking=True))

    def to(self, device: torch.device) -> Store:
        return self if self.values.device == device else MemoryStore(self.values.to(device))


class FileStore:
    """Examples as the rows of a .npy file, read as they are asked for."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.shape, dtype, self._offset = npy_header(self.path)
        try:
            self.dtype = torch.from_numpy(np.empty(0, dtype)).dtype
        except TypeError:
            raise UserError(f"{self.path} holds {dtype}; save numbers (uint8, int or float) instead") from None
        self._wide = dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))
        self._file = os.open(self.path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        if os.fstat(self._file).st_size < self._offset + self._wide * len(self):
            raise UserError(f"{self.path} is shorter than its header says: it was cut off; make or copy it again")

    def __len__(self) -> int:
        return self.shape[0]

    def gather(self, rows: Tensor) -> Tensor:
        out = torch.empty((len(rows), *self.shape[1:]), dtype=self.dtype)
        wanted: list[int] = rows.tolist()
        if not wanted or not self._wide:
            return out
        if min(wanted) < 0 or max(wanted) >= len(self):
            raise IndexError(f"row {max(wanted)} of {len(self)} rows")
        view = out.numpy().data.cast("B")
        if wanted == list(range(wanted[0], wanted[0] + len(wanted))):
            self._read(view, wanted[0])
            return out
        read, file, offset, wide, place = os.preadv, self._file, self._offset, self._wide, 0
        for row in wanted:
            into = view[place : place + wide]
            if read(file, (into,), offset + row * wide) != wide:
                self._read(into, row)
            place += wide
        return out

    def _read(self, into: memoryview, row: int) -> None:
        """Everything from this row on until `into` is full, however little the system gives at a time."""
        offset = self._offset + row * self._wide
        while into:
            count = os.preadv(self._file, [into], offset)
            if count == 0:
                raise UserError(f"{self.path} became shorter while it was read; make or copy it again")
            into, offset = into[count:], offset + count

    def to(self, device: torch.device) -> Store:
        return self


class Rows:
    """Some rows of another store, so that splits share one file."""

    def __init__(self, store: Store, index: Tensor) -> None:
        self.store, self.index = store, index

    def __len__(self) -> int:
        return len(self.index)

    def gather(self, rows: Tensor) -> Tensor:
        return self.store.gather(self.index.index_select(0, rows))

    def to(self, device: torch.device) -> Store:
        return Rows(self.store.to(device), self.index)


class Mapped:
    """Another store, each example through `function` as it is gathered (another layout, fewer levels)."""

    def __init__(self, store: Store, function: Callable[[Tensor], Tensor]) -> None:
        self.store, self.function = store, function

    def __len__(self) -> int:
        return len(self.store)

    def gather(self, rows: Tensor) -> Tensor:
        return self.function(self.store.gather(rows))

    def to(self, device: torch.device) -> Store:
        return Mapped(self.store.to(device), self.function)


def subset(store: Store, index: Tensor) -> Store:
    """These rows as a store of their own: a tensor stays a tensor, a file stays where it is."""
    if not isinstance(store, MemoryStore):
        return Rows(store, index)
    first, count = (int(index[0]), len(index)) if len(index) else (0, 0)
    if torch.equal(index, torch.arange(first, first + count)):
        return MemoryStore(store.values[first : first + count])
    return MemoryStore(store.gather(index))


def blocks(store: Store, rows: int = 0) -> Iterator[Tensor]:
    """The whole store in order, `rows` at a time (by default so many as make a few megabytes)."""
    if not rows and len(store):
        one = store.gather(torch.zeros(1, dtype=torch.int64))
        rows = max(1, BLOCK_BYTES // max(1, one.nbytes))
    for begin in range(0, len(store), max(rows, 1)):
        yield store.gather(torch.arange(begin, min(begin + rows, len(store))))


def npy_header(path: Path) -> tuple[tuple[int, ...], np.dtype[np.generic], int]:
    """Shape, type and where the values begin, of a .npy file that can be read as it lies."""
    try:
        with path.open("rb") as file:
            head = read_header(file)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path} is not a .npy file that can be read ({error}); write it with numpy.save") from None
    shape, fortran, dtype = head.shape, head.fortran, head.dtype
    if not shape:
        raise UserError(f"{path} holds a single value; the first axis must count the examples")
    if fortran and len(shape) > 1:
        raise UserError(f"{path} is in Fortran order; save it with numpy.save(path, numpy.ascontiguousarray(x))")
    if dtype.byteorder == ">":
        raise UserError(f"{path} is big-endian; save it with numpy.save(path, x.astype(x.dtype.newbyteorder('=')))")
    return shape, dtype, head.offset
