"""Finding the files of a named set: the folders of $MORPHOGEN_DATA, then the cache, then a mirror.

Whatever is found is checked against its sha256 before a byte of it is used, and a download takes its name only when it
is whole.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from morphogen.atomic import placed, sweep
from morphogen.errors import Failure, UserError

__all__ = ["Remote", "cache_folder", "data_folders", "find", "keep", "locate", "unpacked"]

PIECE = 1 << 18
WAIT = 30.0


@dataclass(frozen=True)
class Remote:
    """A file of a set: `mnist/train-images...`, what its bytes hash to, how many there are, and who serves it."""

    name: str
    sha256: str
    size: int
    mirrors: tuple[str, ...] = ()

    @property
    def urls(self) -> list[str]:
        """Where it can be had; $MORPHOGEN_MIRROR takes the place of the public mirrors."""
        mirror = os.environ.get("MORPHOGEN_MIRROR")
        if mirror:
            return [f"{mirror.rstrip('/')}/{self.name}"]
        return [f"{base}{self.name.rpartition('/')[2]}" for base in self.mirrors]


def cache_folder() -> Path:
    """The user's own cache."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "morphogen"


def data_folders() -> list[Path]:
    """Where sets may lie on this machine, the first to be asked first."""
    named = [Path(folder).expanduser() for folder in os.environ.get("MORPHOGEN_DATA", "").split(os.pathsep) if folder]
    return [*named, cache_folder()]


def find(name: str) -> Path | None:
    """A file of a set where it already lies on this machine."""
    return next((path for folder in data_folders() if (path := folder / name).is_file()), None)


def locate(remote: Remote) -> Path:
    """The file on this machine, checked; downloaded into the cache if it was nowhere."""
    path = find(remote.name)
    if path is None:
        return _download(remote)
    _check(path, remote, path.read_bytes())
    return path


def _check(path: Path | str, remote: Remote, content: bytes) -> None:
    got = hashlib.sha256(content).hexdigest()
    if got != remote.sha256:
        raise UserError(
            f"{path} is not the file that was published: sha256 expected {remote.sha256}, got {got} "
            f"({len(content):,} bytes, expected {remote.size:,}); remove it and try again"
        )


def _download(remote: Remote) -> Path:
    tried = []
    for url in remote.urls:
        try:
            content = _read(url, remote)
        except (OSError, HTTPException, ValueError) as error:
            tried.append(f"{url} ({error})")
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            continue
        _check(url, remote, content)
        return keep(cache_folder() / remote.name, content)
    folders = ", ".join(str(folder) for folder in data_folders())
    raise UserError(
        f"{remote.name} is not on this machine (looked in {folders}) and could not be downloaded from "
        f"{'; '.join(tried) or 'anywhere'}. Fetch it on a connected machine and put it at FOLDER/{remote.name}, "
        "with MORPHOGEN_DATA=FOLDER"
    )


def _read(url: str, remote: Remote) -> bytes:
    if not url.startswith(("https://", "http://")):
        raise ValueError("only http and https are spoken")
    content = bytearray()
    with urllib.request.urlopen(url, timeout=WAIT) as answer:
        while len(content) <= remote.size and (piece := answer.read(PIECE)):
            content += piece
            _tell(f"\r{remote.name} {len(content) / 1e6:.1f} of {remote.size / 1e6:.1f} MB")
    _tell("\n")
    return bytes(content)


def _tell(line: str) -> None:
    if sys.stderr.isatty():
        print(line, end="", file=sys.stderr, flush=True)


def keep(path: Path, content: bytes) -> Path:
    """Write under another name, then rename: a file under its own name is whole."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        with placed(path, force=True) as file:
            file.write(content)
    except OSError as error:
        raise Failure(
            f"{path} could not be written: {error.strerror}; set XDG_CACHE_HOME to a folder with room"
        ) from None
    return path


def unpacked(sha256: str, shape: tuple[int, ...], make: Callable[[], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Bytes that take long to unpack, kept in the cache under what they hash to, and checked each time."""
    kept = cache_folder() / "unpacked" / f"{sha256[:32]}.npy"
    with suppress(OSError, ValueError):
        values: NDArray[np.uint8] = np.load(kept, allow_pickle=False)
        if values.shape == shape and hashlib.sha256(values.data).hexdigest() == sha256:
            return values
    values = make()
    if (got := hashlib.sha256(values.data).hexdigest()) != sha256 or values.shape != shape:
        raise UserError(f"unpacked bytes {values.shape}: sha256 expected {sha256}, got {got}; fetch the set again")
    file = io.BytesIO()
    np.save(file, values)
    with suppress(Failure):
        keep(kept, file.getvalue())
    return values
