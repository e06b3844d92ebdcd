"""Ten steps of every shipped recipe, on made-up data, against what they gave when they were last looked at.

They are a matter of the program, not of the processor: Adam's first steps make of a gradient that is zero, but for
rounding, a step as long as any, and every instruction set rounds otherwise. In double precision rounding is far below
Adam's epsilon, and nine digits are the same everywhere. With them the first loss of single precision is compared.

A recipe or a model that changed on purpose: `MORPHOGEN_GOLDEN=write pytest tests/test_golden.py` writes the logs anew;
read the difference before it is committed. A new recipe without a log fails until then.
"""

from __future__ import annotations

import copy
import json
import math
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from morphogen import machine, recipe
from morphogen.core import noise
from morphogen.core.batch import Batch
from morphogen.core.build import part
from morphogen.core.noise import Noise
from morphogen.core.space import Image
from morphogen.core.table import Number, Table, Word
from morphogen.data.binary import binarise
from morphogen.data.dataset import Dataset
from morphogen.data.labels import few
from morphogen.data.stamp import dataset_of
from morphogen.plan import Plan
from morphogen.ranks import Ranks
from morphogen.run import Run
from morphogen.train import Training, train

HOME = Path(__file__).parent / "golden"
WRITE = os.environ.get("MORPHOGEN_GOLDEN") == "write"
STEPS, BATCH, SIDE = 10, 8, 12
CLASSES = ("disc", "bar", "ring")
CLOSE = 1e-7  # measured between instruction sets, one thread and two: at most 4e-11


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def pictures(channels: int, levels: int) -> Dataset:
    """Discs, bars and rings of random place and shade on a little noise: the same bits on every machine.

    Levels are 1 more than multiples of 5, so that no patch is as light as it is dark: of one that were, a net without
    biases would say zero but for rounding, and a rectifier would make of that one slope or the other.
    """
    draw = torch.Generator().manual_seed(0)
    count = 96
    y = torch.randint(0, 3, (count,), generator=draw)
    place = torch.randint(3, SIDE - 3, (count, 2), generator=draw)
    shade = torch.randint(levels // 2, levels, (count, 1, 1, channels), generator=draw)
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    away = (rows - place[:, 0, None, None]) ** 2 + (columns - place[:, 1, None, None]) ** 2
    bar = (rows - place[:, 0, None, None]).abs() <= 1
    shapes = torch.stack([away <= 8, bar & (away <= 30), (away <= 10) & (away >= 4)])
    picked = shapes[y, torch.arange(count)]
    noise = torch.randint(0, max(levels // 8, 1), (count, SIDE, SIDE, channels), generator=draw)
    x = torch.where(picked[..., None], shade, noise).clamp_max(levels - 4).to(torch.uint8) // 5 * 5 + 1
    parts = {"train": (x[:64], y[:64]), "valid": (x[64:80], y[64:80]), "test": (x[80:], y[80:])}
    return dataset_of("shapes", Image(SIDE, SIDE, channels, levels), parts, {}, classes=CLASSES)


def rows() -> Dataset:
    """Numbers and words with gaps."""
    space = Table((Number("n", (0.0, 1.0, 9.0), (-2.0, 0.0, 2.0), 1), Word("w", tuple("abc")), Number("m")))
    draw = torch.Generator().manual_seed(0)
    y = torch.randint(0, 3, (96,), generator=draw)
    number, gap = torch.rand(96, 2, generator=draw), torch.rand(96, 3, generator=draw) < 0.1
    x = torch.stack([y + number[:, 0], y.double(), number[:, 1]], 1).where(~gap, math.nan)
    parts = {"train": (x[:64], y[:64]), "valid": (x[64:80], y[64:80]), "test": (x[80:], y[80:])}
    return dataset_of("rows", space, parts, {}, classes=CLASSES)


def data_for(tree: dict[str, Any]) -> Dataset:
    """As large and as colourful as is needed, binarised where the recipe says so."""
    if tree["model"].get("likelihood") == "mixed":
        return rows()
    asked = tree.get("data", {})
    colours = asked.get("use") in ("cifar10", "sprites", "stacked-mnist")
    data = pictures(3 if colours else 1, 256 if colours else 64)
    data = few(data, 3, 0) if "labels" in asked else data
    return binarise(data, asked["binary"]) if "binary" in asked else data


def training_of(name: str, path: Path) -> Training:
    """The recipe as it ships, but for its length, its batch and its precision."""
    machine.prepare()
    tree = recipe.find(name)
    data = data_for(tree)
    kept = {k: v for k, v in tree.get("train", {}).items() if k not in ("steps", "epochs", "minutes")}
    table = kept | {"steps": STEPS, "batch": BATCH, "warmup": 4, "log_every": 1, "compile": False}
    table |= {"labelled": 4} if "labelled" in table else {}
    whole = {
        "data": {"use": "shapes"}, "model": part("models", tree["model"]).spec, "train": Plan.complete(table),
        "seed": 0, "device": "cpu", "precision": "float32",
    }  # fmt: skip
    return Training(Run.create(path, whole, data.facts()), data, Ranks())


def ten_steps(training: Training) -> list[dict[str, float]]:
    """The log."""
    said = [progress.record for progress in train(training) if progress.record is not None]
    return [{k: float(f"{v:.10g}") for k, v in record.items() if not passing(k)} for record in said]


def passing(name: str) -> bool:
    """What depends on the machine and on the plan."""
    return name in ("time", "fraction") or name.endswith("/s")


@pytest.mark.parametrize("name", recipe.names())
def test_ten_steps_are_what_they_were(name: str, tmp_path: Path) -> None:
    training = training_of(name, tmp_path / "run")
    said = ten_steps(training)
    assert {t.dtype for t in training.tensors().values() if t.is_floating_point()} == {torch.float64}
    path = HOME / f"{name}.json"
    if WRITE:
        path.write_text("[\n" + ",\n".join(json.dumps(record) for record in said) + "\n]\n", encoding="utf-8")
    assert path.exists(), "no log of this recipe yet: MORPHOGEN_GOLDEN=write pytest tests/test_golden.py"
    wanted = json.loads(path.read_text(encoding="utf-8"))
    assert [r["step"] for r in said] == list(range(1, STEPS + 1)) == [r["step"] for r in wanted]
    for mine, theirs in zip(said, wanted, strict=True):
        assert mine.keys() == theirs.keys()
        for key, value in theirs.items():
            assert math.isclose(mine[key], value, rel_tol=CLOSE, abs_tol=1e-10), (mine["step"], key, mine[key], value)
    losses = [{k: v for k, v in record.items() if k.startswith("loss/")} for record in (said[0], said[-1])]
    assert losses[0] != losses[1]


class NoneRounded(TorchDispatchMode):
    """Refuses to make many numbers of double precision shorter."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        said = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default and args[0].dtype == torch.float64 and args[0].numel() > 1:
            assert said.dtype == torch.float64 or not said.is_floating_point(), f"{said.dtype} of double precision"
        return said


class Rounded(Noise):
    """The draws of double precision in single precision, which would draw others."""

    def draw(self, *asked: Any) -> torch.Tensor:
        torch.set_default_dtype(torch.float64)
        drawn = super().draw(*asked).float()
        torch.set_default_dtype(torch.float32)
        return drawn


def first_loss(model: Any, batch: Batch, source: Noise) -> float:
    """Of the first turn of the first step."""
    with noise.source(source):
        return float(next(model.play(batch, 0)).loss.detach())


@pytest.mark.parametrize("name", recipe.names())
def test_single_precision_begins_as_double_does(name: str, tmp_path: Path) -> None:
    training = training_of(name, tmp_path / "run")
    model, batch = training.model.train(), training.batches.at(0)
    single = copy.deepcopy(model).float()
    with NoneRounded():
        loss = first_loss(model, batch, Noise(0, "train"))
    x = batch.x.float() if batch.x.is_floating_point() else batch.x
    torch.set_default_dtype(torch.float32)
    said = first_loss(single, replace(batch, x=x), Rounded(0, "train"))
    assert said == pytest.approx(loss, rel=1e-4, abs=1e-4)


def test_no_log_is_left_of_a_recipe_that_is_gone() -> None:
    assert {path.stem for path in HOME.glob("*.json")} == set(recipe.names())
