"""Estimators: scikit-learn's own checks, and what they promise beyond them."""

from __future__ import annotations

import copy
import doctest
import pickle
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits, make_moons
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_classifiers_classes, parametrize_with_checks

import morphogen as mg
from morphogen.core import noise
from morphogen.core.build import names
from morphogen.core.noise import Alike, Noise
from morphogen.data.stamp import dataset_of
from morphogen.errors import Failure, UserError
from morphogen.sklearn import Sampler, SemiSupervisedVAEClassifier, VAEOutlierDetector, VAETransformer
from morphogen.sklearn.density import log_density
from morphogen.unkept import learn, unkept

SMALL = dict(hidden_layer_sizes=(16,), max_iter=8, n_draws=4, device="cpu")
CPU = torch.device("cpu")


MINUS_ONE = "a class called -1 is asked for, which means that there is no label"
TAUGHT = dict(hidden_layer_sizes=(32,), max_iter=40, learning_rate=1e-2, device="cpu")


def expected(estimator: object) -> dict[str, str]:
    """Checks that are expected to fail, and why; scikit-learn excuses its own by their names."""
    return {"check_classifiers_classes": MINUS_ONE} if isinstance(estimator, SemiSupervisedVAEClassifier) else {}


@parametrize_with_checks(
    [
        VAETransformer(**SMALL),
        Sampler(**SMALL),
        VAEOutlierDetector(**SMALL),
        SemiSupervisedVAEClassifier(2, **TAUGHT),
    ],
    expected_failed_checks=expected,
)
def test_scikit_learn_accepts_them(estimator, check) -> None:
    check(estimator)


def test_the_check_that_fails_passes_under_a_name_that_is_excused() -> None:
    check_classifiers_classes("LabelSpreading", SemiSupervisedVAEClassifier(2, **TAUGHT))


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    return load_digits(return_X_y=True)


@cache
def fitted() -> VAETransformer:
    return VAETransformer(8, max_iter=400, learning_rate=1e-2, device="cpu", random_state=0).fit(digits()[0][:1000])


def line(n: int = 300, seed: int = 0) -> np.ndarray:
    """Rows near a line in five dimensions, far from zero."""
    draw = np.random.RandomState(seed)
    return 40 + draw.randn(n, 1) * [3.0, -2.0, 1.0, 0.5, 2.0] + 0.1 * draw.randn(n, 5)


# What they are for


def test_codes_bring_rows_back_better_than_their_mean() -> None:
    x, codes = digits()[0][1000:], fitted()
    back = codes.inverse_transform(codes.transform(x))
    assert back.shape == x.shape
    assert ((back - x) ** 2).mean() < 0.5 * ((x - digits()[0][:1000].mean(0)) ** 2).mean()


def test_rows_unlike_those_that_were_fitted_score_lower() -> None:
    x = digits()[0][1000:]
    shuffled = np.random.default_rng(0).permuted(x, axis=1)
    assert np.mean(fitted().score_samples(x) > fitted().score_samples(shuffled)) > 0.99


def test_a_density_is_one() -> None:
    """Over a line of numbers in their own units, the integral of exp(score_samples) is close to 1."""
    x = 100 + 7 * np.random.RandomState(0).randn(400, 1)
    model = Sampler(1, **SMALL | {"max_iter": 100, "n_draws": 1000}, learning_rate=1e-2, random_state=0).fit(x)
    grid = np.linspace(0, 200, 401)[:, None]
    assert 0.95 < np.exp(model.score_samples(grid)).sum() * 0.5 < 1.05


def test_samples_are_spread_as_the_data_is() -> None:
    x = line() + np.random.RandomState(1).randn(300, 5)
    model = Sampler(1, max_iter=500, learning_rate=1e-2, random_state=0).fit(x)
    made = model.sample(2000, random_state=1)
    assert np.allclose(made.mean(0), x.mean(0), atol=0.6)
    assert np.allclose(np.cov(made.T), np.cov(x.T), atol=1.5)
    assert np.array_equal(made[:100], model.sample(100, random_state=1))
    assert not np.array_equal(made[:100], model.sample(100, random_state=2))


