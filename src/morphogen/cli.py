"""The command line: one command for each task, made from its signature. Nothing heavy is imported before it is needed.

Exit codes: 0 done, 2 a mistake of the user's, 1 a failure, 75 stopped with a run that can be resumed, 130 interrupted,
141 whoever read the output has gone. With --json, standard output is one JSON object, whatever happens: the facts, or
{"error": {...}}; what is said to people goes to standard error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from morphogen.errors import MorphogenError, UserError
from morphogen.synonyms import suggestion
from morphogen.tasks.task import Task, tasks
from morphogen.usage import of_output, overview, parser, placed, positional

__all__ = ["main"]

STOPPED, INTERRUPTED, PIPE_CLOSED = 75, 130, 141
LONGEST = 2000


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the number is what the shell gets."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    as_json = "--json" in words
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
        return _complain("interrupted", INTERRUPTED, "interrupted", as_json)
    except MorphogenError as error:
        if debug:
            raise
        found = getattr(error, "found", None)
        if found is not None and not as_json:
            print(_table(found), flush=True)
        kind = "usage" if isinstance(error, UserError) else "failure"
        return _complain(str(error), error.code, kind, as_json, found)
    except OSError as error:
        if debug:
            raise
        text = f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
        return _complain(text, 1, "failure", as_json)
    except Exception as error:
        if debug:
            raise
        text = f"unexpected {type(error).__name__}: {error}; run again with --debug to see where, and tell us"
        return _complain(text, 1, "unexpected", as_json)


def _any_terminal() -> None:
    """Text in any language on a terminal that knows only ASCII: what it cannot show is spelt out, not fatal."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _table(found: Any) -> str:
    from morphogen.said import table

    return table(found)


def _complain(text: str, code: int, kind: str, as_json: bool, found: Any = None) -> int:
    """Say what went wrong: a line for people, and for programs that asked for JSON an object; gives the exit code."""
    from morphogen.said import as_object, clean

    rank = os.environ.get("RANK", "0")
    where = "morphogen" if rank == "0" else f"morphogen, rank {rank}"
    text = text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 4 :]}"
    print(f"{where}: {clean(text)}", file=sys.stderr)
    if as_json and rank == "0":
        error = {"error": {"kind": kind, "message": clean(text), "exit_code": code}}
        print(as_object((found if isinstance(found, dict) else {}) | error))
    return code


def _run(words: list[str]) -> int:
    for word in words:
        if "\0" in word or not _is_text(word):
            raise UserError(f"{word[:40]!r} holds characters that no name can hold")
    if not words or words[0] in ("-h", "--help", "help"):
        if len(words) > 1 and words[0] == "help":
            return _run([words[1], "--help"])
        print(overview())
        return 0
    if words[0] in ("-V", "--version", "version"):
        from morphogen import __version__

        print(f"morphogen {__version__}")
        return 0
    name = words[0]
    if name not in tasks():
        raise UserError(f"there is no command {name!r}; {suggestion(name, tasks())}")
    return _command(tasks()[name], words[1:])


def _is_text(word: str) -> bool:
    try:
        os.fsencode(word)
    except UnicodeEncodeError:
        return False
    return True


def _command(task: Task, words: list[str]) -> int:
    if any(word in ("-h", "--help") for word in words[: words.index("--") if "--" in words else None]):
        print(parser(task, whole=True).format_help(), end="")
        return 0
    given, rest = parser(task).parse_known_args(words)
    said = {name: value for name, value in vars(given).items() if value is not None}
    output: dict[str, Any] = {name: said.pop(name) for name in of_output(task) if name in said}
    said |= placed(task, positional(task, rest))
    path = said.pop("RUN", None) if task.of_a_run else None
    task.read(said)  # all that can be known to be wrong is said before anything heavy is loaded
    opened, result = _performed(task, path, said)
    from morphogen.said import tell

    if os.environ.get("RANK", "0") == "0":
        tell(task, opened, result, output)
    if isinstance(result, dict) and result.get("damaged") is True:
        return 1  # what could be saved is there, and it is not all
    return STOPPED if isinstance(result, dict) and result.get("stopped") is True else 0


def _performed(task: Task, path: Any, said: dict[str, Any]) -> tuple[Any, Any]:
    """The run that was opened, if one was, and what the task gives."""
    if task.needs == "RunFolder":
        from morphogen.catalogue import RunFolder

        return None, task.function(RunFolder.open(path), **task.read(said))
    if not task.of_a_run:
        return None, task.function(**task.read(said))
    from morphogen.opened import OpenRun
    from morphogen.said import clean

    opened = OpenRun(path)
    result = opened.perform(task, said)
    if os.environ.get("RANK", "0") == "0":
        for words in opened.told:
            print(clean(words), file=sys.stderr)
    return opened, result
