"""An example is answered by itself: what is said of it does not depend on the examples that stand beside it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import morphogen as mg
from morphogen import examples, normality
from morphogen.core.precision import in_double, on_grid
from morphogen.oddities.density import outlier_factor, some_rows
from morphogen.sklearn import SemiSupervisedVAEClassifier, VAEOutlierDetector, VAETransformer

SIZES = [1, 7, 60]


def in_batches(say, rows: np.ndarray, size: int) -> np.ndarray:
    return np.concatenate([say(rows[start : start + size]) for start in range(0, len(rows), size)])


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return load_digits().data


@pytest.fixture(scope="module")
def outliers(rows: np.ndarray) -> VAEOutlierDetector:
    return VAEOutlierDetector(4, max_iter=40, device="cpu", random_state=0).fit(rows[:400])


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("size", SIZES)
def test_a_verdict_is_the_same_bits_in_any_batch(outliers, rows, size, kind) -> None:
    """Of rows that were fitted, too: the threshold is the score of one of them."""
    some = rows[:60].astype(kind)
    for word in ("predict", "decision_function", "p_values", "score_samples"):
        say = getattr(outliers, word)
        assert np.array_equal(in_batches(say, some, size), say(rows[:400].astype(kind))[:60]), word


def test_a_row_of_single_precision_is_judged_as_the_same_row_of_double(outliers, rows) -> None:
    odd = (rows[:100] + 0.1).astype(np.float32)
    assert np.array_equal(outliers.score_samples(odd), outliers.score_samples(odd.astype(np.float64)))


@pytest.mark.parametrize("size", SIZES)
def test_codes_densities_and_classes_are_the_same_up_to_rounding(rows, size) -> None:
    known = load_digits().target
    codes = VAETransformer(3, max_iter=20, device="cpu", random_state=0).fit(rows[:200])
    namer = SemiSupervisedVAEClassifier(2, max_iter=20, device="cpu", random_state=0).fit(rows[:200], known[:200])
    some = rows[:60].astype(np.float32)
    assert np.array_equal(in_batches(namer.predict, some, size), namer.predict(some))
    assert np.array_equal(in_batches(namer.predict_proba, some, size), namer.predict_proba(some))
    for say in (codes.transform, codes.score_samples):
        np.testing.assert_allclose(in_batches(say, some, size), say(some), rtol=2e-7, atol=1e-9)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> mg.OpenRun:
    path = tmp_path_factory.mktemp("alone") / "run"
    return mg.train("vae", "digits", {"train.steps": 20, "model.net.widths": [32]}, run=path, quiet=True)


@pytest.mark.parametrize("size", SIZES)
def test_tasks_answer_alike_in_any_batch(run, size, monkeypatch: pytest.MonkeyPatch) -> None:
    """`detect` to the bit; `score`, `encode` and `classify` up to rounding."""
    whole = {word: getattr(run, word)(n=60) for word in ("detect", "encode", "score", "classify")}
    numbers = normality.detector_of(run.run, run.model).numbers
    batches = list(examples.find_examples(run.run, None, split=None, label=None, fit=False).limited(60).batches(size))
    one = next(iter(examples.find_examples(run.run, None, split=None, label=None, fit=False).limited(60).batches(60)))
    assert torch.equal(torch.cat([numbers(batch) for batch in batches]), numbers(one))
    sweep = examples.Batches.sweep
    monkeypatch.setattr(examples.Batches, "sweep", lambda self, _: sweep(self, size))
    assert run.detect(n=60)["oddest"] == whole["detect"]["oddest"]
    assert torch.allclose(run.encode(n=60).x, whole["encode"].x, rtol=1e-5, atol=1e-6)
    assert run.score(n=60)["log_p"] == pytest.approx(whole["score"]["log_p"], rel=1e-6)
    said = [row["probability"] for row in run.classify(n=60)["first"]]
    assert said == pytest.approx([row["probability"] for row in whole["classify"]["first"]], abs=1e-5)


def test_distances_of_rows_that_are_close_are_no_rounding() -> None:
    """By products, a row is 1e-8 of its length from itself, and by how much depends on the rows beside it."""
    kept = 100 + torch.randn(300, 40, generator=torch.Generator().manual_seed(0)).double()
    learned = some_rows(kept, 5)
    alone = torch.cat([outlier_factor(row[None], learned, 5) for row in kept[:30]])
    assert torch.equal(alone, outlier_factor(kept, learned, 5)[:30])


def test_the_grid_is_coarser_than_rounding_and_finer_than_a_millionth() -> None:
    x = torch.tensor([0.0, 1e-9, 0.3, -7.25, 1e5 / 3, -1e12 / 7, 1e300], dtype=torch.float64)
    assert torch.equal(on_grid(x * (1 + 1e-14)), on_grid(x))
    assert bool(((on_grid(x) - x).abs() <= 1e-6 * x.abs().clamp_min(1)).all())
    assert torch.equal(on_grid(on_grid(x)), on_grid(x))


def test_a_model_is_put_in_double_precision_once() -> None:
    net = torch.nn.Linear(2, 2)
    assert in_double(net).weight.dtype == torch.float64
    assert net.weight.dtype == torch.float32
    assert in_double(double := net.double()) is double
