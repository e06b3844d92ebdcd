"""Few labels: blanks in data, batches that hold labelled rows, models that learn from both, and what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from morphogen.core.build import part
from morphogen.core.conditional import one_hot
from morphogen.core.space import Vector
from morphogen.data.batches import Batches
from morphogen.data.find import open_data, resolve
from morphogen.data.labels import few, known, numbered
from morphogen.errors import UserError
from morphogen.judges import usual
from morphogen.plan import Plan
from morphogen.ranks import Ranks
from morphogen.run import Run
from morphogen.train import Training

MLP = {"use": "mlp", "widths": [8]}


def run_of(path: Path, data: dict[str, Any], model: dict[str, Any], **plan: Any) -> Run:
    recipe = {
        "data": resolve(data),
        "model": model,
        "train": Plan.complete({"steps": 2, "batch": 16} | plan),
        "seed": 0,
    }
    return Run.create(path, recipe | {"device": "cpu", "precision": "float32"}, open_data(data).facts())


# Labels with blanks


def test_so_many_labels_a_class_are_kept_and_the_others_are_blank() -> None:
    whole, data = open_data("digits"), open_data("digits", labels=3, labels_seed=1)
    for name in ("train", "valid"):
        y, all_y = data.splits[name].y, whole.splits[name].y
        assert torch.bincount(y[y >= 0]).tolist() == [3] * 10
        assert torch.equal(y[y >= 0], all_y[y >= 0])
        assert int(y.min()) == -1
    assert torch.equal(data.splits["test"].y, whole.splits["test"].y)
    others = open_data("digits", labels=3, labels_seed=2)
    assert not torch.equal(data.splits["train"].y, others.splits["train"].y)
    assert len({whole.fingerprint, data.fingerprint, others.fingerprint}) == 3
    assert torch.equal(open_data("digits", labels=3, labels_seed=1).splits["train"].y, data.splits["train"].y)
    spec = resolve("digits", labels=3)
    assert spec == resolve(spec)
    assert open_data(spec).fingerprint == open_data("digits", labels=3, labels_seed=0).fingerprint
    assert len(known(data.splits["train"])) == 30


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"labels": 1000}, "ask for no more"),
        ({"labels": 0}, "labels"),
        ({"labels_seed": 1}, "how many a class"),
        ({"labels": 5, "limit": 20}, "ask for no more"),
    ],
)
def test_labels_that_cannot_be_had_are_refused(asked: dict[str, int], said: str) -> None:
    with pytest.raises(UserError, match=said):
        open_data("digits", **asked)


def test_data_without_labels_has_none_to_keep(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(size=(40, 3)))
    with pytest.raises(UserError, match="no labels of two classes"):
        open_data(tmp_path / "a.npy", labels=2)
    with pytest.raises(UserError, match="no training example of a has a label"):
        Batches(open_data(tmp_path / "a.npy"), "train", 8, labelled=2)


@pytest.mark.parametrize(
    ("y", "classes", "blanks"),
    [
        (np.arange(40) % 4 - 1, ("0", "1", "2"), 10),
        (np.array(["", "a", "b", "b"] * 10), ("a", "b"), 10),
        (np.array([b"", b"a", b"b", b"b"] * 10), ("a", "b"), 10),
        (np.arange(40) % 4 - 2, ("-2", "-1", "0", "1"), 0),  # -1 is a class among others below nought
        (np.arange(40) % 2, ("0", "1"), 0),
    ],
)
def test_blanks_of_an_array(tmp_path: Path, y: Any, classes: tuple[str, ...], blanks: int) -> None:
    np.savez(tmp_path / "a.npz", x=np.random.default_rng(0).normal(size=(40, 3)), y=y)
    data = open_data(tmp_path / "a.npz")
    assert data.classes == classes
    assert sum(int((s.y == -1).sum()) for s in data.splits.values()) == blanks
    assert max(int(s.y.max()) for s in data.splits.values()) == len(classes) - 1


def test_one_class_beside_blanks_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.random.default_rng(0).normal(size=(40, 3)), y=np.where(np.arange(40) % 2, 1, -1))
    with pytest.raises(UserError, match=r"means that there is none.*as 0, 1"):
        open_data(tmp_path / "a.npz")


def test_blanks_of_a_test_part(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(30, 3))
    np.savez(tmp_path / "a.npz", x_train=x, y_train=np.arange(30) % 3, x_test=x[:4], y_test=np.array([2, -1, 2, 1]))
    data = open_data(tmp_path / "a.npz")
    assert data.splits["test"].y.tolist() == [2, -1, 2, 1]


def pictures(root: Path, *names: str) -> Path:
    draw = np.random.default_rng(0)
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Picture.fromarray(draw.integers(0, 256, (6, 6), dtype=np.uint8)).save(root / name)
    return root


@pytest.mark.parametrize("blank", ["unlabelled", "Unlabeled"])
def test_a_folder_of_the_unlabelled(tmp_path: Path, blank: str) -> None:
    root = pictures(tmp_path / "p", *(f"{k}/{i}.png" for k in ("cat", "dog", blank) for i in range(8)))
    data = open_data(root)
    assert data.classes == ("cat", "dog")
    y = torch.cat([s.y for s in data.splits.values()])
    assert torch.bincount(y + 1).tolist() == [8, 8, 8]
    one = open_data(pictures(tmp_path / "q", *(f"{k}/{i}.png" for k in ("cat", blank) for i in range(8))))
    assert one.classes == ()


def table(root: Path, text: str | bytes) -> Path:
    (root / "labels.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def test_a_table_says_the_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = pictures(tmp_path / "p", *(f"{i}.png" for i in range(10)), "in/11.png", "in/12.png")
    table(root, '\ufefffile,note,label\n0.png,x,cat\n./1.png,"a, b",dog\nin\\11.png,,dog\n\n2.png,, \n')
    data = open_data({"use": "folder", "path": str(root), "table": "labels.csv"})
    assert data.classes == ("cat", "dog")
    y = torch.cat([s.y for s in data.splits.values()])
    assert torch.bincount(y + 1, minlength=3).tolist() == [9, 1, 2]
    monkeypatch.chdir(root)
    beside = resolve({"use": "folder", "path": ".", "table": "labels.csv"})
    assert beside["table"] == str(root / "labels.csv")
    assert open_data(beside).fingerprint == data.fingerprint
    changed = open_data(
        {"use": "folder", "path": str(table(root, "file,label\n0.png,cat\n1.png,dog\n")), "table": "labels.csv"}
    )
    assert changed.fingerprint != data.fingerprint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "needs one column 'file'"),
        ("name,label\n0.png,a\n", "needs one column 'file'"),
        ("file,label,label\n0.png,a,b\n", "needs one column 'label'"),
        ("file;label\n0.png;a\n", "with commas"),
        ("file,label\n0.pmg,a\n1.png,b\n", "line 2: there is no picture '0.pmg'; did you mean '0.png'"),
        ("file,label\n../0.png,a\n1.png,b\n", "there is no picture"),
        ("file,label\n0.png,a\n./0.png,b\n", "line 3: '0.png' stands there twice"),
        ("file,label\n0.png,a\n1.png\n", "line 3: 1 columns"),
        ("file,label\n0.png,a\n1.png,a\n", "fewer than two classes"),
        ("file,label\n0.png,\n", "fewer than two classes"),
        (b"file,label\n0.png,\xff\n", "no CSV in UTF-8"),
        ('file,label\n"0.png,a\n1.png,b\n', "no CSV"),
    ],
)
def test_tables_that_are_wrong_are_refused(tmp_path: Path, text: str | bytes, said: str) -> None:
    root = table(pictures(tmp_path / "p", *(f"{i}.png" for i in range(9))), text)
    with pytest.raises(UserError, match=said):
        open_data({"use": "folder", "path": str(root), "table": "labels.csv"})


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    root = pictures(tmp_path / "p", *(f"{i}.png" for i in range(9)))
    with pytest.raises(UserError, match="cannot be read"):
        open_data({"use": "folder", "path": str(root), "table": "labls.csv"})


def test_words_are_numbered() -> None:
    y, names = numbered(["b", "", "a", "b"])
    assert y is not None
    assert (y.tolist(), names) == ([1, -1, 0, 1], ("a", "b"))
    assert numbered(["a", "", "a"]) == (None, ())


# Batches


def test_labelled_rows_stand_in_every_batch() -> None:
    data = open_data("digits", labels=2)
    batches = Batches(data, "train", 32, seed=3, labelled=8)
    seen: list[int] = []
    for step in (5, 0, 1, 2, 3):
        batch = batches.at(step)
        assert len(batch) == 32
        assert int((batch.y >= 0).sum()) >= 8
    plain = Batches(data, "train", 24, seed=3)
    chosen = (data.splits["train"].y >= 0).nonzero().flatten()
    for step in range(5):
        rows, _ = batches._fetch(step)
        mine = (torch.arange(33) * 8 // 32).diff() > 0
        seen += rows[mine].tolist()
        assert torch.equal(rows[~mine], plain._fetch(step)[0]), "the others are as they would be without"
    assert sorted(seen[:20]) == sorted(seen[20:40]) == sorted(chosen.tolist()), "each labelled row before any again"


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_such_a_batch(world: int) -> None:
    data = open_data("digits", labels=1)
    whole = Batches(data, "train", 10, labelled=3).at(4)
    parts = [Batches(data, "train", 10, labelled=3, rank=r, world=world).at(4) for r in range(world)]
    assert torch.equal(torch.cat([p.x for p in parts]), whole.x)
    assert torch.equal(torch.cat([p.y for p in parts]), whole.y)


def test_labelled_rows_that_are_not_there_are_refused() -> None:
    with pytest.raises(UserError, match=r"make train\.batch larger"):
        Plan(batch=8, labelled=9)
    with pytest.raises(UserError, match=r"train\.labelled"):
        Plan(labelled=-1)


# A blank is no class


def test_a_blank_never_becomes_a_class() -> None:
    with pytest.raises(UserError, match="some have none"):
        one_hot(Vector(3), torch.tensor([0, -1]))


@pytest.mark.parametrize(
    "model",
    [
        {"use": "vae", "labelled": True, "latent": 2, "net": MLP},
        {"use": "gan", "labelled": True, "latent": 2, "net": MLP, "guides": ["auxiliary"]},
    ],
)
def test_a_model_that_is_told_all_labels_refuses_blanks(tmp_path: Path, model: dict[str, Any]) -> None:
    data = {"use": "digits", "labels": 2}
    run = run_of(tmp_path / "run", data, part("models", model).spec)
    with pytest.raises(UserError, match="have no label, and this model is told all of them"):
        Training(run, open_data(data), Ranks())


def test_a_judge_needs_most_labels() -> None:
    assert usual(open_data("digits")) == "own"
    assert usual(open_data("digits", labels=3)) == "pixels"


def test_few_is_of_what_is_known() -> None:
    twice = few(few(open_data("digits"), 5, 0), 5, 1)
    assert torch.equal(twice.splits["train"].y, open_data("digits", labels=5).splits["train"].y)
