"""The command line: one command for each task, made from its signature. Nothing heavy is imported before it is needed.

Exit codes: 0 done, 2 a mistake of the user's, 1 a failure, 75 stopped with a run that can be resumed, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from morphogen.errors import MorphogenError, UserError, did_you_mean
from morphogen.tasks.task import Argument, Task, tasks
from morphogen.tasks.words import choices

__all__ = ["main"]

STOPPED, INTERRUPTED, PIPE_CLOSED = 75, 130, 141
GROUPS = ("Train", "Look", "Make", "Edit", "Answer", "Explore", "Codes", "Score", "Compress", "Lists")  # others follow
LONGEST = 2000


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the number is what the shell gets."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    _any_terminal()
    try:
        code = _run(words)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except BrokenPipeError:
        # whoever read us has gone; without this, Python would complain once more when it flushes at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    except MorphogenError as error:
        if debug:
            raise
        _complain(str(error))
        return error.code
    except OSError as error:
        if debug:
            raise
        _complain(f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
        return 1
    except Exception as error:
        if debug:
            raise
        _complain(f"unexpected {type(error).__name__}: {error}; run again with --debug to see where, and tell us")
        return 1


def _any_terminal() -> None:
    """Text in any language on a terminal that knows only ASCII: what it cannot show is spelt out, not fatal."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _complain(text: str) -> None:
    from morphogen.said import clean

    rank = os.environ.get("RANK", "0")
    where = "morphogen" if rank == "0" else f"morphogen, rank {rank}"
    text = text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 4 :]}"
    print(f"{where}: {clean(text)}", file=sys.stderr)


def _run(words: list[str]) -> int:
    for word in words:
        if "\0" in word or not _is_text(word):
            raise UserError(f"{word[:40]!r} holds characters that no name can hold")
    if not words or words[0] in ("-h", "--help", "help"):
        if len(words) > 1 and words[0] == "help":
            return _run([words[1], "--help"])
        print(_overview())
        return 0
    if words[0] in ("-V", "--version", "version"):
        from morphogen import __version__

        print(f"morphogen {__version__}")
        return 0
    name = words[0]
    if name not in tasks():
        raise UserError(f"there is no command {name!r}; {did_you_mean(name, tasks())}; `morphogen --help` tells of all")
    return _command(tasks()[name], words[1:])


def _is_text(word: str) -> bool:
    try:
        os.fsencode(word)
    except UnicodeEncodeError:
        return False
    return True


def _command(task: Task, words: list[str]) -> int:
    if any(word in ("-h", "--help") for word in words[: words.index("--") if "--" in words else None]):
        print(_parser(task, whole=True).format_help(), end="")
        return 0
    given, rest = _parser(task).parse_known_args(words)
    said = {name: value for name, value in vars(given).items() if value is not None}
    output: dict[str, Any] = {name: said.pop(name) for name in _of_output(task) if name in said}
    said |= _placed(task, _positional(task, rest))
    path = said.pop("RUN", None)
    task.read(said)  # all that can be known to be wrong is said before anything heavy is loaded
    if task.of_a_run:
        from morphogen.opened import OpenRun

        opened = OpenRun(path)
        result = opened.perform(task, said)
    else:
        opened = None
        result = task.function(**task.read(said))
    from morphogen.said import tell

    if os.environ.get("RANK", "0") == "0":
        tell(task, opened, result, output)
    if isinstance(result, dict) and result.get("damaged") is True:
        return 1  # what could be saved is there, and it is not all
    return STOPPED if isinstance(result, dict) and result.get("stopped") is True else 0


def _of_output(task: Task) -> tuple[str, ...]:
    """Options that are not the task's own: a task that writes no values may have an `out` and a `force` itself."""
    return ("json", "out", "force") if task.gives == "Values" else ("json",)


# Words to arguments ---------------------------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """argparse whose complaints are ours."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{self.prog}: {message}; see `{self.prog} --help`")


