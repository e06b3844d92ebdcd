"""Labels of which only some are known: -1 where there is none.

They come so from a person's own data, or labels of a whole set are hidden, so that what is learned from few of them can
be measured.
"""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from morphogen.core.batch import BLANK
from morphogen.core.noise import Noise
from morphogen.data.dataset import Dataset, Split
from morphogen.data.stamp import restamp
from morphogen.errors import UserError

__all__ = ["NAMES", "demand_labels", "few", "known", "numbered", "read_table"]

NAMES = ("unlabelled", "unlabeled")  # a folder of this name among class folders, in any case
COLUMNS = ("file", "label")
MARKS = ",;\t"  # what may stand between cells: the most frequent in the first line does


def few(data: Dataset, count: int, seed: int) -> Dataset:
    """Labels of `count` training examples of each class, drawn by the seed, and of as many for validation; of the
    other examples of both there is none. Test examples keep theirs."""
    train = data.splits["train"]
    if train.y is None or len(data.classes) < 2:
        raise UserError(f"labels = {count} of {data.name}, which has no labels of two classes or more; leave it out")
    held = torch.bincount(train.y[train.y != BLANK].long(), minlength=len(data.classes))
    if int(held.min()) < count:
        name = data.classes[int(held.argmin())]
        raise UserError(
            f"labels = {count} of each class, and {data.name} has {int(held.min())} training examples of {name!r}; "
            "ask for no more than that, or leave data.labels out to keep all that there are"
        )
    splits = dict(data.splits)
    for name in ("train", "valid"):
        if name in splits:
            splits[name] = _hidden(splits[name], count, seed, name)
    word = f"labels of {count} training examples a class, drawn by {seed}"
    return replace(
        data,
        splits=splits,
        fingerprint=restamp(data.fingerprint, labels=count, labels_seed=seed),
        protocol=f"{data.protocol}; {word}" if data.protocol else word,
    )


def _hidden(split: Split, count: int, seed: int, name: str) -> Split:
    if split.y is None:
        return split
    draw = Noise(seed, f"labels/{name}").generator(torch.device("cpu"))
    order = torch.randperm(len(split), generator=draw)
    y = torch.full_like(split.y, BLANK, dtype=torch.int64)
    for kind in range(int(split.y.max()) + 1):
        rows = order[split.y[order] == kind][:count]
        y[rows] = kind
    return replace(split, y=y)


def known(split: Split) -> Split:
    """The examples whose label is known."""
    if split.y is None or not bool((split.y == BLANK).any()):
        return split
    rows = (split.y != BLANK).nonzero().flatten()
    return split.rows(rows)


def demand_labels(split: Split) -> None:
    """Refuse training examples of which some have no label, for a model that is told them all."""
    missing = len(split) - len(known(split)) if split.y is not None else len(split)
    if missing:
        raise UserError(
            f"{missing:,} of the {len(split):,} training examples have no label, and this model is told all of them; "
            "train a recipe that learns from few labels (few-labels, m2), or one that is told none"
        )


def numbered(words: Sequence[str]) -> tuple[Tensor | None, tuple[str, ...]]:
    """Class numbers of words, an empty word where there is none, and what each number stands for."""
    names = tuple(sorted({word for word in words if word}))
    if len(names) < 2:
        return None, ()
    number = {name: i for i, name in enumerate(names)} | {"": BLANK}
    return torch.tensor([number[word] for word in words], dtype=torch.int64), names


def _near(name: str, files: Collection[str]) -> str:
    """A suggestion, where there is one and looking for it does not take long."""
    near = difflib.get_close_matches(name, files, n=1) if len(files) <= 2000 else []
    return f"; did you mean {near[0]!r}?" if near else " in the folder; give the path below it, with /"


def read_table(path: Path, files: Collection[str] | None = None) -> dict[str, str]:
    """The labels of pictures, by relative path, from a CSV file with the columns `file` and `label`.

    A file that is not named in it, or whose label is empty, has none. `files`: those that it may name.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        mark = max(MARKS, key=text.partition("\n")[0].count)
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=mark))
    except OSError as error:
        raise UserError(f"the table of labels {path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"the table of labels {path} is no CSV in UTF-8 ({error}); save it as such") from None
    head = [word.strip().lower() for word in rows[0]] if rows else []
    for column in COLUMNS:
        if head.count(column) != 1:
            raise UserError(
                f"{path} needs one column {column!r}, and its first line has {', '.join(map(repr, head)) or 'none'}; "
                "write file,label in the first line"
            )
    file, label = (head.index(column) for column in COLUMNS)
    found: dict[str, str] = {}
    for line, row in enumerate(rows[1:], 2):
        if not row:
            continue
        if len(row) != len(head):
            raise UserError(f"{path}, line {line}: {len(row)} columns, and the first line has {len(head)}")
        name = PurePosixPath(row[file].strip().replace("\\", "/")).as_posix()
        if files is not None and name not in files:
            raise UserError(f"{path}, line {line}: there is no picture {name!r}{_near(name, files)}")
        if name in found:
            raise UserError(f"{path}, line {line}: {name!r} stands there twice; leave one of the lines")
        found[name] = row[label].strip()
    if len(set(found.values()) - {""}) < 2:
        raise UserError(f"{path} names fewer than two classes; label some pictures of each, the others may be blank")
    return found
