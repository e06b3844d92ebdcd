"""From a recipe and data to a trained run: saving, looking, stopping. The caller of the loop.

Any of SIGINT, SIGTERM, SIGUSR1 and SIGHUP finishes the step, saves and leaves a run that can be resumed; a second one
ends at once, and the last saved state stays good.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from morphogen import disk, files, machine
from morphogen import recipe as recipes
from morphogen.core import noise
from morphogen.core.build import part
from morphogen.core.model import Model, Samples
from morphogen.core.noise import Noise
from morphogen.data.dataset import Dataset
from morphogen.data.find import called, enough, open_data, open_with_default, resolve
from morphogen.diagnosis import findings
from morphogen.errors import Failure, MorphogenError, UserError
from morphogen.opening import Expectation, opening, tell
from morphogen.plan import Plan
from morphogen.progress import bar
from morphogen.ranks import Ranks, together
from morphogen.review import review
from morphogen.run import SKIPPED, Run
from morphogen.run_folder import subfolder
from morphogen.shorthand import spelled_out
from morphogen.signals import stopped_by_signals
from morphogen.starting import as_begun
from morphogen.trackers import open_trackers
from morphogen.train import Training, train

__all__ = ["fit", "start"]

HIDES = ("labels", "labels_seed")
SHOWN = 64  # examples in a sample grid
SAVE_SECONDS = 60.0
PATIENCE = 20.0  # against a budget of minutes, looking takes at most one part in so many
FIRST, RECENT = 8, 60  # records of training that are kept, beside all looks, to tell what goes wrong


def complete(recipe: Any, data: Any, leaves: Iterable[str]) -> tuple[dict[str, Any], Dataset]:
    """The recipe with its data, changed leaf by leaf, checked as a whole, every default filled in; and the data."""
    tree = recipes.find(recipe)
    default = tree.get("data", {}).get("binary")
    own = {key: value for key, value in tree.get("data", {}).items() if key != "binary"}
    tree["data"] = _options(own, _data_spec(data))
    tree = recipes.change(tree, spelled_out(tree, leaves))
    default = None if "binary" in tree["data"] else default
    if "use" not in tree["data"]:
        raise UserError("which data? name a set (`morphogen data` lists them) or a folder or file of yours")
    tree["data"] = resolve(tree["data"])
    model = part("models", tree.get("model", "vae"))
    plan = Plan.complete(tree.get("train", {}))
    Plan.from_recipe(plan)
    spec, found = open_with_default(tree["data"], default)
    enough(found, called(spec))
    plan = Plan.complete(tree.get("train", {}), len(found.splits["train"]))
    whole: dict[str, Any] = {
        "data": spec,
        "model": model.spec,
        "train": plan,
        "seed": recipes.seed(tree.get("seed", 0)),
        "device": str(tree.get("device", "auto")),
        "precision": str(tree.get("precision", "auto")),
    }
    machine.choose_precision(whole["precision"], machine.choose_device(whole["device"]))
    return whole, found


def _options(own: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's data as it is said now. A recipe that hides labels means a set that has them all, to measure by:
    where a person's own data is named in its place, it keeps those that it has."""
    theirs = any(said.get(key, own.get(key)) != own.get(key) for key in ("path", "digest"))
    return {key: value for key, value in own.items() if not (theirs and key in HIDES)} | dict(said)


def _data_spec(data: Any) -> dict[str, Any]:
    if data is None:
        return {}
    return dict(data) if isinstance(data, Mapping) else {"use": str(data)}


def start(recipe: Any, data: Any, leaves: Iterable[str] = (), run: str | Path | None = None) -> tuple[Run, Dataset]:
    """A fresh run folder for a recipe and data. Of several ranks, the first makes it and the others open it."""
    whole, found = complete(recipe, data, leaves)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        if run is None:
            raise UserError("several processes need to know where the run is: give --run DIR")
        if int(os.environ["RANK"]) > 0:
            return Run(Path(run), whole, found.facts()), found
    made = (
        Run.create(run, whole, found.facts())
        if run is not None
        else Run.create_beside(Path("runs") / _title(recipe, whole["data"]), whole, found.facts())
    )
    if lines := "".join(f"{name}\t{reason}\n" for name, reason in found.skipped):
        disk.write(made.path / SKIPPED, lines)
    for remark in found.warnings:
        made.complain(remark)
    return made, found


