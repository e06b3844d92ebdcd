"""How a column writes its numbers: marks before and after them, between thousands and before decimals, decided by all
of its cells together ("125,730" alone may be either; a column in which a 0 leads, "0,126", can be only one)."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from morphogen.errors import UserError

__all__ = ["MISSING", "NUMBER", "Form", "bad_cells", "form_of", "looks_like_number", "number", "plain_number"]

MISSING = frozenset(
    ("", "NA", "N/A", "#N/A", "<NA>", "NaN", "nan", "NAN", "-nan", "-NaN", "NaT", "na", "n/a", "null", "NULL", "Null")
)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
ENDLESS = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
MARKS = "$€£¥₹₩₽₺₫₪%"
GAPS = "'\u2019 \u00a0\u202f"  # that stand between thousands
_MARK, _GAP = f"[{re.escape(MARKS)}]?", "[ \u00a0\u202f]?"
MARKED = re.compile(
    rf"([+-]?){_GAP}({_MARK}){_GAP}([+-]?)([\d.,{GAPS}]*\d[\d.,]*(?:[eE][+-]?\d+)?){_GAP}({_MARK})", re.ASCII
)
LONGEST = 60  # characters of a number
SHAPE = "1234.5"  # what a form is written down as: this number in it


@dataclass(frozen=True)
class Form:
    """Marks of a column of numbers; `write(read(cell))` is the cell, but for needless digits.

    >>> form = Form(before="$", thousands=",")
    >>> form.read("-$1,234.50"), form.write("-1234.5")
    (-1234.5, '-$1,234.5')
    """

    before: str = ""
    after: str = ""
    thousands: str = ""
    decimal: str = "."

    @property
    def plain(self) -> bool:
        """Whether numbers stand there as programs write them."""
        return self == Form()

    def told(self) -> str:
        """As one word, an example: $1,234.5; nothing where it is plain."""
        return "" if self.plain else self.write(SHAPE)

    @classmethod
    def from_word(cls, word: str) -> Form:
        """The form that `told` told."""
        found = re.fullmatch(r"(\D?)1(\D?)234(\D)5(\D?)", word)
        if word and not found:
            raise UserError(f"{word!r} is no way to write 1234.5")
        return cls(found[1], found[4], found[2], found[3]) if found else cls()

    def read(self, cell: str) -> float:
        """The number in a cell, NaN where it is empty; what is no number is told in words."""
        if cell in MISSING:
            return math.nan
        bare = cell
        if self.before or self.after:
            found = _match(cell)
            if not found or found[2] not in ("", self.before) or found[5] not in ("", self.after):
                raise ValueError(f"{cell[:40]!r} is not a number like {self.told()}")
            bare = (found[1] or found[3]) + found[4].strip()
        if self.thousands and self.thousands in bare:
            if not _grouped(bare.partition(self.decimal)[0], self.thousands):
                raise ValueError(f"{cell[:40]!r} is not a number like {self.told()}")
            bare = bare.replace(self.thousands, "")
        if self.decimal != ".":
            bare = bare.replace(self.decimal, ".", 1)
        return number(bare, cell)

    def write(self, plain: str) -> str:
        """A number as this column writes it, of one as programs do."""
        sign, bare = ("-", plain[1:]) if plain.startswith("-") else ("", plain)
        whole, point, rest = bare.partition(".")
        if self.thousands and whole.isdigit():
            head = len(whole) % 3
            groups = ([whole[:head]] if head else []) + [whole[i : i + 3] for i in range(head, len(whole), 3)]
            whole = self.thousands.join(groups)
        return f"{sign}{self.before}{whole}{self.decimal if point else ''}{rest}{self.after}"


def number(cell: str, said: str = "") -> float:
    """A number as programs write it, NaN where the cell is empty; what is no number is told in words.

    >>> number("-1.5e3"), number("NA")
    (-1500.0, nan)
    """
    if cell in MISSING:
        return math.nan
    if NUMBER.fullmatch(cell):
        value = float(cell)
        if abs(value) > 1e300:
            raise ValueError(f"{cell[:40]} is too large for a number")
        return value
    if ENDLESS.fullmatch(cell):
        raise ValueError(f"{cell} is not finite")
    raise ValueError(f"{(said or cell)[:40]!r} is not a number")


def plain_number(value: float) -> str:
    """A number as people write it.

    >>> plain_number(3.0), plain_number(0.25), plain_number(9007199254741028.0)
    ('3', '0.25', '9007199254741028')
    """
    return str(int(value)) if value == int(value) and abs(value) < 1e18 else repr(value)


def looks_like_number(cell: str) -> bool:
    """Whether a cell is digits, with marks about and between them."""
    return _match(cell) is not None or ENDLESS.fullmatch(cell) is not None


def _match(cell: str) -> re.Match[str] | None:
    return MARKED.fullmatch(cell) if len(cell) <= LONGEST else None


def form_of(present: Sequence[str], *, semicolons: bool, thousands: str = "", decimal: str = "") -> Form | str:
    """The form of the numbers in a column by all of its cells that are not empty; why it cannot be told, where it
    cannot. `semicolons`: they stand between cells, as where a comma stands before decimals; `thousands` and `decimal`
    are what a person said."""
    found = list(map(_match, present))
    fits = [match for match in found if match]
    before, after = (_shared(fits, group) if len(fits) == len(present) else "" for group in (2, 5))
    bare = [match[4].strip() for match in fits if match[2] in ("", before) and match[5] in ("", after)]
    if thousands or decimal:
        decimal = decimal or ("," if thousands == "." else ".")
        return Form(before, after, thousands or ("." if decimal == "," else ","), decimal)
    split = _separators(bare, semicolons)
    return split if isinstance(split, str) else Form(before, after, *split)


def _shared(fits: Sequence[re.Match[str]], group: int) -> str:
    """The mark that all cells carry there."""
    marks = {match[group] for match in fits}
    return marks.pop() if len(marks) == 1 else ""


def _separators(bare: Sequence[str], semicolons: bool) -> tuple[str, str] | str:
    """What stands between thousands and what before decimals, as all cells have it."""
    for mark in GAPS:
        if any(mark in cell for cell in bare):
            return mark, "," if any("," in cell for cell in bare) else "."
    commas, points = ([cell for cell in bare if mark in cell] for mark in ",.")
    both = [cell for cell in commas if "." in cell]
    if both:
        decimal = Counter("," if cell.rfind(",") > cell.rfind(".") else "." for cell in both).most_common(1)[0][0]
        return "." if decimal == "," else ",", decimal
    if any(cell.count(".") > 1 for cell in points):
        return ".", ","
    if not commas:
        return "", "."
    if any(cell.count(",") > 1 for cell in commas):
        return ",", "."
    if not all(_grouped(cell.lstrip("+-"), ",") for cell in commas) or semicolons:
        return "", ","
    if any(len(re.split(r"[.eE]", cell)[0].lstrip("+-")) > 3 for cell in bare if "," not in cell):
        return f"{commas[0][:40]!r} may mean {commas[0].replace(',', '')[:40]} or a fraction"
    return ",", "."


def _grouped(whole: str, mark: str) -> bool:
    """Whether digits stand in threes, and no 0 leads.

    >>> _grouped("1,234", ","), _grouped("0,126", ","), _grouped("12,34", ",")
    (True, False, False)
    """
    first, *rest = whole.lstrip("+-").split(mark)
    return 1 <= len(first) <= 3 and not first.startswith("0") and all(len(g) == 3 and g.isdigit() for g in rest)


def bad_cells(cells: Iterable[str], read: Callable[[str], float]) -> Counter[str]:
    """How often each cell stands there that cannot be read, in order of appearance."""
    bad: Counter[str] = Counter()
    for cell in cells:
        try:
            read(cell)
        except ValueError:
            bad[cell] += 1
    return bad
