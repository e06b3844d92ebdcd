"""Escaping of names, metrics and commands that come from strangers: on a terminal, in Markdown and in JSON they are
text and nothing else."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

__all__ = ["complain", "fenced", "figure_text", "inline_code", "json_text", "markdown", "shown"]

MARKUP = re.compile(r"[\\`*\[\]|#~$]|(?<![^\W_])_|_(?![^\W_])|!(?=\[)")
ENTITIES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("://", "&#58;//"), ("www.", "www&#46;"))


def shown(text: str) -> str:
    """Without anything that could move a cursor, change colours or turn the direction of reading: it is spelt out.

    >>> shown("a\\x1b[31mb\\u202e"), shown("naïve 名")
    ('a\\\\x1b[31mb\\\\u202e', 'naïve 名')
    """
    return "".join(c if c.isprintable() else _spelt(c) for c in text)


def _spelt(character: str) -> str:
    return ascii(character)[1:-1]


def complain(text: str) -> None:
    """One line to stderr, whatever is in it."""
    print(f"morphogen: {shown(text)}", file=sys.stderr)


def json_text(value: Any) -> str:
    """JSON to read by eye: letters of any language as they are, all that a terminal would act on as \\u escapes.

    >>> json_text({"é": "\\u202e"}).splitlines()[1]
    ' "é": "\\\\u202e"'
    """
    text = json.dumps(value, indent=1, ensure_ascii=False, default=str)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def markdown(text: str) -> str:
    """Text inside a line of Markdown: no markup, link, picture, HTML or end of a table's cell.

    >>> print(markdown("![x](http://y) <b> a_b | c"))
    \\!\\[x\\](http&#58;//y) &lt;b&gt; a_b \\| c
    """
    text = MARKUP.sub(lambda found: f"\\{found.group()}", shown(text.replace("\n", " ").replace("\t", " ")))
    for mark, entity in ENTITIES:
        text = text.replace(mark, entity)
    return text


def figure_text(text: str) -> str:
    """Text in a figure, where a pair of dollar signs would be mathematics."""
    return shown(text).replace("$", r"\$")


def inline_code(text: str) -> str:
    """Text as code within a line, in a cell of a table, too.

    >>> inline_code("a`b")
    '`` a`b ``'
    """
    said = shown(text.replace("\n", " ")).replace("|", "\\|")
    fence = "`" * (_longest(said) + 1)
    return f"{fence} {said} {fence}" if len(fence) > 1 else f"`{said}`"


def _longest(text: str) -> int:
    """Of the backticks that stand together."""
    return max(map(len, re.findall("`+", text)), default=0)


def fenced(text: str, language: str = "") -> str:
    """Lines as a block of code, whose fence is longer than any in it."""
    lines = "\n".join(shown(line) for line in text.split("\n"))
    fence = "`" * max(3, _longest(lines) + 1)
    return f"{fence}{language}\n{lines}\n{fence}\n"
