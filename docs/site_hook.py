"""What mkdocs does beyond its configuration: reference pages made from the program itself, every task and every recipe;
and decisions and the log of experiments are left out of the search, where they would stand before the guide.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mkdocs.structure.files import File, Files

from morphogen import recipe as recipes
from morphogen.settings import recipe_settings
from morphogen.tasks.task import Task, tasks


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """The two pages, among those that lie in docs/."""
    files.append(File.generated(config, "reference/tasks.md", content=tasks_page()))
    files.append(File.generated(config, "reference/recipes.md", content=recipes_page()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page as it is; not to be searched where it is about how the program came to be."""
    if page.file.src_uri.startswith("decisions/") or page.file.src_uri == "LOG.md":
        page.meta["search"] = {"exclude": True}
    return markdown


def tasks_page() -> str:
    """Every task: what it does, how it is called, its arguments, examples."""
    groups: dict[str, list[Task]] = {}
    for task in tasks().values():
        groups.setdefault(task.group or "Others", []).append(task)
    lines = [
        "# Tasks: the commands and methods",
        "",
        "Each is a command, `morphogen NAME RUN`, and most are methods of a run, `mg.open(RUN).NAME()`, with the same "
        "arguments: `--false-alarms 0.1` is `false_alarms=0.1`.",
    ]
    for group, members in groups.items():
        lines += ["", f"## {group}"]
        for task in sorted(members, key=lambda each: each.name):
            lines += ["", f"### {task.name}", "", _escaped(task.about), ""]
            rows = [
                (f"`{a.name}`", f"`{a.type}`", _default(a.default, a.required), _escaped(a.help))
                for a in task.arguments
            ]
            lines += _table(("argument", "type", "default", "meaning"), rows) if rows else []
    return "\n".join(lines) + "\n"


def recipes_page() -> str:
    """Every recipe with its settings, as `morphogen recipes NAME` lists them."""
    lines = [
        "# Recipes and their settings",
        "",
        "As `morphogen recipes NAME` lists them; `--json` gives a JSON schema.",
    ]
    for name in recipes.names():
        lines += ["", f"## {name}", "", _escaped(recipes.summary(name)), ""]
        rows = [
            (f"`{row['setting']}`", f"{row['type']}", f"`{row['default']}`", _escaped(str(row.get("meaning") or "")))
            for row in recipe_settings(name)
        ]
        lines += _table(("setting", "type", "default", "meaning"), rows)
    return "\n".join(lines) + "\n"


def _default(value: Any, required: bool) -> str:
    return "needed" if required else "" if value is None else f"`{value}`"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    head = list(head)
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]
