"""Labels spread among codes: the textbook's answer, what cannot be reached, and trainings that take them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import make_moons
from torch.nn.functional import one_hot

from morphogen import spreading
from morphogen.core.build import part
from morphogen.core.lesson import Lecture
from morphogen.core.space import Vector
from morphogen.data.batches import Batches
from morphogen.data.find import open_data, resolve
from morphogen.errors import UserError
from morphogen.opened import OpenRun
from morphogen.plan import Plan
from morphogen.run import Run
from morphogen.session import fit
from morphogen.spreading import neighbours, spread

LABELS = Vector(3)
MLP = {"use": "mlp", "widths": [32]}


def named(z: torch.Tensor, y: torch.Tensor, classes: int = 2) -> torch.Tensor:
    """The likeliest class of each, -1 where nothing is known of it."""
    chances = spread(z, y, classes)
    return torch.where(chances.sum(1) > 0, chances.argmax(1), -1)


def moons(n: int, labelled: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Codes, which moon each lies on, and that where it is known."""
    x, y = make_moons(n, noise=0.05, random_state=0)
    told = np.full(n, -1)
    for kind in (0, 1):
        told[np.flatnonzero(y == kind)[:labelled]] = kind
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y), torch.tensor(told)


def textbook(z: np.ndarray, y: np.ndarray, classes: int) -> np.ndarray:
    """The formula on top of spreading.py, dense and in float64, one pair at a time."""
    n = len(z)
    apart = ((z[:, None] - z[None]) ** 2).sum(2)
    w = np.zeros((n, n))
    for i in range(n):
        order = [j for j in np.argsort(apart[i]) if j != i][: spreading.NEAREST]
        for j in order:
            w[i, j] = np.exp(-spreading.STEEP * apart[i, j] / apart[i, order[-1]])
    w = (w + w.T) / 2
    s = w / np.sqrt(np.outer(w.sum(1), w.sum(1)))
    told = np.eye(classes)[np.maximum(y, 0)] * (y >= 0)[:, None]
    f = np.linalg.inv(np.eye(n) - spreading.REACH * s) @ told
    p = told.sum(0) * f / f.sum(0)
    return p / p.sum(1, keepdims=True)


def test_the_textbook_says_the_same() -> None:
    draw = np.random.default_rng(0)
    z, y = draw.normal(size=(80, 3)), np.full(80, -1)
    y[:9] = [0, 0, 0, 0, 1, 1, 1, 2, 2]
    heard = neighbours(torch.tensor(z), torch.tensor(y), 3)
    assert np.abs(heard.chances.numpy() - textbook(z, y, 3)).max() < 1e-3
    assert heard.chances.sum(1).numpy() == pytest.approx(np.ones(80), abs=1e-5)


def test_one_label_a_moon_is_enough() -> None:
    x, y, told = moons(600, 1)
    found = named(x, told)
    assert float((found == y).float().mean()) > 0.99
    assert torch.equal(found[told >= 0], told[told >= 0])
    near_y = neighbours(x, told, 2).say(x + 0.01).argmax(1)
    assert float((near_y == y).float().mean()) > 0.99


def test_a_label_among_others_stays() -> None:
    x, y, told = moons(600, 20)
    odd = int((told == 0).nonzero()[0])
    told[odd] = 1
    found = named(x, told)
    assert int(found[odd]) == 1
    assert float((found == y).float().mean()) > 0.97


def test_what_no_label_reaches_stays_blank() -> None:
    x, y, told = moons(400, 2)
    far = torch.cat([x, x + 100])
    found = named(far, torch.cat([told, torch.full((400,), -1)]))
    assert bool((found[400:] == -1).all())
    assert float((found[:400] == y).float().mean()) > 0.99
    said = neighbours(far, torch.cat([told, torch.full((400,), -1)]), 2).say(x + 100)
    assert bool(said.isfinite().all())


def test_of_very_many_the_others_hear_from_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreading, "MOST", 300)
    x, y, told = moons(900, 2)
    heard = neighbours(x, told, 2)
    assert 200 <= len(heard.rows) <= 300
    assert set((told >= 0).nonzero().flatten().tolist()) <= set(heard.rows.tolist()), "labelled ones are all there"
    assert float((named(x, told) == y).float().mean()) > 0.98


