"""Settings of a recipe: every one with its type, default and meaning, as a table and as a JSON schema (2020-12).

Types come from the signatures that a recipe is checked against, meanings from their documentation.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import TypeAdapter

from morphogen import recipe as recipes
from morphogen.core.build import Part, hints, names, part, plain
from morphogen.core.meanings import meaning
from morphogen.data.find import common, resolve
from morphogen.plan import Plan

__all__ = ["recipe_schema", "recipe_settings", "rows_of", "shelves_of"]

DRAFT = "https://json-schema.org/draft/2020-12/schema"
SCHEDULES = "schedules"
WHOLE: dict[str, dict[str, Any]] = {
    "seed": {"type": "integer", "minimum": 0, "default": 0, "description": "random seed of the training"},
    "device": {"type": "string", "default": "auto", "description": "auto, cpu, cuda, cuda:1, mps"},
    "precision": {
        "enum": ["auto", "float32", "bfloat16"],
        "default": "auto",
        "description": "arithmetic of the networks; auto: bfloat16 where the hardware has it",
    },
}


def recipe_settings(recipe: Any, data: Any = None) -> list[dict[str, Any]]:
    """Every setting of a recipe, by name: type, default, meaning."""
    return rows_of(recipe_schema(recipe, data))


def rows_of(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The settings of a recipe's schema, a row each."""
    return list(_rows(schema["properties"], ""))


def recipe_schema(recipe: Any, data: Any = None) -> dict[str, Any]:
    """The JSON schema of a recipe, with the settings of the parts that it uses and their defaults."""
    tree = recipes.find(recipe)
    model, plan = part("models", tree.get("model", "vae")), Plan.complete(tree.get("train", {}))
    tables = {
        "model": _part_schema(model),
        "train": {"type": "object", "properties": _of(Plan, plan), "additionalProperties": False},
        "data": _data_schema(tree.get("data"), data),
    }
    whole = {key: said | {"default": tree.get(key, said["default"])} for key, said in WHOLE.items()}
    title = str(tree.get("summary", ""))
    head = {"$schema": DRAFT, "title": recipe if isinstance(recipe, str) else "recipe", "description": title}
    properties = {"summary": {"type": "string", "description": "one line about the recipe"}} | tables | whole
    return head | {"type": "object", "properties": properties, "additionalProperties": False}


def _data_schema(own: Any, said: Any) -> dict[str, Any]:
    """What can be asked of every set and, where it is known which, what this one takes."""
    asked = dict(own) if isinstance(own, Mapping) else {}
    if said is not None:
        asked = {"use": str(said)} if str(said) in names("data") else resolve(said)
    properties = {"use": {"enum": names("data"), "description": "a data set by name, or folder, array, table"}}
    if "use" not in asked:
        return {"type": "object", "properties": properties | _of(common, asked)}
    takes = hints(common)
    chosen = part("data", {k: v for k, v in asked.items() if k not in takes} | _placeholder(asked))
    properties["use"]["default"] = chosen.use
    own_settings = _of(chosen.make, {k: plain(v) for k, v in chosen.arguments.items()})
    return {"type": "object", "properties": properties | own_settings | _of(common, asked)}


def _placeholder(asked: Mapping[str, Any]) -> dict[str, Any]:
    """A path for sets that cannot be described without one."""
    return {"path": ""} if asked.get("use") in ("folder", "array", "table") and "path" not in asked else {}


def _part_schema(chosen: Part) -> dict[str, Any]:
    """One part: which there are, and what the chosen one takes."""
    use = {
        "enum": names(chosen.shelf),
        "shelf": chosen.shelf,
        "default": chosen.use,
        "description": f"which of the {chosen.shelf}",
    }
    return {"type": "object", "properties": {"use": use} | _of(chosen.make, chosen.arguments), "required": ["use"]}


