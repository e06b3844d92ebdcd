"""Files into a folder that they cannot leave: every folder is opened beneath the one before, and no link followed.

Each file is written beside its place and renamed into it, so that it is there whole or not at all.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO

from morphogen.atomic import placed
from morphogen.codec.names import shown
from morphogen.errors import Failure, UserError

__all__ = ["Folder"]

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class Folder:
    """A folder that is written to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written: set[tuple[str, ...]] = set()

    def check(self, name: str, force: bool) -> None:
        """Refuse before anything is written, if the place is taken, or in a git repository's own folder, where a file
        can be a command that git runs."""
        *folders, _ = name.split("/")
        with ExitStack() as stack:
            for depth, folder in enumerate(folders, 1):
                if folder.casefold() == ".git" and self._open(stack, folders[:depth], make=False) is not None:
                    raise UserError(f"{self.path}/{shown(name)} would change a git repository; extract elsewhere")
            above = self._open(stack, folders, make=False)
            if above is not None:
                self._free(above, name, force)

    def _free(self, above: int, name: str, force: bool) -> None:
        try:
            mode = os.stat(name.rpartition("/")[2], dir_fd=above, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return
        if stat.S_ISDIR(mode):
            raise UserError(f"{self.path}/{shown(name)} is a folder; extract elsewhere")
        if not force:
            raise self._taken(name)

    def _taken(self, name: str) -> UserError:
        return UserError(f"{self.path}/{shown(name)} exists and is not overwritten; extract elsewhere, or --force")

    def write(self, name: str, mode: int, force: bool, fill: Callable[[BinaryIO], None]) -> None:
        """A file, by what fills it."""
        with ExitStack() as stack:
            parts = name.split("/")
            above = self._open(stack, parts[:-1], make=True)
            assert above is not None
            self._free(above, name, force)
            try:
                with placed(Path(parts[-1]), force=force, mode=mode & 0o777, folder=above) as file:
                    fill(file)
                self._written.add(tuple(parts[:-1]))
            except FileExistsError:
                raise self._taken(name) from None
            except OSError as error:
                raise Failure(f"{self.path}/{shown(name)} could not be written: {error.strerror}") from None

    def sync(self) -> None:
        """Wait until the disk has the names, too; each file was waited for when it was written."""
        for parts in sorted(self._written):
            with ExitStack() as stack:
                folder = self._open(stack, list(parts), make=False)
                if folder is not None:
                    os.fsync(folder)

    def _open(self, stack: ExitStack, parts: list[str], make: bool) -> int | None:
        """The folder that a file goes to; none where it is not there and is not to be made."""
        try:
            if make:
                self.path.mkdir(parents=True, exist_ok=True)
            handle = _kept(stack, os.open(self.path, os.O_RDONLY | os.O_DIRECTORY))
            for part in parts:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(part, dir_fd=handle)
                handle = _kept(stack, os.open(part, FOLDER, dir_fd=handle))
        except FileNotFoundError:
            if not make:
                return None
            raise Failure(f"{self.path} could not be made") from None
        except OSError as error:
            where = "/".join([str(self.path), *map(shown, parts)])
            raise UserError(f"{where}: a file or a link stands where a folder is needed ({error.strerror})") from None
        return handle


def _kept(stack: ExitStack, handle: int) -> int:
    stack.callback(os.close, handle)
    return handle