def test_a_search_over_a_pipeline_scores_components() -> None:
    search = GridSearchCV(
        make_pipeline(StandardScaler(), VAETransformer(**SMALL | {"max_iter": 60, "learning_rate": 1e-2})),
        {"vaetransformer__n_components": [1, 2], "vaetransformer__random_state": [0]},
        cv=2,
        error_score="raise",
    ).fit(line())
    assert search.best_score_ == search.cv_results_["mean_test_score"].max()
    assert search.transform(line()).shape == (300, search.best_params_["vaetransformer__n_components"])


def test_a_gan_samples_and_says_that_it_has_no_density() -> None:
    model = Sampler(model={"use": "gan", "net": {"use": "mlp", "widths": [8]}}, max_iter=3, device="cpu").fit(line())
    assert model.sample(5).shape == (5, 5)
    with pytest.raises(ValueError, match="cannot say how likely"):
        model.score_samples(line())


@pytest.mark.parametrize("levels", [None, 17])
def test_flat_pictures_go_through_convolutions(levels: int | None) -> None:
    x = digits()[0][:64]
    net = {"use": "vae", "net": {"use": "conv", "width": 4}}
    model = VAETransformer(3, model=net, image_shape=(8, 8), levels=levels, max_iter=3, device="cpu").fit(x)
    assert model.inverse_transform(model.transform(x)).shape == x.shape
    assert np.isfinite(model.score(x))


def test_a_flat_picture_lies_as_numpy_lays_it() -> None:
    """A model that sees (channels, height, width) gives back each number where it was."""
    x = np.random.RandomState(0).rand(20, 4 * 3 * 2)
    model = VAETransformer(2, image_shape=(4, 3, 2), **SMALL).fit(x)
    seen = model._seen(x)
    assert seen.shape == (20, 2, 4, 3)
    assert np.allclose(model._unseen(seen, np.float64), x)
    assert np.allclose(seen[5, 1, 2, 0], (x.reshape(20, 4, 3, 2)[5, 2, 0, 1] - model.mean_[0]) / model.scale_[0])


SHAPES = {"table": {}, "bits": {"levels": 2}, "picture": {"image_shape": (4, 3, 2)},
          "levels": {"image_shape": (4, 6), "levels": 5}}  # fmt: skip


@pytest.mark.parametrize("case", SHAPES)
def test_what_is_learned_from_is_what_is_seen(case: str) -> None:
    draw = np.random.RandomState(0)
    x = draw.randint(0, SHAPES[case]["levels"], (20, 24)) if "levels" in SHAPES[case] else 9 * draw.randn(20, 24)
    model = VAETransformer(2, **SMALL | SHAPES[case]).fit(x)
    read = model._space.read(model._stored(x.astype(float)).values)
    assert torch.allclose(read, model._seen(x.astype(float)).float(), atol=1e-6)


def test_pictures_of_real_numbers_are_learned() -> None:
    x = digits()[0][:600] - 5.5
    model = VAETransformer(8, image_shape=(8, 8), max_iter=200, learning_rate=1e-2, device="cpu", random_state=0).fit(x)
    back = model.inverse_transform(model.transform(x))
    assert ((back - x) ** 2).mean() < 0.6 * x.var(0).mean()


def test_rows_of_zeros_and_ones_have_probabilities() -> None:
    x = (np.random.RandomState(0).rand(200, 4) < 0.5).astype(float)
    model = Sampler(1, levels=2, random_state=0, **SMALL | {"n_draws": 1000}).fit(x)
    every = np.array([[i >> k & 1 for k in range(4)] for i in range(16)], dtype=float)
    assert 0.9 < np.exp(model.score_samples(every)).sum() < 1.1
    assert set(np.unique(model.sample(50))) <= {0.0, 1.0}


def test_rows_of_another_kind_are_outliers() -> None:
    x = line(400)
    odd = 40 + 3 * np.random.RandomState(1).randn(100, 5)
    model = VAEOutlierDetector(1, max_iter=200, learning_rate=1e-2, device="cpu", random_state=0).fit(x)
    new = line(300, seed=5)
    assert (model.predict(odd) == -1).mean() > 0.9
    assert (model.predict(new) == 1).mean() > 0.85
    assert np.array_equal(model.predict(new) == -1, model.decision_function(new) < 0)
    assert np.array_equal(model.decision_function(new), model.score_samples(new) - model.offset_)
    assert model.p_values(odd).mean() < model.p_values(new).mean()


