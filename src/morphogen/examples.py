"""The examples that a task works on: a part of a named set, a person's own files, or an array at hand."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from morphogen import files
from morphogen.beside import labels_at_hand, labels_beside
from morphogen.core.batch import Batch
from morphogen.core.build import names as on_shelf
from morphogen.core.space import Image, Space
from morphogen.core.table import Table
from morphogen.data.array_to_space import fitted
from morphogen.data.batches import Batches
from morphogen.data.dataset import Dataset, Split
from morphogen.data.find import called, open_data, resolve, sets
from morphogen.data.frames import sheet_of_frame
from morphogen.data.rows import labels_of, read_labels, rows_of
from morphogen.data.split import UNSPLIT
from morphogen.data.stamp import digest
from morphogen.data.stores import MemoryStore
from morphogen.data.torch_datasets import as_numpy, unpacked
from morphogen.errors import UserError, did_you_mean
from morphogen.progress import counted, working
from morphogen.run import Run

__all__ = ["ROWS", "Data", "as_of", "find_examples"]

ROWS = 500  # examples that go through a model at once
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Data:
    """Examples of one kind in order, read in batches. `named`: the arguments by which a command names them."""

    data: Dataset
    split: str
    named: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> list[str] | None:
        """Of their files, where each comes from one."""
        return self.data.splits[self.split].names

    def __len__(self) -> int:
        return len(self.data.splits[self.split])

    def batches(self, size: int = ROWS, device: torch.device = CPU, *, told: bool = True) -> Iterator[Batch]:
        """All of them, at most `size` at a time, counted where a verb is at work and they are many (`told`)."""
        found = Batches(self.data, self.split, size, device=device, shuffle=False).sweep(size)
        return counted(found, len(self), working.get()) if told and working.get() and len(self) > size else found

    def first(self, count: int, device: torch.device = CPU) -> Batch:
        """The first few as one batch; fewer where there are fewer."""
        few = self.limited(count)
        return next(few.batches(len(few), device))

    def limited(self, count: int | None) -> Data:
        """The first `count` of them."""
        if count is None or count >= len(self):
            return self
        few = self.data.splits[self.split].first(count)
        return Data(replace(self.data, splits={self.split: few}), self.split, {**self.named, "n": count})

    def facts(self) -> dict[str, Any]:
        """Which examples these are, for the protocol of a score."""
        said = {"data": self.data.name, "split": self.split, "n": len(self), "fingerprint": self.data.fingerprint[:16]}
        said |= {"skipped": len(self.data.skipped)} if self.split == "given" and self.data.skipped else {}
        return said | ({"split_rule": self.data.protocol} if self.data.protocol else {})

    def told(self) -> str:
        """Which examples these are and of how many, in words."""
        parts = [split for name, split in self.data.splits.items() if name != self.split]
        if not parts:
            return f"all {len(self):,} examples that were given" if len(self) > 1 else ""
        total = len(self) if UNSPLIT in self.data.protocol else len(self) + sum(map(len, parts))
        return f"{self.data.name}: the {self.split} split, {len(self):,} of {total:,} examples"


def find_examples(
    run: Run,
    said: Any,
    *,
    split: str | None,
    label: int | None,
    fit: bool,
    binary: Any = None,
    usual: str | None = None,
) -> Data:
    """What was meant by a name, paths, an array or nothing (the run's own data), as the run's model takes it. A path
    means all that is there, however it is written; a part of it only where `split` asks for one. `usual`: the part of
    a named set, or of the run's own data, where nobody asks."""
    if isinstance(said, Data):
        return said
    if said is None or (isinstance(said, (list, tuple)) and not said):
        return _part(_own(run, binary), split or usual)
    words = [said] if isinstance(said, (str, Path)) else said
    if isinstance(words, (list, tuple)) and all(isinstance(word, (str, Path)) for word in words):
        if len(words) == 1 and str(words[0]) in on_shelf("data"):
            return _part(_named(run, str(words[0]), binary), split or usual)
        if split is not None:
            return _part(_at(run, words, binary), split)
        data = _files(run, words, fit, label)
    else:
        data = _at_hand(run, said, label, fit)
    if binary is not None:
        raise UserError("binary is for sets known by name; files and arrays are taken as they are")
    return data


def _at_hand(run: Run, said: Any, label: int | None, fit: bool) -> Data:
    """Rows of a table of ours, a data frame, or an array, with labels where they came with it."""
    y: Tensor | None = None
    known = tuple(str(name) for name in run.facts.get("classes") or ())
    classes: tuple[str, ...] = ()
    if isinstance(theirs := getattr(said, "space", None), Table) and isinstance(run.space, Table):
        stored = _columns(said.stored, theirs, run.space)
    elif (sheet := sheet_of_frame(said)) is not None and isinstance(run.space, Table):
        stored = rows_of(sheet, run.space, fit)
        target = run.recipe["data"].get("target")
        y = labels_of([sheet], target, known) if target is not None and label is None else None
    else:
        said, told = unpacked(said)
        stored = _stored(said, run)
        if label is None and told is not None:
            y, classes = labels_at_hand(told, known, len(stored))
    return _given(run, stored, None, _labelled(y, label, len(stored)), classes)


def _labelled(y: Tensor | None, label: int | None, count: int) -> Tensor | None:
    return y if label is None else torch.full((count,), label)


def _at(run: Run, words: Sequence[str | Path], binary: str | None) -> Dataset:
    """A folder or file as a set with splits, prepared as the run's own data was."""
    if len(words) > 1:
        raise UserError(f"split names a part of one set, and {len(words)} paths were given; leave --split out")
    own: Mapping[str, Any] = run.recipe["data"]
    if _is_own(run, Path(words[0])):
        return _named(run, called(own), binary)
    spec = resolve(words[0])
    if spec["use"] == "folder" and isinstance(run.space, Image):
        spec |= {"size": list(run.space.sites), "channels": run.space.channels}
    how = binary or own.get("binary")
    return as_of(open_data(spec | ({"binary": how} if how else {})), run.space, run.path)


def _is_own(run: Run, path: Path) -> bool:
    """Whether this is where the run's own data lies, however it is written."""
    own = run.recipe["data"].get("path")
    try:
        return own is not None and path.expanduser().resolve() == Path(own).resolve()
    except (OSError, RuntimeError, ValueError):
        return False


def _own(run: Run, binary: str | None) -> Dataset:
    """The data that the run was trained on; said aloud where it is not what it was."""
    own = run.recipe["data"]
    if "path" in own and not _exists(Path(own["path"])):
        raise UserError(
            f"the data of {run.path}, {own['path']}, is not there; put it back, or give the examples that you mean: "
            "a file, a folder or a set by name"
        )
    if binary is not None:
        return _named(run, called(own), binary)
    data = open_data(own)
    if data.fingerprint != run.facts["fingerprint"]:
        earlier = "split by hash of content" in str(run.facts.get("protocol")) and data.space == run.space
        why = "or this version splits it otherwise than the one that trained it" if earlier else "since it was trained"
        raise UserError(
            f"the data of {run.path} has changed {why} (fingerprint {data.fingerprint[:12]}, was "
            f"{run.facts['fingerprint'][:12]}); name the data that you mean"
        )
    return data


def _named(run: Run, name: str, binary: str | None) -> Dataset:
    """A set by name, prepared as the run's own data was, binarised, say; all classes of it."""
    own: Mapping[str, Any] = run.recipe["data"]
    whole = {key: value for key, value in own.items() if key != "only"}
    asked = whole if name == called(own) else {"use": name}
    how = binary or own.get("binary")
    return as_of(open_data(asked | ({"binary": how} if how else {})), run.space, run.path)


def as_of(data: Dataset, space: Space, where: Path) -> Dataset:
    """The data as values of the model's space: the same kind, shape and levels, columns standardised as in training."""
    mine, theirs = (f"{s.kind} {tuple(s.shape)}, {s.levels} levels" for s in (space, data.space))
    if mine != theirs:
        raise UserError(f"{data.name} holds {theirs}, the model of {where} takes {mine}; name data of that kind")
    return replace(data, space=space)


def _part(data: Dataset, split: str | None) -> Data:
    there = [name for name in ("test", "valid", "train") if name in data.splits and len(data.splits[name])]
    if split is not None and split not in there:
        raise UserError(f"{data.name} has no split {split!r}; {did_you_mean(split, there)}")
    if not there:
        raise UserError(f"{data.name} holds no examples")
    return Data(data, split or there[0])


def _files(run: Run, words: Sequence[str | Path], fit: bool, label: int | None) -> Data:
    """All that files and folders hold; pictures of the run's own folder are fitted as they were for training."""
    for word in words:
        if not _exists(Path(word)):
            raise UserError(_absent(run, str(word)))
    own = len(words) == 1 and _is_own(run, Path(words[0]))
    paths, bad = [Path(word) for word in words], list[tuple[str, str]]()
    remedy = "resize it, or give --fit, which resizes and crops pictures to that size"
    array = run.facts.get("array")
    stored, names = files.load_examples(paths, run.space, fit=fit or own, array=array, remedy=remedy, left_out=bad)
    y, classes = (None, ()) if label is not None else _classes(run, paths, names, own)
    data = _given(run, stored, names, _labelled(y, label, len(stored)), classes)
    return replace(data, data=replace(data.data, skipped=bad))


def _absent(run: Run, word: str) -> str:
    """That there is nothing of this name or path, and what may have been meant."""
    if Path(word).is_symlink():
        return f"{word} is a link to something that is not there; name what it should lead to"
    own = run.recipe["data"]
    known = [*sets(), *([Path(own["path"]).name] if "path" in own else [])]
    return f"there is no file and no data set {word!r}; {did_you_mean(word, known)}"


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, not a name, a loop of links
        return False


def _columns(stored: Any, theirs: Table, space: Table) -> Tensor:
    """Rows of a task of ours as the model's columns, by name: samples carry their target column beside them."""
    missing = [name for name in space.names if name not in theirs.names]
    if missing:
        raise UserError(f"the rows have no column {missing[0]!r}, which the model knows")
    return torch.from_numpy(stored[:, [theirs.names.index(name) for name in space.names]])


def _stored(said: Any, run: Run) -> Tensor:
    """An array as stored values, as a file of it would be read. What a task of ours made is what a model sees."""
    ours = getattr(said, "x", None)
    if isinstance(ours, Tensor) and ours.shape[1:] == run.space.shape and not bool(ours.isinf().any()):
        said = run.space.write(ours.detach().cpu()) if run.space.gaps or not bool(ours.isnan().any()) else ours
    return fitted(as_numpy(said), run.space, "the array", run.facts.get("array") or {})


def _classes(run: Run, paths: Sequence[Path], names: Sequence[str], own: bool) -> tuple[Tensor | None, tuple[str, ...]]:
    """Labels that lie beside the files; of classes that a label-conditional model does not know, none."""
    known, data = tuple(str(name) for name in run.facts.get("classes") or ()), run.recipe["data"]
    if isinstance(run.space, Table):
        target = data.get("target")
        return (read_labels(paths, target, known), known) if target is not None and known else (None, ())
    table = Path(data["table"]) if own and data.get("table") else None
    y, classes = labels_beside(paths, names, known, data.get("class_level"), table)
    return (None, ()) if run.recipe["model"].get("labelled") and classes != known else (y, classes)


def _given(run: Run, stored: Tensor, names: list[str] | None, y: Tensor | None, classes: tuple[str, ...]) -> Data:
    """Examples at hand as a set with one split."""
    stamp = hashlib.sha256(digest(stored).encode()).hexdigest()
    classes = classes or tuple(run.facts.get("classes") or ())
    part = Split(MemoryStore(stored), y, names=names)
    return Data(Dataset("given", run.space, {"given": part}, stamp, classes), "given")
