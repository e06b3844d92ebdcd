"""What goes wrong, in words for the person at the keyboard.

A `UserError` is a mistake that its reader can mend (exit code 2); a `Failure` is everything else that we foresee
(exit code 1). Both say what was wrong, where, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

__all__ = ["Failure", "MorphogenError", "UserError", "did_you_mean"]


class MorphogenError(Exception):
    """Anything Morphogen says no to."""

    code = 1


class UserError(MorphogenError):
    """A mistake in what was asked: the message names the place and the remedy."""

    code = 2


class Failure(MorphogenError):
    """The request was fine, the work could not be done; `found` is what was found out before, which is not lost."""

    code = 1

    def __init__(self, text: str, found: Any = None) -> None:
        super().__init__(text)
        self.found = found


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A suggestion for a misspelt word, or the list of what there is.

    >>> did_you_mean("latnet", ["latent", "net"])
    "did you mean 'latent'?"
    >>> did_you_mean("zzz", ["b", "a"])
    'there are: a, b'
    """
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    return "there are: " + ", ".join(known) if known else "there are none"
