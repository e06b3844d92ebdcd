"""Editing: directions with known answers, arithmetic, exchange and blends, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from morphogen import directions, steering
from morphogen.arithmetic import mean_code
from morphogen.blending import blend, corners, one, pairs
from morphogen.core.space import Image, Sound, Vector
from morphogen.data.dataset import Dataset, Split
from morphogen.data.find import open_data, resolve
from morphogen.data.stamp import dataset_of
from morphogen.data.stores import MemoryStore
from morphogen.errors import UserError
from morphogen.examples import Data
from morphogen.exchange import by_classes, by_layers, content, told_apart
from morphogen.opened import OpenRun
from morphogen.plan import Plan
from morphogen.run import Run
from morphogen.sides import by_column, column, drawn, only

MODEL = {"use": "vae", "latent": 3, "net": {"use": "mlp", "widths": [8]}}


def fresh(path: Path, data: str, facts: dict | None = None, **model: object) -> Run:
    """A run with the weights that its seed draws."""
    recipe = {"data": resolve(data), "model": MODEL | model if "use" not in model else model,
              "train": Plan.complete({"steps": 4}), "seed": 0, "device": "cpu", "precision": "float32"}  # fmt: skip
    run = Run.create(path, recipe, facts or open_data(data).facts())
    built = run.build()
    generator = torch.Generator().manual_seed(0)
    for weight in built.parameters():  # what starts at nothing says nothing
        weight.data.add_(0.05 * torch.randn(weight.shape, generator=generator))
    run.save_weights(built, {"step": 0})
    return run


class Turned(nn.Module):
    """A linear autoencoder that loses nothing: its code is the example, turned."""

    def __init__(self, space: Image | Vector, labels: Vector | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.space, self.code, self.labels = space, Vector(space.size), labels
        self.turn = nn.Parameter(torch.linalg.qr(torch.randn(space.size, space.size)).Q, requires_grad=False)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return x.flatten(1) @ self.turn

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return (z @ self.turn.mT).reshape(-1, *self.space.shape)


def given(x: Tensor, y: Tensor | None = None, classes: tuple[str, ...] = ("a", "b")) -> Data:
    """Examples at hand."""
    return Data(Dataset("mine", Vector(x.shape[1]), {"train": Split(MemoryStore(x), y)}, "0" * 64, classes), "train")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("edit")


@pytest.fixture(scope="module")
def runs(home: Path) -> dict[str, Run]:
    wave = 0.1 * torch.randn(20, 1, 16, generator=torch.Generator().manual_seed(0))
    sound = dataset_of("waves", Sound(16, rate=8000), dict.fromkeys(("train", "valid", "test"), (wave, None)), {})
    np.save(home / "waves.npy", wave.numpy())
    np.save(home / "others.npy", wave.numpy()[:, :, ::-1] + 0.01)
    small = {"latent": 3, "net": {"use": "mlp", "widths": [8]}}
    return {
        "image": fresh(home / "image", "digits"),
        "tokens": fresh(home / "tokens", "patterns"),
        "vector": fresh(home / "vector", "blobs"),
        "sound": fresh(home / "sound", "digits", sound.facts()),
        "told": fresh(home / "told", "digits", labelled=True),
        "gan": fresh(home / "gan", "digits", use="gan", features=6, descent=3, **small),
        "ladder": fresh(home / "ladder", "digits", use="ladder", rungs=[1, 1], latent=2, width=6),
        "patterns-gan": fresh(home / "bigan", "digits", use="bigan", features=6, **small),
    }


@pytest.fixture
def turned(tmp_path: Path) -> OpenRun:
    """An opened run over blobs whose model is the linear one."""
    opened = OpenRun(fresh(tmp_path / "run", "blobs"))
    opened.__dict__["model"] = Turned(opened.space)
    return opened


# Directions ------------------------------------------------------------------------------------------------------


def cloud(n: int, way: Tensor, shape: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(n, len(way), generator=generator) @ shape for _ in range(2))
    return a + way, b


def cosine(a: Tensor, b: Tensor) -> float:
    return float(torch.cosine_similarity(a, b, dim=0))


def test_either_way_finds_the_direction_that_is_there() -> None:
    way, shape = torch.tensor([2.0, -1.0, 0.5, 0.0]), torch.diag(torch.tensor([0.5, 2.0, 1.0, 1.0]))
    shape[0, 3] = 1.0
    a, b = cloud(3000, way, shape, seed=1)
    assert cosine(directions.means(a, b), way) > 0.995
    assert cosine(directions.discriminant(a, b), torch.linalg.solve(shape.mT @ shape, way)) > 0.995
    found = directions.learn(a, b)
    assert found.by == "discriminant"
    assert found.separates["discriminant"].area > found.separates["means"].area > 0.8
    along = torch.cat([a, b]) @ (found.step / found.step.norm())
    assert float(found.step.norm()) == pytest.approx(float(along.std(correction=0)), rel=1e-4)


def test_few_examples_make_a_difference_of_means_and_one_of_each_is_not_tested() -> None:
    a, b = cloud(9, torch.tensor([3.0, 0.0, 0.0]), torch.eye(3), seed=2)
    assert directions.learn(a, b).by == "means"
    alone = directions.learn(a[:1], b[:1])
    assert alone.separates == {}
    assert cosine(alone.step, a[0] - b[0]) > 0.999


def test_the_area_is_that_of_every_pair_and_few_examples_are_not_believed() -> None:
    a, b = torch.tensor([0.0, 1.0, 1.0, 3.0]), torch.tensor([1.0, 0.5, -2.0])
    pairs_ = (a[:, None] > b[None]).double() + 0.5 * (a[:, None] == b[None]).double()
    assert directions.area(a, b).area == pytest.approx(float(pairs_.mean()))
    few = directions.area(torch.tensor([5.0, 6.0]), torch.tensor([1.0, 2.0]))
    many = directions.area(torch.arange(100.0) + 200, torch.arange(100.0))
    assert few.area == many.area == 1.0
    assert few.low < 0.55
    assert many.low > 0.95


def test_the_interval_holds_what_is_true() -> None:
    true, held = 0.76, 0  # P(N(1, 1) > N(0, 1)) = Phi(1 / sqrt(2))
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        said = directions.area(torch.randn(15, generator=generator) + 1, torch.randn(25, generator=generator))
        held += said.low <= true <= said.high
    assert 180 <= held <= 199


def test_what_separates_nothing_is_said_so() -> None:
    wrong = 0
    for seed in range(20):
        a, b = cloud(40, torch.zeros(5), torch.eye(5), seed)
        found = directions.learn(a, b)
        wrong += not found.separates[found.by].nothing
    assert wrong <= 2


def test_the_covariance_is_that_of_ledoit_and_wolf() -> None:
    """Against the definition: b^2 and d^2 of section 3 of the paper, term by term."""
    x = torch.randn(30, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) * torch.arange(1.0, 9)
    seen = x.mT @ x / 30
    sphere = seen.trace() / 8 * torch.eye(8)
    noise = sum(float((torch.outer(row, row) - seen).square().sum()) for row in x) / 30**2
    share = min(noise / float((seen - sphere).square().sum()), 1.0)
    assert 0.01 < share < 0.99
    assert torch.allclose(directions.within(x), share * sphere + (1 - share) * seen, rtol=1e-6, atol=1e-6)
    assert bool(directions.within(torch.zeros(4, 3)).isfinite().all())


def test_a_discriminant_of_codes_that_do_not_vary_is_finite() -> None:
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    assert directions.discriminant(a, b).tolist() == [1.0, 0.0]
    assert bool(directions.discriminant(a, a).isfinite().all())
    with pytest.raises(UserError, match="too wide"):
        directions.discriminant(torch.zeros(2, 5000), torch.ones(2, 5000))


def test_a_column_of_numbers_parts_examples_at_its_middle(tmp_path: Path) -> None:
    data = given(torch.arange(12.0).reshape(6, 2))
    np.save(tmp_path / "a.npy", np.array([0, 1, 0, 1, 1, 1]))
    sides = by_column(data, str(tmp_path / "a.npy"))
    assert (len(sides.having), len(sides.lacking)) == (4, 2)
    (tmp_path / "a.csv").write_text("name,age\nx,1\nx,9\nx,3\nx,4\nx,8\nx,2\n")
    sides = by_column(data, f"{tmp_path / 'a.csv'}:age")
    above = sides.having.data.splits["train"].x.gather(torch.arange(len(sides.having)))
    assert above[:, 0].tolist() == [2.0, 6.0, 8.0]


def test_numbers_beside_files_are_found_by_their_names(tmp_path: Path) -> None:
    names = ["a b/1.png", "/x/a b/ä2.png", "3.png"]
    (tmp_path / "a.csv").write_text("file,age\n3.png,30\n9.png,90\na b/ä2.png,20\n1.png,10\n", encoding="utf-8")
    assert column(f"{tmp_path / 'a.csv'}:age", 3, names).tolist() == [10.0, 20.0, 30.0]
    with pytest.raises(UserError, match="no line for 4"):
        column(f"{tmp_path / 'a.csv'}:age", 2, ["3.png", "4.png"])
    (tmp_path / "a.csv").write_text("file,age\n3.png,30\n3.png,31\n")
    with pytest.raises(UserError, match="twice"):
        column(f"{tmp_path / 'a.csv'}:age", 1, ["3.png"])


# Edits -----------------------------------------------------------------------------------------------------------


def test_an_edit_moves_the_code_by_so_many_deviations(turned: OpenRun) -> None:
    first = turned.direction("up", of="cloud 0", against="cloud 1", by="means")
    turned.direction("side", of="cloud 2", by="means")
    assert "apart" in first["verdict"]
    step = {name: steering.learned(turned.run, name)[0] @ turned.model.turn.mT for name in ("up", "side")}
    data = torch.randn(5, 4)
    x = turned.space.read(data)
    both = turned.edit(data, by="up=1.5, side=-2")
    assert torch.allclose(both.x[:5], x, atol=1e-5)
    assert torch.allclose(both.x[5:], x + 1.5 * step["up"] - 2 * step["side"], atol=1e-4)
    still = turned.edit(data, by={"up": 0.0})
    assert torch.allclose(still.x[5:], x, atol=1e-5)
    walk = turned.edit(data, by="up=2", steps=5)
    assert walk.columns == 5
    assert torch.allclose(walk.x[2::5], x, atol=1e-5)
    assert torch.allclose(walk.x[4::5] - walk.x[0::5], 4 * step["up"].expand(5, -1), atol=1e-4)


def test_a_direction_of_means_leads_from_one_mean_to_the_other(turned: OpenRun) -> None:
    turned.direction("up", of="cloud 0", against="cloud 1", by="means", n=10_000)
    part = open_data("blobs").splits["train"]
    x = turned.space.read(part.x.gather(torch.arange(len(part))))
    apart = x[part.y == 0].mean(0) - x[part.y == 1].mean(0)
    assert cosine(steering.learned(turned.run, "up")[0] @ turned.model.turn.mT, apart) > 0.9999


def test_arithmetic_is_of_mean_codes(turned: OpenRun, tmp_path: Path) -> None:
    rows = torch.randn(3, 4)
    for name, row in zip("abc", rows, strict=True):
        np.save(tmp_path / f"{name}.npy", row[None].numpy())
    a, b, c = (str(tmp_path / f"{name}.npy") for name in "abc")
    said = turned.combine([a, "-", b, "+", c])
    x = turned.space.read(rows)
    assert torch.allclose(said.x[-1], x[0] - x[1] + x[2], atol=1e-4)
    assert torch.allclose(said.x[:3], x, atol=1e-4)
    one_word = turned.combine(["cloud 0", "+", "cloud 1", "-", "cloud 0"], n=10_000)
    assert torch.allclose(one_word.x[-1], one_word.x[1], atol=1e-4)


def test_a_told_model_adds_each_class_as_itself(runs: dict[str, Run]) -> None:
    opened = OpenRun(runs["told"])
    said = opened.combine("7 - 1 + 4", n=20)
    z = [mean_code(opened, opened.model, word, 20, None, False) for word in "714"]
    assert [kind for _, kind in z] == [7, 1, 4]
    with torch.no_grad():
        codes = torch.stack([*(code for code, _ in z), z[0][0] - z[1][0] + z[2][0]])
        assert torch.allclose(said.x, opened.model.decode(codes, torch.tensor([7, 1, 4, 7])), atol=1e-5)
        other = opened.combine("7 - 1 + 4", n=20, label="2").x[-1:]
        assert torch.allclose(other, opened.model.decode(codes[-1:], torch.tensor([2])), atol=1e-5)


def test_sides_may_be_arrays_at_hand(turned: OpenRun) -> None:
    a, b = torch.randn(30, 4) + 3, torch.randn(30, 4)
    assert turned.direction("up", a, lacking=b)["from"] == "30 given"
    assert cosine(steering.learned(turned.run, "up")[0] @ turned.model.turn.mT, turned.space.read(a).mean(0)) > 0.3


def test_whether_a_label_changes_what_is_decoded(runs: dict[str, Run]) -> None:
    assert told_apart(OpenRun(runs["told"]).model)
    assert not told_apart(OpenRun(runs["image"]).model)
    assert not told_apart(Turned(Vector(4), labels=Vector(2)))


def test_a_model_that_steers_offers_its_own(runs: dict[str, Run]) -> None:
    opened = OpenRun(runs["gan"])
    offered = steering.offered(opened.model)
    assert offered
    assert opened.edit(n=2, by="way0=2").x.shape[0] == 4
    assert {"way0", "way1"} <= {line["name"] for line in opened.directions()}
    with pytest.raises(UserError, match="another name"):
        opened.direction("way1", of="3")


def test_directions_are_of_their_weights(tmp_path: Path) -> None:
    opened = OpenRun(fresh(tmp_path / "run", "blobs"))
    opened.direction("up", of="0")
    other = OpenRun(fresh(tmp_path / "other", "digits"))
    (tmp_path / "other" / "kept").mkdir()
    kept = "kept/direction_up.safetensors"
    (tmp_path / "other" / kept).write_bytes((tmp_path / "run" / kept).read_bytes())
    with pytest.raises(UserError, match="not of this run"):
        other.edit(by="up=1")
    assert "cannot be used" in other.directions()[0]["state"]
    opened.run.keep("direction_odd", {"other": torch.ones(3)}, {})
    with pytest.raises(UserError, match="is none; learn it again"):
        opened.edit(by="odd=1")
    assert {line["name"]: line["state"] for line in opened.directions()}["odd"].startswith("cannot be used")
    model = opened.run.model()
    next(model.parameters()).data.add_(1)
    opened.run.save_weights(model, {"step": 9})
    with pytest.raises(UserError, match="no longer has"):
        opened.edit(by="up=1")
    assert "learn it again" in opened.directions()[0]["state"]


# Style and content, blends ---------------------------------------------------------------------------------------


def test_the_content_of_a_code_is_what_separates_its_classes() -> None:
    """Content in two of five numbers, style in three, all of them turned and mixed within classes."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(3000) % 3
    what = torch.tensor([[0.0, 4.0], [4.0, 0.0], [-4.0, -4.0]])[y] + 0.1 * torch.randn(3000, 2, generator=generator)
    how = torch.randn(3000, 3, generator=generator)
    lean = torch.randn(5, 5, generator=generator) + 2 * torch.eye(5)
    part = content(torch.cat([what, how], 1) @ lean, y)
    wanted = torch.linalg.solve(lean, torch.diag(torch.tensor([1.0, 1, 0, 0, 0]))) @ lean
    assert torch.allclose(part.mT, wanted, atol=0.1)
    z = torch.cat([what, how], 1)
    made, _ = by_classes(part)(((z @ lean)[:1], None), ((z @ lean)[1:2], None))
    assert torch.allclose(torch.linalg.solve(lean.mT, made[0]), torch.cat([what[1], how[0]]), atol=0.3)
    assert torch.equal(by_classes(part)((z[:4], None), (z[:4], None))[0], z[:4])


