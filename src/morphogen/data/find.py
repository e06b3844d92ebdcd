"""One door to all data: a name on the shelf, or a path that says what it is when it is looked at."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pydantic import NonNegativeInt, PositiveInt

from morphogen.core.build import Part, check, describe, names, part
from morphogen.core.noise import Noise
from morphogen.core.space import Image
from morphogen.data.binary import Binary, binarise
from morphogen.data.dataset import Dataset, Split
from morphogen.data.labels import few
from morphogen.data.only import Only, only
from morphogen.data.split import UNSPLIT
from morphogen.data.stamp import restamp
from morphogen.data.unsupported_files import remedy
from morphogen.errors import UserError, did_you_mean

__all__ = ["called", "enough", "open_data", "open_with_default", "resolve", "sets"]

FEWEST = 8  # examples of all splits together
ARRAYS, TABLES = (".npy", ".npz"), (".csv", ".tsv", ".parquet")
KINDS = ("array", "folder", "given", "table")


def common(
    *,
    only: Only | None = None,
    limit: PositiveInt | None = None,
    labels: PositiveInt | None = None,
    labels_seed: NonNegativeInt | None = None,
    binary: Binary | None = None,
    strict: bool = False,
) -> None:
    """What can be asked of every set: some classes, so many training examples, labels of so many a class, which ones,
    two levels, no bad file forgiven.

    only: the classes to keep
    limit: most training examples
    labels: keep the labels of so many examples of each class, hide the others
    labels_seed: random seed of the labels that are kept
    binary: binarise pictures: dynamic (a new draw each time), static or threshold
    """


def open_data(spec: str | Path | Mapping[str, Any], **options: Any) -> Dataset:
    """The data set of this name, at this path, or of this recipe.

    >>> open_data("digits", limit=100).facts()["sizes"]["train"]
    100
    """
    chosen, asked = _read(spec, options)
    data: Dataset = chosen()
    if asked["only"] is not None:
        data = only(data, asked["only"])
    if asked["limit"]:
        data = limited(data, asked["limit"])
    if asked["labels"]:
        data = few(data, asked["labels"], asked["labels_seed"] or 0)
    elif asked["labels_seed"] is not None:
        raise UserError("labels_seed says which labels are kept; say how many a class, too: data.labels=10")
    return binarise(data, asked["binary"]) if asked["binary"] else data


def open_with_default(spec: Mapping[str, Any], binary: str | None) -> tuple[dict[str, Any], Dataset]:
    """The data of a recipe that binarises by default, and its own recipe then. Grey pictures are binarised; colour
    pictures, tables and all else stay as they are: whoever wants them in two levels asks for it by data.binary."""
    data = open_data(spec)
    grey = isinstance(data.space, Image) and data.space.channels == 1
    if binary is None or not grey:
        return dict(spec), data
    return resolve(dict(spec) | {"binary": binary}), binarise(data, binary)  # type: ignore[arg-type]


def resolve(spec: str | Path | Mapping[str, Any], **options: Any) -> dict[str, Any]:
    """The recipe of the data, every default filled in and every path made absolute.

    >>> resolve("mnist", limit=5000)
    {'use': 'mnist', 'valid': 10000, 'limit': 5000}
    """
    chosen, asked = _read(spec, options)
    return chosen.spec | {key: value for key, value in asked.items() if value not in (None, False)}


def called(spec: Mapping[str, Any]) -> str:
    """What a person knows resolved data by: its path, or its name."""
    return str(spec.get("path", spec["use"]))


def _read(spec: str | Path | Mapping[str, Any], options: Mapping[str, Any]) -> tuple[Part, dict[str, Any]]:
    if not isinstance(spec, Mapping) and not str(spec).strip():
        raise UserError("which data? the word is empty; name a set (`morphogen data` lists them), a folder or a file")
    recipe = (dict(spec) if isinstance(spec, Mapping) else _look(str(spec))) | {
        key: value for key, value in options.items() if value is not None
    }
    known = set(inspect.signature(common).parameters)
    asked = {key: recipe.pop(key) for key in sorted(known & set(recipe))}
    name = str(recipe.get("use", "data"))
    checked = check(common, asked, name)
    if isinstance(recipe.get("path"), (str, Path)):
        recipe["path"] = str(_absolute(str(recipe["path"])))
        if isinstance(recipe.get("table"), str):
            inside = Path(recipe["path"]) / recipe["table"]
            recipe["table"] = str(inside if inside.is_file() else _absolute(recipe["table"]))
    if name in names("data"):
        takes = {argument.name for argument in describe("data", name)[1]}
        for word in set(recipe) - {"use"} - takes:
            raise UserError(f"{name} takes no {word!r}; {did_you_mean(word, takes | known)}")
        if "strict" in takes:
            recipe["strict"] = checked.pop("strict")
    return part("data", recipe), checked


def _absolute(path: str) -> Path:
    try:
        return Path(path).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"{path!r} is not a path: {error}") from None


def _look(word: str) -> dict[str, Any]:
    """A recipe from a name or a path."""
    if word in names("data"):
        return {"use": word}
    path = _absolute(word)
    if path.is_dir():
        return {"use": "folder", "path": str(path)}
    if path.suffix.lower() in ARRAYS and path.is_file():
        return {"use": "array", "path": str(path)}
    if path.suffix.lower() in TABLES and path.is_file():
        return {"use": "table", "path": str(path)}
    if path.exists():
        raise UserError(f"{word} {remedy(path)}")
    if Path(word).is_symlink():
        raise UserError(f"{word} is a link to something that is not there; name what it should lead to")
    raise UserError(f"there is no data set and no file {word!r}; {did_you_mean(word, sets())}")


def sets() -> list[str]:
    """The names of sets, without those of the kinds that a person's own data is of."""
    return [name for name in names("data") if name not in KINDS]


def limited(data: Dataset, limit: int) -> Dataset:
    """At most `limit` training and as many validation examples, drawn once and kept in order; test stays whole."""
    splits = dict(data.splits)
    for name in ("train", "valid"):
        if name in splits and len(splits[name]) > limit:
            splits[name] = _some(splits[name], limit, name)
    word = f"limited to {limit:,} for training and validation"
    return replace(
        data,
        splits=splits,
        fingerprint=restamp(data.fingerprint, limit=limit),
        protocol=f"{data.protocol}; {word}" if data.protocol else word,
    )


def _some(split: Split, limit: int, name: str) -> Split:
    draw = Noise(0, f"limit/{name}").generator(torch.device("cpu"))
    rows = torch.randperm(len(split), generator=draw)[:limit].sort().values
    return split.rows(rows)


def enough(data: Dataset, name: str) -> Dataset:
    """The data, where something can be learned from it."""
    parts = [data.splits["train"]] if UNSPLIT in data.protocol else data.splits.values()
    count = sum(map(len, parts))
    if count < FEWEST:
        raise UserError(
            f"{name} holds {count} example{'s' if count != 1 else ''}, and a model of so few is a copy of them; "
            f"add some, or name another set ({FEWEST} at least, some hundreds to learn from)"
        )
    if isinstance(data.space, Image) and data.space.height == data.space.width == 1:
        raise UserError(
            f"the pictures of {name} are one pixel each; name larger ones, or give their colours as a table (an "
            ".npy file of a row each)"
        )
    return data