def test_classes_keep_the_shares_of_their_labels() -> None:
    """Where neighbours say nothing, a class with three times the labels is three times as likely."""
    z = torch.zeros(40, 2)
    y = torch.full((40,), -1)
    y[:4] = torch.tensor([0, 0, 0, 1])
    chances = neighbours(z + 1e-6 * torch.randn(40, 2, generator=torch.Generator().manual_seed(0)), y, 2).chances
    assert float(chances.mean(0)[0]) == pytest.approx(0.75, abs=0.06)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_examples_and_doubles(n: int) -> None:
    z = torch.ones(n, 2)
    y = torch.full((n,), -1)
    y[0] = 1
    assert named(z, y).tolist() == [1] * n


# What a lesson makes of guesses


def said_once(guesses: Any, said: list[list[float]], **more: Any) -> list[float]:
    lesson = part("lessons", {"use": "agreement", "even": 0.0, "heat": 1.0, "sure": 0.0} | more)(Vector(2), LABELS)
    none, y = part("augments", "none")(Vector(2)), torch.full((len(said),), -1)
    guesses = None if guesses is None else torch.tensor(guesses)
    lecture = Lecture(torch.zeros(len(said), 2), y, lambda x: torch.tensor(said).log(), none, none, guesses)
    costs: list[float] = lesson(lecture, 0).tolist()
    return costs


@pytest.mark.parametrize("trust", [0.0, 1.0, 2.0])
def test_a_guess_is_weighed_against_what_is_said(trust: float) -> None:
    q, guess = np.array([0.7, 0.2, 0.1]), np.array([0.05, 0.9, 0.05])
    p = q * guess**trust / (q * guess**trust).sum()
    blank = -(q * np.log(q)).sum()
    costs = said_once([guess.tolist(), [0.0, 0.0, 0.0]], [q.tolist()] * 2, trust=trust)
    assert costs == pytest.approx([-(p * np.log(q)).sum(), blank], rel=1e-4)
    assert said_once(None, [q.tolist()]) == pytest.approx([blank], rel=1e-4)


def test_guesses_go_with_their_rows() -> None:
    """Through an endless chain of batches, and into the shares of one."""
    data = open_data("digits", labels=2)
    guesses = torch.rand(len(data.splits["train"]), 10, generator=torch.Generator().manual_seed(0))
    data.splits["train"] = replace(data.splits["train"], guesses=guesses)
    whole = next(Batches(data, "train", 2000, shuffle=False).sweep(2000))
    rows = {x.numpy().tobytes(): g for x, g in zip(whole.x, guesses, strict=True)}
    batch = Batches(data, "train", 64, seed=3, labelled=8).at(5)
    assert batch.guesses is not None
    for x, guess in zip(batch.x, batch.guesses, strict=True):
        assert torch.equal(rows[x.numpy().tobytes()], guess)
    shares = batch.shares(24)
    assert torch.equal(torch.cat([share.guesses for share in shares if share.guesses is not None]), batch.guesses)


# Trainings and answers


def run_of(path: Path, data: dict[str, Any], model: dict[str, Any], **plan: Any) -> Run:
    train = Plan.complete({"steps": 2, "batch": 32, "compile": False} | plan)
    recipe = {"data": resolve(data), "model": part("models", model).spec, "train": train, "seed": 0}
    return Run.create(path, recipe | {"device": "cpu", "precision": "float32"}, open_data(data).facts())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spreading")


VAE = {"use": "vae", "latent": 16, "net": "dcgan", "likelihood": {"use": "normal-fixed", "scale": 0.3}}
NAMER = {
    "use": "classifier",
    "net": MLP,
    "lessons": [{"use": "taught", "weight": 4.0}, {"use": "agreement", "sure": 0.6}],
}
FEW = {"use": "digits", "labels": 2}


@pytest.fixture(scope="module")
def codes(home: Path) -> Path:
    fit(run_of(home / "codes", FEW, VAE, steps=300, lr=2e-3), quiet=True)
    return home / "codes"


