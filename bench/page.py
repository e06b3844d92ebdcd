"""Tables: as text for the terminal, as Markdown between the markers of docs/benchmarks.md."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from probe import Machine

__all__ = ["Table", "caption", "put"]

CONTENDED = (
    "**CONTENDED: this machine did not count as at rest** ({}). Both of a pair suffer alike, so that ratios are "
    "indicative; milliseconds are not to be quoted"
)
QUIET = "The machine was at rest"


@dataclass
class Table:
    """What a section found. Columns that are not `words` are numbers, and stand to the right."""

    section: str
    head: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    words: int = 1  # so many columns at the left are words
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """The table and its notes."""
        line = ["---" if at < self.words else "---:" for at in range(len(self.head))]
        rows = [self.head, line, *self.rows]
        said = "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows)
        return "\n\n".join([said, *self.notes])

    def text(self) -> str:
        """The table in even columns."""
        rows = [self.head, *self.rows]
        wide = [max(len(row[at]) for row in rows) for at in range(len(self.head))]
        lines = ["  ".join(self._cell(row[at], at, w) for at, w in enumerate(wide)).rstrip() for row in rows]
        return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], *self.notes])

    def _cell(self, said: str, at: int, wide: int) -> str:
        return said.ljust(wide) if at < self.words else said.rjust(wide)


def caption(command: str, protocol: str, before: Machine, after: Machine) -> str:
    """Under what circumstances the figures were taken."""
    doubts = [f"{when}, {why}" for when, look in (("before", before), ("after", after)) for why in look.doubts]
    verdict = CONTENDED.format("; ".join(doubts)) if doubts else QUIET
    said = (
        f"`{command}`, {before.when}. {protocol} {before.cpu}, {before.cores} cores; torch {before.torch}. "
        f"Others running: {before.load:.1f} before, {after.load:.1f} after; one thread had {before.share:.0%} and "
        f"{after.share:.0%} of a core. Products of 1024 x 1024 in GFLOP/s before: {before.speeds()}; after: "
        f"{after.speeds()}. {verdict}."
    )
    return textwrap.fill(said, 118, break_long_words=False, break_on_hyphens=False)


def put(page: Path, section: str, said: str) -> None:
    """Replace what stands between the markers of a section, and nothing else."""
    pattern = re.compile(rf"(<!-- bench: {re.escape(section)} -->\n).*?(<!-- end -->)", re.DOTALL)
    text = page.read_text(encoding="utf-8")
    found = pattern.findall(text)
    if len(found) != 1:
        raise SystemExit(f"{page} holds {len(found)} places for {section!r}; it needs one, between its two markers")
    page.write_text(pattern.sub(lambda m: f"{m[1]}\n{said.strip()}\n\n{m[2]}", text), encoding="utf-8")
