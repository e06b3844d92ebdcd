"""Facts that tasks find: a dict or a list for programs, which a person, and a notebook, read as a table."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["Facts", "Rows", "readable"]


class Facts(dict[str, Any]):
    """A dict whose words on a screen are a table; `view`, where it is given, is what a person sees in its place, words
    as they are."""

    def __init__(self, facts: Mapping[str, Any], view: Any = None) -> None:
        super().__init__(facts)
        self.view = view

    def __repr__(self) -> str:
        from morphogen.said import table

        return self.view if isinstance(self.view, str) else table(dict(self) if self.view is None else self.view)

    def _repr_html_(self) -> str:
        return _html(dict(self) if self.view is None else self.view)


class Rows(list[Any]):
    """A list of facts whose words on a screen are a table, a line each; `view` as of `Facts`."""

    def __init__(self, rows: Iterable[Any], view: Any = None) -> None:
        super().__init__(rows)
        self.view = view

    def __repr__(self) -> str:
        from morphogen.said import table

        return table(list(self) if self.view is None else self.view)

    def _repr_html_(self) -> str:
        return _html(list(self) if self.view is None else self.view)


def readable(result: Any) -> Any:
    """What a task found, as something that reads well; anything else as it is.

    >>> readable({"loss": 2.5, "steps": 4})
    loss   2.5000
    steps  4
    """
    if type(result) is dict:
        return Facts(result)
    return Rows(result) if type(result) is list and all(isinstance(row, Mapping) for row in result) else result


def _html(value: Any) -> str:
    """A table of HTML, tables within it where facts hold facts; every word escaped."""
    from morphogen.said import cell

    if isinstance(value, Mapping):
        lines = "".join(
            f"<tr><th style='text-align:left'>{_word(k)}</th><td>{_html(v)}</td></tr>" for k, v in value.items()
        )
        return f"<table>{lines}</table>"
    if isinstance(value, Sequence) and not isinstance(value, str) and value and isinstance(value[0], Mapping):
        names = list(value[0])
        head = "".join(f"<th>{_word(name)}</th>" for name in names)
        body = "".join(
            "<tr>" + "".join(f"<td>{_html(row.get(name))}</td>" for name in names) + "</tr>" for row in value
        )
        return f"<table><tr>{head}</tr>{body}</table>"
    return _word(cell(value))


def _word(text: Any) -> str:
    from morphogen.said import clean

    return html.escape(clean(str(text)))
