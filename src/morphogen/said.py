"""How results are told on a command line: files written and named, tables, JSON."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from morphogen.atomic import Exists
from morphogen.errors import UserError
from morphogen.escape import json_text, shown

if TYPE_CHECKING:
    from morphogen.opened import OpenRun
    from morphogen.tasks.task import Task
    from morphogen.values import Values

__all__ = ["as_object", "clean", "size", "table", "tell"]

WIDE = 100
SCHEMA = 1  # of what --json prints; rises when a key goes or changes its meaning
UNITS = ("bytes", "kB", "MB", "GB", "TB")


def tell(task: Task, run: OpenRun | None, result: Any, output: Mapping[str, Any]) -> None:
    """Write values to a file, facts to the terminal."""
    if result == {}:  # its own words went to standard output
        return
    if task.gives == "Values":
        result = _written(task, run, result, output)
        if result is None:
            return
    if output.get("json"):
        print(as_object(result, task.name))
    elif task.gives == "Values":
        for path in result["files"]:
            print(clean(f"wrote {path}"))
        if result.get("remark"):
            print(clean(result["remark"]))
    else:
        view = getattr(result, "view", None)
        print(view if isinstance(view, str) else table(result if view is None else view))


def as_object(result: Any, name: str = "result") -> str:
    """What --json prints: one object, with the version of its layout; a list stands under the name of its task."""
    said = finite(result) if isinstance(result, Mapping) else {name: finite(result)}
    said = said if "$schema" in said else {"schema": SCHEMA} | said
    return json_text(said)


def _written(task: Task, run: OpenRun | None, values: Values, output: Mapping[str, Any]) -> dict[str, Any] | None:
    """Where the values went; None where they were shown instead."""
    out, force = output.get("out"), bool(output.get("force"))
    if out == "-":
        if output.get("json"):
            raise UserError("--json and -o - both write to standard output; give one of them")
        if sys.stdout.isatty():
            print(str(values))
        else:
            values.stream(sys.stdout.buffer)
        return None
    while True:
        path = _place(task, run, values, out)
        try:
            written = _saved(values, path, force)
            break
        except Exists:  # a name of our own choice that another process took meanwhile: the next one
            if out is not None:
                raise
    files = [str(p) for p in written] if len(written) <= 4 else [str(path)]
    return {"files": files, "count": len(values), "remark": values.remark, "recipe": values.note} | _scores(values)


def _place(task: Task, run: OpenRun | None, values: Values, out: str | None) -> Path:
    """What was named; or a free name in the run's folder."""
    if out is None:
        return _fresh(run.path if run is not None else Path(), task.name, values.suffix, values)
    path = Path(out)
    return path / f"{task.name}{values.suffix}" if path.is_dir() and not values.fills else path


def _saved(values: Values, path: Path, force: bool) -> list[Path]:
    if path.exists() and not path.is_file() and not path.is_dir():  # /dev/null, a named pipe
        with open(path, "wb") as file:
            values.stream(file)
        return [path]
    return values.save(path, force=force)


def _scores(values: Values) -> dict[str, Any]:
    """What is known of how good they are, if anything."""
    scores = getattr(values, "scores", None)
    return {"scores": scores} if scores else {}


def _fresh(folder: Path, name: str, suffix: str, values: Values) -> Path:
    """RUN/sample.png, or sample-2.png, -3 ... where that is taken; here, if the run's folder cannot be written."""
    folder = folder if os.access(folder, os.W_OK) else Path()
    number = 1
    while True:
        path = folder / (f"{name}{suffix}" if number == 1 else f"{name}-{number}{suffix}")
        beside = [path.with_name(f"{path.stem}-{figure}.png") for figure in values.beside]
        if not any(os.path.lexists(p) for p in (path, *beside)):
            return path
        number += 1


def finite(value: Any) -> Any:
    """JSON has no NaN and no infinity; other readers would stumble over them."""
    if isinstance(value, Mapping):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and (value != value or abs(value) == float("inf")) else value


def size(count: int) -> str:
    """Bytes as a person reads them.

    >>> size(512), size(1_234_567)
    ('512 bytes', '1.2 MB')
    """
    amount, unit = float(count), 0
    while amount >= 999.95 and unit < len(UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.1f} {UNITS[unit]}" if unit else f"{count} bytes"


def table(result: Any) -> str:
    """Facts, aligned: a line each; a list of facts, a line each with a head."""
    if isinstance(result, Mapping):
        return "\n".join(_lines(result, ""))
    if isinstance(result, Sequence) and not isinstance(result, str):
        return _columns(list(result))
    return clean(str(result))


def _lines(facts: Mapping[str, Any], indent: str) -> list[str]:
    plain = {k: v for k, v in facts.items() if not _deep(v)}
    wide = max((len(str(k)) for k in plain), default=0)
    lines = []
    for key, value in facts.items():
        if not _deep(value):
            lines.append(f"{indent}{clean(str(key)):<{wide}}  {cell(value)}".rstrip())
        elif isinstance(value, Mapping):
            lines += [f"{indent}{clean(str(key))}", *_lines(value, indent + "  ")]
        elif isinstance(value[0], Mapping):
            lines += [f"{indent}{clean(str(key))}", *(f"{indent}  {row}" for row in _columns(value).splitlines())]
        else:
            lines += [f"{indent}{clean(str(key))}", *(f"{indent}  {cell(v)}" for v in value)]
    return lines


def _deep(value: Any) -> bool:
    return (isinstance(value, Mapping) and bool(value)) or (
        isinstance(value, list) and any((isinstance(v, str) and len(v) > 20) or isinstance(v, Mapping) for v in value)
    )


def _columns(rows: list[Any]) -> str:
    if not rows:
        return "none"
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[cell(row.get(name)) for name in names] for row in rows]
    names = [clean(str(name)) for name in names]
    wide = [max(len(name), *(len(line[i]) for line in cells)) for i, name in enumerate(names)]
    lines = [names, *cells]
    return "\n".join("  ".join(f"{word:<{w}}" for word, w in zip(line, wide, strict=True)).rstrip() for line in lines)


def cell(value: Any) -> str:
    """One value as a person reads it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4f}" if 0.001 <= abs(value) < 1e6 else f"{value:g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(cell(v) for v in value)
    return clean(str(value))


def clean(text: str) -> str:
    """One line that moves no cursor (names come from strangers), in letters that this terminal has."""
    marks = sys.stdout.encoding if sys.stdout is not None and sys.stdout.encoding else "utf-8"
    said = shown(text.replace("\n", " ").replace("\t", " "))
    try:
        said.encode(marks)
    except UnicodeEncodeError:
        said = said.translate(str.maketrans("▁▂▃▄▅▆▇█", "_.-~=+*#"))
    return said