def _title(recipe: Any, data: Mapping[str, Any]) -> str:
    first = Path(str(recipe)).stem if not isinstance(recipe, Mapping) else "recipe"
    second = Path(called(data)).stem
    return first if first == second else f"{first}-{second}"


def fit(run: Run, data: Dataset | None = None, *, quiet: bool = False) -> dict[str, Any]:
    """Train a run to the end of its plan, from wherever it stands."""
    with together(machine.choose_device(str(run.recipe["device"]))) as ranks:
        data = data or open_data(run.recipe["data"])
        _same_everywhere(run, data, ranks)
        lock = run.locked() if ranks.rank == 0 else nullcontext()
        with lock, stopped_by_signals() as asked:
            return Session(run, data, ranks, asked, quiet).go()


def _same_everywhere(run: Run, data: Dataset, ranks: Ranks) -> None:
    """Every rank has the recipe and the data of rank 0, and both are those that the run was made with."""
    recipe = hashlib.sha256(json.dumps(run.recipe, sort_keys=True).encode()).hexdigest()
    ranks.agree("recipe", recipe)
    ranks.agree("data", hashlib.sha256(data.fingerprint.encode()).hexdigest())
    if data.fingerprint != run.facts["fingerprint"]:
        raise UserError(
            f"the data has changed since {run.path} was made (fingerprint {data.fingerprint[:12]}, "
            f"was {run.facts['fingerprint'][:12]}); restore it, or train a new run"
        )


