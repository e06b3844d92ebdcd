"""The folder of a run on the disk: made once, locked while it is written to, taken back where nothing was trained.

Whoever makes a run holds its lock before a byte of it is written. A folder that was there before is never removed, and
used only if it is empty, or carries the marker of a process of ours that was killed before the recipe stood. Folders
and files of a run that a stranger made links of are refused: writing to them would write elsewhere.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from morphogen import atomic
from morphogen.errors import UserError

__all__ = ["FOLDERS", "Made", "Taken", "appended", "locked", "new", "refuse_links", "subfolder", "sweep", "take_back"]

LOCK, MARKER, RECIPE = ".lock", ".morphogen-new", "recipe.toml"
FOLDERS = ("state", "samples", "kept", "tensorboard", "trackio")
EARLIER = re.compile(r"\.tmp[A-Za-z0-9]{6}|\.(step-|weights\.|log\.|recipe\.|data\.|manifest\.).*\.[0-9]+\.tmp")
TRIES = 100  # as often as a folder may come and go under our hands


class Taken(UserError):
    """A folder that holds something already, or that another process is making or training."""


@dataclass
class Made:
    """What this process made: the folder itself, unless it was there, and those above it."""

    path: Path
    own: bool = False
    above: list[Path] = field(default_factory=list)


@contextmanager
def new(path: Path) -> Iterator[Made]:
    """A folder for a new run, locked and marked as half made until the block ends well."""
    made, handle = _claim(path)
    try:
        yield made
        with suppress(OSError):
            (path / MARKER).unlink()
    finally:
        os.close(handle)


def _claim(path: Path) -> tuple[Made, int]:
    """The folder and its lock. Others may make it, or take theirs back, at the same time."""
    made = Made(path)
    try:
        str(path).encode()
    except UnicodeEncodeError:  # safetensors opens no such path
        raise UserError(f"{path} is not UTF-8 text; name another folder with --run") from None
    try:
        for _ in range(TRIES):
            with suppress(FileNotFoundError):
                _make(made)
                _refuse_taken(path)  # before a lock is left in a folder of somebody else's
                handle = _lock(path)
                try:
                    _refuse_taken(path)
                    os.close(os.open(path / MARKER, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666))
                except BaseException:
                    os.close(handle)
                    raise
                return made, handle
    except OSError as error:
        raise UserError(f"{path} cannot be made: {error.strerror}; name another folder with --run") from None
    raise UserError(f"{path} cannot be made: it comes and goes; name another folder with --run")


def _make(made: Made) -> None:
    missing = [folder for folder in made.path.parents if not folder.exists()]
    for folder in reversed(missing):
        with suppress(FileExistsError):
            folder.mkdir()
            made.above.append(folder)
    try:
        made.path.mkdir()
        made.own = True
    except FileExistsError:
        made.own = False
    _sync(made.path.parent)


def _refuse_taken(path: Path) -> None:
    held = set(os.listdir(path)) - {LOCK} if path.is_dir() else {RECIPE}
    if RECIPE in held or (held and MARKER not in held):
        raise Taken(f"{path} is already there; resume it with `morphogen resume {path}`, or name another with --run")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a run: nobody else makes, trains or changes it."""
    try:
        handle = _lock(path)
    except OSError as error:
        raise UserError(f"{path / LOCK} cannot be made: {error.strerror}; copy the run to where it can be") from None
    try:
        yield
    finally:
        os.close(handle)


def _lock(path: Path) -> int:
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            handle = os.open(path / LOCK, flags, 0o666)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise UserError(_link(path / LOCK, "delete it")) from None
            raise
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is(handle, path / LOCK):  # it may have been removed, with its folder, before we had it
                return handle
        except BlockingIOError:
            os.close(handle)
            raise Taken(f"{path} is being trained by another process; wait for it, or stop it") from None
        except OSError:
            os.close(handle)
            raise
        os.close(handle)


def _is(handle: int, path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    return False


def take_back(made: Made, names: tuple[str, ...]) -> None:
    """Remove the files of a run that was never trained, and what folders were made for it; whatever else is there
    stays. The lock goes last, so that nobody makes a new run between the files of this one."""
    path = made.path
    with suppress(UserError), locked(path):
        if _listed(path / "state"):
            return  # trained, by whoever had the lock before us
        atomic.sweep(path)
        for name in (*names, MARKER, RECIPE):
            with suppress(OSError):
                (path / name).unlink()
        with suppress(OSError):
            (path / "state").rmdir()
        with suppress(OSError):
            (path / LOCK).unlink()
        for folder in ([path] if made.own else []) + made.above[::-1]:
            with suppress(OSError):  # something else is in it
                folder.rmdir()


def _listed(path: Path) -> list[str]:
    with suppress(OSError):
        return os.listdir(path)
    return []


def refuse_links(path: Path) -> None:
    """A folder that a run writes into must be one, and no link to another place."""
    for name in FOLDERS:
        if (path / name).is_symlink():
            raise UserError(_link(path / name, "put the folder itself in its place, or delete it"))


def subfolder(path: Path, name: str) -> Path:
    """A folder within a run, made where there is none."""
    folder = path / name
    try:
        with suppress(FileExistsError):
            folder.mkdir()
    except OSError as error:
        raise UserError(f"{folder} cannot be made: {error.strerror}; copy the run to where it can be") from None
    refuse_links(path)
    return folder


def sweep(path: Path) -> None:
    """Remove the temporary files that killed processes left in a run, those of earlier versions too."""
    for folder in (path, *(path / name for name in FOLDERS[:3])):
        atomic.sweep(folder)
        for name in filter(EARLIER.fullmatch, _listed(folder)):
            with suppress(OSError):
                (folder / name).unlink()


def appended(path: Path) -> IO[str]:
    """A file of a run, to add lines to."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o666), "a", encoding="utf-8")


def _link(path: Path, remedy: str) -> str:
    return f"{path} is a link, and a run writes only inside its own folder; {remedy}, then try again"


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
