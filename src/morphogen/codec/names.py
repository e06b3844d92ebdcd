"""Names inside an archive: relative, the same on every system, and never a way out of the folder they are put into."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from morphogen import escape
from morphogen.errors import UserError

__all__ = ["Names", "shown"]

LONGEST, LONGEST_PART, DEEPEST = 4096, 255, 64
MOST, MOST_FOLDERS = 1 << 20, 1 << 18


def shown(name: str) -> str:
    """A name that can be printed, not longer than a line."""
    return escape.shown(name)[:200]


class Names:
    """The names of one archive, checked one by one as they come: a tree, so that long paths take no more than their
    length. What differs only in case, or in how accents are composed, is one name on many systems."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._found: dict[tuple[int, str], tuple[int, str]] = {}  # folder and folded name, to number and name
        self._files = self._folders = 0  # a file has number 0, as the folder at the top
        for name in names:
            self.add(name)

    def add(self, name: str) -> None:
        """One more, or an error that says why not."""
        parts = name.split("/")
        if any(part in ("", ".", "..") for part in parts) or "\0" in name or "\\" in name:
            raise UserError(f"{shown(name)!r} is no name for a file in an archive: it must be relative and plain")
        try:
            size = [len(part.encode("utf-8", "surrogateescape")) for part in parts]
        except UnicodeEncodeError:
            raise UserError(f"{shown(name)!r} holds characters that no name can hold") from None
        self._files += 1
        if max(size) > LONGEST_PART or sum(size) + len(size) > LONGEST or len(size) > DEEPEST:
            raise UserError(f"{shown(name)!r} is longer or deeper than a name can be")
        if self._files > MOST:
            raise UserError(f"an archive holds at most {MOST:,} files; make several")
        above = 0
        for part in parts[:-1]:
            above = self._folder(above, part, name)
        key = (above, _folded(parts[-1]))
        if key in self._found:
            self._clash(parts[-1], self._found[key][1].rpartition("/")[2], name)
        self._found[key] = (0, name)

    def _folder(self, above: int, part: str, name: str) -> int:
        key = (above, _folded(part))
        if key not in self._found:
            self._folders += 1
            if self._folders > MOST_FOLDERS:
                raise UserError(f"an archive holds at most {MOST_FOLDERS:,} folders; make several")
            self._found[key] = (self._folders, part)
        number, other = self._found[key]
        if number == 0 or other != part:
            self._clash(part, other.rpartition("/")[2], name)
        return number

    def _clash(self, part: str, other: str, name: str) -> None:
        if part == other:
            raise UserError(f"{shown(name)!r} would stand in the archive twice, or as a file and a folder; rename one")
        raise UserError(
            f"{shown(name)!r}: {shown(part)!r} and {shown(other)!r} are the same on many systems; rename one"
        )


def _folded(part: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", part).casefold())
