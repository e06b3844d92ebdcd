"""Atomic writes: a file is there whole or not at all, follows no link, and takes no other file's place unasked.

A temporary file beside the place, under a random name; fsync; then a rename, or a hard link where nothing may be
overwritten (it fails if the name is taken by then, which a look beforehand cannot promise); fsync of the folder. Modes
are what the umask leaves. A temporary file is locked while it is written: one without a lock was left by a process
that was killed, and `sweep` removes it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from morphogen.errors import Failure, UserError

__all__ = ["Exists", "exists_error", "is_temporary", "may_write", "placed", "sweep", "write"]

NEW = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
TEMPORARY = re.compile(r"\.(.+\.)?[0-9a-f]{16}\.tmp", re.DOTALL)
NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
NAMED = 60  # characters of the name that a temporary file carries: no file system takes more than 255 bytes


def is_temporary(name: str) -> bool:
    """Whether a file of that name is one of ours, on its way to another name."""
    return TEMPORARY.fullmatch(name) is not None


class Exists(UserError):
    """A place that is taken, and may not be."""


def exists_error(path: Path | str) -> Exists:
    """What is said of a place that is taken."""
    return Exists(f"{path} exists and is not overwritten; give another name, or --force (force=True in Python)")


def may_write(path: Path, force: bool) -> None:
    """Refuse a place that is taken, before the work is done for it."""
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a file in it")
    if not force and os.path.lexists(path):
        raise exists_error(path)


def write(path: Path, content: bytes, *, force: bool) -> None:
    """A file of these bytes, its folder made where there is none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"{path.parent} cannot be made: {error.strerror}") from None
    try:
        with placed(path, force=force) as file:
            file.write(content)
    except FileExistsError:
        raise exists_error(path) from None
    except OSError as error:
        raise Failure(f"{path} could not be written: {error.strerror or error}") from None


@contextmanager
def placed(
    path: Path,
    *,
    force: bool,
    mode: int = 0o666,
    folder: int | None = None,
    whole: Callable[[Path], bool] = lambda path: True,
) -> Iterator[BinaryIO]:
    """A file to fill, which takes its name when the block ends well: FileExistsError where that is taken and may not be
    replaced. `folder`: that of `path`, already open, whose fsync is the caller's. `whole` looks at what was written
    before it counts."""
    with ExitStack() as stack:
        mine = folder is None
        if folder is None:
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, folder)
        file, temporary = _temporary(path.name, folder, mode)
        stack.enter_context(file)
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if not whole(path.with_name(temporary)):
                raise OSError("what was written is not what is read back; the disk may be failing")
            _take(temporary, path.name, folder, force)
        finally:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
        if mine:
            os.fsync(folder)


def _temporary(name: str, folder: int, mode: int) -> tuple[BinaryIO, str]:
    while True:
        temporary = f".{name[:NAMED]}.{secrets.token_hex(8)}.tmp"
        handle = os.open(temporary, os.O_RDWR | NEW, mode, dir_fd=folder)
        with suppress(OSError):  # a file system without locks: nothing is swept there
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(handle).st_nlink:  # not swept between the two calls
            return os.fdopen(handle, "w+b"), temporary
        os.close(handle)


def _take(temporary: str, name: str, folder: int, force: bool) -> None:
    if not force:
        try:
            os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
            return
        except OSError as error:
            if error.errno not in NO_HARD_LINKS:
                raise
        os.close(os.open(name, os.O_WRONLY | NEW, dir_fd=folder))  # an empty file of our own keeps the name
    os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)


def sweep(folder: Path) -> None:
    """Remove the temporary files that a killed process of ours left in a folder."""
    with suppress(OSError):
        for name in filter(is_temporary, os.listdir(folder)):
            _sweep_one(folder / name)


def _sweep_one(path: Path) -> None:
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while somebody writes it
            path.unlink()
        finally:
            os.close(handle)
