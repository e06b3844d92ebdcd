"""The constructor is the config: shelves of named parts, built from the tree of constructor calls that a recipe is.

A *shelf* is a folder where one file is one idea; adding the file is the whole of adding the idea. A registered
constructor takes what only its owner knows as positional arguments (the spaces, say) and what a recipe may say as
keyword-only ones:

    @register("nets")
    class mlp(nn.Module):
        def __init__(self, inp: Space, out: Space, given: Vector | None = None, /, *, width: int = 256): ...

    net = part("nets", {"use": "mlp", "width": 512})      # checked now ...
    net(image, code)                                      # ... built when its owner knows the spaces

Names are looked up among what the files of a shelf registered, never imported from what a recipe says.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Annotated, Any, TypeVar, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, create_model

from morphogen.errors import UserError, did_you_mean

__all__ = [
    "Argument",
    "Part",
    "check",
    "constructor",
    "describe",
    "hints",
    "names",
    "on_shelf",
    "part",
    "plain",
    "register",
]

Make = TypeVar("Make", bound=Callable[..., Any])
SHELVES = (
    "nets", "families", "priors", "terms", "games", "penalties", "habits", "augments", "guides", "lessons", "schedules",
    "models", "data", "metrics", "oddities", "damages",
)  # fmt: skip

_shelves: dict[str, dict[str, Callable[..., Any]]] = {shelf: {} for shelf in SHELVES}
_scanned: set[str] = set()


def register(shelf: str, name: str | None = None) -> Callable[[Make], Make]:
    """Put a constructor on a shelf, under its own name unless another is given."""

    def put(make: Make) -> Make:
        word = name or make.__name__
        there = _shelf(shelf).setdefault(word, make)
        if there is not make and there.__module__ != make.__module__:
            raise UserError(f"{shelf} already holds {word!r} (from {there.__module__}); give yours another name")
        _shelves[shelf][word] = make
        return make

    return put


def _shelf(shelf: str) -> dict[str, Callable[..., Any]]:
    if shelf not in _shelves:
        raise UserError(f"there is no shelf {shelf!r}; {did_you_mean(shelf, _shelves)}")
    return _shelves[shelf]


def _scan(shelf: str) -> dict[str, Callable[..., Any]]:
    """Every file of the shelf's own folder, imported once: the only import by name, and of our own files."""
    entries = _shelf(shelf)
    if shelf not in _scanned:
        home = "morphogen.core" if shelf == "schedules" else f"morphogen.{shelf}"
        for module in pkgutil.iter_modules(importlib.import_module(home).__path__):
            importlib.import_module(f"{home}.{module.name}")
        _scanned.add(shelf)
    return entries


def names(shelf: str) -> list[str]:
    """What a shelf holds."""
    return sorted(_scan(shelf))


@dataclass(frozen=True)
class Part:
    """A registered constructor with its checked arguments, waiting for what only its owner knows."""

    shelf: str
    use: str
    make: Callable[..., Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, *given: Any) -> Any:
        return self.make(*given, **self.arguments)

    @property
    def spec(self) -> dict[str, Any]:
        """The recipe of this part, every default filled in."""
        return {"use": self.use} | {key: plain(value) for key, value in self.arguments.items() if value is not None}


def plain(value: Any) -> Any:
    """Parts back to recipes, all the way down."""
    if isinstance(value, Part):
        return value.spec
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items() if v is not None}
    return value


def part(shelf: str, spec: Any) -> Part:
    """Check a recipe, `"mlp"` or `{"use": "mlp", "width": 512}`, against the constructor that it names."""
    if isinstance(spec, Part):
        return spec
    if isinstance(spec, str):
        spec = {"use": spec}
    if not isinstance(spec, Mapping) or not isinstance(spec.get("use"), str):
        raise UserError(
            f"one of the {shelf} is wanted, by name or as {{ use = name, ... }}, not {spec!r}; "
            f"there are: {', '.join(names(shelf))}"
        )
    entries = _scan(shelf)
    use = spec["use"]
    if use not in entries:
        raise UserError(f"the {shelf} shelf holds no {use!r}; {did_you_mean(use, entries)}")
    make = entries[use]
    return Part(shelf, use, make, check(make, {k: v for k, v in spec.items() if k != "use"}, use))