def test_layers_are_cut_where_coarse_ends() -> None:
    style, what = torch.zeros(2, 5), torch.ones(2, 5)
    assert by_layers(2)((style, None), (what, None))[0].tolist() == [[1, 1, 0, 0, 0]] * 2


@pytest.mark.parametrize("name", ["image", "told", "ladder", "vector"])
def test_an_example_exchanged_with_itself_is_its_reconstruction(runs: dict[str, Run], name: str) -> None:
    opened = OpenRun(runs[name])
    said = opened.exchange(n=3)
    grid = said.x.reshape(4, 4, *opened.space.shape)
    x = grid[0, 1:]
    assert torch.equal(grid[1:, 0], x)
    assert not grid[0, 0].any()
    y = torch.arange(3) if name == "told" else None
    with torch.no_grad():
        back = opened.model.decode(opened.model.encode(x, y), y)
    own = torch.stack([grid[i, i] for i in range(1, 4)])
    assert torch.allclose(own, back, atol=1e-5)


def test_a_told_model_takes_the_label_of_one_and_the_code_of_the_other(runs: dict[str, Run]) -> None:
    opened = OpenRun(runs["told"])
    x = torch.randint(0, 17, (2, 8, 8, 1), dtype=torch.uint8)
    grid = opened.exchange(x, classes="3, 5").x.reshape(3, 3, 1, 8, 8)
    with torch.no_grad():
        z = opened.model.encode(opened.space.read(x), torch.tensor([3, 5]))
        assert torch.allclose(grid[1, 2], opened.model.decode(z[:1], torch.tensor([5]))[0], atol=1e-5)
        assert torch.allclose(grid[2, 1], opened.model.decode(z[1:], torch.tensor([3]))[0], atol=1e-5)


