"""Decoded pictures of one size, in memory, or, where they are too many, in a .npy file of the user's cache."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from numpy.typing import NDArray

from morphogen.data.dataset import Store
from morphogen.data.fetch import cache_folder, keep
from morphogen.data.pictures import Refused
from morphogen.data.stores import FileStore, MemoryStore
from morphogen.errors import Failure

__all__ = ["Album", "album"]

HEADER = 128
Decoded = tuple[NDArray[np.uint8], int] | Refused


@dataclass
class Album:
    """The pictures, a hash of each one's content, which files were refused and why, and what all bytes hash to."""

    store: Store
    hashes: NDArray[np.uint32]
    refused: list[tuple[int, str]]
    digest: str


def album(decoded: Iterator[Decoded], count: int, shape: tuple[int, int, int], memory: float, key: str) -> Album:
    """All that is decoded: in memory up to `memory` gigabytes, else in a file of the cache that is made once."""
    if count * math.prod(shape) <= memory * 1e9:
        return _in_memory(decoded, count, shape)
    name = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
    path = cache_folder() / "decoded" / f"{name}.npy"
    kept = _kept(path)
    return kept or _in_file(decoded, shape, path)


def _take(
    decoded: Iterator[Decoded], put: Callable[[NDArray[np.uint8]], None]
) -> tuple[NDArray[np.uint32], list[tuple[int, str]], str]:
    sha, hashes, refused = hashlib.sha256(), [], []
    for number, page in enumerate(decoded):
        if isinstance(page, Refused):
            refused.append((number, str(page)))
            continue
        pixels = np.ascontiguousarray(page[0])
        put(pixels)
        sha.update(pixels.data)
        hashes.append(page[1])
    return np.array(hashes, np.uint32), refused, sha.hexdigest()


def _in_memory(decoded: Iterator[Decoded], count: int, shape: tuple[int, int, int]) -> Album:
    pages = np.empty((count, *shape), np.uint8)
    done = 0

    def put(pixels: NDArray[np.uint8]) -> None:
        nonlocal done
        pages[done] = pixels
        done += 1

    hashes, refused, digest = _take(decoded, put)
    return Album(MemoryStore(torch.from_numpy(pages[:done])), hashes, refused, digest)


def _in_file(decoded: Iterator[Decoded], shape: tuple[int, int, int], path: Path) -> Album:
    """Decode into another name, then rename; what was refused is written beside it first."""
    partial = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem[:16]}.")
        with os.fdopen(handle, "wb") as file:
            file.write(bytes(HEADER))
            hashes, refused, digest = _take(decoded, lambda pixels: _write(file, pixels))
            file.seek(0)
            file.write(_header((len(hashes), *shape)))
            file.flush()
            os.fsync(file.fileno())
        facts = {"refused": refused, "digest": digest, "hashes": hashes.tolist()}
        keep(path.with_suffix(".json"), json.dumps(facts).encode())
        os.replace(partial, path)
    except OSError as error:
        raise Failure(
            f"{path} could not be written: {error.strerror}; set XDG_CACHE_HOME to a folder with room"
        ) from None
    finally:
        with suppress(OSError):
            os.unlink(partial or "")
    return Album(FileStore(path), hashes, refused, digest)


def _write(file: IO[bytes], pixels: NDArray[np.uint8]) -> None:
    file.write(pixels.data)


def _kept(path: Path) -> Album | None:
    """What an earlier call left."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        facts = json.loads(path.with_suffix(".json").read_bytes())
        refused = [(int(number), str(why)) for number, why in facts["refused"]]
        found = Album(FileStore(path), np.array(facts["hashes"], np.uint32), refused, str(facts["digest"]))
        return found if len(found.store) == len(found.hashes) else None
    return None


def _header(shape: tuple[int, ...]) -> bytes:
    """A .npy header of exactly HEADER bytes, so that it can be written last."""
    words = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + (HEADER - 10).to_bytes(2, "little") + words.ljust(HEADER - 11) + b"\n"
