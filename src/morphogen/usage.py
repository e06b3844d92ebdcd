"""Usage of the command line: the options of each task made from its signature, help pages, and words to arguments."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from morphogen.errors import UserError, did_you_mean
from morphogen.tasks.task import OPENING, Argument, Task, tasks
from morphogen.tasks.words import choices

__all__ = ["of_output", "overview", "parser", "placed", "positional", "words_of"]

GROUPS = ("Train", "Look", "Make", "Edit", "Answer", "Explore", "Codes", "Score", "Compress", "Lists")  # others follow
METAVARS = {"Count": "N", "Seed": "N", "int": "N", "Amount": "X", "float": "X", "Numbers": "X,X,...",
            "Strengths": "NAME=X,..."}  # fmt: skip
NAMED = {"out": "FILE", "run": "FOLDER", "split": "SPLIT", "label": "CLASS"}
WIDTH = 100


class Parser(argparse.ArgumentParser):
    """argparse whose complaints are ours, and whose help is as wide as ours."""

    def __init__(self, task: Task, whole: bool) -> None:
        super().__init__(
            prog=f"morphogen {task.name}",
            description=task.about,
            epilog="\n".join(("examples:", *(f"  {line}" for line in task.examples))) if task.examples else None,
            formatter_class=_Layout,
            allow_abbrev=False,
            add_help=whole,
            argument_default=None,
        )

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see `{self.prog} --help`")


class _Layout(argparse.RawDescriptionHelpFormatter):
    """Examples as they are, everything else folded."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=WIDTH)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("examples:"):
            return text
        return argparse.HelpFormatter._fill_text(self, text, width, indent)


def parser(task: Task, whole: bool = False) -> Parser:
    """The options of a task. The words between them are placed by `placed`; in help (`whole`) they are listed too."""
    made = Parser(task, whole)
    if whole:
        for name, many, required, help in words_of(task):
            nargs = "*" if many else None if required else "?"
            made.add_argument(name, nargs=nargs, help=help.replace("%", "%%"))
    groups = {title: made.add_argument_group(title) for title in ("data options", "output options")}
    for argument in task.arguments:
        if argument.option:
            home = "data options" if argument in OPENING else "output options" if argument.name in _WRITING else None
            _add_option(groups[home] if home else made, argument)
    output = groups["output options"]
    if task.gives == "Values":
        output.add_argument(
            "-o", "--out", metavar="FILE",
            help=f"output file; the format follows its extension; - prints to the terminal, or writes to a pipe "
            f"(default RUN/{task.name}, extension by the data)",
        )  # fmt: skip
        output.add_argument("--force", action="store_true", default=None, help="overwrite existing files")
    output.add_argument("--json", action="store_true", default=None, help="print facts, and errors, as JSON")
    output.add_argument("--debug", action="store_true", default=None, help="show where an error came from")
    return made


_WRITING = ("out", "force")


def _add_option(made: argparse._ActionsContainer, argument: Argument) -> None:
    flags = [f"-{argument.name}"] if len(argument.name) == 1 else [f"--{argument.name.replace('_', '-')}"]
    flags = ["-o", *flags] if argument.name == "out" else flags
    about = argument.help.replace("%", "%%")
    if argument.type == "bool":
        made.add_argument(*flags, dest=argument.name, action="store_true", default=None, help=about)
        return
    default = "" if argument.default is None else f" (default {argument.default})"
    known = choices(argument.type) if argument.type.startswith("Literal[") else []
    metavar = "|".join(known) or METAVARS.get(argument.type) or NAMED.get(argument.name) or argument.name.upper()
    made.add_argument(*flags, dest=argument.name, metavar=metavar, help=about + default)


def of_output(task: Task) -> tuple[str, ...]:
    """Options that are not the task's own: a task that writes no values may have an `out` and a `force` itself."""
    return ("json", "out", "force") if task.gives == "Values" else ("json",)


def words_of(task: Task) -> list[tuple[str, bool, bool, str]]:
    """What stands on the line without a flag: name, whether several, whether it must be there, help."""
    run = "a run: its folder, its name below runs/, or `last`"
    listed = [("RUN", False, True, run)] if task.of_a_run else []
    for a in task.arguments:
        if not a.option:
            listed.append((a.name.upper(), a.many or a.type in ("Data", "Codes", "Given"), a.required, a.help))
    return listed


def positional(task: Task, rest: Sequence[str]) -> list[str]:
    """The words that are no options; an option that nobody knows is refused with a suggestion."""
    words = list(rest)
    if "--" in words:
        cut = words.index("--")
        return positional(task, words[:cut]) + words[cut + 1 :]
    for place, word in enumerate(words):
        if word.startswith("-") and word != "-":
            raise UserError(_unknown(task, word, words[place + 1 : place + 2]))
    return words


def _unknown(task: Task, word: str, after: Sequence[str]) -> str:
    """An option that nobody knows: the near one, or the argument or setting that goes without dashes."""
    flag, _, value = word.partition("=")
    name = flag.lstrip("-").replace("-", "_")
    said = f"unknown option {flag}"
    plain = [a for a in task.arguments if not a.option]
    if any(a.name == name for a in plain):
        return f"{said}; {name.upper()} goes without a flag: {_usage(task)}"
    if any(a.name == "settings" for a in plain):
        from morphogen.shorthand import is_setting

        value = value or (after[0] if after and not after[0].startswith("-") else "VALUE")
        if is_setting(name):
            return f"{said}; settings go without dashes: {name}={value}"
    flags = [f"--{a.name.replace('_', '-')}" for a in task.arguments if a.option and len(a.name) > 1]
    known = [*flags, "--json", *(["--out", "--force"] if task.gives == "Values" else [])]
    return f"{said}; {did_you_mean(flag, known)}"


def _usage(task: Task) -> str:
    return " ".join(["morphogen", task.name, *(w if must else f"[{w}]" for w, _, must, _ in words_of(task))])


def placed(task: Task, words: Sequence[str]) -> dict[str, Any]:
    """Words in their order to arguments; one that takes several takes all that are left."""
    rest = list(words)
    said: dict[str, Any] = {}
    for name, many, required, help in words_of(task):
        if not rest:
            if required:
                raise UserError(f"{name} is missing ({help}). Usage: {_usage(task)}")
            break
        said[name if name == "RUN" else name.lower()] = rest if many else rest[0]
        rest = [] if many else rest[1:]
    if rest:
        raise UserError(f"unexpected argument {rest[0]!r}; usage: {_usage(task)}")
    return said


def overview() -> str:
    """All commands, in groups."""
    groups: dict[str, list[Task]] = {name: [] for name in GROUPS}
    for task in tasks().values():
        groups.setdefault(task.group, []).append(task)
    lines = ["Morphogen: models with hidden variables. One latent model, every task.", ""]
    lines += ["  morphogen train vae digits        a recipe and data, by name or path"]
    lines += ["  morphogen sample last             a run, by name, by path or `last`", ""]
    for group, members in groups.items():
        if members:
            lines.append(group)
            lines += [f"  {task.name:<12} {task.summary}" for task in members]
            lines.append("")
    lines.append("`morphogen COMMAND --help` has the options and examples of each command.")
    return "\n".join(lines)
