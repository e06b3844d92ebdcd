"""A task: a typed function whose first argument names what it needs. Command, method and endpoint are made from it.

    @task
    def sample(model: Samples, n: Count = 64, *, seed: Seed = 0) -> Values:
        \"\"\"New examples, drawn from the prior.

        n: number of examples
        seed: random seed

        morphogen sample last -n 16 -o grid.png
        \"\"\"

The first argument is an ability (a protocol of core/model.py or abilities.py), an `OpenRun`, or an ordinary argument.
A task that reads a run's folder alone takes `run: RunFolder`, and no torch is loaded for it.
A task of a model that needs its folder, too, takes `run: OpenRun` among the others, and nobody has to give it.
Before `*` stand the words of a command line, after it the options; a one-letter argument is an option too. The words
for types are listed in words.py. Nothing heavy is imported by a module of tasks/ before a task runs: `--help` reads
annotations as the strings that they are.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, overload

from morphogen.errors import UserError, did_you_mean
from morphogen.facts import readable
from morphogen.tasks.words import READERS, reader

__all__ = [
    "Amount",
    "Argument",
    "Count",
    "Numbers",
    "Seed",
    "Strengths",
    "Task",
    "as_function",
    "find",
    "task",
    "tasks",
]

Count = int  # a whole number from 1
Seed = int  # a whole number from 0 to 2^63 - 1
Amount = float  # a finite number from 0
Strengths = str  # how much of each thing by name: smile=1.5, age=-1
Numbers = str  # numbers with commas between them

# Arguments that the opened run turns from names, paths or arrays into examples; what is `Given` the task opens itself.
OPENED = ("Data", "Codes", "Given")
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Argument:
    """One argument of a task, as its signature says it."""

    name: str
    type: str
    default: Any = None
    required: bool = False
    many: bool = False
    option: bool = True
    help: str = ""

    def read(self, value: Any) -> Any:
        """The value from text or from a caller, of the right type and within its range."""
        if value is None and not self.required:
            return self.default
        if self.many:
            return [str(v) for v in ([value] if isinstance(value, (str, Path)) else value)]
        return value if self.type in OPENED else reader(self.type)(self.name, value)


# How data is opened: arguments that every task on data takes without naming them.
OPENING = (
    Argument(
        "split",
        "str",
        help="train, valid or test: only that part; default: of files all, of a set the test part",
    ),
    Argument("label", "str", help="class of the given files, for a label-conditional model"),
    Argument(
        "binary",
        "Literal[dynamic, static, threshold]",
        help="binarisation of a named data set, where not the model's own",
    ),
    Argument(
        "fit",
        "bool",
        default=False,
        help="resize pictures to what the model takes; of tables, count what it does not know as missing",
    ),
)


@dataclass(frozen=True)
class Task:
    """A function with all that its signature and documentation say."""

    name: str
    function: Callable[..., Any]
    group: str
    summary: str  # its first sentence
    about: str  # all that is said of it before its arguments
    examples: tuple[str, ...]  # command lines to copy
    needs: str
    arguments: tuple[Argument, ...]
    gives: str
    exact: bool

    @property
    def of_a_run(self) -> bool:
        """Whether it starts from an opened run, and so is a method of one."""
        return bool(self.needs)

    @property
    def data(self) -> Argument | None:
        """The argument that stands for examples, if there is one."""
        return next((a for a in self.arguments if a.type in OPENED), None)

    def read(self, given: dict[str, Any]) -> dict[str, Any]:
        """Every argument, checked, defaults filled in."""
        known = {a.name: a for a in self.arguments}
        for name in given:
            if name not in known:
                raise UserError(f"{self.name} takes no {name!r}; {did_you_mean(name, known)}")
        for argument in self.arguments:
            if argument.required and given.get(argument.name) is None:
                raise UserError(f"{self.name} needs {argument.name}: {argument.help or argument.type}")
        return {name: argument.read(given.get(name)) for name, argument in known.items()}


_tasks: dict[str, Task] = {}


@overload
def task(function: Function) -> Function: ...


@overload
def task(*, exact: bool) -> Callable[[Function], Function]: ...


def task(function: Callable[..., Any] | None = None, *, exact: bool = False) -> Any:
    """Make a function a task. `exact`: networks in float32, whatever the hardware would be faster at."""
    if function is None:
        return lambda inner: _put(inner, exact)
    return _put(function, exact)


def _put(function: Function, exact: bool) -> Function:
    """What a function's signature and documentation say of it, among the tasks."""
    said, _, rest = (inspect.getdoc(function) or "").partition("\n\n")
    lines = rest.splitlines()
    examples = tuple(line for line in lines if line.startswith("morphogen "))
    helps = dict(line.split(": ", 1) for line in lines if ": " in line and line not in examples)
    about = " ".join(said.split())
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    needs = parameters[0].annotation if parameters and _is_need(parameters[0]) else ""
    group = (inspect.getdoc(inspect.getmodule(function)) or "").partition(":")[0]
    _tasks[function.__name__] = Task(
        name=function.__name__,
        function=function,
        group=group,
        summary=about.partition(". ")[0].rstrip("."),
        about=about,
        examples=examples,
        needs=needs,
        arguments=_arguments([p for p in parameters[bool(needs) :] if p.annotation != "OpenRun"], helps),
        gives=str(signature.return_annotation),
        exact=exact,
    )
    return function


