"""An opened run: every task that needs a model or a run is a method of it.

run = mg.open("runs/mnist-vae")
run.sample(16).save("grid.png")
run.score("mnist", samples=500)
"""

from __future__ import annotations

import base64
import inspect
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from morphogen import __version__, disk, files, machine
from morphogen.abilities import demand
from morphogen.catalogue import RunFolder, is_run, locate, no_run
from morphogen.core import noise
from morphogen.core.model import Model
from morphogen.core.noise import Noise
from morphogen.core.space import Space
from morphogen.errors import UserError, did_you_mean
from morphogen.examples import Data, find_examples
from morphogen.facts import readable
from morphogen.progress import at_verb
from morphogen.run import WEIGHTS, Run
from morphogen.tasks.task import OPENED, Argument, Task, as_function, find, tasks
from morphogen.values import Values

__all__ = ["OpenRun"]

SHOWN_BYTES = 4_000_000  # of a sample grid within a notebook


def _opened(said: str | Path) -> Run:
    """The run of this path or name; of anything else, what may have been meant."""
    path = locate(said)
    if not is_run(path):
        raise no_run(path)
    return Run.open(path)


if TYPE_CHECKING:
    from morphogen.typed import Verbs  # the tasks as methods, made from their signatures
else:
    Verbs = object


