"""Decoded pictures of one size, in memory, or, where they are too many, in a .npy file of the user's cache."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
import torch
from numpy.typing import NDArray

from morphogen.atomic import placed
from morphogen.data.dataset import Store
from morphogen.data.fetch import cache_folder, keep
from morphogen.data.pictures import Refused
from morphogen.data.split import content_hash
from morphogen.data.stores import FileStore, MemoryStore
from morphogen.errors import Failure

__all__ = ["Album", "album"]

HEADER = 128
Decoded = tuple[NDArray[np.uint8], NDArray[np.bool_]] | Refused


@dataclass
class Album:
    """The pictures, a hash of each one's content, which files were refused and why, and what all bytes hash to; which
    of the values 0 .. 255 occur in them as they are stored, and which occurred before they were fitted."""

    store: Store
    hashes: NDArray[np.uint64]
    refused: list[tuple[int, str]]
    digest: str
    values: NDArray[np.bool_]
    own: NDArray[np.bool_]


@dataclass
class Taken:
    """The same facts while the pictures go by."""

    hashes: list[int] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)
    values: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(256, np.bool_))
    own: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(256, np.bool_))
    digest: str = ""

    def of(self, store: Store) -> Album:
        """The album that they are the facts of."""
        return Album(store, np.array(self.hashes, np.uint64), self.refused, self.digest, self.values, self.own)


def album(decoded: Iterator[Decoded], count: int, shape: tuple[int, int, int], memory: float, key: str) -> Album:
    """All that is decoded: in memory up to `memory` gigabytes, else in a file of the cache that is made once."""
    if count * math.prod(shape) <= memory * 1e9:
        return _in_memory(decoded, count, shape)
    name = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
    path = cache_folder() / "decoded" / f"{name}.npy"
    kept = _kept(path)
    return kept or _in_file(decoded, shape, path)


def _take(decoded: Iterator[Decoded], put: Callable[[NDArray[np.uint8]], None]) -> Taken:
    sha, taken = hashlib.sha256(), Taken()
    for number, page in enumerate(decoded):
        if isinstance(page, Refused):
            taken.refused.append((number, str(page)))
            continue
        pixels = np.ascontiguousarray(page[0])
        put(pixels)
        sha.update(pixels.data)
        taken.hashes.append(content_hash(pixels.data))
        taken.values[pixels.reshape(-1)] = True
        taken.own |= page[1]
    taken.digest = sha.hexdigest()
    return taken


def _in_memory(decoded: Iterator[Decoded], count: int, shape: tuple[int, int, int]) -> Album:
    pages = np.empty((count, *shape), np.uint8)
    done = 0

    def put(pixels: NDArray[np.uint8]) -> None:
        nonlocal done
        pages[done] = pixels
        done += 1

    taken = _take(decoded, put)
    return taken.of(MemoryStore(torch.from_numpy(pages[:done])))


def _in_file(decoded: Iterator[Decoded], shape: tuple[int, int, int], path: Path) -> Album:
    """Decode into another name, then rename; what was refused is written beside it first."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with placed(path, force=True) as file:
            file.write(bytes(HEADER))
            taken = _take(decoded, lambda pixels: _write(file, pixels))
            file.seek(0)
            file.write(_header((len(taken.hashes), *shape)))
            facts = vars(taken) | {"values": taken.values.tolist(), "own": taken.own.tolist()}
            keep(path.with_suffix(".json"), json.dumps(facts).encode())
    except OSError as error:
        raise Failure(
            f"{path} could not be written: {error.strerror}; set XDG_CACHE_HOME to a folder with room"
        ) from None
    return taken.of(FileStore(path))


def _write(file: IO[bytes], pixels: NDArray[np.uint8]) -> None:
    file.write(pixels.data)


def _kept(path: Path) -> Album | None:
    """What an earlier call left."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        facts = json.loads(path.with_suffix(".json").read_bytes())
        refused = [(int(number), str(why)) for number, why in facts["refused"]]
        values, own = (np.array(facts[name], np.bool_) for name in ("values", "own"))
        taken = Taken([int(h) for h in facts["hashes"]], refused, values, own, str(facts["digest"]))
        found = taken.of(FileStore(path))
        return found if len(found.store) == len(found.hashes) else None
    return None


def _header(shape: tuple[int, ...]) -> bytes:
    """A .npy header of exactly HEADER bytes, so that it can be written last."""
    words = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + (HEADER - 10).to_bytes(2, "little") + words.ljust(HEADER - 11) + b"\n"