def test_labels_are_spread_before_a_training(home: Path, codes: Path) -> None:
    few = {"steps": 300, "lr": 3e-3, "ema": 0.9, "labelled": 8}
    run = run_of(home / "spread", FEW, NAMER, **few, spread=str(codes))
    fit(run, quiet=True)
    guesses = run.bound(run.path / "spread.safetensors")[0]["guesses"]
    truth, told = open_data("digits").splits["train"].y, open_data(FEW).splits["train"].y
    assert torch.equal(guesses[told >= 0], one_hot(told[told >= 0].long(), 10).float())
    assert float((guesses.argmax(1) == truth).float().mean()) > 0.75
    assert any("20 labels were spread to" in str(record.get("event")) for record in run.log())
    alone = run_of(home / "alone", FEW, NAMER, **few)
    fit(alone, quiet=True)
    right = [OpenRun(r).classify(None, split="test")["accuracy"] for r in (run, alone)]
    assert right[0] > right[1] + 0.02, right


def test_a_run_that_has_begun_stands_alone(home: Path, codes: Path, tmp_path: Path) -> None:
    whole, half = (
        run_of(tmp_path / name, FEW, NAMER, steps=20, validate_every=100, save_every=10, spread=str(codes))
        for name in ("whole", "half")
    )
    fit(whole, quiet=True)
    half.recipe["train"]["steps"] = 10
    fit(half, quiet=True)
    half.recipe["train"] |= {"steps": 20, "spread": str(tmp_path / "gone")}
    fit(half, quiet=True)
    assert torch.equal(*(r.bound(r.path / "spread.safetensors")[0]["guesses"] for r in (whole, half)))


def test_a_model_that_needs_all_labels_takes_guesses_for_them(codes: Path, tmp_path: Path) -> None:
    told = {"use": "vae", "net": MLP, "labelled": True}
    with pytest.raises(UserError, match="no label"):
        fit(run_of(tmp_path / "blank", FEW, told), quiet=True)
    fit(run_of(tmp_path / "run", FEW, told, spread=str(codes)), quiet=True)


@pytest.mark.parametrize(
    ("data", "model", "said"),
    [
        ({"use": "digits"}, VAE, "every example of digits has a label"),
        ({"use": "array", "path": "bare.npy"}, VAE, "of two classes; label some"),
        (FEW | {"binary": "threshold"}, VAE, "takes image .* 17 levels; name data of that kind"),
        (FEW, {"use": "classifier", "net": MLP}, "encodes nothing"),
        (FEW, VAE | {"labelled": True}, "is told the class of what it encodes"),
    ],
)
def test_labels_that_cannot_be_spread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: dict[str, Any], model: dict[str, Any], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("bare.npy", np.random.default_rng(0).normal(size=(40, 3)))
    other = tmp_path / "other"
    fit(run_of(other, {"use": "digits"}, model), quiet=True)
    run = run_of(tmp_path / "run", data, {"use": "vae", "net": MLP}, spread=str(other))
    with pytest.raises(UserError, match=said):
        fit(run, quiet=True)


def test_a_run_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a run"):
        fit(run_of(tmp_path / "run", FEW, VAE, spread=str(tmp_path / "nothing")), quiet=True)


def test_neighbours_name_classes(codes: Path, home: Path) -> None:
    run = OpenRun(Run.open(codes))
    said = run.classify(None, split="test", by="neighbours")
    assert said["by"] == "labels spread among the codes of its training examples"
    assert said["accuracy"] > run.classify(None, split="test", by="probe")["accuracy"]
    assert run.run.kept("neighbours") is not None
    again = run.classify(None, split="test", by="neighbours")
    assert again["accuracy"] == said["accuracy"]
    assert [row["class"] for row in again["first"]] == [row["class"] for row in said["first"]]
    alone = run.classify(
        open_data("digits").space.read(open_data("digits").splits["test"].x.gather(torch.arange(3))), by="neighbours"
    )
    assert [row["class"] for row in alone["first"]] == [row["class"] for row in said["first"][:3]]
