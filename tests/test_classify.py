"""Few labels: blanks in data, batches that hold labelled rows, models that learn from both, and what they say."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from morphogen.core import noise
from morphogen.core.batch import Batch, Labelled
from morphogen.core.build import part
from morphogen.core.conditional import one_hot
from morphogen.core.lesson import Lecture
from morphogen.core.noise import Noise
from morphogen.core.space import Image as ImageSpace
from morphogen.core.space import Vector
from morphogen.data.batches import Batches
from morphogen.data.find import open_data, resolve
from morphogen.data.labels import few, known, numbered
from morphogen.errors import UserError
from morphogen.examples import Data
from morphogen.judges import usual
from morphogen.metrics.classes import Verdict, calibration_error, confusion, match, temperature, wilson
from morphogen.naming import Namer
from morphogen.opened import OpenRun
from morphogen.plan import Plan
from morphogen.ranks import Ranks
from morphogen.run import Run
from morphogen.session import complete, fit
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


def test_a_recipe_hides_no_labels_of_a_persons_own_data(tmp_path: Path) -> None:
    root = pictures(tmp_path / "p", *(f"{k}/{i}.png" for k in ("cat", "dog") for i in range(40)))
    own, data = complete("few-labels", resolve(root), [])
    assert "labels" not in own["data"]
    assert int((data.splits["train"].y >= 0).sum()) == len(data.splits["train"]) > 20
    assert complete("few-labels", "digits", [])[0]["data"]["labels"] == 10
    asked, _ = complete("few-labels", resolve(root), ["data.labels=3"])
    assert asked["data"]["labels"] == 3
    assert complete(asked, resolve(root), [])[0]["data"]["labels"] == 3  # a recipe of this very data, as a run keeps it


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


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_table_may_have_other_marks_between_cells(tmp_path: Path, mark: str) -> None:
    root = pictures(tmp_path / "p", *(f"{i}.png" for i in range(10)))
    table(
        root,
        "".join(f"{name}{mark}{label}\n" for name, label in (("file", "label"), ("0.png", "a, b"), ("1.png", "c"))),
    )
    assert open_data({"use": "folder", "path": str(root), "table": "labels.csv"}).classes == ("a, b", "c")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "needs one column 'file'"),
        ("name,label\n0.png,a\n", "needs one column 'file'"),
        ("file,label,label\n0.png,a,b\n", "needs one column 'label'"),
        ("file|label\n0.png|a\n", "needs one column 'file', and its first line has 'file.label'"),
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


# M2


LABELS = Vector(3, ("a", "b", "c"))


def semi_of(space: Any = None, **more: Any) -> Any:
    torch.manual_seed(0)
    small = {"use": "semi", "latent": 2, "net": MLP, "classifier": {"use": "classifier", "net": MLP}}
    return part("models", small | more)(space or Vector(4), LABELS)


def bound_of(model: Any, x: Any, y: Any) -> float:
    with noise.source(Noise(0)):
        (turn,) = model.play(Batch(x, y), 0)
    return float(turn.log["bound"])


def test_the_bound_without_a_label_is_the_sum_over_all_labels() -> None:
    model, x = semi_of(), torch.randn(5, 4)
    log_q = model.classify(x).detach()
    by_hand = torch.zeros(5)
    with noise.source(Noise(0)):
        eps = noise.normal((3, 5, 2), event=1, like=x)
    for k in range(3):
        given = one_hot(LABELS, torch.full((5,), k))
        q = model.posterior(x, given)
        z = q.mean + q.log_scale.exp() * eps[k]
        kl = (0.5 * (q.mean**2 + (2 * q.log_scale).exp() - 1) - q.log_scale).sum(1)
        cost = (-model.likelihood(z, given).log_prob(x) - math.log(1 / 3) + kl).detach()
        by_hand += log_q[:, k].exp() * (cost + log_q[:, k])
        told = bound_of(model, x, torch.full((5,), k))
        assert told == pytest.approx(float(cost.mean()), rel=1e-5), "with a label it is that label's cost alone"
    assert bound_of(model, x, torch.full((5,), -1)) == pytest.approx(float(by_hand.mean()), rel=1e-5)
    assert bound_of(model, x, None) == pytest.approx(float(by_hand.mean()), rel=1e-5)


def test_m2_weighs_each_datum_as_the_paper_does() -> None:
    """Kingma et al. 2014, eq. 9 over a whole set of N = 8 with two labels: the sum of L over the labelled, that of U
    over the others, and 0.1 N times the mean of -log q(y|x) over the labelled, all by N. Batches that hold more of the
    labelled rows than there are say the same on average."""
    lessons = [{"use": "taught", "weight": 0.1}]
    model, x = semi_of(classifier={"use": "classifier", "net": MLP, "lessons": lessons}), torch.randn(8, 4)
    y = torch.tensor([2, 0, -1, -1, -1, -1, -1, -1])
    model.costs = lambda x: (x.sum(1) + torch.arange(3)[:, None], torch.zeros(3, len(x)))  # one without noise
    log_q = model.classify(x).detach()
    each = x.sum(1)[:, None] + torch.arange(3) + math.log(3)  # L(x, y) of every class
    told = float(each[0, 2] + each[1, 0])
    untold = float((log_q.exp() * (each + log_q)).sum(1)[2:].sum())
    naming = -float(log_q[0, 2] + log_q[1, 0]) / 2
    by_hand = (told + untold + 0.1 * 8 * naming) / 8

    def loss(rows: list[int], labelled: Labelled | None) -> float:
        (turn,) = model.play(Batch(x[rows], y[rows], labelled=labelled), 0)
        return float(turn.loss.detach())

    assert loss([*range(8)], None) == pytest.approx(by_hand, rel=1e-5), "the set itself, told nothing"
    assert loss([*range(8)], Labelled(2 / 8, 2 / 8)) == pytest.approx(by_hand, rel=1e-5)
    crowded = [loss([0, 1, *rest], Labelled(2 / 8, 2 / 4)) for rest in itertools.combinations(range(2, 8), 2)]
    assert sum(crowded) / len(crowded) == pytest.approx(by_hand, rel=1e-5), "half of each batch has a label"
    whole, halves = [0, 2, 1, 3], ([0, 2], [1, 3])
    shares = [loss(rows, Labelled(2 / 8, 2 / 4)) for rows in halves]
    assert sum(shares) / 2 == pytest.approx(loss(whole, Labelled(2 / 8, 2 / 4)), rel=1e-5), "in parts as in one piece"


def test_batches_say_how_many_have_a_label() -> None:
    """10 of 1,347 digits: with 8 of each 32 drawn among them, and the rest from all, so many are seen on average."""
    data = open_data("digits", labels=1)
    share = 10 / len(data.splits["train"])
    for asked, wanted in ((0, share), (8, 0.25 + 0.75 * share), (32, 1.0)):
        batches = Batches(data, "train", 32, labelled=asked)
        said = batches.at(0).labelled
        assert said is not None
        assert (said.of_set, said.of_batches) == pytest.approx((share, wanted))
        seen = torch.cat([(batches.at(step).y >= 0).double() for step in range(200)])
        assert float(seen.mean()) == pytest.approx(wanted, abs=0.01)
        assert batches.at(0).shares(16)[1].labelled == said


def test_the_two_ways_to_the_bound_agree() -> None:
    """`infer` draws the class, `review` sums over it: on average they say the same."""
    model, x = semi_of(), torch.randn(2, 4)
    with torch.no_grad(), noise.source(Noise(3)):
        drawn = -model.infer(x, samples=20_000).log_weight.mean(0)
        summed = torch.stack([model.review(Batch(x))["loss"] for _ in range(2000)]).mean(0)
    assert torch.allclose(drawn, summed, rtol=0.03)


def test_gradients_reach_only_what_they_belong_to() -> None:
    x = torch.randn(6, 4)
    for y, lessons, reached in (
        (torch.arange(6) % 3, [{"use": "taught", "weight": 0.0}], False),  # L(x, y) knows no q(y|x)
        (torch.arange(6) % 3, ["taught"], True),
        (torch.full((6,), -1), ["taught"], True),  # U(x) does
    ):
        model = semi_of(classifier={"use": "classifier", "net": MLP, "lessons": lessons})
        next(iter(model.play(Batch(x, y), 0))).loss.backward()
        moved = [p.grad is not None and bool(p.grad.any()) for p in model.namer.parameters()]
        assert any(moved) == reached
        assert all(p.grad is not None and p.grad.any() for p in model.likelihood.net.parameters())
    alone = part("models", {"use": "classifier", "net": MLP, "lessons": ["taught"]})(Vector(4), LABELS)
    next(iter(alone.play(Batch(x, torch.full((6,), -1)), 0))).loss.backward()
    assert not any(p.grad.any() for p in alone.parameters()), "where no label is known, nothing is taught"


def test_a_code_says_the_class_too() -> None:
    model, x = semi_of(), torch.randn(6, 4)
    y = torch.tensor([0, 1, 2, -1, -1, -1])
    with torch.no_grad():
        code = model.encode(x, y)
        likeliest = model.classify(x).argmax(1)
        assert torch.equal(code[:, 2:].argmax(1), torch.where(y < 0, likeliest, y))
        assert torch.allclose(model.decode(code), model.decode(code, y))
        assert not torch.allclose(model.decode(code), model.decode(code, (code[:, 2:].argmax(1) + 1) % 3))


def test_the_lower_of_two_is_left_alone() -> None:
    both = {"lower": {"use": "vae", "latent": 3, "net": MLP}, "upper": {"use": "semi", "latent": 2, "net": MLP}}
    model = part("models", {"use": "stacked", "until": 2} | both)(Vector(4), LABELS)
    batch = Batch(torch.randn(8, 4), torch.arange(8) % 3)
    assert [turn.player for turn in model.play(batch, 1)] == ["lower", "upper"]
    (upper,) = model.play(batch, 2)
    upper.loss.backward()
    assert all(p.grad is None for p in model.lower.parameters())
    for wrong, said in (({"lower": "gan"}, "model.lower"), ({"upper": "vae"}, "model.upper")):
        with pytest.raises(UserError, match=said):
            part("models", {"use": "stacked"} | both | wrong)(Vector(4), LABELS)


def test_codes_that_say_nothing_are_left_out() -> None:
    """Of three codes the second is noise: the two that are kept are the others, and decoding puts its middle back."""
    both = {"lower": {"use": "vae", "latent": 3, "net": MLP}, "upper": {"use": "semi", "latent": 2, "net": MLP}}
    stacked = {"use": "stacked", "until": 0} | both
    model = part("models", stacked | {"codes": 2})(Vector(4), LABELS)
    centre = torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 0], [0, 1.0, 0, 0]])
    model.lower.encode = lambda x, y=None: x @ centre.T
    model.lower.sample = lambda n, y=None, temperature=1.0: torch.randn(n, 4)
    assert all(turn.player == "upper" for turn in model.play(Batch(torch.randn(8, 4), torch.arange(8) % 3), 0))
    assert model.kept.tolist() == [0, 2]
    assert "kept" in model.state_dict()
    assert model.shown(torch.tensor([[1.0, 2, 3]])).tolist() == [[1, 3]]
    assert model.whole(torch.tensor([[1.0, 3]])).tolist() == [[1, 0, 3]]
    assert model.sample(5).shape == (5, 4)
    assert model.decode(model.encode(torch.randn(3, 4))).shape == (3, 4)
    for wrong, said in (({"codes": 4}, "give fewer"), ({"codes": 2, "until": None}, "until=0")):
        with pytest.raises(UserError, match=said):
            part("models", stacked | wrong)(Vector(4), LABELS)
    assert "kept" not in part("models", stacked)(Vector(4), LABELS).state_dict()


def test_a_training_starts_from_another_run(tmp_path: Path) -> None:
    vae = {"use": "vae", "latent": 3, "net": MLP}
    fit(run_of(tmp_path / "m1", {"use": "digits"}, part("models", vae).spec), quiet=True)
    model = part(
        "models", {"use": "stacked", "lower": vae, "upper": {"use": "semi", "latent": 2, "net": MLP}, "until": 0}
    )
    run = run_of(tmp_path / "m2", {"use": "digits", "labels": 3}, model.spec, start=str(tmp_path / "m1"), labelled=8)
    fit(run, quiet=True)
    mine, theirs = run.model().state_dict(), Run.open(tmp_path / "m1").model().state_dict()
    assert all(torch.equal(mine[f"lower.{name}"], tensor) for name, tensor in theirs.items())
    (tmp_path / "m1").rename(tmp_path / "gone")
    fit(Run.open(tmp_path / "m2"), quiet=True)  # a run that has begun stands alone
    other = run_of(
        tmp_path / "m3", {"use": "digits"}, part("models", vae | {"latent": 4}).spec, start=str(tmp_path / "gone")
    )
    with pytest.raises(UserError, match="has the shapes of what is there"):
        fit(other, quiet=True)


# Lessons


def test_agreement_asks_for_certainty_and_fills_what_is_missing() -> None:
    lesson = part("lessons", {"use": "agreement", "sure": 0.9, "heat": 0.01, "even": 0.0})(Vector(2), LABELS)
    said = torch.tensor([[0.95, 0.04, 0.01], [0.6, 0.3, 0.1], [0.95, 0.04, 0.01]]).log()
    y = torch.tensor([-1, -1, 0])
    lecture = Lecture(torch.zeros(3, 2), y, lambda x: said, *(part("augments", "none")(Vector(2)) for _ in range(2)))
    cost = lesson(lecture, 0)
    assert cost.tolist() == pytest.approx([-math.log(0.95), 0.0, 0.0], abs=1e-4)


def test_agreement_has_fixmatch_for_its_limit() -> None:
    """Sohn et al. 2020, eq. 4: cross-entropy with the likeliest class, where that is surer than a threshold."""
    how = {"sure": 0.6, "even": 0.0, "trust": 0.0, "heat": 1e-4}
    lesson = part("lessons", {"use": "agreement"} | how)(Vector(2), LABELS)
    heard, said = torch.randn(2, 40, 3).mul(2).log_softmax(2)
    none = part("augments", "none")(Vector(2))
    lecture = Lecture(torch.zeros(40, 2), torch.full((40,), -1), lambda x: said, none, none)
    lecture.heard = heard
    by_hand = torch.nn.functional.nll_loss(said, heard.argmax(1), reduction="none") * (heard.exp().amax(1) >= 0.6)
    assert torch.allclose(lesson(lecture, 0), by_hand, atol=1e-4)
    assert 0 < int((by_hand == 0).sum()) < 40


def test_agreement_pulls_what_is_said_to_the_shares_of_the_labels() -> None:
    lesson = part("lessons", {"use": "agreement", "sure": 0.0, "heat": 1.0, "memory": 0.0})(Vector(2), LABELS)
    said = torch.tensor([[0.6, 0.2, 0.2]] * 6).log()
    y = torch.tensor([-1, -1, -1, 0, 1, 2])
    none = part("augments", "none")(Vector(2))
    for _ in range(2):
        cost = lesson(Lecture(torch.zeros(6, 2), y, lambda x: said, none, none), 0)
    assert float(cost[0]) == pytest.approx(-float(said[0].mean()), rel=1e-5), "all classes alike, as the labels are"


@pytest.mark.parametrize("space", [ImageSpace(9, 12, 3), ImageSpace(8, 8, 1, levels=2)])
def test_a_warp_bends_and_stays_in_range(space: Any) -> None:
    x = torch.rand(64, *space.shape)
    with noise.source(Noise(0)):
        bent = part("augments", "warp")(space)(x)
    assert bent.shape == x.shape
    assert 0 <= float(bent.min()) <= float(bent.max()) <= 1
    assert float((bent - x).abs().mean()) > 0.01
    still = {"turn": 0, "stretch": 0, "shear": 0, "shift": 0, "pull": 0, "cut": 0}
    assert torch.allclose(part("augments", {"use": "warp"} | still)(space)(x), x, atol=1e-5)


# What is said of classes


def test_a_temperature_makes_probabilities_honest() -> None:
    draw = torch.Generator().manual_seed(0)
    honest = torch.log_softmax(2 * torch.randn(4000, 5, generator=draw), 1)
    y = torch.multinomial(honest.exp(), 1, generator=draw).squeeze(1)
    proud = torch.log_softmax(3 * honest, 1)
    heat = temperature(proud, y)
    assert heat == pytest.approx(3.0, rel=0.1)
    cooled = torch.log_softmax(proud / heat, 1)
    cost = torch.nn.functional.cross_entropy
    assert cost(cooled, y) < cost(proud, y)
    assert calibration_error(cooled, y) < 0.03 < calibration_error(proud, y)


def test_a_temperature_divides_what_is_said() -> None:
    said = torch.tensor([[2.0, 0.0, -2.0]])
    namer = Namer(lambda x: said, ("a", "b", "c"), "a table", heat=2.0)
    assert torch.allclose(namer(torch.zeros(1, 1)), torch.log_softmax(said.double() / 2, 1))


def test_matching_finds_a_permutation() -> None:
    draw = torch.Generator().manual_seed(1)
    for rows, columns in ((1, 1), (4, 4), (3, 6), (6, 3), (7, 7)):
        gain = torch.randint(0, 50, (rows, columns), generator=draw)
        chosen = match(gain)
        used = [c for c in chosen if c >= 0]
        assert len(used) == len(set(used)) == min(rows, columns)
        mine = sum(int(gain[r, c]) for r, c in enumerate(chosen) if c >= 0)
        wide = gain if rows <= columns else gain.T
        best = max(
            sum(int(wide[r, c]) for r, c in enumerate(p))
            for p in itertools.permutations(range(wide.shape[1]), len(wide))
        )
        assert mine == best


def test_intervals_and_confusions() -> None:
    low, high = wilson(990, 1000)
    assert (round(low, 4), round(high, 4)) == (0.9817, 0.9946)
    assert wilson(0, 0) == (0.0, 1.0)
    counts = confusion(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]), 3, 3)
    verdict = Verdict(counts)
    assert verdict.accuracy == pytest.approx(2 / 3)
    assert [row["precision"] for row in verdict.of_each(("a", "b", "c"))] == [1.0, 0.5, None]
    assert [row["recall"] for row in verdict.of_each(("a", "b", "c"))] == [0.5, 1.0, None]


# The task


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("classify")


def blobs(path: Path, y: Any, centre: float = 3.0) -> Path:
    """Two clouds in a table, labelled by `y` of which cloud each row is of."""
    kinds = np.arange(300) % 2
    x = np.random.default_rng(0).normal(size=(300, 3)) + centre * kinds[:, None]
    np.savez(path, x=x, y=np.array([y(k, i) for i, k in enumerate(kinds)])) if y else np.savez(path, x=x)
    return path


@pytest.fixture(scope="module")
def runs(home: Path) -> dict[str, OpenRun]:
    told = {"use": "array", "path": str(blobs(home / "told.npz", lambda k, i: ["left", "right"][k] if i < 60 else ""))}
    full = {"use": "array", "path": str(blobs(home / "full.npz", lambda k, i: ["left", "right"][k]))}
    bare = {"use": "array", "path": str(blobs(home / "bare.npz", None))}
    vae = {"use": "vae", "latent": 2, "net": MLP}
    made: dict[str, OpenRun] = {}
    for name, data, model, more in (
        ("few", told, {"use": "classifier", "net": MLP, "strong": "veil"}, {"labelled": 8}),
        ("vae", full, vae, {}),
        ("bare", bare, vae, {}),
        ("mixed", bare, vae | {"prior": {"use": "mixture", "components": 3}}, {}),
        ("conditional", full, vae | {"labelled": True}, {}),
    ):
        run = run_of(home / name, data, part("models", model).spec, steps=150, lr=1e-2, warmup=5, ema=0.9, **more)
        fit(run, quiet=True)
        made[name] = OpenRun(run)
    return made


def test_classify_says_names_and_how_often_they_are_right(runs: dict[str, OpenRun], home: Path) -> None:
    for name, by in (("few", "the model itself"), ("vae", "a linear probe of its codes")):
        said = runs[name].classify(str(home / "full.npz"), split="test") if name == "vae" else runs[name].classify(None)
        assert said["by"] == by
        assert said["accuracy"] > 0.9, name
        low, high = said["interval"]
        assert low <= said["accuracy"] <= high
        assert {row["class"] for row in said["first"]} == {"left", "right"}
        assert said["protocol"]["split"] == "test"
    few = runs["few"].classify(None, sure=1.0)
    assert few["unsure"] == few["examples"]
    assert all(row["class"] is None for row in few["first"])
    assert "fewer than 10 labelled validation" in few["protocol"]["probabilities"]
    probed = runs["vae"].classify(None)
    assert "calibrated on labelled validation examples" in probed["protocol"]["probabilities"]
    assert runs["vae"].run.kept("probe") is not None
    assert runs["vae"].classify(None) == probed, "what was kept says the same"


def test_clusters_are_held_against_classes(runs: dict[str, OpenRun], home: Path) -> None:
    alone = runs["mixed"].classify(None)
    assert alone["by"].startswith("the clusters")
    assert "accuracy" not in alone
    data = open_data(home / "full.npz")
    given = Data(replace(data, space=runs["mixed"].space), "test")
    said = runs["mixed"].classify(given)
    assert 0 < said["accuracy"] <= 1
    assert -0.5 <= said["rand_index"] <= 1
    assert 0 <= said["mutual_information"] <= 1


def test_a_table_and_a_picture_of_what_was_said(runs: dict[str, OpenRun], tmp_path: Path) -> None:
    run = runs["vae"]
    said = run.classify(None, out=tmp_path / "said.csv", most=1)
    lines = (tmp_path / "said.csv").read_text().splitlines()
    assert lines[0] == "file,class,probability"
    assert len(lines) == 1 + said["examples"]
    assert len(said["first"]) == 1
    run.classify(None, out=tmp_path / "said.png")
    with Picture.open(tmp_path / "said.png") as picture:
        assert picture.size[0] > 100
    with pytest.raises(UserError, match="is not overwritten"):
        run.classify(None, out=tmp_path / "said.csv")
    with pytest.raises(UserError, match=r"as a table, \.csv"):
        run.classify(None, out=tmp_path / "said.json")
    with pytest.raises(UserError, match="no label of these examples is known"):
        run.classify(np.zeros((4, 3)), out=tmp_path / "none.png")


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("bare", {}, "no labels of two classes or more, so it knows no classes"),
        ("bare", {"by": "clusters"}, "no mixture prior, whose components are the clusters"),
        ("vae", {"by": "clusters"}, "no mixture prior, whose components are the clusters"),
        ("vae", {"by": "model"}, "does not name classes itself"),
        ("conditional", {}, "is told the class of what it encodes"),
        ("few", {"by": "probe"}, "encodes nothing"),
        ("few", {"sure": 1.5}, "is no probability"),
        ("few", {"by": "oracle"}, "is not known"),
        ("few", {"data": np.full((2, 3), np.nan)}, "not finite"),
        ("few", {"data": np.zeros((2, 4))}, r"shape \(4,\), the model's are \(3,\)"),
        ("few", {"data": "digits"}, "holds image"),
        ("few", {"data": np.zeros((2, 3)), "label": "up"}, "is no class of this run"),
    ],
)
def test_what_cannot_be_classified_is_refused(
    runs: dict[str, OpenRun], name: str, more: dict[str, Any], said: str
) -> None:
    more = dict(more)
    with pytest.raises(UserError, match=said):
        runs[name].classify(more.pop("data", None), **more)


def test_a_class_that_was_never_seen_is_named(runs: dict[str, OpenRun], home: Path, tmp_path: Path) -> None:
    new = open_data(blobs(tmp_path / "new.npz", lambda k, i: ["left", "upward"][k]))
    with pytest.raises(UserError, match="examples of 'upward', a class that the run was never shown"):
        runs["vae"].classify(Data(replace(new, space=runs["vae"].space), "test"))
    other = open_data(blobs(tmp_path / "other.npz", lambda k, i: ["right", "never"][k] if k == 0 else "right"))
    assert other.classes == ("right",) or len(other.classes) < 2  # one class alone: no labels to speak of


def test_pictures_of_another_shape_are_refused(tmp_path: Path) -> None:
    root = pictures(tmp_path / "p", *(f"{k}/{i}.png" for k in ("cat", "dog") for i in range(9)))
    model = part("models", {"use": "classifier", "net": MLP}).spec
    run = run_of(tmp_path / "run", {"use": "folder", "path": str(root)}, model)
    fit(run, quiet=True)
    Picture.new("RGB", (9, 6), "red").save(tmp_path / "red.png")
    with pytest.raises(UserError, match=r"red\.png"):
        OpenRun(run).classify(str(tmp_path / "red.png"))
    with pytest.raises(UserError, match=r"examples of shape \(6, 6, 3\), the model's are"):
        OpenRun(run).classify(np.zeros((2, 6, 6, 3), np.uint8))
    said = OpenRun(run).classify([str(root / "cat" / "1.png"), str(root / "dog" / "2.png")])
    assert [Path(row["file"]).name for row in said["first"]] == ["1.png", "2.png"]
    assert "accuracy" not in said


def test_one_class_alone_is_refused_when_it_is_to_be_learned(tmp_path: Path) -> None:
    root = pictures(tmp_path / "p", *(f"{k}/{i}.png" for k in ("cat", "unlabelled") for i in range(9)))
    with pytest.raises(UserError, match="of two classes at least"):
        run_of(tmp_path / "run", {"use": "folder", "path": str(root)}, part("models", "classifier").spec).build()


def test_few_examples_without_an_error_do_not_make_certainty() -> None:
    """Of n right answers follows (n + 1) / (n + 2) at the most, however far apart the scores are."""
    n, y = 36, torch.arange(36) % 3
    said = torch.log_softmax(2 * torch.nn.functional.one_hot(y, 3).double(), 1)
    sharpened = torch.log_softmax(said / temperature(said, y), 1).exp()
    assert float(sharpened.max(1).values.mean()) == pytest.approx((n + 1) / (n + 2), abs=0.005)