class OpenRun(Verbs):
    """A run ready for use: its tasks are methods, its model is loaded when the first of them needs it."""

    def __init__(self, run: str | Path | Run) -> None:
        self.run = run if isinstance(run, Run) else _opened(run)
        self.told: list[str] = []  # which examples the tasks so far were about

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.run.path

    @property
    def space(self) -> Space:
        """What one example is."""
        return self.run.space

    @cached_property
    def device(self) -> torch.device:
        """The device of the recipe, or the best of this machine where that one is missing here."""
        machine.prepare()
        try:
            return machine.choose_device(str(self.run.recipe.get("device", "auto")))
        except UserError:
            return machine.choose_device("auto")

    @cached_property
    def model(self) -> Model:
        """The trained model, on its device."""
        return self.run.model().to(self.device)

    @cached_property
    def weights(self) -> str:
        """What the weights hash to, in short."""
        return disk.digest(self.path / WEIGHTS)[:12]

    @property
    def target(self) -> str | None:
        """The column of a table that became the label."""
        said = self.run.recipe["data"].get("target")
        return None if said is None else str(said)

    def label(self, said: str | int | None) -> int | None:
        """The number of a class, given by name or number."""
        if said is None:
            return None
        classes = [str(c) for c in self.run.facts.get("classes") or []]
        if str(said) in classes:
            return classes.index(str(said))
        if str(said).isascii() and str(said).isdigit() and int(said) < len(classes):
            return int(said)
        raise UserError(f"label = {said!r} is no class of this run's data; {did_you_mean(str(said), classes)}")

    def perform(self, task: Task, said: Mapping[str, Any]) -> Any:
        """Do a task: check what was said, open its data, hand it the model, and stamp what comes back."""
        given = task.read(dict(said))
        if task.needs not in ("OpenRun", "RunFolder"):
            demand(self.model, task.needs, task.name, str(self.path))
        ready = dict(given)
        for argument in task.arguments:  # what stands for examples; the first is the run's own where nobody says
            if argument.type in OPENED and (argument is task.data or given[argument.name] is not None):
                ready[argument.name] = self._examples(argument, given, said.get("split"))
        if "label" in ready:
            ready["label"] = self.label(given["label"])
        takes = inspect.signature(task.function).parameters
        ready = {name: value for name, value in ready.items() if name in takes}
        if task.needs == "RunFolder":
            return task.function(RunFolder(self.path, self.run.recipe, self.run.facts), **ready)
        if task.needs == "OpenRun":
            with at_verb(task.name):
                result = task.function(self, **ready)
        else:
            ready |= {"run": self} if "run" in takes else {}
            with at_verb(task.name), self.at_work(task, int(given.get("seed") or 0)):
                result = task.function(self.model, **ready)
        return self._stamped(task, given, ready, result)

    @contextmanager
    def at_work(self, task: Task, seed: int) -> Iterator[None]:
        """Without gradients, with the task's own noise, in the precision that suits it."""
        recipe = "float32" if task.exact else str(self.run.recipe.get("precision", "auto"))
        precision = machine.choose_precision(recipe, self.device)
        with torch.no_grad(), noise.source(Noise(seed, task.name)), machine.autocast(self.device, precision):
            yield

    def _examples(self, argument: Argument, given: Mapping[str, Any], split: str | None) -> Any:
        said = given[argument.name]
        if argument.type == "Given":
            return said
        if argument.type == "Codes":
            return self._codes(said)
        if isinstance(said, Data):
            return said
        how = {name: given[name] for name in ("fit", "binary")}
        label = self.label(given["label"])
        found = find_examples(self.run, said, label=label, split=split, usual=given["split"], **how)
        self.told += [found.told()] if found.told() else []
        return replace(found, named={argument.name: said, "label": given["label"], "split": split} | how)

    def _codes(self, said: Any) -> torch.Tensor:
        """Codes from files of `encode` (.npz, .npy, .csv) or from an array."""
        space: Space | None = getattr(self.model, "code", None)
        if not isinstance(space, Space):
            raise UserError(f"the model of {self.path} has no space of codes")
        paths = [said] if isinstance(said, (str, Path)) else said
        if isinstance(paths, (list, tuple)) and paths and all(isinstance(p, (str, Path)) for p in paths):
            return space.read(files.load_examples([Path(p) for p in paths], space)[0])
        codes = torch.as_tensor(paths.x if isinstance(paths, Values) else paths).float()
        if codes.shape[1:] != space.shape:
            raise UserError(f"codes of {tuple(codes.shape)} do not fit the model; its codes are (n, *{space.shape})")
        return codes

    def _stamped(self, task: Task, given: Mapping[str, Any], ready: Mapping[str, Any], result: Any) -> Any:
        """Values carry their recipe, numbers their protocol."""
        command = self.command(task, given)
        stamp = {"run": str(self.path), "task": task.name} | ({} if command is None else {"command": command})
        data = next((value for value in ready.values() if isinstance(value, Data)), None)
        if isinstance(result, Values):
            plain = {k: v for k, v in given.items() if isinstance(v, (str, int, float, bool, list)) and v is not False}
            about = {} if data is None else {"data": data.facts()}
            result.note = stamp | {"arguments": plain, "weights": self.weights, "morphogen": __version__} | about
            if "seed" in given:
                result.note["seed"] = given["seed"]
        elif isinstance(result, dict) and data is not None and task.needs != "OpenRun":
            stamp |= {"weights": self.weights, "precision": "float32", "device": str(self.device)}
            result["protocol"] = data.facts() | dict(result.get("protocol", {})) | stamp | {"morphogen": __version__}
        return result

    def command(self, task: Task, given: Mapping[str, Any]) -> str | None:
        """What to paste into a shell to have it again; nothing where an array was given, which no command can name."""
        given = dict(given)
        for argument in task.arguments:
            said = given.get(argument.name)
            if isinstance(said, Data):  # of a task that calls this one: by the names that it was given itself
                given |= {name: value for name, value in said.named.items() if given.get(name) in (None, False)}
                given[argument.name] = said.named.get(argument.name)
        words, options = [str(self.path)], []
        for argument in task.arguments:
            value = given.get(argument.name)
            if value is None or value is False or (_is_plain(value) and value == argument.default):
                continue
            if not _is_plain(value):
                return None
            if argument.option:
                options += _option(argument.name, value)
            else:
                said = [str(word) for word in (value if isinstance(value, (list, tuple)) else [value])]
                file = argument.type in OPENED or argument.type == "Path"  # whose name may begin as an option does
                words += [f"./{word}" if file and word.startswith("-") else word for word in said]
        return shlex.join(["morphogen", task.name, *words, *options])

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Callable[..., Any]:
            if name == "compress":  # a task of files, whose model this run is
                task = find(name)
                mine = {"model": self.path}
                return lambda files, **more: readable(task.function(**task.read(mine | {"files": files} | more)))
            if name.startswith("_") or name not in tasks() or not tasks()[name].of_a_run:
                raise AttributeError(f"a run has no {name!r}; {did_you_mean(name, self._tasks())}")
            task = find(name)
            return as_function(task, lambda said: self.perform(task, said))

    @staticmethod
    def _tasks() -> list[str]:
        return [*(task.name for task in tasks().values() if task.of_a_run), "compress"]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._tasks()]

    def _repr_html_(self) -> str:
        """What a notebook shows of a run: its facts, and the last of its sample grids."""
        facts: str = self.show()._repr_html_()
        return self._strip() + facts

    def _strip(self) -> str:
        """The last sample grid as a picture within HTML; empty where there is none."""
        folder = self.path / "samples"
        grids = [] if folder.is_symlink() else sorted(p for p in folder.glob("step-*.png") if not p.is_symlink())
        if not grids or grids[-1].stat().st_size > SHOWN_BYTES:
            return ""
        return f'<img alt="samples" src="data:image/png;base64,{base64.b64encode(grids[-1].read_bytes()).decode()}">'

    def __repr__(self) -> str:
        recipe = self.run.recipe
        return f"<run {self.path}: {recipe['model']['use']} on {recipe['data']['use']}>"


def _option(name: str, value: Any) -> list[str]:
    word = f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}"
    if value is True:
        return [word]
    return [f"{word}={value}"] if str(value).startswith("-") and len(name) > 1 else [word, str(value)]


def _is_plain(value: Any) -> bool:
    """Whether a command line can say it."""
    if isinstance(value, (list, tuple)):
        return all(isinstance(word, (str, int, float, Path)) for word in value)
    return isinstance(value, (str, int, float, Path))
