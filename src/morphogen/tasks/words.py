"""Words for the types of a task's arguments, and how each is read from text or from a caller, strictly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from morphogen.errors import UserError, did_you_mean

__all__ = ["READERS", "choices", "numbers", "reader", "strengths"]


def _whole(low: int, high: int) -> Callable[[str, Any], int]:
    def read(name: str, value: Any) -> int:
        text = str(value)
        digits = text.removeprefix("-").removeprefix("+")
        # int() would also take 1_000 and digits of other scripts: what was meant there is anyone's guess
        if isinstance(value, bool) or not (digits.isascii() and digits.isdigit()) or len(digits) > 19:
            raise UserError(f"{name} must be a whole number, not {text[:40]!r}")
        number = int(text)
        if not low <= number <= high:
            raise UserError(f"{name} must be from {low} to {high:,}, not {number}")
        return number

    return read


def _real(low: float) -> Callable[[str, Any], float]:
    def read(name: str, value: Any) -> float:
        text = str(value)
        try:
            number = float(text) if text.isascii() and "_" not in text else float("nan")
        except ValueError:
            number = float("nan")
        if not low <= number < float("inf"):
            least = f" of at least {low:g}" if low > float("-inf") else ""
            raise UserError(f"{name} must be a finite number{least}, not {text[:40]!r}")
        return number

    return read


def _text(name: str, value: Any) -> str:
    return str(value)


def _path(name: str, value: Any) -> Path:
    if "\0" in str(value) or not str(value):
        raise UserError(f"{name}: {str(value)!r} is no path")
    return Path(value)


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise UserError(f"{name} is yes or no (True or False), not {value!r}")
    return value


def strengths(name: str, value: Any) -> dict[str, float]:
    """How much of each thing: `smile=1.5, age=-1`, or a table of the same.

    >>> strengths("by", "smile=1.5, age=-1")
    {'smile': 1.5, 'age': -1.0}
    """
    pairs = value.items() if isinstance(value, Mapping) else [p.partition("=")[::2] for p in str(value).split(",")]
    said: dict[str, float] = {}
    for word, much in pairs:
        word = str(word).strip()
        if not word or str(much).strip() == "":
            raise UserError(f"{name} = {str(value)[:60]!r} is not how much of what; write NAME=1.5, OTHER=-1")
        if word in said:
            raise UserError(f"{name} names {word!r} twice; say once how much of it")
        said[word] = _real(float("-inf"))(f"{name}: {word}", str(much).strip())
    if not said:
        raise UserError(f"{name} is empty; write NAME=1.5, OTHER=-1")
    return said


def numbers(name: str, value: Any) -> list[float]:
    """Numbers with commas between them, or a list.

    >>> numbers("weights", "1, 0.5")
    [1.0, 0.5]
    """
    words = value if isinstance(value, (list, tuple)) else str(value).split(",")
    return [_real(float("-inf"))(name, str(word).strip()) for word in words]


def _as_strengths(name: str, value: Any) -> str:
    return ", ".join(f"{word}={much:.12g}" for word, much in strengths(name, value).items())


def _as_numbers(name: str, value: Any) -> str:
    return ",".join(f"{number:.12g}" for number in numbers(name, value))


READERS: dict[str, Callable[[str, Any], Any]] = {
    "Count": _whole(1, 2**31 - 1),
    "Seed": _whole(0, 2**63 - 1),
    "int": _whole(-(2**63), 2**63 - 1),
    "Amount": _real(0.0),
    "float": _real(float("-inf")),
    "str": _text,
    "Path": _path,
    "bool": _switch,
    "Strengths": _as_strengths,  # text again, so that a command can be told from it; `strengths` takes it apart
    "Numbers": _as_numbers,
}


def choices(word: str) -> list[str]:
    """The words of a `Literal[...]`."""
    return [w.strip(" '\"") for w in word.removeprefix("Literal[").removesuffix("]").split(",")]


def reader(word: str) -> Callable[[str, Any], Any]:
    """What reads values of this word: takes the argument's name and what was said."""
    return READERS[word] if word in READERS else lambda name, value: _one_of(name, str(value), choices(word))


def _one_of(name: str, value: str, known: list[str]) -> str:
    if value not in known:
        raise UserError(f"{name} = {value!r} is not known; {did_you_mean(value, known)}")
    return value
