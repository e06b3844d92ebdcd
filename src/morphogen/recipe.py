"""Recipes: the tree of constructor calls, as TOML.

    data  = { use = "mnist", binary = "dynamic" }
    model = { use = "vae", latent = 40, net = { use = "resnet" } }
    train = { steps = 20000, batch = 128 }

A recipe is found by name (those that ship with the package) or by path; leaves are changed as `model.latent=64`. The
whole tree is checked before anything runs, and what a run keeps has every default filled in.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from datetime import date, time
from importlib import resources
from pathlib import Path
from typing import Any

from morphogen.errors import UserError, did_you_mean

__all__ = ["change", "find", "names", "summary", "to_toml"]

LIMITS = ("steps", "epochs", "minutes")
TOP = ("summary", "data", "model", "train", "seed", "device", "precision")
LARGEST, DEEPEST = 1 << 20, 32  # bytes of a file, levels of a tree


def _shipped() -> dict[str, Path]:
    folder = Path(str(resources.files("morphogen") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def names() -> list[str]:
    """Recipes that ship with the package."""
    return list(_shipped())


def summary(name: str) -> str:
    """A recipe's own one-line description."""
    return str(find(name).get("summary", ""))


def find(recipe: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    """A recipe by name, by path, or as it stands."""
    if isinstance(recipe, Mapping):
        return _checked_top(dict(recipe), "the recipe")
    path = Path(recipe)
    if path.suffix == ".toml":
        if not path.is_file():
            raise UserError(f"there is no recipe file {path}")
    else:
        shipped = _shipped()
        if str(recipe) not in shipped:
            raise UserError(f"there is no recipe {str(recipe)!r}; {did_you_mean(str(recipe), shipped)}")
        path = shipped[str(recipe)]
    return read(path)


def read(path: Path) -> dict[str, Any]:
    """A recipe file."""
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path} is larger than any recipe ({LARGEST:,} bytes)")
        return _checked_top(tomllib.loads(path.read_text(encoding="utf-8")), str(path))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # ValueError: not TOML, not UTF-8, or a number of 5,000 digits
        raise UserError(f"{path} is not TOML: {error}") from None


def _checked_top(recipe: dict[str, Any], where: str) -> dict[str, Any]:
    for key in recipe:
        if key not in TOP:
            raise UserError(f"{where} takes no {key!r}; {did_you_mean(str(key), TOP)}")
    level: list[Any] = [recipe]
    for _ in range(DEEPEST):
        level = [below for node in level for below in _below(node)]
    if level:
        raise UserError(f"{where} is nested more than {DEEPEST} levels deep; no model is")
    return recipe


def _below(node: Any) -> Iterable[Any]:
    return node.values() if isinstance(node, Mapping) else node if isinstance(node, (list, tuple)) else ()


def _value(text: str) -> Any:
    """What is written after `=`: TOML where it is TOML, a bare word otherwise."""
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except (ValueError, RecursionError):
        return text


def change(recipe: Mapping[str, Any], leaves: Iterable[str]) -> dict[str, Any]:
    """The recipe with leaves changed: `model.latent=64`, `train.minutes=10`, `model.terms.1.weight=4`."""
    tree: dict[str, Any] = _copy(recipe)
    leaves = list(leaves)
    if any(leaf.startswith(tuple(f"train.{limit}=" for limit in LIMITS)) for leaf in leaves):
        for limit in LIMITS:  # one limit given here takes the place of the recipe's own
            tree.get("train", {}).pop(limit, None)
    for leaf in leaves:
        path, equals, text = leaf.partition("=")
        if not equals or not path:
            raise UserError(f"{leaf!r} is not of the form NAME=VALUE, e.g. model.latent=64")
        *branches, last = path.split(".")
        if len(branches) > DEEPEST:
            raise UserError(f"{leaf[:40]!r}... is more than {DEEPEST} levels deep; no model is")
        if (branches or [last])[0] not in TOP:
            raise UserError(f"there is no {path!r} in a recipe; {did_you_mean((branches or [last])[0], TOP)}")
        node: Any = tree
        for branch in branches:
            node = _step(node, branch, leaf)
        if isinstance(node, list):
            node[_index(node, last, leaf)] = _value(text)
        else:
            node[last] = _value(text)
    return _checked_top(tree, "the recipe")


def seed(said: Any) -> int:
    """A seed, or a refusal."""
    if not isinstance(said, int) or isinstance(said, bool) or not 0 <= said < 2**63:
        raise UserError(f"seed must be a whole number from 0 to 2^63 - 1, not {said!r}")
    return said


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(v) for key, v in value.items()}
    return [_copy(v) for v in value] if isinstance(value, (list, tuple)) else value


def _index(node: list[Any], branch: str, leaf: str) -> int:
    if not branch.isdecimal() or int(branch) >= len(node):
        raise UserError(f"{leaf!r}: {branch!r} is not one of the places 0 .. {len(node) - 1}")
    return int(branch)


def _step(node: Any, branch: str, leaf: str) -> Any:
    """One level down; a part that was named by a bare word becomes a table."""
    key: Any = _index(node, branch, leaf) if isinstance(node, list) else branch
    if isinstance(node, dict) and key not in node:
        node[key] = {}
    if isinstance(node[key], str):
        node[key] = {"use": node[key]}
    if not isinstance(node[key], (dict, list)):
        raise UserError(f"{leaf!r}: {branch!r} is a value, there is nothing below it")
    return node[key]


def to_toml(tree: Mapping[str, Any]) -> str:
    """A recipe as TOML: one line a top-level key, parts as inline tables, what is None left out.

    >>> print(to_toml({"model": {"use": "vae", "latent": 8, "net": None}, "seed": 0}))
    model = { use = "vae", latent = 8 }
    seed = 0
    """
    return "\n".join(f"{key} = {_inline(value)}" for key, value in tree.items() if value is not None)


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(k)} = {_inline(v)}" for k, v in value.items() if v is not None)
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_inline(v) for v in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise UserError("a recipe holds whole numbers of 64 bits, and none larger")
    if isinstance(value, (date, time)):
        return value.isoformat()
    return _string(value) if isinstance(value, (str, Path)) else repr(value)


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else _string(key)


def _string(value: str | Path) -> str:
    if any(0xD800 <= ord(c) < 0xE000 for c in str(value)):
        raise UserError(f"{str(value)!r} is not Unicode text, which is all that a recipe can hold")
    escaped = "".join(
        {'"': '\\"', "\\": "\\\\"}.get(c, f"\\u{ord(c):04x}" if ord(c) < 32 or ord(c) == 127 else c) for c in str(value)
    )
    return f'"{escaped}"'
