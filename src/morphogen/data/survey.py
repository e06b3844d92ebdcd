"""One look through a whole array, in blocks: its range, its bytes, a hash of each example, the first bad value."""

from __future__ import annotations

import hashlib
import io
import json
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from morphogen.data.dataset import Store
from morphogen.data.fetch import cache_folder, keep
from morphogen.data.split import row_hashes
from morphogen.data.stores import FileStore, blocks
from morphogen.errors import MorphogenError, UserError

__all__ = ["LARGEST", "Survey", "moments", "survey", "survey_of_file"]

LARGEST = 1e30  # of a real number: models count in float32, which ends at 3e38, and take squares


@dataclass
class Survey:
    """What was seen. `whole`: every value is a whole number."""

    kind: str
    low: float
    high: float
    whole: bool
    digest: str
    hashes: NDArray[np.uint32]


def survey(store: Store, name: str) -> Survey:
    """Look through a store; not-a-number and infinity are refused, by row."""
    low, high, whole, kind, row = np.inf, -np.inf, True, "", 0
    sha, hashes = hashlib.sha256(), []
    for block in blocks(store):
        values = block.numpy()
        kind = values.dtype.kind
        if kind == "f":
            finite = np.isfinite(values).reshape(len(values), -1).all(1)
            if not finite.all():
                bad = row + int(np.argmin(finite))
                raise UserError(f"{name}: row {bad} holds a value that is not finite; mend or drop that row")
            whole = whole and bool((values == np.rint(values)).all())
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
            if kind == "f" and max(-low, high) > LARGEST:
                bad = row + int(np.argmax(np.abs(values).reshape(len(values), -1).max(1)))
                raise UserError(f"{name}: row {bad} holds a number beyond 1e30; scale that column, or drop the row")
        sha.update(values.data.cast("B") if values.size else b"")
        hashes.append(row_hashes(values) if values.size else np.zeros(len(values), np.uint32))
        row += len(values)
    return Survey(kind, low, high, whole, sha.hexdigest(), np.concatenate(hashes))


def survey_of_file(store: FileStore) -> Survey:
    """The same of a large file, remembered in the cache by its path, size and time of change."""
    facts = store.path.stat()
    stamp = f"{store.path.resolve()} {facts.st_size} {facts.st_mtime_ns} {store.shape} {store.dtype}"
    kept = cache_folder() / "survey" / f"{hashlib.sha256(stamp.encode('utf-8', 'surrogateescape')).hexdigest()}.npz"
    with suppress(OSError, ValueError, KeyError, TypeError), np.load(kept, allow_pickle=False) as held:
        if len(held["hashes"]) == len(store):
            return Survey(**json.loads(held["facts"].item()), hashes=held["hashes"])
    seen = survey(store, str(store.path))
    rest = {k: v for k, v in vars(seen).items() if k != "hashes"}
    with suppress(MorphogenError):
        file = io.BytesIO()
        np.savez(file, facts=np.array(json.dumps(rest)), hashes=seen.hashes)
        keep(kept, file.getvalue())
    return seen


def moments(store: Store) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each column, in double precision; a constant column has scale 1."""
    count = len(store)
    centre = sum(b.numpy().astype(np.float64).sum(0) for b in blocks(store)) / count
    spread = sum(((b.numpy() - centre) ** 2).sum(0) for b in blocks(store)) / count
    scale = np.sqrt(spread)
    scale = np.where(scale > 1e-12 * np.maximum(np.abs(centre), 1.0), scale, 1.0)
    return tuple(np.asarray(centre).tolist()), tuple(scale.tolist())