def _is_need(first: inspect.Parameter) -> bool:
    """An ability or an opened run, rather than an ordinary argument."""
    return _bare(first.annotation)[0] not in READERS and first.name in ("model", "run")


def _arguments(parameters: list[inspect.Parameter], helps: dict[str, str]) -> tuple[Argument, ...]:
    """Those of the signature, and for a task on data how its data is to be opened."""
    own = [_argument(p, helps.get(p.name, "")) for p in parameters]
    names = {a.name for a in own}
    return (*own, *(a for a in OPENING if a.name not in names)) if any(a.type == "Data" for a in own) else tuple(own)


def _argument(parameter: inspect.Parameter, help: str) -> Argument:
    word, many = _bare(str(parameter.annotation))
    if word not in READERS and not word.startswith("Literal[") and word not in OPENED:
        raise TypeError(f"{parameter.name}: {word} is no word for a type that tasks know ({', '.join(READERS)})")
    required = parameter.default is parameter.empty and word not in ("Data", "Given")  # a run has data of its own
    return Argument(
        name=parameter.name,
        type=word,
        default=None if parameter.default is parameter.empty else parameter.default,
        required=required,
        many=many,
        option=parameter.kind is parameter.KEYWORD_ONLY or len(parameter.name) == 1,
        help=help,
    )


def _bare(annotation: str) -> tuple[str, bool]:
    """`list[str] | None` without what is left for the type checker: ("str", True)."""
    word = annotation.removesuffix(" | None")
    many = word.startswith(("list[", "Sequence["))
    return (word.partition("[")[2].removesuffix("]") if many else word), many


def as_function(task: Task, perform: Callable[[dict[str, Any]], Any]) -> Callable[..., Any]:
    """A task as a function of what a person says, with its own signature and documentation."""
    signature = inspect.signature(task.function)
    said = [p for p in list(signature.parameters.values())[bool(task.needs) :] if p.annotation != "OpenRun"]
    words = [p.name for p in said if p.kind is not p.KEYWORD_ONLY]

    def function(*positional: Any, **named: Any) -> Any:
        if len(positional) > len(words):
            raise UserError(f"{task.name} takes at most {len(words)} arguments, not {len(positional)}")
        return readable(perform(dict(zip(words, positional, strict=False)) | named))

    function.__name__ = task.name
    function.__doc__ = inspect.getdoc(task.function)
    function.__signature__ = signature.replace(parameters=said)  # type: ignore[attr-defined]
    return function


# All of them ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def tasks() -> dict[str, Task]:
    """Every task of every file in this folder: dropping a file in is all it takes."""
    from morphogen import tasks as home

    for module in pkgutil.iter_modules(home.__path__):
        importlib.import_module(f"{home.__name__}.{module.name}")
    return dict(_tasks)


def find(name: str) -> Task:
    """The task of this name, or an error with a suggestion."""
    known = tasks()
    if name not in known:
        raise UserError(f"there is no task {name!r}; {did_you_mean(name, known)}")
    return known[name]
