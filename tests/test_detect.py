"""What is odd: scores with known answers, p-values that keep their promise, the trap of the likelihood, the task."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn.neighbors import LocalOutlierFactor
from torch import Tensor, nn

import morphogen as mg
from morphogen import cli
from morphogen.calibration import Calibration, Tail, p_values
from morphogen.core import noise
from morphogen.core.batch import Batch
from morphogen.core.build import names, part, register
from morphogen.core.noise import Alike
from morphogen.core.oddity import Look
from morphogen.core.space import Image, Vector
from morphogen.data.find import open_data, resolve
from morphogen.detector import USUAL, Detector
from morphogen.errors import Failure, UserError
from morphogen.metrics.separation import chance as auroc
from morphogen.models.vae import vae
from morphogen.normality import detector_of
from morphogen.oddities.spread import distance, spread
from morphogen.run import Run

WITHOUT_DENSITY = {"residual", "neighbours", "resemblance"}
WIDE, CODE, SIZE, NOISE = 48, 3, 2.0, 0.5


@register("nets", "test-matrix")
class matrix(nn.Module):
    """A matrix and an offset."""

    def __init__(self, inp: Any, out: Any, given: Vector | None = None, /) -> None:
        super().__init__()
        self.body = nn.Linear(inp.size, out.size)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.body(x)


class Plane:
    """x = W z + noise with orthogonal W: the posterior has independent numbers, so a VAE can be exact."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        way = torch.linalg.qr(torch.randn(WIDE, CODE, generator=generator)).Q * SIZE
        spec = {
            "use": "vae",
            "latent": CODE,
            "net": "test-matrix",
            "likelihood": {"use": "normal-fixed", "scale": NOISE},
        }
        self.model: vae = part("models", spec)(Vector(WIDE)).eval().requires_grad_(False)
        precision = 1 + SIZE**2 / NOISE**2
        with torch.no_grad():
            decoder, encoder = self.model.likelihood.net.body, self.model.posterior.net.body
            decoder.weight.copy_(way)
            decoder.bias.zero_()
            encoder.weight.copy_(torch.cat([way.T / NOISE**2 / precision, torch.zeros(CODE, WIDE)]))
            encoder.bias.copy_(torch.cat([torch.zeros(CODE), torch.full((CODE,), -0.5 * math.log(precision))]))
        self.way, self.generator = way, generator
        self.covariance = way @ way.T + NOISE**2 * torch.eye(WIDE)

    def draw(self, count: int) -> Tensor:
        z = torch.randn(count, CODE, generator=self.generator)
        return z @ self.way.T + NOISE * torch.randn(count, WIDE, generator=self.generator)

    def see(self, name: str, x: Tensor) -> Tensor:
        with torch.no_grad(), noise.source(Alike(0)):
            return part("oddities", name)(self.model).see(Look(self.model, Batch(x)))


@pytest.fixture(scope="module")
def plane() -> Plane:
    return Plane()


@pytest.fixture(scope="module")
def detector(plane: Plane) -> Detector:
    return Detector.fit(plane.model, [Batch(plane.draw(1500))], [Batch(plane.draw(900))])


# Scores


def test_the_likelihood_is_the_exact_one_where_that_is_known(plane: Plane) -> None:
    x = plane.draw(50)
    exact = scipy.stats.multivariate_normal(np.zeros(WIDE), plane.covariance.numpy()).logpdf(x.numpy())
    for name in ("likelihood", "typicality"):
        assert np.allclose(-plane.see(name, x)[:, 0], exact, atol=1e-3)


def test_an_exact_posterior_leaves_nothing_to_regret(plane: Plane) -> None:
    assert plane.see("regret", plane.draw(20)).abs().max() < 0.05
    wrong = Plane()
    wrong.model.posterior.net.body.bias.data[:CODE] += 1.0
    x = wrong.draw(20)
    lost = 0.5 * CODE * (1 + SIZE**2 / NOISE**2)  # KL between the posterior and itself, moved by one
    assert torch.allclose(wrong.see("regret", x)[:, 0], torch.full((20,), lost), rtol=0.15)