def on_shelf(shelf: str) -> Any:
    """The annotation of a constructor's argument that is itself a part: `net: Annotated[Part, on_shelf("nets")]`."""
    return BeforeValidator(partial(_as_part, shelf))


def _as_part(shelf: str, spec: Any) -> Any:
    return None if spec is None else part(shelf, spec)


Net = Annotated[Part, on_shelf("nets")]
Family = Annotated[Part, on_shelf("families")]
Prior = Annotated[Part, on_shelf("priors")]
Term = Annotated[Part, on_shelf("terms")]
Game = Annotated[Part, on_shelf("games")]
Penalty = Annotated[Part, on_shelf("penalties")]
Habit = Annotated[Part, on_shelf("habits")]
Augment = Annotated[Part, on_shelf("augments")]
Guide = Annotated[Part, on_shelf("guides")]
Lesson = Annotated[Part, on_shelf("lessons")]
AnyModel = Annotated[Part, on_shelf("models")]
Schedule = Annotated[Part, on_shelf("schedules")]
Wear = Annotated[Part, on_shelf("damages")]


def _keywords(make: Callable[..., Any]) -> Iterator[inspect.Parameter]:
    yield from (p for p in inspect.signature(make).parameters.values() if p.kind is p.KEYWORD_ONLY)


def hints(make: Callable[..., Any]) -> dict[str, Any]:
    """The types of what a recipe may say of a constructor, by name."""
    known = get_type_hints(make.__init__ if inspect.isclass(make) else make, include_extras=True)
    return {p.name: known.get(p.name, Any) for p in _keywords(make)}


def constructor(shelf: str, name: str) -> Callable[..., Any]:
    """What makes the part of this name."""
    return _scan(shelf)[part_name(shelf, name)]


@cache
def _schema(make: Callable[..., Any]) -> type[BaseModel]:
    known = hints(make)
    fields: dict[str, Any] = {
        p.name: (known[p.name], ... if p.default is p.empty else p.default) for p in _keywords(make)
    }
    settings = ConfigDict(
        extra="forbid",
        validate_default=True,
        arbitrary_types_allowed=True,
        protected_namespaces=(),
        allow_inf_nan=False,
    )
    return create_model(make.__name__, __config__=settings, **fields)


def check(make: Callable[..., Any], arguments: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The keyword arguments of `make`: known, of the right type, defaults filled in."""
    schema = _schema(make)
    for word in arguments:
        if word not in schema.model_fields:
            raise UserError(f"{name} takes no {word!r}; {did_you_mean(str(word), schema.model_fields)}")
    try:
        checked = schema.model_validate(dict(arguments))
    except ValidationError as error:
        raise UserError(f"{name}: {_fault(error.errors()[0])}") from None
    return {key: getattr(checked, key) for key in schema.model_fields}


def _fault(first: Mapping[str, Any]) -> str:
    """What is wrong with a value, and what it may be."""
    steps = [str(step) for step in first["loc"]]
    if first["type"] == "literal_error":
        where = ".".join(step for step in steps if not step.isdigit())
        return f"{where}: {first['input']!r} is unknown; choose {first['ctx']['expected'].replace(chr(39), '')}"
    said = first["msg"].removeprefix("Value error, ").replace("Input should be", "it should be")
    return f"{'.'.join(steps)} = {first['input']!r} is not valid: {said}"


@dataclass(frozen=True)
class Argument:
    """One thing that a recipe may say of a part."""

    name: str
    type: str
    default: Any


def describe(shelf: str, name: str) -> tuple[str, list[Argument]]:
    """The first sentence of a part's documentation, and its arguments."""
    make = _scan(shelf)[part_name(shelf, name)]
    doc = inspect.getdoc(make) or ""
    arguments = [
        Argument(p.name, str(p.annotation), None if p.default is p.empty else p.default) for p in _keywords(make)
    ]
    return doc.split("\n\n")[0].replace("\n", " "), arguments


def part_name(shelf: str, name: str) -> str:
    """`name` if the shelf holds it, an error with a suggestion otherwise."""
    entries = _scan(shelf)
    if name not in entries:
        raise UserError(f"the {shelf} shelf holds no {name!r}; {did_you_mean(name, entries)}")
    return name