def test_blends(turned: OpenRun) -> None:
    data = torch.randn(4, 4)
    x = turned.space.read(data)
    for spherical in (False, True):
        alone = turned.mix(data, n=4, weights="0,0,3,0", spherical=spherical)
        assert torch.allclose(alone.x[-1], x[2], atol=1e-4)
        square = turned.mix(data, steps=3, spherical=spherical)
        assert torch.allclose(square.x[[0, 2, 6, 8]], x, atol=1e-4)
    assert torch.allclose(turned.mix(data, steps=3).x[4], x.mean(0), atol=1e-4)
    table = turned.mix(data, n=3)
    assert torch.allclose(table.x[[0, 4, 8]], x[:3], atol=1e-4)
    assert torch.allclose(table.x[1], (x[0] + x[1]) / 2, atol=1e-4)


def test_spherical_blends_are_as_long_as_their_parts() -> None:
    codes = torch.randn(5, 30, generator=torch.Generator().manual_seed(0))
    shares = torch.rand(7, 5, generator=torch.Generator().manual_seed(1))
    said = blend(codes, shares / shares.sum(1, keepdim=True), spherical=True).norm(dim=1)
    assert torch.allclose(said, (shares / shares.sum(1, keepdim=True)) @ codes.norm(dim=1), rtol=1e-4)
    opposite = torch.stack([codes[0], -codes[0]])
    assert torch.allclose(blend(opposite, torch.full((1, 2), 0.5), spherical=True), torch.zeros(1, 30), atol=1e-5)
    for shares in (corners(4), corners(1), pairs(3), one([1, 3], 2)):
        assert torch.allclose(shares.sum(1), torch.ones(len(shares)))