def test_the_place_is_mahalanobis_distance(plane: Plane) -> None:
    x = plane.draw(4000)
    codes = plane.model.encode(x)
    said = distance(codes, spread(codes)).square() * CODE
    centred = (codes - codes.mean(0)).double()
    exact = (centred @ torch.linalg.inv(centred.mT @ centred / len(x)) * centred).sum(1)
    assert torch.allclose(said.double(), exact, rtol=0.05)
    assert said.mean() == pytest.approx(CODE, rel=0.02)


def test_neighbours_are_the_local_outlier_factor(plane: Plane) -> None:
    codes, others = plane.model.encode(plane.draw(300)), 2 * plane.model.encode(plane.draw(40))
    idea = part("oddities", "neighbours")(plane.model)
    said = idea.number(others, idea.learn(codes))
    scale = codes.std(0, correction=0)
    peer = LocalOutlierFactor(n_neighbors=20, novelty=True).fit((codes / scale).numpy())
    assert np.allclose(said.numpy(), -peer.score_samples((others / scale).numpy()), rtol=1e-4)


def test_what_looks_like_nothing_normal_is_odd_whatever_the_model(plane: Plane) -> None:
    idea, rows = (
        part("oddities", "resemblance")(plane.model),
        torch.randn(300, 20, generator=torch.Generator().manual_seed(2)),
    )
    learned = idea.learn(rows)
    far = torch.cat([rows[:1] + 5, torch.zeros(1, 20)])
    assert idea.number(far, learned)[0] > 1.5
    assert idea.number(far, learned)[1] < 1.2


@pytest.mark.parametrize("codes", [torch.zeros(1, 3), torch.zeros(50, 3), torch.eye(3)[:2]])
def test_few_and_equal_codes_have_neighbours(plane: Plane, codes: Tensor) -> None:
    idea = part("oddities", "neighbours")(plane.model)
    assert torch.isfinite(idea.number(torch.ones(2, 3), idea.learn(codes))).all()


def test_a_long_row_is_measured_along_its_main_directions() -> None:
    generator = torch.Generator().manual_seed(1)
    few = torch.randn(400, 20, generator=generator)
    ways = torch.linalg.qr(torch.randn(1500, 20, generator=generator)).Q
    rows = few @ (ways * torch.linspace(1, 5, 20)).T + 0.01 * torch.randn(400, 1500, generator=generator)
    learned = spread(rows)
    assert learned["ways"].shape[1] <= 256
    far = 5 * ways[:, 0] + 0.3 * torch.randn(1500, generator=generator)  # in a direction where nothing ever lies
    said = distance(torch.cat([rows, far[None]]), learned)
    assert said[-1] > 3 * said[:-1].max()


@pytest.mark.parametrize("rows", [torch.zeros(5, 3), torch.ones(1, 4), torch.eye(3)[:2]])
def test_rows_without_spread_give_finite_distances(rows: Tensor) -> None:
    assert torch.isfinite(distance(rows, spread(rows))).all()


def test_a_missed_place_is_hot_and_others_are_not(plane: Plane, detector: Detector) -> None:
    x = plane.draw(1)
    x[0, 4] += 20
    heat = detector.heat(Batch(x))
    assert heat.shape == (1, WIDE)
    assert int(heat.abs().argmax()) == 4


def test_simplicity_explains_a_high_likelihood() -> None:
    model = part("models", {"use": "vae", "latent": 2, "net": {"use": "mlp", "widths": [8]}})(Image(12, 12))
    generator = torch.Generator().manual_seed(0)
    flat, rough = torch.full((1, 1, 12, 12), 0.5), torch.rand(1, 1, 12, 12, generator=generator)
    see, x = {}, torch.cat([flat, rough])
    for name in ("complexity", "likelihood"):
        with torch.no_grad(), noise.source(Alike(0)):
            see[name] = part("oddities", name)(model).see(Look(model, Batch(x)))[:, 0]
    nats = see["likelihood"] - see["complexity"]
    assert 0 < nats[0] < 30 * 8 * math.log(2)
    assert nats[1] > 100 * 8 * math.log(2)


# Calibration


def test_p_values_of_new_normal_examples_are_uniform() -> None:
    rng = np.random.default_rng(0)
    p = np.concatenate([p_values(rng.normal(size=20), rng.normal(size=99)) for _ in range(200)])
    for rate in (0.01, 0.05, 0.1, 0.5):
        assert np.mean(p <= rate) == pytest.approx(rate, abs=3 * math.sqrt(rate / len(p)) + 0.01)