def _of(make: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a constructor, with the values that they have."""
    said = {}
    for name, hint in hints(make).items():
        value = values.get(name)
        shape = _shape(hint)
        if isinstance(value, Part):
            shape = _or_name(shape, _part_schema(value))
        elif isinstance(value, (list, tuple)) and any(isinstance(v, Part) for v in value):
            shape = {"type": "array", "items": _shape(hint)["items"], "parts": [_part_schema(v) for v in value]}
        said[name] = shape | {"default": plain(value), "description": meaning(make, name)}
    return said


def _or_name(shape: Mapping[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    """A part by its name alone, or as a table; where a number may stand, a number."""
    others = [kind for kind in shape["anyOf"] if kind.get("type") not in ("object",)]
    return {"anyOf": [*others, whole]}


def _shape(hint: Any) -> dict[str, Any]:
    """The JSON schema of a type."""
    if get_origin(hint) is Annotated:
        inner, *notes = get_args(hint)
        shelf = next((note.func.args[0] for note in notes if getattr(note, "func", None) and _is_shelf(note)), None)
        if shelf is not None:
            return {"anyOf": [{"enum": names(shelf), "shelf": shelf}, {"type": "object", "required": ["use"]}]}
        if _holds_part(inner):
            kinds = [_shape(Annotated[kind, *notes] if kind is not Part else kind) for kind in get_args(inner)]
            return {"anyOf": kinds}
    if hint is Part:
        return {"type": "object", "required": ["use"], "properties": {"use": {"enum": names(SCHEDULES)}}}
    if get_origin(hint) in (Union, types.UnionType) and _holds_part(hint):
        return _flat([_shape(kind) for kind in get_args(hint)])
    if get_origin(hint) is list and _holds_part(hint):
        return {"type": "array", "items": _shape(get_args(hint)[0])}
    if hint is Any:
        return {}
    schema: dict[str, Any] = _without_titles(TypeAdapter(_bare(hint)).json_schema())
    return schema


def _is_shelf(note: Any) -> bool:
    return bool(getattr(note.func, "args", ())) and isinstance(note.func.args[0], str)


def _bare(hint: Any) -> Any:
    """The type alone, without functions that read it before it is checked."""
    if get_origin(hint) is not Annotated:
        return hint
    inner, *notes = get_args(hint)
    kept = [note for note in notes if not hasattr(note, "func")]
    return Annotated[inner, *kept] if kept else inner


def _holds_part(hint: Any) -> bool:
    return hint is Part or any(_holds_part(inner) for inner in get_args(hint))


def _flat(kinds: list[dict[str, Any]]) -> dict[str, Any]:
    return {"anyOf": [inner for kind in kinds for inner in kind.get("anyOf", [kind])]}


def _without_titles(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {k: _without_titles(v) for k, v in schema.items() if k != "title"}
    return [_without_titles(v) for v in schema] if isinstance(schema, list) else schema


def shelves_of(schema: Any) -> list[str]:
    """The shelves that the settings of a schema choose from."""
    if isinstance(schema, Mapping):
        own = [str(schema["shelf"])] if "shelf" in schema else []
        return list(dict.fromkeys([*own, *(shelf for below in schema.values() for shelf in shelves_of(below))]))
    return list(dict.fromkeys(s for below in schema for s in shelves_of(below))) if isinstance(schema, list) else []


# As a table -----------------------------------------------------------------------------------------------------


def _rows(properties: Mapping[str, Any], path: str) -> Iterator[dict[str, Any]]:
    for name, schema in properties.items():
        whole = f"{path}.{name}" if path else name
        inner = _table(schema)
        if name == "summary" and not path:
            continue
        if path or inner is None:
            known = {"type": _kind(schema), "default": _short(schema.get("default"))}
            yield {"setting": whole} | known | {"meaning": schema.get("description", "")}
        if inner is not None:
            below = {k: v for k, v in inner.items() if k != "use" or not path}
            yield from _rows(below, whole)
        for place, one in enumerate(schema.get("parts", [])):
            yield from _rows({k: v for k, v in one["properties"].items() if k != "use"}, f"{whole}.{place}")


def _short(default: Any) -> Any:
    """Parts by their names: what they take has rows of its own."""
    if isinstance(default, Mapping):
        return default.get("use", default)
    return [_short(value) for value in default] if isinstance(default, list) else default


def _table(schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The settings below a setting."""
    kinds = [schema, *schema.get("anyOf", [])]
    found = [kind["properties"] for kind in kinds if kind.get("type") == "object" and "properties" in kind]
    chosen = [
        inner for inner in found if "default" in inner.get("use", {}) or "use" not in inner or schema in kinds[:1]
    ]
    return chosen[0] if chosen and not _only_schedule(chosen[0]) else None


def _only_schedule(properties: Mapping[str, Any]) -> bool:
    return set(properties) == {"use"} and "default" not in properties["use"]


def _kind(schema: Mapping[str, Any]) -> str:
    """A type in words.

    >>> _kind({"type": "integer", "exclusiveMinimum": 0}), _kind({"enum": ["relu", "silu"]})
    ('integer > 0', 'relu | silu')
    """
    if "shelf" in schema:
        return str(schema["shelf"])
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if "anyOf" in schema:
        said = dict.fromkeys(_kind(kind) for kind in schema["anyOf"])
        return " or ".join(word for word in said if word not in ("null", "table")) + (
            " or none" if "null" in said else ""
        )
    if schema.get("type") == "array":
        inner = schema.get("items") or {}
        return f"list of {_kind(inner)}" if inner else f"{len(schema.get('prefixItems', []))} numbers"
    if schema.get("type") == "object":
        use = schema.get("properties", {}).get("use")
        return "schedule" if use and use.get("enum") == names(SCHEDULES) and "default" not in use else "table"
    return " ".join([schema.get("type", "anything"), *_bounds(schema)])


def _bounds(schema: Mapping[str, Any]) -> Iterator[str]:
    words: dict[Literal["exclusiveMinimum", "minimum", "exclusiveMaximum", "maximum"], str]
    words = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}
    yield from (f"{sign} {schema[key]:g}" for key, sign in words.items() if key in schema)
