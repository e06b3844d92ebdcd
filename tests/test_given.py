"""Arrays at hand as data: trained on like any other, known by their digest, asked for where they are not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import morphogen as mg
from morphogen.core.space import Image, Tokens, Vector
from morphogen.data import given as home
from morphogen.data.find import open_data
from morphogen.errors import UserError

TINY = {"model.net": {"use": "mlp", "widths": [8]}, "model.latent": 2}


def rows(n: int = 60) -> np.ndarray:
    return np.random.RandomState(0).randn(n, 3)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> mg.OpenRun:
    y = np.arange(60) % 3
    folder = tmp_path_factory.mktemp("given") / "run"
    return mg.train("vae", rows(), TINY, y=y, steps=3, batch=16, device="cpu", run=folder, quiet=True)


def test_a_run_of_an_array_is_a_run_like_any_other(run: mg.OpenRun) -> None:
    assert run.space.shape == (3,)
    assert run.run.facts["classes"] == ["0", "1", "2"]
    assert sum(run.run.facts["sizes"].values()) == 60
    assert run.score(samples=2)["protocol"]["split"] == "test"
    run.resume(["train.steps=5"], quiet=True)
    assert run.run.log()[-1]["step"] == 5


def test_elsewhere_it_says_that_its_data_is_not_there(run: mg.OpenRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home, "_held", {})
    again = mg.open(run.path)
    assert len(again.sample(4)) == 4
    assert len(again.encode(rows())) == 60
    with pytest.raises(UserError, match="does not hold: name the data"):
        again.score(samples=2)
    mg.hold(rows(), np.arange(60) % 3)
    assert again.score(samples=2)["protocol"]["n"] > 0


def test_a_new_process_asks_for_it(run: mg.OpenRun) -> None:
    words = [sys.executable, "-m", "morphogen", "score", str(run.path)]
    said = subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ)
    assert said.returncode == 2
    assert "mg.hold(x)" in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize(
    ("x", "space"),
    [
        (torch.randn(40, 3), Vector),
        (np.random.RandomState(0).randint(0, 5, (40, 6)), Tokens),
        (np.random.RandomState(0).randint(0, 256, (40, 8, 8)).astype(np.uint8), Image),
        (np.asfortranarray(np.random.RandomState(0).rand(40, 4, 4, 3)), Image),
        ([[0.5, 1.0], [0.25, 2.0], [1.5, 1.0], [1.25, 2.0]] * 3, Vector),
    ],
    ids=["torch", "symbols", "pictures", "colours", "lists"],
)
def test_an_array_is_what_a_file_of_it_would_be(x: object, space: type, tmp_path: Path) -> None:
    data = open_data(mg.hold(x))
    assert isinstance(data.space, space)
    np.save(tmp_path / "x.npy", np.ascontiguousarray(x))
    same = open_data(tmp_path / "x.npy")
    assert same.fingerprint == data.fingerprint


def test_the_same_array_is_the_same_data_and_another_is_not() -> None:
    x, y = rows(), np.arange(60) % 2
    assert mg.hold(x) == mg.hold(x.copy())
    recipes = [mg.hold(x), mg.hold(x, y), mg.hold(x, 1 - y), mg.hold(x[::-1]), mg.hold(x.astype(np.float32))]
    assert len({r["digest"] for r in recipes}) == 5


def test_an_array_that_is_changed_meanwhile_is_noticed(run: mg.OpenRun, tmp_path: Path) -> None:
    x = rows() + 1
    changed = mg.train("vae", x, TINY, steps=1, batch=16, device="cpu", run=tmp_path / "run", quiet=True)
    x[0] = 7
    with pytest.raises(UserError, match="has changed"):
        changed.score(samples=2)


def test_labels_may_be_words_and_some_may_be_missing() -> None:
    words = np.array(["cat", None, "dog", float("nan")] * 15, dtype=object)
    data = open_data(mg.hold(rows(), words))
    assert data.classes == ("cat", "dog")
    y = torch.cat([split.y for split in data.splits.values() if split.y is not None])
    assert int((y == -1).sum()) == 30


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (3, None, "a row or a picture for each"),
        ([1.0, 2.0], None, "a row or a picture for each"),
        ([[1.0, "a"], [2.0, "b"]], None, "numbers are wanted"),
        ([[1.0, 2.0], [1.0]], None, "nor an array"),
        (np.full((20, 2), np.nan), None, "not finite"),
        (rows(), [1, 2, 3], "one whole number or word"),
        (rows(), [0.5] * 60, "one whole number or word"),
        ("digits", [1, 2], "y is the labels of an array"),
        (np.zeros((0, 4)), None, "holds no examples"),
        (rows(3), None, "a model of so few"),
    ],
)
def test_what_is_no_data_is_refused(x: object, y: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        mg.train("vae", x, y=y, steps=1, run=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_given_by_name_says_what_it_is() -> None:
    with pytest.raises(UserError, match="an array at hand in Python"):
        open_data("given")