@pytest.mark.parametrize("low", [0.0, 0.1, 0.5])
def test_the_combination_keeps_its_promise_whatever_the_scores(low: float) -> None:
    """Dependent, skewed, tied, constant: of new normal examples no more than the rate are odd, on average."""
    rng = np.random.default_rng(1)

    def draw(n: int) -> np.ndarray:
        z = rng.normal(size=(n, 1))
        return np.concatenate([z, z**3 + rng.normal(size=(n, 1)), rng.integers(0, 2, (n, 1)), np.zeros((n, 1))], 1)

    rates = []
    for _ in range(60):
        calibration = Calibration(draw(150), [low] * 4)
        rates.append((calibration.p(draw(200)) <= 0.05).mean())
    assert np.mean(rates) == pytest.approx(0.05, abs=0.012)


def test_far_and_farther_still_differ_and_near_is_counted() -> None:
    normal = np.random.default_rng(0).normal(size=1000)
    tail = Tail(normal)
    at = np.linspace(-3, 30, 200)
    assert (np.diff(tail(at)) >= 0).all()
    assert (np.diff(tail(at[at > 2])) > 0).all()
    assert tail(np.median(normal)) == pytest.approx(math.log(2), abs=0.01)
    assert np.isfinite(tail(np.array([1e300]))).all()


def test_low_numbers_are_odd_only_where_they_may_be() -> None:
    normal = np.random.default_rng(0).normal(size=(600, 1))
    low = np.array([[-30.0]])
    assert Calibration(normal, [0.0]).p(low) > 0.9
    assert Calibration(normal, [0.1]).p(low) == pytest.approx(1 / 401)


@pytest.mark.parametrize("normal", [np.zeros((9, 2)), np.arange(6.0).reshape(3, 2)])
def test_few_or_equal_held_out_numbers_are_borne(normal: np.ndarray) -> None:
    calibration = Calibration(normal, [0.0, 0.1])
    said = calibration.p(np.array([[0.0, 0.0], [1e9, 1e9]]))
    assert ((said >= calibration.least) & (said <= 1)).all()
    assert said[1] == pytest.approx(calibration.least)


def test_auroc_is_the_chance_of_being_odder() -> None:
    assert auroc(torch.tensor([2.0, 3.0]), torch.tensor([0.0, 1.0])) == 1.0
    assert auroc(torch.tensor([0.0, 3.0]), torch.tensor([1.0, 2.0])) == 0.5
    assert auroc(torch.tensor([1.0]), torch.tensor([1.0, 1.0])) == 0.5


# Detector


def test_new_normal_examples_are_odd_as_often_as_promised(plane: Plane, detector: Detector) -> None:
    p = detector.score(Batch(plane.draw(4000))).p
    for rate in (0.01, 0.05, 0.1):
        slack = 4 * math.sqrt(rate / 600)  # 600 held-out examples say where the threshold is
        assert float((p <= rate).float().mean()) == pytest.approx(rate, abs=slack)


def test_the_trap(plane: Plane, detector: Detector) -> None:
    """Examples that are more likely than any normal one are odd, and the likelihood alone does not see them."""
    dull = 0.01 * torch.randn(20, WIDE, generator=torch.Generator().manual_seed(5))
    alone = Detector.fit(plane.model, [Batch(plane.draw(900))], [Batch(plane.draw(900))], ["likelihood"])
    assert float(alone.score(Batch(dull)).p.min()) > 0.5
    found = detector.score(Batch(dull))
    assert float(found.p.max()) < 0.01
    assert all("likelier" in words for words in found.words)


def test_unlike_examples_are_odd_and_for_the_right_reason(plane: Plane, detector: Detector) -> None:
    off, out = plane.draw(20), plane.draw(20)
    off = off + 3 * torch.randn(off.shape, generator=plane.generator)  # beside the plane
    out = out + 8 * plane.way[:, 0]  # on it, and far away
    assert float(detector.score(Batch(off)).p.max()) < 0.01
    found = detector.score(Batch(out))
    assert float(found.p.max()) < 0.01
    assert all("code" in words or "looks" in words for words in found.words)