class Session:
    """One sitting with a run: what happens between steps."""

    def __init__(self, run: Run, data: Dataset, ranks: Ranks, asked: list[int], quiet: bool) -> None:
        self.run, self.ranks, self.asked = run, ranks, asked
        self.data = as_begun(run, data, ranks)
        if run.recipe["train"].get("patience") and not len(self.data.splits.get("valid", ())):
            raise UserError(
                "train.patience waits for the validation split, and this data has none; leave patience away"
            )
        self.training = Training(run, self.data, ranks, asked)
        kept = self.training.resume()
        self.best: float | None = kept.get("best")
        self.stale: int = kept.get("stale", 0)
        self.finished: bool = kept.get("finished", False)
        self.valid: dict[str, float] = kept.get("valid", {})
        self.quiet = quiet or ranks.rank > 0
        self.plan = self.training.plan
        self.records: list[dict[str, Any]] = run.log() if kept else []
        self.found: set[str] = set()
        self.looks: tuple[int, int] | None = None
        self.saved_at = time.monotonic()
        self.looked_at, self.looked_until, self.look_seconds = self.training.fraction, time.monotonic(), 0.0
        if not kept:
            self.save()  # a full disk or a folder that cannot be written shows now, not after an hour
        self.trackers = open_trackers(self.plan.track, run) if ranks.rank == 0 else []

    def go(self) -> dict[str, Any]:
        """Train, look, save, until the plan ends, patience ends, or someone asks to stop."""
        stopped = False
        done = self.finished or self._out_of_patience()
        if not self.quiet and not done:
            tell(opening(self.training, self.data))
        with bar(self.run.path.name, self.quiet) as show:
            expects = Expectation(self.training, self.quiet)
            for progress in () if done else train(self.training):
                show(progress, self.valid)
                expects(progress)
                if progress.record is not None:
                    self.note(progress.record)
                if self._due(self.plan.validate_every, 0.05, progress.fraction):
                    self.look()
                stopped = self.ranks.any(bool(self.asked))
                if stopped or self._out_of_patience():
                    break
                if self._save_due():
                    self.try_to_save()
        self.finished = not stopped
        if self.finished and self.valid.get("step") != self.training.step:
            self.look()
        self.save()
        for tracker in self.trackers:
            tracker.close()
        early = not stopped and self._out_of_patience()
        if early and not done and self.ranks.rank == 0:
            self.run.append({"step": self.training.step, "event": f"early stopping: patience {self.plan.patience}"})
        said = {"step": self.training.step, "stopped": stopped, "early": early, "valid": self.valid}
        return said | {"seconds": self.training.elapsed}

    def note(self, record: dict[str, float]) -> None:
        """Tell the trackers; say in words what goes wrong, each thing once."""
        for tracker in self.trackers:
            tracker.write(record)
        trained, looks = ([r for r in self.records if ("fraction" in r) == is_step] for is_step in (True, False))
        self.records = [*trained[:FIRST], *trained[FIRST:][-RECENT:], *looks, record]
        if self.ranks.rank == 0:
            said = findings(self.records)
            if self.plan.patience is not None:
                said.pop("overfitting", None)  # early stopping is the remedy, and is in force
            for name in sorted(said.keys() - self.found):
                self.found.add(name)
                self.run.complain(said[name], int(record["step"]))

    def _due(self, every: int | None, share: float, fraction: float) -> bool:
        """Every so many steps, or, where none were said, every `share` of the plan."""
        if every is not None:
            return self.training.step % every == 0
        if self.training.limit is not None:
            return self.training.step % max(1, self.training.limit // self._looks()[0]) == 0
        patient = time.monotonic() - self.looked_until > PATIENCE * self.look_seconds
        if self.ranks.first(float(patient)) and fraction - self.looked_at >= share:
            self.looked_at = fraction
            return True
        return False

    def _looks(self) -> tuple[int, int]:
        """How often to look, and at how many validation examples; of minutes, by the pace until the first look."""
        if self.looks is None:
            steps = self.training.limit or round(self.training.step / max(self.training.fraction, 1e-9))
            self.looks = self.plan.looks(max(steps, 1), len(self.data.splits.get("valid", ())))
        return self.looks

    def _save_due(self) -> bool:
        if self.plan.save_every is not None:
            return self.training.step % self.plan.save_every == 0
        late = time.monotonic() - self.saved_at > SAVE_SECONDS
        return self.ranks.first(float(late)) > 0 if self.training.step % 10 == 0 else False

    def save(self) -> None:
        """State and weights; with patience, the weights for use stay those of the best look."""
        latest = self.plan.patience is None or self.best is None
        self.training.save(weights=latest, best=self.best, stale=self.stale, valid=self.valid, finished=self.finished)
        self.saved_at = time.monotonic()

    def try_to_save(self) -> None:
        """A disk that is full for a while does not end the training: the last good state stays."""
        try:
            self.save()
        except Failure as error:
            self.run.complain(str(error), self.training.step)
            self.saved_at = time.monotonic()

    def look(self) -> None:
        """Validate the averaged model, and draw the same latents as before."""
        began = time.monotonic()
        model, device = self.training.average.average, self.ranks.device
        self.valid = {"step": self.training.step}  # on every rank: the last look is skipped or taken by all
        if self.ranks.rank == 0:
            self.valid |= review(model, self.training.data, device, self.training.precision, self._looks()[1])
            if len(self.valid) > 1:
                record = {"step": self.training.step} | {f"valid/{k}": v for k, v in self.valid.items() if k != "step"}
                self.run.append(record)
                self.note(record)
            try:
                self.show_samples(model, device)
            except (MorphogenError, OSError) as error:  # a picture that could not be written is no reason to stop
                self.run.complain(str(error), self.training.step)
        loss = self.ranks.first(self.valid.get("loss", float("nan")))
        if math.isfinite(loss) and (self.best is None or loss < self.best):
            self.best, self.stale = loss, 0
            if self.plan.patience is not None and self.ranks.rank == 0:
                self.run.save_weights(model, {"step": self.training.step})
        else:
            self.stale += 1
        self.looked_until = time.monotonic()
        self.look_seconds = self.looked_until - began

    def _out_of_patience(self) -> bool:
        return self.plan.patience is not None and self.stale >= self.plan.patience

    def show_samples(self, model: Model, device: torch.device) -> None:
        """samples/step-*: what the same draws look like as training goes on."""
        if not isinstance(model, Samples):
            return
        model.eval()
        seed = self.training.seed
        with (
            torch.inference_mode(),
            noise.source(Noise(seed, "look")),
            machine.autocast(device, self.training.precision),
        ):
            x = model.sample(SHOWN)
        folder = subfolder(self.run.path, "samples")
        space = self.run.space
        path = folder / f"step-{self.training.step:09d}{files.default_suffix(space)}"
        note = {"run": self.run.path.name, "step": self.training.step, "seed": seed}
        files.save(path, x.float().cpu() if x.is_floating_point() else x.cpu(), space, note=note, force=True)