def test_a_row_out_of_all_bounds_is_an_outlier_and_no_failure() -> None:
    model = VAEOutlierDetector(random_state=0, **SMALL).fit(line())
    assert model.predict([[1e300] * 5, [-1e300] * 5]).tolist() == [-1, -1]


def test_contamination_is_the_share_of_outliers_among_the_fitted() -> None:
    x = line()
    for share in (0.01, 0.1, 0.5):
        model = VAEOutlierDetector(contamination=share, random_state=0, **SMALL).fit(x)
        assert (model.predict(x) == -1).mean() == pytest.approx(share, abs=0.005)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"contamination": 0.0}, "contamination"),
        ({"contamination": 0.6}, "contamination"),
        ({"held_out": 0.0}, "held_out"),
        ({"held_out": 1.0}, "held_out"),
        ({"scores": ["typicalty"]}, "did you mean 'typicality'"),
        ({"scores": []}, "no scores were asked for"),
    ],
)
def test_a_detector_says_what_it_cannot_take(said: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        VAEOutlierDetector(**SMALL | said).fit(line())
    with pytest.raises(TypeError, match="contamination"):
        VAEOutlierDetector(contamination="much", **SMALL).fit(line())


def moons(labels: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, the labels of a few, and of all."""
    x, y = make_moons(400, noise=0.1, random_state=seed)
    few = np.full(400, -1)
    for kind in (0, 1):
        few[np.flatnonzero(y == kind)[:labels]] = kind
    return x, few, y


def test_rows_without_a_label_help() -> None:
    x, y = digits()
    few = np.full(len(y), -1)
    for kind in range(10):
        few[np.flatnonzero(y == kind)[:3]] = kind
    known, how = few >= 0, dict(max_iter=300, device="cpu", random_state=0)
    alone = SemiSupervisedVAEClassifier(10, **how).fit(x[known], y[known])
    helped = SemiSupervisedVAEClassifier(10, **how).fit(x, few)
    assert helped.score(x[~known], y[~known]) > alone.score(x[~known], y[~known]) + 0.03
    assert np.allclose(helped.predict_proba(x).sum(1), 1)
    assert np.array_equal(helped.predict(x), helped.classes_[helped.predict_log_proba(x).argmax(1)])


def test_words_are_classes_too() -> None:
    x, few, _ = moons()
    words = np.array(["low", "high"], dtype=object)[few]
    words[few < 0] = -1
    model = SemiSupervisedVAEClassifier(2, random_state=0, **TAUGHT).fit(x, words)
    numbers = SemiSupervisedVAEClassifier(2, random_state=0, **TAUGHT).fit(x, np.where(few < 0, -1, 1 - few))
    assert model.classes_.tolist() == ["high", "low"]
    assert np.array_equal(model.predict(x) == "low", numbers.predict(x) == 1)
    plain = SemiSupervisedVAEClassifier(2, **TAUGHT).fit(x[few >= 0], words[few >= 0].astype(str))
    assert set(plain.predict(x)) <= {"high", "low"}


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        (np.full(400, -1), "no row has a label"),
        (np.where(moons()[1] == 1, 1, -1), "of one class"),
        (np.array(["a", "-1"])[moons()[1].clip(0)], "dtype object"),
        (np.linspace(0, 1, 400), "continuous"),
        (moons()[1][:7], "inconsistent"),
        (None, "y"),
    ],
    ids=["none", "one class", "words", "numbers", "too few", "no labels"],
)
def test_labels_that_make_no_sense_are_refused(labels: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        SemiSupervisedVAEClassifier(**TAUGHT).fit(moons()[0], labels)


def test_a_model_that_names_no_classes_is_refused() -> None:
    x, few, _ = moons()
    with pytest.raises(ValueError, match="Classifies"):
        SemiSupervisedVAEClassifier(model="vae", **TAUGHT).fit(x, few)
    alone = {"use": "classifier", "lessons": ["taught"]}
    assert SemiSupervisedVAEClassifier(model=alone, **TAUGHT).fit(x, few).predict(x).shape == (400,)


# Parameters, determinism, copies


def test_the_same_seed_fits_the_same_model_and_leaves_the_generators_alone() -> None:
    x = line()
    torch.manual_seed(3)
    np.random.seed(3)
    one, two = (VAETransformer(random_state=5, **SMALL).fit(x).transform(x) for _ in range(2))
    here = torch.rand(1), np.random.rand()
    torch.manual_seed(3)
    np.random.seed(3)
    assert np.array_equal(one, two)
    assert here == (torch.rand(1), np.random.rand())
    assert not np.array_equal(one, VAETransformer(random_state=6, **SMALL).fit(x).transform(x))


def test_an_instance_of_random_state_goes_on() -> None:
    draw = np.random.RandomState(0)
    one, two = (VAETransformer(random_state=draw, **SMALL).fit(line()).transform(line()) for _ in range(2))
    assert not np.array_equal(one, two)


def test_a_clone_has_the_parameters_and_nothing_that_was_learned() -> None:
    model = fitted()
    again = clone(model)
    assert again.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        again.transform(digits()[0])


def test_a_copy_of_a_detector_finds_the_same() -> None:
    model = VAEOutlierDetector(random_state=0, **SMALL).fit(line())
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert np.array_equal(again.decision_function(line(seed=1)), model.decision_function(line(seed=1)))
    assert b"torch" not in pickle.dumps(model)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_answers_as_the_original(copied) -> None:
    x, model = digits()[0][:50], fitted()
    again = copied(model)
    assert np.array_equal(again.transform(x), model.transform(x))
    assert np.array_equal(again.score_samples(x), model.score_samples(x))


def test_a_pickle_holds_numbers_and_a_recipe() -> None:
    """No class of torch and none of our models: they are built again from their recipe."""
    said = pickle.dumps(fitted())
    assert b"torch" not in said
    assert b"morphogen.models" not in said


def test_a_tampered_pickle_is_refused() -> None:
    state = fitted().__getstate__()
    state["_weights"] = dict(list(state["_weights"].items())[1:])
    with pytest.raises(UserError, match="lacks tensor"):
        VAETransformer().__setstate__(state)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_said_of_a_row_does_not_depend_on_its_neighbours(dtype) -> None:
    x, model = digits()[0][:40].astype(dtype), fitted()
    tolerance = 1e-4 if dtype is np.float32 else 1e-10
    for say in (model.transform, model.score_samples):
        whole, single = say(x), np.concatenate([say(row[None]) for row in x[::-1]])[::-1]
        assert np.allclose(whole, single, rtol=tolerance, atol=tolerance)


def test_a_density_with_draws_alike_is_the_bound_that_any_noise_gives() -> None:
    model, x = fitted().model_, torch.zeros(1, 64)
    with torch.no_grad(), noise.source(Noise(7, "score")):
        weight = model.infer(x, None, 5).log_weight
    with torch.no_grad(), noise.source(Alike(7, "score")):
        alike = log_density(model, x, 5)
    assert torch.allclose(alike, torch.logsumexp(weight, 0) - np.log(5))


def test_verbose_says_the_loss(capsys: pytest.CaptureFixture[str]) -> None:
    model = VAETransformer(verbose=1, **SMALL).fit(line())
    assert "[VAETransformer] step 8: loss" in capsys.readouterr().out
    assert len(model.loss_curve_) == 2
    assert model.n_iter_ == 8


# What goes wrong

WRONG = {
    "n_components": ({"n_components": 0}, "n_components"),
    "max_iter": ({"max_iter": -1}, "max_iter"),
    "learning_rate": ({"learning_rate": 0.0}, "learning_rate"),
    "widths": ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes"),
    "shape": ({"image_shape": (2, 2)}, "image_shape = .2, 2. is 4 numbers"),
    "shape of one": ({"image_shape": (5,)}, "say .height, width."),
    "levels": ({"levels": 256}, "say image_shape"),
    "not levels": ({"levels": 2}, "whole numbers 0 .. 1"),
    "no such model": ({"model": "vea"}, "did you mean 'vae'"),
    "no such net": ({"model": {"use": "vae", "net": "mpl"}}, "did you mean 'mlp'"),
    "no such argument": ({"model": {"use": "vae", "latnet": 3}}, "latnet"),
    "latent": ({"model": {"use": "vae", "latent": 3}}, "say n_components"),
    "model without a name": ({"model": {"net": "mlp"}}, "models shelf"),
    "conv on a table": ({"model": {"use": "vae", "net": "conv"}}, "conv"),
    "labels": ({"model": {"use": "vae", "labelled": True}}, "labels"),
    "device": ({"device": "gpu9"}, "gpu9"),
}


@pytest.mark.parametrize("case", WRONG)
def test_mistakes_are_value_errors_that_name_the_remedy(case: str) -> None:
    parameters, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        VAETransformer(**SMALL | parameters).fit(line())


@pytest.mark.parametrize("parameters", [{"n_components": 1.5}, {"max_iter": "many"}, {"hidden_layer_sizes": "64"}])
def test_words_of_the_wrong_type_are_type_errors(parameters) -> None:
    with pytest.raises(TypeError):
        VAETransformer(**SMALL | parameters).fit(line())


def test_rows_that_do_not_fit_are_refused() -> None:
    model = VAETransformer(**SMALL).fit(line())
    hole = line()
    hole[3, 2] = np.nan
    for bad, why in (
        (hole, "NaN"),
        (line()[:, :3], "3 features"),
        ("abc", "could not convert|scalar"),
        (line()[0], "1D"),
    ):
        with pytest.raises(ValueError, match=why):
            model.transform(bad)
    with pytest.raises(ValueError, match="codes of 5 numbers"):
        model.inverse_transform(line())
    with pytest.raises(ValueError, match="NaN"):
        VAETransformer(**SMALL).fit(hole)
    with pytest.raises(ValueError, match="minimum of 2"):
        VAETransformer(**SMALL).fit(line()[:1])


def test_a_row_beyond_all_numbers_is_as_unlikely_as_can_be() -> None:
    model = VAETransformer(**SMALL).fit(line())
    far = np.full((1, 5), 1e300)
    assert model.score_samples(far)[0] < -1e300
    assert np.isfinite(model.score_samples(np.vstack([far, line()]))).all()


def test_numbers_whose_variance_overflows_are_refused() -> None:
    with pytest.raises(ValueError, match="variance overflows"):
        VAETransformer(**SMALL).fit(line() * 1e200)


def test_columns_that_never_change_are_no_division_by_zero() -> None:
    same = np.full((30, 3), 7.0)
    model = VAETransformer(random_state=0, **SMALL).fit(same)
    assert np.isfinite(model.transform(same)).all()
    assert np.isfinite(model.score(same))


# Training that lies nowhere


def test_a_run_that_is_kept_nowhere_trains_as_any_and_goes_back_to_its_beginning() -> None:
    data = dataset_of("X", fitted()._space, {"train": (torch.randn(64, 64), None)}, {})
    run = unkept({"use": "vae", "latent": 2, "net": {"use": "mlp", "widths": [8]}}, data, {"steps": 4}, seed=0)
    seen = []
    model = learn(run, data, CPU, seen.append)
    assert seen == run.log()
    assert not any(p.requires_grad for p in model.parameters())
    assert not model.training
    wild = unkept({"use": "vae", "latent": 2}, data, {"steps": 5, "lr": 1e30, "clip": None}, seed=0)
    with pytest.raises(Failure, match="not finite"):
        learn(wild, data, CPU, seen.append)
    assert sum("rolled back" in str(r.get("event")) for r in wild.log()) == 3


@pytest.mark.parametrize("name", names("models"))
def test_every_model_of_the_shelf_draws_rows_or_is_refused(name: str) -> None:
    made, refusal = np.zeros(0), ""
    try:
        made = Sampler(model=name, **SMALL | {"max_iter": 1}).fit(line()).sample(2)
    except ValueError as error:
        refusal = str(error)
    assert (made.shape == (2, 5)) == (refusal == "")
    assert not refusal or name not in ("vae", "gan")


# Runs as estimators


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> mg.OpenRun:
    net = {"model.net": {"use": "mlp", "widths": [8]}, "model.latent": 3}
    where = tmp_path_factory.mktemp("runs") / "digits"
    return mg.train("vae", "digits", net, steps=3, batch=16, device="cpu", run=where, quiet=True)


def test_a_run_is_a_fitted_estimator(run: mg.OpenRun) -> None:
    x = digits()[0][:20].astype(np.float32)
    model = VAETransformer.of_run(run.path)
    assert np.allclose(model.transform(x), run.encode(x.reshape(-1, 8, 8, 1)).x.flatten(1), atol=1e-5)
    assert model.inverse_transform(model.transform(x)).shape == x.shape
    assert model.get_params()["image_shape"] == (8, 8, 1)
    assert model.n_components == 3
    assert np.array_equal(pickle.loads(pickle.dumps(model)).transform(x), model.transform(x))
    assert clone(model).set_params(max_iter=2).fit(x).transform(x).shape == (20, 3)
    made = Sampler.of_run(run).sample(7)
    assert made.min() >= 0
    assert made.max() <= 16
    with pytest.raises(ValueError, match="the whole numbers 0"):
        model.transform(x / 16)


def test_a_run_of_a_table_takes_columns_in_their_own_units(tmp_path: Path) -> None:
    small = {"model.net": {"use": "mlp", "widths": [8]}, "model.latent": 2}
    opened = mg.train("vae", line(), small, steps=3, batch=16, device="cpu", run=tmp_path / "run", quiet=True)
    x = line(seed=3)
    assert np.allclose(VAETransformer.of_run(opened).transform(x), opened.encode(x).x, atol=1e-4)


def test_a_run_that_names_classes_is_a_classifier(run: mg.OpenRun, tmp_path: Path) -> None:
    x, few, _ = moons()
    net = {"use": "mlp", "widths": [8]}
    recipe = {
        "model": {"use": "semi", "latent": 2, "net": net, "classifier": {"use": "classifier", "net": net}},
        "train": {"steps": 3, "batch": 32, "labelled": 4},
    }
    words = np.array(["low", "high", ""])[few]
    opened = mg.train(recipe, x, y=words, device="cpu", run=tmp_path / "run", quiet=True)
    model = SemiSupervisedVAEClassifier.of_run(opened)
    assert model.classes_.tolist() == ["high", "low"]
    assert set(model.predict(x)) <= {"high", "low"}
    with pytest.raises(ValueError, match="SemiSupervisedVAEClassifier asks a model"):
        SemiSupervisedVAEClassifier.of_run(run)


def test_a_run_of_symbols_is_no_estimator(tmp_path: Path) -> None:
    small = {"model.net": {"use": "mlp", "widths": [8]}}
    opened = mg.train("vae", "patterns", small, steps=1, device="cpu", run=tmp_path / "run", quiet=True)
    with pytest.raises(ValueError, match="of kind tokens"):
        VAETransformer.of_run(opened)
    with pytest.raises(ValueError, match="is not a run"):
        VAETransformer.of_run(tmp_path)


# The guide


def test_the_guide_does_what_it_says() -> None:
    page = Path(__file__).parents[1] / "docs" / "guide" / "sklearn.md"
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)
    assert len(blocks) > 4
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, page.name, str(page), 0)
    said: list[str] = []
    assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(examples, out=said.append).failed == 0, "".join(said)


def test_a_search_over_few_labels_counts_the_labelled_rows_only():
    draw = np.random.default_rng(0)
    y = np.repeat([0, 1], 40)
    x = draw.normal(size=(80, 3)) + 4 * y[:, None]
    blank = np.where(np.arange(80) % 4 == 0, y, -1)
    model = SemiSupervisedVAEClassifier(2, max_iter=150, random_state=0, hidden_layer_sizes=32).fit(x, blank)
    assert model.score(x, blank) == np.mean(model.predict(x)[blank >= 0] == blank[blank >= 0])
    assert model.score(x, blank) > 0.8
    with pytest.raises(ValueError, match="no row has a label"):
        model.score(x, np.full(80, -1))