# The border ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", ["image", "tokens", "vector", "sound", "told", "gan", "ladder", "patterns-gan"])
def test_every_task_runs_on_every_space(do, runs: dict[str, Run], space: str, tmp_path: Path) -> None:
    run, files = runs[space].path, ["waves.npy"] if space == "sound" else []
    how = ["--lacking", "others.npy"] if space == "sound" else ["--of", "1"]
    code, out, err = do("direction", run, "it", *files, *how, "-n", "30", "--json")
    assert code == 0, err
    assert json.loads(out)["protocol"]["n"][0] > 1
    code, out, _ = do("directions", run)
    assert code == 0
    assert "it" in out
    ended = ".gif" if runs[space].space.kind == "image" else ".npz"
    for words in (["edit", run, *files, "-n", "3", "--by", "it=1.5"], ["mix", run, *files, "--steps", "3"],
                  ["edit", run, *files, "-n", "2", "--by", "it=2", "--steps", "4"],
                  ["exchange", run, *files, "-n", "3", "--seen", "300"]):  # fmt: skip
        out_file = tmp_path / f"{words[0]}-{len(words)}{ended}"
        code, out, err = do(*words, "-o", out_file, "--json")
        if words[0] == "exchange" and code == 2 and space in ("sound", "tokens", "gan", "patterns-gan"):
            assert "train conditional-vae" in err or "fingerprint" in err  # codes that do not know the labels
            continue
        assert code == 0, err
        assert json.loads(out)["recipe"]["task"] == words[0]
        again = json.loads(out)["recipe"]["command"].split()[1:]
        assert words[0] == again[0]
    terms = ["waves.npy", "-", "others.npy"] if space == "sound" else ["1", "-", "0", "+", "2"]
    assert do("combine", run, *terms, "-n", "20", "-o", tmp_path / f"sum{ended}")[0] == 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("edit IMAGE --by smile=1", "knows no direction 'smile'"),
        ("edit IMAGE --by onn=1", "did you mean 'one'"),
        ("edit IMAGE --by one=nan", "finite number"),
        ("edit IMAGE --by one=inf", "finite number"),
        ("edit IMAGE --by one=", "how much of what"),
        ("edit IMAGE --by one", "how much of what"),
        ("edit IMAGE --by one=1,one=2", "twice"),
        ("edit IMAGE --by ,", "how much of what"),
        ("edit IMAGE --by one=1e300", "so far"),
        ("edit IMAGE", "needs by"),
        ("edit IMAGE nowhere.png --by one=1", "no file"),
        ("edit IMAGE big.npy --by one=1", "shape"),
        ("direction IMAGE smile", "--of CLASS"),
        ("direction IMAGE smile --of 1 --lacking x.npy", "--of CLASS"),
        ("direction IMAGE smile --of eleven", "no class"),
        ("direction IMAGE smile --of 1 --against 1", "both name the class"),
        ("direction IMAGE smile x.npy --against 1", "--of CLASS"),
        ("direction IMAGE smile x.npy --against 1 --attribute y.npy", "where it leads to"),
        ("direction IMAGE smile x.npy --of 1", "has no labels"),
        ("direction IMAGE smile x.npy --lacking x.npy", "share 2"),
        ("direction IMAGE smile x.npy --lacking none.npy", "no"),
        ("direction IMAGE smile x.npy --attribute nowhere.npy", "no file"),
        ("direction IMAGE smile x.npy --attribute alike.npy", "tells none apart"),
        ("direction IMAGE smile x.npy --attribute long.npy", "3 numbers and there are 2"),
        ("direction IMAGE smile x.npy --attribute x.npy", "numbers and there are"),
        ("direction IMAGE smile x.npy --attribute bad.csv:age", "no column of numbers"),
        ("direction IMAGE smile x.npy --attribute odd.csv:agee", "did you mean 'age'"),
        ("direction IMAGE smile x.npy --attribute bad.npz:age", "bad.npz cannot be read"),
        ("direction IMAGE smile x.npy --attribute bad.npy", "bad.npy cannot be read"),
        ("direction IMAGE ../x --of 1", "no name"),
        ("direction IMAGE way3 --of 1", "another name"),
        ("direction IMAGE smile --of 1 --by magic", "by = 'magic'"),
        ("combine IMAGE 1", "two terms"),
        ("combine IMAGE 1 2", "no sum"),
        ("combine IMAGE 1 - -", "no sum"),
        ("combine IMAGE 1 - eleven", "no class of the run"),
        ("exchange IMAGE x.npy -n 1", "two examples"),
        ("exchange IMAGE big.npy", "shape"),
        ("exchange TOLD x.npy", "needs a label"),
        ("exchange TOLD x.npy --classes 3", "names 1"),
        ("exchange TOLD x.npy --classes 3,eleven", "no class"),
        ("exchange LADDER --coarse 7", "coarse = 7"),
        ("mix IMAGE -n 1", "two examples"),
        ("mix IMAGE -n 3 --weights 1,2", "2 weights and 3"),
        ("mix IMAGE -n 2 --weights 1,-1", "sum to"),
        ("mix IMAGE -n 2 --weights 1,nan", "finite"),
        ("mix IMAGE -n 2 --weights 1e39,1e39", "to a number above"),
        ("mix IMAGE -n 2 --weights ,", "finite"),
    ],
)
def test_mistakes_are_told_in_a_line(do, runs: dict[str, Run], home: Path, line: str, words: str) -> None:
    rng = np.random.default_rng(0)
    for name, shape in (("x", (2, 8, 8)), ("big", (2, 9, 9))):
        np.save(home / f"{name}.npy", rng.integers(0, 17, shape, dtype=np.uint8))
    np.save(home / "none.npy", np.zeros((0, 8, 8), np.uint8))
    np.save(home / "alike.npy", np.ones(2))
    np.save(home / "long.npy", np.arange(3))
    (home / "bad.csv").write_bytes(b"age,name\nold,x\n\xff,y\n")
    (home / "odd.csv").write_bytes(b"age,name\n1,x\n2,y\n")
    for name in ("bad.npz", "bad.npy"):
        (home / name).write_bytes(b"PK\x03\x04 or not")
    if not (runs["image"].path / "kept/direction_one.safetensors").exists():
        OpenRun(runs["image"]).direction("one", of="1", n=20)
    before = sorted(home.rglob("*"))
    for name in ("image", "told", "ladder"):
        line = line.replace(name.upper(), str(runs[name].path))
    code, out, err = do(*line.split(" "))
    assert code == 2, (out, err)
    assert words in err
    assert err.count("\n") == 1
    assert sorted(home.rglob("*")) == before


def test_a_code_that_separates_nothing_is_refused_for_exchange(tmp_path: Path) -> None:
    """Labels drawn at random: no code can tell them."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "chance.npz", x=rng.normal(size=(300, 4)), y=rng.integers(0, 2, 300))
    opened = OpenRun(fresh(tmp_path / "run", str(tmp_path / "chance.npz")))
    with pytest.raises(UserError, match=r"does not separate classes.*conditional-vae"):
        opened.exchange(n=2)


def test_labels_that_are_not_known_are_left_out() -> None:
    from morphogen.sides import by_class

    data = given(torch.arange(8.0).reshape(4, 2), torch.tensor([0, -1, 1, -1]))
    sides = by_class(data, "a", None)
    assert (len(sides.having), len(sides.lacking)) == (1, 1)
    assert len(only(data, torch.tensor([3, 1]))) == 2
    assert len(drawn(data, 3)) == 3