def test_order_company_and_copies_change_nothing(plane: Plane, detector: Detector) -> None:
    x = plane.draw(30)
    whole = detector.score(Batch(x)).oddness
    turned = detector.score(Batch(x.flip(0))).oddness.flip(0)
    alone = torch.cat([detector.score(Batch(one[None])).oddness for one in x])
    twice = detector.score(Batch(torch.cat([x, x]))).oddness
    for other in (turned, alone, twice[:30], twice[30:]):
        assert torch.allclose(whole, other, atol=1e-3)


def test_threshold_and_p_value_agree(plane: Plane, detector: Detector) -> None:
    found = detector.score(Batch(torch.cat([plane.draw(300), 1.5 * plane.draw(300)])))
    for rate in (0.01, 0.05, 0.3):
        assert torch.equal(found.oddness > detector.threshold(rate), found.p <= rate)


def test_what_was_learned_comes_back(plane: Plane, detector: Detector) -> None:
    again = Detector.from_tensors(plane.model, detector.tensors(), json.loads(json.dumps(detector.facts())))
    x = Batch(2 * plane.draw(40))
    assert torch.equal(again.score(x).oddness, detector.score(x).oddness)
    few = again.only(["residual", "typicality"])
    assert few.names == ("residual", "typicality")
    assert torch.equal(few.score(x).surprises[:, 1], detector.score(x).surprises[:, 0])


def test_rates_that_cannot_be_promised_are_refused(plane: Plane) -> None:
    small = Detector.fit(plane.model, [Batch(plane.draw(50))], [Batch(plane.draw(30))])
    small.promised(small.least)
    assert small.score(Batch(100 * plane.draw(5))).p == pytest.approx(small.least)
    with pytest.raises(UserError, match=r"30 held-out normal examples can promise .* 0\.048 at the least"):
        small.promised(0.01)
    for rate in (0.0, 1.0, -1.0, math.nan, 5.0):
        with pytest.raises(UserError, match="between 0 and 1"):
            small.promised(rate)


def test_what_cannot_be_learned_from_is_refused(plane: Plane) -> None:
    x = Batch(plane.draw(10))
    with pytest.raises(UserError, match="no normal examples"):
        Detector.fit(plane.model, [], [x])
    with pytest.raises(UserError, match="too few"):
        Detector.fit(plane.model, [x], [Batch(plane.draw(2))])
    with pytest.raises(UserError, match="did you mean 'place'"):
        Detector.fit(plane.model, [x], [x], ["plaice"])
    with pytest.raises(UserError, match="there are: "):
        Detector.fit(plane.model, [x], [x], [])
    with pytest.raises(Failure, match="not finite"):
        Detector.fit(plane.model, [x], [x]).score(Batch(torch.full((1, WIDE), math.nan)))