def _parser(task: Task, whole: bool = False) -> Parser:
    """The options of a task. The words between them are placed by `_placed`; in help (`whole`) they are listed too."""
    parser = Parser(
        prog=f"morphogen {task.name}",
        description=task.about,
        allow_abbrev=False,
        add_help=whole,
        argument_default=None,
    )
    if whole:
        for name, many, required, help in _words(task):
            nargs = "*" if many else None if required else "?"
            parser.add_argument(name, nargs=nargs, help=help.replace("%", "%%"))
    for argument in task.arguments:
        if argument.option:
            _add_option(parser, argument)
    if task.gives == "Values":
        parser.add_argument("-o", "--out", metavar="FILE", help="where to; its ending says the format, - shows it here")
        parser.add_argument("--force", action="store_true", default=None, help="overwrite what is there")
    parser.add_argument("--json", action="store_true", default=None, help="print facts as JSON")
    parser.add_argument("--debug", action="store_true", default=None, help="show where an error came from")
    return parser


def _add_option(parser: Parser, argument: Argument) -> None:
    flags = [f"-{argument.name}"] if len(argument.name) == 1 else [f"--{argument.name.replace('_', '-')}"]
    flags += ["-o"] if argument.name == "out" else []
    about = argument.help.replace("%", "%%")
    if argument.type == "bool":
        parser.add_argument(*flags, dest=argument.name, action="store_true", default=None, help=about)
        return
    default = "" if argument.default is None else f" (default {argument.default})"
    known = choices(argument.type) if argument.type.startswith("Literal[") else []
    metavar = "|".join(known) or {"Count": "N", "Seed": "N", "int": "N", "Amount": "X", "float": "X"}.get(argument.type)
    metavar = metavar or argument.name.upper()
    parser.add_argument(*flags, dest=argument.name, metavar=metavar, help=about + default)


def _words(task: Task) -> list[tuple[str, bool, bool, str]]:
    """What stands on the line without a flag: name, whether several, whether it must be there, help."""
    listed = [("RUN", False, True, "the folder of a run")] if task.of_a_run else []
    for a in task.arguments:
        if not a.option:
            listed.append((a.name.upper(), a.many or a.type in ("Data", "Codes", "Given"), a.required, a.help))
    return listed


def _positional(task: Task, rest: list[str]) -> list[str]:
    """The words that are no options; an option that nobody knows is refused with a suggestion."""
    if "--" in rest:
        cut = rest.index("--")
        return _positional(task, rest[:cut]) + rest[cut + 1 :]
    for word in rest:
        if word.startswith("-") and word != "-":
            flags = [f"--{a.name.replace('_', '-')}" for a in task.arguments if a.option and len(a.name) > 1]
            known = [*flags, "--json", "--help", *(["--out", "--force"] if task.gives == "Values" else [])]
            flag = word.partition("=")[0]
            raise UserError(f"morphogen {task.name} takes no {flag!r}; {did_you_mean(flag, known)}")
    return rest


def _placed(task: Task, rest: list[str]) -> dict[str, Any]:
    """Words in their order to arguments; one that takes several takes all that are left."""
    said: dict[str, Any] = {}
    for name, many, required, help in _words(task):
        if not rest:
            if required:
                usage = " ".join(w if must else f"[{w}]" for w, _, must, _ in _words(task))
                raise UserError(f"morphogen {task.name} needs {name}: {help}. It goes: morphogen {task.name} {usage}")
            break
        said[name if name == "RUN" else name.lower()] = rest if many else rest[0]
        rest = [] if many else rest[1:]
    if rest:
        raise UserError(f"morphogen {task.name} knows no use for {rest[0]!r}; see `morphogen {task.name} --help`")
    return said


def _overview() -> str:
    """All commands, in groups."""
    groups: dict[str, list[Task]] = {name: [] for name in GROUPS}
    for task in tasks().values():
        groups.setdefault(task.group, []).append(task)
    lines = ["Morphogen: models with hidden variables. One latent model, every task.", ""]
    lines += ["  morphogen train vae digits        a recipe and data, by name or path", ""]
    for group, members in groups.items():
        if members:
            lines.append(group)
            lines += [f"  {task.name:<12} {task.summary}" for task in members]
            lines.append("")
    lines.append("`morphogen COMMAND --help` tells the rest; --json prints facts, --debug where errors come from.")
    return "\n".join(lines)
