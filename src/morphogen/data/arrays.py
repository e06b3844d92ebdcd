"""Arrays in .npy and .npz files, known by looking: pictures, tables of real numbers, sequences of symbols.

A .npy file larger than `memory` gigabytes stays where it is: it is looked through once, in blocks, and streamed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from morphogen.core.batch import BLANK
from morphogen.core.build import register
from morphogen.core.space import Space, Vector
from morphogen.data.dataset import Dataset, Split, Store
from morphogen.data.near_copies import Joined, copies
from morphogen.data.npz import Arrays, examples_in, labels_in, read_npy
from morphogen.data.own_splits import divided, rough
from morphogen.data.picture_dataset import overlap
from morphogen.data.shapes import Look, look
from morphogen.data.split import UNSPLIT
from morphogen.data.stamp import digest, fingerprint
from morphogen.data.stores import FileStore, Mapped, MemoryStore, Rows, npy_header, subset
from morphogen.data.survey import Survey, moments, survey, survey_of_file
from morphogen.errors import UserError

__all__ = ["array", "dataset_of_arrays"]

Values = NDArray[Any]


@register("data")
def array(*, path: str, valid: float = 0.1, test: float = 0.1, memory: float = 2.0) -> Dataset:
    """A .npy or .npz file of your own: pictures (N,H,W[,C]), a table (N,D) of floats, or symbols (N,L) of integers.

    memory: gigabytes of a file that are held in memory; a larger one is streamed
    """
    file = Path(path)
    if not file.is_file():
        raise UserError(f"{file} is not a file; give the path of a .npy or .npz file")
    if file.suffix.lower() == ".npz":
        x, y, x_test, y_test = _npz(file, memory)
        return _assemble(file, _stored(x, file), y, valid, test, (x_test, y_test))
    shape, dtype, _ = npy_header(file)
    if int(np.prod(shape, dtype=np.float64)) * dtype.itemsize > memory * 1e9:
        return _assemble(file, FileStore(file), None, valid, test, (None, None))
    return _assemble(file, _stored(read_npy(file, memory), file), None, valid, test, (None, None))


def dataset_of_arrays(name: str, x: Values, y: Values | None, valid: float, test: float) -> Dataset:
    """Arrays in memory, as a file of them would be taken; `name` is what messages call them."""
    path = Path(name)
    return _assemble(path, _stored(x, path), y, valid, test, (None, None))


def _npz(path: Path, memory: float) -> tuple[Values, Values | None, Values | None, Values | None]:
    """What an .npz file holds under the names that people use, unpacked into memory."""
    with Arrays(path, memory) as held:
        name = "x_train" if "x_train" in held else examples_in(held)
        wanted = [labels_in(held, name)]
        wanted += ["x_test", labels_in(held, "x_test")] if "x_train" in held and "x_test" in held else [None, None]
        y, x_test, y_test = (None if each is None else held.read(each) for each in wanted)
        return held.read(name), y, x_test, y_test


def _stored(values: Values, path: Path) -> MemoryStore:
    if values.dtype.hasobject or values.dtype.kind not in "buif":
        raise UserError(f"{path} holds {values.dtype}; save numbers (uint8, int or float) instead")
    if values.ndim == 0:
        raise UserError(f"{path} holds a single value; the first axis must count the examples")
    kind = np.dtype(np.float64) if values.dtype.itemsize > 8 else values.dtype.newbyteorder("=")
    native = np.ascontiguousarray(values.astype(kind, copy=False))
    return MemoryStore(torch.from_numpy(native))


def _assemble(
    path: Path, raw: Store, y: Values | None, valid: float, test: float, rest: tuple[Values | None, Values | None]
) -> Dataset:
    if not len(raw):
        raise UserError(f"{path} holds no examples")
    seen = survey_of_file(raw) if isinstance(raw, FileStore) else survey(raw, str(path))
    shape = tuple(raw.gather(torch.zeros(1, dtype=torch.int64)).shape[1:])
    labels, classes = _labels(y, len(raw), path)
    found = look(shape, seen, str(path), _dtype(raw))
    groups = _groups(_mapped(raw, found.arrange), seen.hashes, found.space)
    splits, how = divided(seen.hashes, groups, valid, 0.0 if rest[0] is not None else test, labels)
    space, remarks = _space(found, raw, splits["train"], seen), list[str]()
    parts = {
        name: Split(_mapped(subset(raw, rows), found.arrange), None if labels is None else labels[rows])
        for name, rows in splits.items()
    }
    stamps = [seen.digest, digest(labels)]
    if rest[0] is not None:
        parts["test"], stamp, hashes = _given(path, rest, found, classes, shape)
        stamps, how = stamps + stamp, f"{how}; test as given"
        both = Joined(_mapped(raw, found.arrange), parts["test"].x)
        groups = _groups(both, np.concatenate([seen.hashes, hashes]), found.space)
        splits = {**splits, "test": torch.arange(len(raw), len(both))}
        if words := overlap(splits, groups):
            how += f"; {words}"
            remarks.append(f"in {path.name}, {words}: scores on them say how well they are remembered")
    remarks += _remarks(path, parts, how)
    options = {"valid": valid, "test": test}
    protocol = "; ".join(filter(None, (found.note, how)))
    stamp_all = fingerprint(space, stamps, options)
    array = {"dtype": _dtype(raw)} | ({} if found.white is None else {"white": found.white})
    return Dataset(path.stem, space, parts, stamp_all, classes=classes, protocol=protocol, array=array, remarks=remarks)


def _groups(store: Store, hashes: NDArray[np.uint32], space: Space) -> NDArray[np.int64]:
    """Examples that must stay together: copies, which are only told by their hashes in a file that is streamed."""
    if isinstance(store, MemoryStore) or (isinstance(store, Joined) and store.in_memory):
        return copies(store, hashes, space).groups
    return np.unique(hashes, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _remarks(path: Path, parts: Mapping[str, Split], how: str) -> list[str]:
    """What a person should know before training."""
    if UNSPLIT in how:
        word = "too few different examples to hold any out: train, valid and test are the same"
        return [f"{path.name} holds {word}, and scores say nothing of new examples"]
    return [word] if "test" in parts and (word := rough(len(parts["test"]))) else []


def _dtype(store: Store) -> str:
    """What the values are saved as."""
    return str(store.gather(torch.zeros(0, dtype=torch.int64)).dtype).removeprefix("torch.")


def _given(
    path: Path, rest: tuple[Values | None, Values | None], found: Look, classes: tuple[str, ...], shape: tuple[int, ...]
) -> tuple[Split, list[str], NDArray[np.uint32]]:
    """The test split that came with the file, read as the training examples are."""
    assert rest[0] is not None
    store = _stored(rest[0], path)
    seen = survey(store, f"{path} (x_test)")
    if (
        tuple(store.values.shape[1:]) != shape
        or look(shape, seen, str(path), _dtype(store)).space.kind != found.space.kind
    ):
        raise UserError(f"{path}: x_test {tuple(store.values.shape)} does not fit x_train {shape}; save them alike")
    if seen.high > found.high or seen.low < found.low:
        raise UserError(f"{path}: x_test spans {seen.low:g} to {seen.high:g}, more than x_train; save them alike")
    labels, theirs = _labels(rest[1], len(store), path)
    if theirs and theirs != classes and not set(theirs) <= set(classes):
        raise UserError(f"{path}: y_test has classes that y_train has not: {sorted(set(theirs) - set(classes))}")
    if labels is not None and theirs != classes:
        places = torch.tensor([*(classes.index(word) for word in theirs), BLANK], dtype=torch.int64)
        labels = places[labels]  # of a blank, the last
    return Split(_mapped(store, found.arrange), labels), [seen.digest, digest(labels)], seen.hashes


def _labels(y: Values | None, count: int, path: Path) -> tuple[Tensor | None, tuple[str, ...]]:
    """Class numbers 0 .. n-1, -1 where the label is -1 or empty, and what each stands for."""
    if y is None:
        return None, ()
    if y.shape[:1] != (count,) or y.size != count or y.dtype.kind not in "buiUS":
        raise UserError(f"{path}: labels are {y.dtype} {y.shape}; one whole number or word for each example is wanted")
    words, numbers = np.unique(y.reshape(count), return_inverse=True)
    blank = len(words) > 0 and words.tolist()[0] in (BLANK, "", b"")  # the first, since they are sorted
    if blank and len(words) == 2:
        raise UserError(
            f"{path}: labels are {words.tolist()[0]!r} and {words.tolist()[1]!r}, and {words.tolist()[0]!r} means that "
            "there is none; give at least two classes, as 0, 1 ... or by names"
        )
    names = tuple(w.decode("utf-8", "replace") if isinstance(w, bytes) else str(w) for w in words[blank:].tolist())
    return torch.from_numpy(numbers.astype(np.int64) - blank), names


def _space(found: Look, raw: Store, train: Tensor, seen: Survey) -> Space:
    """The space, with a table's columns standardised by what the training rows say."""
    if not isinstance(found.space, Vector):
        return found.space
    centre, scale = moments(Rows(raw, train))
    return Vector(found.space.length, found.space.columns, centre, scale)


def _mapped(store: Store, arrange: Callable[[Tensor], Tensor]) -> Store:
    return MemoryStore(arrange(store.values)) if isinstance(store, MemoryStore) else Mapped(store, arrange)
