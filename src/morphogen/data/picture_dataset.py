"""A data set of the pictures of a folder: classes and splits by their folders, or made, copies found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from morphogen.core.space import Image
from morphogen.data.album import Album
from morphogen.data.class_folders import class_words, split_words
from morphogen.data.dataset import Dataset, Split, Store
from morphogen.data.labels import numbered
from morphogen.data.near_copies import Copies, copies
from morphogen.data.own_splits import divided, rough
from morphogen.data.picture_files import Found, others
from morphogen.data.pictures import shown
from morphogen.data.split import UNSPLIT
from morphogen.data.stamp import digest, fingerprint
from morphogen.data.stores import subset

__all__ = ["assembled", "overlap"]

ORDER = ("train", "valid", "test")


def assembled(
    found: Found,
    pages: Album,
    store: Store,
    space: Image,
    protocol: str,
    lost: list[tuple[str, str]],
    shares: tuple[float, float],
    told: dict[str, str] | None,
    level: int | None,
    remarks: list[str],
) -> Dataset:
    """`store`: the pictures as `space` holds them; `lost`: those that could not be decoded; `told`: labels by file."""
    bad = {name for name, _ in lost}
    good = [name for name in found.files if name not in bad]
    given, folders = split_words(good)
    words = class_words(folders, level) if told is None else [told.get(name, "") for name in good]
    labels, classes = (None, ()) if words is None else numbered(words)
    twins = copies(pages.store, pages.hashes, Image(space.height, space.width, space.channels))
    rows, how = _rows(given, pages.hashes, twins, shares, labels)
    remarks = remarks + _remarks(found, rows, twins, how, given is not None)
    skipped = sorted((shown(name), why) for name, why in found.skipped + lost)
    told_of = [protocol, f"{len(skipped)} files skipped" if skipped else "", how]
    told_of.append(twins.told() if twins.equal + twins.near else "")
    told_of.append(overlap(rows, twins.groups) if given is not None else "")
    content = [pages.digest, digest(labels), {name: digest(part) for name, part in rows.items()}]
    home = shown(found.root.name) or "folder"
    return Dataset(
        home,
        space,
        {name: _split(store, labels, [f"{home}/{shown(n)}" for n in good], part) for name, part in rows.items()},
        fingerprint(space, content, {"valid": shares[0], "test": shares[1]}),
        classes=tuple(map(shown, classes)),
        protocol="; ".join(filter(None, told_of)),
        skipped=skipped,
        remarks=remarks,
    )


def _split(store: Store, labels: Tensor | None, names: Sequence[str], rows: Tensor) -> Split:
    mine = [names[row] for row in rows.tolist()]
    return Split(subset(store, rows), None if labels is None else labels[rows], names=mine)


def _rows(
    given: list[str] | None,
    hashes: NDArray[np.uint64],
    twins: Copies,
    shares: tuple[float, float],
    labels: Tensor | None,
) -> tuple[dict[str, Tensor], str]:
    """Rows of each split, and how: by the folders' names where they say it, else made."""
    if given is None:
        return divided(hashes, twins.groups, *shares, labels)
    where = np.array(given)
    rows = {name: torch.from_numpy(np.flatnonzero(where == name)) for name in ORDER if name in given}
    how = f"splits as the folders {', '.join(rows)} say"
    if "valid" not in rows:
        train = rows["train"]
        part = hashes[train.numpy()], twins.groups[train.numpy()]
        inner, word = divided(*part, shares[0], 0.0, None if labels is None else labels[train])
        rows |= {"train": train[inner["train"]], "valid": train[inner["valid"]]}
        how += f"; of train, {word}"
    return {name: rows[name] for name in ORDER if name in rows}, how


def overlap(rows: dict[str, Tensor], groups: NDArray[np.int64]) -> str:
    """How many held-out examples are copies of ones that are used in training, in words; nothing where there are none.
    Those for testing are compared with those for validation, too."""
    used, found = groups[rows["train"].numpy()], []
    for name in ("valid", "test"):
        if name in rows:
            mine = groups[rows[name].numpy()]
            count = int(np.isin(mine, used).sum())
            found += [f"{count:,} of {len(mine):,} {name}"] if count else []
            used = np.concatenate([used, mine])
    return f"{' and '.join(found)} examples are copies, or nearly, of examples used in training" if found else ""


def _remarks(found: Found, rows: dict[str, Tensor], twins: Copies, how: str, given: bool) -> list[str]:
    """What a person should know before training."""
    home = shown(found.root.name)
    said = [f"other files in {home}, no pictures by their names: {others(found.others)}"] if found.others else []
    if UNSPLIT in how:
        said.append(
            f"{home} holds too few different pictures to hold any out ({twins.told()} among {len(twins.groups):,}): "
            "train, valid and test are the same, and scores say nothing of new pictures"
        )
        return said
    if twins.equal + twins.near:
        together = "copies in train stay in train" if given else "all copies of one picture are in one split"
        said.append(f"{home} holds {twins.told()} of its pictures; {together}")
    if given and (words := overlap(rows, twins.groups)):
        said.append(f"in {home}, {words}: scores on them say how well they are remembered")
    if "test" in rows and (word := rough(len(rows["test"]))):
        said.append(word)
    return said
