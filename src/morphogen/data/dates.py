"""Dates and times in cells: read as numbers (days, hours, minutes or seconds since 1970, as fine as they are
written), and written back in the form that they came in. All cells of a column decide whether days or months come
first."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from morphogen.errors import UserError

__all__ = ["ORDERS", "DateForm", "date_form_of", "is_date_form"]

ORDERS = ("dmy", "mdy", "ymd")
CELL = re.compile(
    r"(\d{1,2}|\d{4})([-/.])(\d{1,2})(?:\2(\d{4}|\d{2}|\d))?"
    r"(?:([ T])(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?)?(Z|[+-]\d{2}:?\d{2})?",
    re.ASCII,
)
CLOCK = re.compile(r"()()()()()(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?()", re.ASCII)
TOKEN = re.compile(r"%(-?)([YymdHMSf])")
DIGITS = {"Y": "4", "y": "2", "m": "1,2", "d": "1,2", "H": "1,2", "M": "1,2", "S": "1,2", "f": "1,9"}
SECONDS = {"d": 86400.0, "H": 3600.0, "M": 60.0, "S": 1.0, "f": 1e-6}
ALMOST = 0.9
START = datetime(1970, 1, 1)


def is_date_form(form: str) -> bool:
    """Whether the form of a column of numbers is that of dates or times."""
    return TOKEN.search(form) is not None


@dataclass(frozen=True)
class DateForm:
    """A form like %Y-%m-%d %H:%M; %-d is a day without a leading 0.

    >>> form = DateForm("%d/%m/%Y")
    >>> form.read("31/01/1970"), form.write(31.0)
    (30.0, '01/02/1970')
    """

    form: str

    @cached_property
    def tokens(self) -> list[str]:
        """What is said of a time, in the order of the form."""
        return [found[2] for found in TOKEN.finditer(self.form)]

    @cached_property
    def unit(self) -> str:
        """The finest of them: a number is so many of it since 1970."""
        return next(token for token in "fSMHdmYy" if token in self.tokens)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What cells look like."""
        if len(set(self.tokens)) < len(self.tokens) or self.unit in "Yy" or len(self.form) > 60:
            raise UserError(f"{self.form[:60]!r} is no form of dates")
        parts, end = [], 0
        for found in TOKEN.finditer(self.form):
            parts += [re.escape(self.form[end : found.start()]), rf"(\d{{{DIGITS[found[2]]}}})"]
            end = found.end()
        return re.compile("".join([*parts, re.escape(self.form[end:])]), re.ASCII)

    def read(self, cell: str) -> float:
        """The number of a date; what is none is told in words."""
        found = self.pattern.fullmatch(cell)
        if not found:
            raise ValueError(f"{cell[:40]!r} is not a date like {self.write(0.0)}")
        said = dict(zip(self.tokens, found.groups(), strict=True))
        year = int(said.get("Y", 1970)) if "y" not in said else int(said["y"]) + (1900 if int(said["y"]) > 68 else 2000)
        part = {token: int(said.get(token, token in "md")) for token in "mdHMS"}
        try:
            time = datetime(year, part["m"], part["d"], part["H"], part["M"], part["S"])
        except ValueError as error:
            raise ValueError(f"{cell[:40]!r} is no date: {error}") from None
        if self.unit == "m":
            return float((year - 1970) * 12 + part["m"] - 1)
        fraction = int(said["f"][:6].ljust(6, "0")) if "f" in said else 0
        passed = time - START
        if self.unit == "f":
            return float((passed.days * 86400 + passed.seconds) * 1_000_000 + fraction)
        return (passed.days * 86400 + passed.seconds) / SECONDS[self.unit]

    def value(self, number: float) -> datetime | str:
        """A number as the time that it is, where it is written as ISO 8601 has it, or as text."""
        return self.time(number) if self.form.startswith("%Y-%m-%d") else self.write(number)

    def time(self, value: float) -> datetime:
        """A number as the time that it is."""
        whole = math.floor(value + 0.5)
        try:
            if self.unit == "m":
                return datetime(1970 + whole // 12, 1 + whole % 12, 1)
            if self.unit == "f":
                return START + timedelta(microseconds=whole)
            return START + timedelta(seconds=whole * SECONDS[self.unit])
        except (OverflowError, ValueError):
            raise UserError(f"{value:g} is beyond the dates that can be written") from None

    def write(self, value: float) -> str:
        """A number as the date that it is, in its form."""
        time = self.time(value)
        said = {
            "Y": f"{time.year:04d}", "y": f"{time.year % 100:02d}", "m": f"{time.month:02d}", "d": f"{time.day:02d}",
            "H": f"{time.hour:02d}", "M": f"{time.minute:02d}", "S": f"{time.second:02d}",
            "f": f"{time.microsecond:06d}",
        }  # fmt: skip
        return TOKEN.sub(lambda found: said[found[2]].removeprefix("0") if found[1] else said[found[2]], self.form)


def date_form_of(present: Sequence[str], order: str = "") -> DateForm | str | None:
    """The form of the dates in a column, None where they are none, or why it cannot be told. `order`: dmy, mdy or ymd,
    where a person said so."""
    if not (CELL.fullmatch(present[0]) or CLOCK.fullmatch(present[0]) or len(present) > 1):
        return None
    fits = [found for cell in present if (found := CELL.fullmatch(cell) or CLOCK.fullmatch(cell)) and _dated(found)]
    if len(fits) < ALMOST * len(present):
        return None
    if any(len({bool(found[group]) for found in fits}) > 1 for group in (1, 4, 5, 6, 8, 9)):
        return None  # dates of several forms
    if any(len({found[group] for found in fits}) > 1 for group in (2, 5, 10)):
        return None
    first, mark, zone = fits[0], fits[0][2], fits[0][10] or ""
    date = ""
    if mark:
        found_order = _order(fits, order)
        if found_order not in ORDERS:
            return found_order
        names = _names(fits, found_order)
        date = mark.join(name for name in names if name)
    clock = ":".join(_clock(fits)) + (".%f" if first[9] else "") if first[6] else ""
    form = DateForm(date + (first[5] or "") + clock + zone)
    return form if form.tokens else None


def _dated(found: re.Match[str]) -> bool:
    """Whether three parts stand there, or a year and a month; or a time of day alone."""
    if not found[2]:
        return True
    if found[4] is None:
        return len(found[1]) == 4 and found[2] == "-" and not found[6] and 1 <= int(found[3]) <= 12
    return (len(found[1]) == 4) != (len(found[4]) in (2, 4) and len(found[1]) < 3) or len(found[4]) == 4


def _order(fits: Sequence[re.Match[str]], asked: str) -> str:
    """In which order year, month and day stand, or why that cannot be told."""
    if any(len(found[1]) == 4 for found in fits):
        return "ymd"
    if asked and asked != "ymd":
        return asked
    day_first, month_first = (any(int(found[group]) > 12 for found in fits) for group in (1, 3))
    if day_first != month_first:
        return "dmy" if day_first else "mdy"
    if day_first or fits[0][2] == ".":
        return "dmy"
    first = fits[0]
    one, two = int(first[1]), int(first[3])
    return f"{first[0]!r} may be day {one} of month {two} or day {two} of month {one}"


def _names(fits: Sequence[re.Match[str]], order: str) -> list[str]:
    """The tokens of a date, in order; without a leading 0 where some cell has none."""
    year = "%Y" if any(len(found[4 if order != "ymd" else 1]) == 4 for found in fits) else "%y"
    names = []
    for letter, group in zip(order, (1, 3, 4), strict=True):
        bare = any(found[group] is not None and len(found[group]) == 1 for found in fits)
        there = fits[0][group] is not None
        names.append(year if letter == "y" else f"%{'-' if bare else ''}{letter}" if there else "")
    return names


def _clock(fits: Sequence[re.Match[str]]) -> list[str]:
    """The tokens of a time of day; what is 0 in all cells, from the seconds up, is no token but stands as it is."""
    bare = any(len(found[6]) == 1 for found in fits)
    parts = [("%-H" if bare else "%H", 6), ("%M", 7), *([("%S", 8)] if fits[0][8] else [])]
    words = [token for token, _ in parts]
    if fits[0][9]:
        return words
    for place in range(len(parts) - 1, -1, -1):
        group = parts[place][1]
        values = {found[group] for found in fits}
        if values != {"00"} or (place == 0 and not fits[0][2]):
            break
        words[place] = "00"
    return words