@pytest.mark.parametrize(
    ("spec", "gives"),
    [
        ({"use": "vae", "latent": 2}, set(USUAL)),
        ({"use": "vae", "latent": 2, "posterior": "point", "terms": ["distortion"]}, WITHOUT_DENSITY),
        ({"use": "gan", "latent": 2, "features": 4, "descent": 3}, WITHOUT_DENSITY),
        ({"use": "bigan", "latent": 2, "features": 4}, WITHOUT_DENSITY),
        ({"use": "introspective", "latent": 2}, set(USUAL)),
    ],
)
def test_a_model_gives_the_scores_that_it_can(spec: dict[str, Any], gives: set[str]) -> None:
    model = (
        part("models", spec | {"net": {"use": "mlp", "widths": [8]}})(Image(6, 6), None).eval().requires_grad_(False)
    )
    x = torch.rand(60, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    detector = Detector.fit(model, [Batch(x[:30])], [Batch(x[30:])])
    assert set(detector.names) == gives
    if "typicality" not in gives:
        with pytest.raises(UserError, match="use reconstruction"):
            Detector.fit(model, [Batch(x)], [Batch(x)], ["likelihood"])


# Some classes of a set


def test_a_set_may_be_of_some_classes_only() -> None:
    whole, some = open_data("digits"), open_data("digits", only=[3, "5"])
    for name, split in some.splits.items():
        assert split.y is not None
        assert set(split.y.tolist()) == {3, 5}
        theirs = whole.splits[name]
        assert theirs.y is not None
        rows = torch.nonzero((theirs.y == 3) | (theirs.y == 5)).flatten()
        assert torch.equal(split.x.gather(torch.arange(len(split))), theirs.x.gather(rows))
    assert some.classes == whole.classes
    assert len({whole.fingerprint, some.fingerprint, open_data("digits", only=3).fingerprint}) == 3
    assert resolve("digits", only=3)["only"] == ["3"]


@pytest.mark.parametrize(
    ("asked", "words"), [(["eleven"], "there are: 0, 1"), ([], "name more"), ([{}], "no class"), ("", "no class")]
)
def test_classes_that_are_not_there_are_refused(asked: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        open_data("digits", only=asked)


def test_the_whole_set_is_meant_by_its_name(tmp_path: Path) -> None:
    leaves = {"data.only": 3, "model.net.widths": [32], "model.latent": 4}
    run = mg.train("vae", "digits", leaves, steps=200, run=tmp_path / "run", quiet=True, device="cpu")
    own, whole = run.detect(false_alarms=0.2), run.detect("digits", false_alarms=0.2)
    assert own["examples"] == len(open_data("digits", only=3).splits["test"])
    assert whole["examples"] == len(open_data("digits").splits["test"])
    assert whole["odd"] > 0.5 * whole["examples"]


# The task


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on pictures of its own, whose data can be taken away."""
    home = tmp_path_factory.mktemp("detect")
    rng = np.random.default_rng(0)
    bright = rng.integers(80, 255, (700, 1, 1))
    ramp = np.linspace(0.2, 1, 8)[None, None, :] * np.ones((1, 8, 1))
    x = (bright * ramp + rng.normal(0, 6, (700, 8, 8))).clip(0, 255).astype(np.uint8)
    np.save(home / "ramps.npy", x)
    leaves = {"model.net.widths": [32], "model.latent": 2, "model.likelihood": "normal-shared"}
    mg.train("vae", home / "ramps.npy", leaves, steps=300, run=home / "run", quiet=True, device="cpu")
    odd = x[:6].copy()
    odd[0] = odd[0, :, ::-1]
    odd[1, 2, 2] = 255 - odd[1, 2, 2]
    odd[2] = 128
    np.save(home / "mixed.npy", odd)
    return home


def test_the_odd_ones_come_first_with_a_reason(run: Path) -> None:
    said = mg.open(run / "run").detect(run / "mixed.npy")
    rows = said["oddest"]
    assert [row["p"] for row in rows] == sorted(row["p"] for row in rows)
    odd = {row["example"] for row in rows if row["odd"]}
    places = {row["example"]: place for place, row in enumerate(rows)}
    assert len(odd) == said["odd"] >= 2
    assert all(row["why"] for row in rows if row["odd"])
    assert {name[-3:] for name, place in places.items() if place < 3} == {"[0]", "[1]", "[2]"}


def test_a_copied_run_detects_without_its_data(run: Path, tmp_path: Path) -> None:
    before = mg.open(run / "run").detect(run / "mixed.npy")["oddest"]
    shutil.copytree(run / "run", tmp_path / "copy")
    shutil.copy(run / "mixed.npy", tmp_path / "mixed.npy")
    hidden = run / "ramps.npy"
    hidden.rename(run / "away.npy")
    try:
        after = mg.open(tmp_path / "copy").detect(tmp_path / "mixed.npy")["oddest"]
        assert [row["p"] for row in after] == [row["p"] for row in before]
        shutil.rmtree(tmp_path / "copy" / "kept")
        with pytest.raises(UserError, match=r"run `morphogen detect .*` once where the data is"):
            mg.open(tmp_path / "copy").detect(tmp_path / "mixed.npy")
    finally:
        (run / "away.npy").rename(hidden)


def test_more_scores_are_learned_when_they_are_asked_for(run: Path) -> None:
    opened = mg.open(run / "run")
    said = opened.detect(run / "mixed.npy", scores="regret, place")
    assert said["protocol"]["scores"] == ["regret", "place"]
    kept = Run.open(run / "run").kept("oddity")
    assert kept is not None
    assert set(kept[1]["scores"]) == {*USUAL, "regret", "place"}
    assert set(detector_of(opened.run, opened.model).names) == {*USUAL, "regret", "place"}


def test_two_sets_are_told_apart(run: Path) -> None:
    opened = mg.open(run / "run")
    noise_ = np.random.default_rng(3).integers(0, 256, (20, 8, 8), dtype=np.uint8)
    np.save(run / "noise.npy", noise_)
    said = opened.detect(run / "noise.npy", normal=str(run / "ramps.npy"))
    assert said["auroc"] > 0.99
    assert said["odd"] == 20


@pytest.fixture
def do(capsys: pytest.CaptureFixture[str]) -> Any:
    def command(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main([str(word) for word in words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


def test_a_sheet_and_a_table(run: Path, do: Any, tmp_path: Path) -> None:
    sheet, table = tmp_path / "odd.png", tmp_path / "odd.csv"
    code, out, err = do("detect", run / "run", run / "mixed.npy", "--most", "4", "-o", sheet)
    assert code == 0, err
    assert str(sheet) in out
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert do("detect", run / "run", run / "mixed.npy", "-o", table)[0] == 0
    lines = table.read_text().splitlines()
    assert lines[0] == "example,p,odd,why"
    assert len(lines) == 7
    before = table.read_bytes()
    code, _, err = do("detect", run / "run", "-o", table)
    assert (code, table.read_bytes()) == (2, before)
    assert "not overwritten" in err


BAD = {
    "--false-alarms 0": "between 0 and 1",
    "--false-alarms 1.5": "between 0 and 1",
    "--false-alarms nan": "finite number",
    "--false-alarms 0.0001": "at the least",
    "--scores plaice": "did you mean 'place'",
    "--scores ,": "there are: ",
    "--most 0": "from 1",
    "-o odd.gif": ".png",
    "-o odd": ".csv",
    "--normal nowhere": "there is no file",
    "COLOUR": "the model's are",
    "HOLES": "not finite",
    "EMPTY": "holds no examples",
    "nowhere.npy": "there is no file",
    "blobs": "the model of",
}


@pytest.mark.parametrize("line", BAD)
def test_mistakes_are_told_in_a_line(run: Path, do: Any, line: str) -> None:
    import re

    np.save(run / "colour.npy", np.zeros((3, 8, 8, 3), np.uint8))
    np.save(run / "holes.npy", np.full((3, 8, 8), np.nan, np.float32))
    np.save(run / "empty.npy", np.zeros((0, 8, 8), np.uint8))
    words = [
        str(run / f"{word.lower()}.npy") if word in ("COLOUR", "HOLES", "EMPTY") else word for word in line.split()
    ]
    code, out, err = do("detect", run / "run", *words)
    assert code == 2, (out, err)
    assert err.count("\n") == 1
    assert re.search(BAD[line], err), err
    assert "unexpected" not in err


def test_one_example_is_enough_to_ask_about(run: Path) -> None:
    said = mg.open(run / "run").detect(np.full((1, 8, 8, 1), 128, np.uint8))
    assert said["examples"] == 1
    assert said["oddest"][0]["odd"]


def test_every_idea_says_what_it_finds() -> None:
    assert set(USUAL) <= set(names("oddities"))
    assert "likelihood" not in USUAL


def test_a_sheet_of_rows_of_a_table_names_its_cells() -> None:
    from morphogen.core.table import Number, Table, Word
    from morphogen.heatmaps import heat_sheet

    space = Table(
        (
            Number("age", (0.0, 9.0), (-1.0, 1.0), 0),
            Word("town", ("x", "y", "z")),
            Number("gap", (0.0, 1.0), (-1.0, 1.0)),
        )
    )
    x = space.read(torch.tensor([[3.0, 2.0, math.nan]]))
    heat = torch.tensor([[3.0, 7.0, 7.0, -1.0, 9.0, 8.0, 8.0, 8.0]])  # age, x, y, z, gap, and which cells are there
    axis = heat_sheet(x, heat, space, ["one"]).subfigs[0].axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["town = z", "age = 3"]
    assert [bar.get_width() for bar in axis.patches] == [1.0, -3.0]  # above and below what was said of them


def test_a_small_table_promises_the_least_that_it_can(tmp_path):
    import numpy as np

    import morphogen as mg

    x = np.random.default_rng(0).normal(size=(60, 3))
    run = mg.train("vae", x, steps=3, run=tmp_path / "run", quiet=True)
    said = run.detect(x[:6])
    assert said["false_alarms"] == pytest.approx(said["protocol"]["least_false_alarms"])
    assert said["false_alarms"] > 0.05
    with pytest.raises(UserError, match="at the least"):
        run.detect(x[:6], false_alarms=0.05)
