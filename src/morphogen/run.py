"""The run folder: a recipe, facts of the data, a log, weights, and what resuming needs. All else is derived.

    recipe.toml          the whole tree, defaults filled in: enough to train it again
    data.json            what was found when the data was looked at: space, classes, fingerprint
    log.jsonl            one line a record
    weights.safetensors  the averaged weights, sealed
    state/step-*.safetensors   the last two states of training, the last alone once it has ended, sealed
    manifest.json        sha256 of the files above
    kept/NAME.safetensors      what a task learned for these weights (directions, thresholds), sealed
    samples/  curves.png  report.md

Opening a run executes nothing of it: names are looked up on our shelves, tensors are plain bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from morphogen import atomic, disk, run_folder
from morphogen import recipe as recipes
from morphogen.catalogue import ORIGIN
from morphogen.core.build import part
from morphogen.core.model import Model
from morphogen.core.noise import Initialisation
from morphogen.core.space import Space, Vector, space_from_facts
from morphogen.errors import UserError
from morphogen.escape import complain
from morphogen.history import records
from morphogen.run_checks import check_facts, check_recipe

__all__ = ["Run"]

WEIGHTS, LOG, RECIPE, DATA, MANIFEST = "weights.safetensors", "log.jsonl", "recipe.toml", "data.json", "manifest.json"
SKIPPED, SPREAD = "skipped.tsv", "spread.safetensors"
KEPT_STATES = 2  # while a run is trained; one when it has ended


class Run:
    """A folder on disk, and what can be made from it."""

    def __init__(self, path: Path, recipe: dict[str, Any], facts: dict[str, Any]) -> None:
        self.path, self.recipe, self.facts = path, recipe, facts
        self.torn = False
        self.made: run_folder.Made | None = None

    @classmethod
    def create(cls, path: str | Path, recipe: Mapping[str, Any], facts: Mapping[str, Any]) -> Run:
        """A new folder; one that already holds something is never written over."""
        path, text = Path(path), recipes.to_toml(recipe) + "\n"
        run = cls(path, dict(recipe), dict(facts))
        with run_folder.new(path) as run.made:
            run_folder.subfolder(path, "state")
            disk.write_json(path / DATA, facts)
            disk.write(path / RECIPE, text)  # the last: a folder without it is no run yet
        return run

    @classmethod
    def create_beside(cls, first: Path, recipe: Mapping[str, Any], facts: Mapping[str, Any]) -> Run:
        """A new folder of that name, or of name-2, name-3 ... where that is taken, even if only just now."""
        path, number = first, 1
        while True:
            if not os.path.lexists(path):
                with contextlib.suppress(run_folder.Taken):
                    return cls.create(path, recipe, facts)
            number += 1
            path = first.with_name(f"{first.name}-{number}")

    def take_back(self) -> None:
        """Leave nothing of a run that this very process made and nobody has trained."""
        if self.made is not None:
            run_folder.take_back(self.made, (RECIPE, DATA, MANIFEST, LOG, ORIGIN, SKIPPED, SPREAD))

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """A folder that `create` made, wherever it has been copied to since."""
        path = Path(path)
        if not (path / RECIPE).is_file() or not (path / DATA).is_file():
            raise UserError(
                f"{path} is not a run: it holds no {RECIPE} and {DATA}; `morphogen runs` lists the runs here"
            )
        run_folder.refuse_links(path)
        run = cls(path, recipes.read(path / RECIPE), _json(path / DATA))
        check_recipe(run.recipe, path / RECIPE)
        check_facts(run.facts, path / DATA)
        run._check_manifest()
        return run

    @property
    def identity(self) -> str:
        """What weights and states of this run are bound to: its model, seed and data, which never change."""
        fixed = [self.recipe.get("model"), self.recipe.get("seed"), self.facts]
        return hashlib.sha256(json.dumps(fixed, sort_keys=True, default=str).encode()).hexdigest()

    def bound(self, path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What a sealed file of this run holds; that of another run is refused, however well it fits."""
        tensors, facts = disk.open_sealed(path)
        if facts.get("run") != self.identity:
            raise UserError(
                f"{path} is not of this run: it was trained with another model, seed or data; restore its own"
            )
        return tensors, facts

    def _check_manifest(self) -> None:
        if not (self.path / MANIFEST).is_file():
            return
        for name, sha256 in _json(self.path / MANIFEST).items():
            if name in (RECIPE, DATA) and disk.digest(self.path / name) != sha256:
                raise UserError(
                    f"{self.path / name} is not what this run was trained with (its sha256 differs); restore it"
                )

    @property
    def space(self) -> Space:
        """What one example is."""
        try:
            return space_from_facts(self.facts["space"])
        except UserError as error:
            raise UserError(f"{self.path / DATA}: space: {error}; the file is damaged: restore it") from None

    @property
    def labels(self) -> Vector | None:
        """The space of the labels, where the data has several classes."""
        classes = self.facts.get("classes") or []
        if not isinstance(classes, (list, tuple)) or not all(isinstance(name, str) for name in classes):
            raise UserError(f"{self.path / DATA}: classes = {classes!r} are not names")
        return Vector(len(classes), columns=tuple(classes)) if len(classes) > 1 else None

    def build(self) -> Model:
        """The model as the recipe describes it, with fresh weights drawn from the run's seed."""
        try:
            with Initialisation(int(self.recipe.get("seed", 0))):
                model: Model = part("models", self.recipe["model"])(self.space, self.labels)
        except UserError as error:  # what does not fit may be the data: say which
            from morphogen.data.find import called

            raise UserError(f"with {called(self.recipe['data'])}: {error}") from None
        return model

    def model(self) -> Model:
        """The trained model, ready for use."""
        if not (self.path / WEIGHTS).is_file():
            raise UserError(f"{self.path} has no {WEIGHTS} yet; train it on with `morphogen resume {self.path}`")
        tensors, _ = self.bound(self.path / WEIGHTS)
        model = self.build()
        fill(model, tensors, self.path / WEIGHTS)
        return model.eval().requires_grad_(False)

    def save_weights(self, model: Model, facts: Mapping[str, Any]) -> None:
        """The weights for use."""
        disk.seal(self.path / WEIGHTS, model.state_dict(), dict(facts) | {"run": self.identity})

    def save_state(self, step: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """What resuming needs; older states go only now that the new one has been read back and verified."""
        folder = run_folder.subfolder(self.path, "state")
        new, kept = folder / f"step-{step:09d}.safetensors", 1 if facts.get("finished") else KEPT_STATES
        disk.seal(new, tensors, dict(facts) | {"step": step, "run": self.identity})
        states = self.states()
        abandoned = states[: states.index(new)]  # later ones that could not be read, or that a roll-back left behind
        for path in [*abandoned, *states[states.index(new) + kept :]]:
            with contextlib.suppress(OSError):  # it can go next time
                path.unlink(missing_ok=True)
        run_folder.sweep(self.path)
        self.seal_manifest()

    def keep(self, name: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Path:
        """Put what a task learned beside the weights that it was learned for; what was kept under that name goes."""
        path = self._kept(name)
        atomic.sweep(run_folder.subfolder(self.path, "kept"))
        disk.seal(path, tensors, dict(facts) | {"run": self.identity, "weights": disk.digest(self.path / WEIGHTS)})
        return path

    def kept(self, name: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """What `keep` put there; None where nothing was kept, or the run has been trained on since."""
        path = self._kept(name)
        if not path.is_file():
            return None
        tensors, facts = self.bound(path)
        return (tensors, facts) if facts.get("weights") == disk.digest(self.path / WEIGHTS) else None

    def _kept(self, name: str) -> Path:
        if not name.isidentifier() or not name.isascii() or len(name) > 64:
            raise UserError(f"{name!r} is no name; use letters, digits and _, and begin with a letter")
        return self.path / "kept" / f"{name}.safetensors"

    def seal_manifest(self) -> None:
        """sha256 of every file that matters, for whoever copies the folder."""
        files = [self.path / name for name in (RECIPE, DATA, WEIGHTS)] + self.states()
        disk.write_json(
            self.path / MANIFEST, {str(f.relative_to(self.path)): disk.digest(f) for f in files if f.is_file()}
        )

    def states(self) -> list[Path]:
        """Saved states, newest first."""
        return sorted((self.path / "state").glob("step-*.safetensors"), reverse=True)

    def load_state(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The newest state that verifies; None where nothing was saved yet. One that does not is named on stderr."""
        troubles = []
        for path in self.states():
            try:
                tensors, facts = self.bound(path)
                if path.stem != f"step-{facts.get('step')!s:0>9}":
                    raise UserError(f"{path} is the state of step {facts.get('step')} under another name")
            except UserError as error:
                troubles.append(str(error))
                continue
            for trouble in troubles:
                complain(f"{trouble}; going on from {path.name}")
            return tensors, facts
        if troubles:
            raise UserError("no state of this run can be read: " + "; ".join(troubles))
        return None

    def append(self, record: Mapping[str, Any]) -> None:
        """One line to the log. A disk that is full loses lines, not the training."""
        try:
            with run_folder.appended(self.path / LOG) as file:
                file.write("\n" * self.torn + json.dumps(record) + "\n")
            self.torn = False
        except OSError as error:
            if not self.torn:
                complain(f"{self.path / LOG} could not be written: {error.strerror}")
            self.torn = True  # a part of the line may be there: the next begins on a line of its own

    def complain(self, trouble: str, step: int = 0) -> None:
        """Say on stderr, and in the log where that is possible, what went wrong without ending the run, and when."""
        complain(trouble)
        self.append({"step": step, "event": trouble})

    def log(self) -> list[dict[str, Any]]:
        """Every whole line of the log."""
        return records(self.path / LOG)

    def forget_after(self, step: int, valid: Mapping[str, Any] | None = None) -> None:
        """Drop what was logged after `step`, and looks at validation that are later than `valid`, the last one that
        the state knows of: the run goes on from there, and takes them again."""
        looked = step if valid is None else valid.get("step", 0)
        kept = [r for r in self.log() if r.get("step", 0) <= (looked if _of_validation(r) else step)]
        disk.write(self.path / LOG, "".join(json.dumps(r) + "\n" for r in kept))

    def locked(self) -> AbstractContextManager[None]:
        """Train in this folder alone."""
        return run_folder.locked(self.path)


def fill(model: torch.nn.Module, tensors: Mapping[str, Tensor], where: Path) -> None:
    """Put tensors into a model, name by name; anything missing, left over or misshapen is refused."""
    own = model.state_dict()
    for name in sorted(own.keys() ^ tensors.keys()):
        fault = "lacks" if name in own else "holds an unknown"
        raise UserError(f"{where} {fault} tensor {name!r}: it is of another model than the recipe describes")
    with torch.no_grad():
        for name, tensor in tensors.items():
            if own[name].shape != tensor.shape or own[name].dtype != tensor.dtype:
                raise UserError(
                    f"{where}: {name!r} is {tensor.dtype} {tuple(tensor.shape)}, "
                    f"the recipe wants {own[name].dtype} {tuple(own[name].shape)}"
                )
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                raise UserError(f"{where}: {name!r} holds numbers that are not finite")
            own[name].copy_(tensor)


def _of_validation(record: Mapping[str, Any]) -> bool:
    return any(name.startswith("valid/") for name in record)


def _json(path: Path) -> dict[str, Any]:
    try:
        return disk.table(path.read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
