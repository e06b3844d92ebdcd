"""VAEImputer: missing cells of data frames of mixed types and of arrays, filled in place."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import morphogen as mg
from morphogen.sklearn import Sampler, VAEImputer, VAEOutlierDetector, VAETransformer

SMALL = dict(n_components=2, hidden_layer_sizes=(16,), max_iter=8, n_draws=20, device="cpu")
TAUGHT = dict(n_components=2, hidden_layer_sizes=(32,), max_iter=100, n_draws=60, device="cpu", learning_rate=1e-2)


@parametrize_with_checks([VAEImputer(**SMALL)])
def test_scikit_learn_accepts_it(estimator, check) -> None:
    check(estimator)


def pets(n: int = 240, seed: int = 0) -> pd.DataFrame:
    """Cats are light, dogs heavy, and the day that they came goes with the weight; an index of its own, no gaps."""
    draw = np.random.default_rng(seed)
    dog = draw.random(n) < 0.5
    weight = np.where(dog, 20, 4) + draw.normal(size=n)
    return pd.DataFrame(
        {
            "kind": pd.Categorical(np.where(dog, "dog", "cat"), categories=["cat", "dog", "fish"]),
            "weight": weight,
            "legs": pd.array(draw.integers(3, 9, n), dtype="Int64"),
            "name": np.where(dog, "Rex", "Tom"),
            "tame": pd.array(dog, dtype="boolean"),
            "came": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.round(weight * 10), unit="D"),
            "half": weight.astype(np.float32) / 2,
        },
        index=pd.Index(np.arange(n) * 3 + 7, name="id"),
    )


def with_gaps(frame: pd.DataFrame, seed: int = 1, share: float = 0.15) -> pd.DataFrame:
    return frame.mask(np.random.default_rng(seed).random(frame.shape) < share)


@pytest.fixture(scope="module")
def fitted() -> VAEImputer:
    return VAEImputer(random_state=0, **TAUGHT).fit(with_gaps(pets()))


def test_a_frame_is_filled_in_place_in_its_own_types(fitted) -> None:
    gappy = with_gaps(pets(60, seed=5), seed=6)
    before = gappy.copy(deep=True)
    full = fitted.transform(gappy)
    pd.testing.assert_frame_equal(gappy, before)
    assert not full.isna().any().any()
    assert list(full.dtypes) == list(gappy.dtypes)
    assert full.index.equals(gappy.index)
    assert list(full.columns) == list(gappy.columns) == list(fitted.get_feature_names_out())
    pd.testing.assert_frame_equal(full.mask(gappy.isna()), gappy)


def test_what_is_filled_goes_with_what_is_there(fitted) -> None:
    true = pets(100, seed=8)
    asked = ["kind", "name", "tame", "weight", "came"]
    gappy = true.assign(**{name: pd.Series(dtype=true[name].dtype).reindex(true.index) for name in asked})
    full = fitted.transform(gappy)
    for column in ("kind", "name", "tame"):
        assert (full[column] == true[column]).mean() > 0.9
    assert (full["weight"] - true["weight"]).abs().mean() < 0.3 * true["weight"].std()
    assert (full["came"] - true["came"]).abs().mean() < pd.Timedelta(days=30)


def test_polars_frames_stay_polars_frames() -> None:
    true = pl.from_pandas(pets().astype({"kind": str}))
    draw = np.random.default_rng(0)
    gappy = true.with_columns(
        pl.when(pl.Series(draw.random(len(true)) > 0.1)).then(pl.col(name)).otherwise(None).alias(name)
        for name in true.columns
    ).with_columns(pl.col("kind").cast(pl.Enum(["cat", "dog"])), pl.col("came").cast(pl.Date))
    full = VAEImputer(random_state=0, **SMALL).fit_transform(gappy)
    assert isinstance(full, pl.DataFrame)
    assert full.schema == gappy.schema
    assert full.null_count().sum_horizontal().item() == 0
    for name in gappy.columns:
        there = gappy[name].is_not_null()
        assert full[name].filter(there).equals(gappy[name].filter(there))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_array_is_filled_and_what_is_there_is_the_same_bits(dtype) -> None:
    draw = np.random.default_rng(0)
    x = (40 + draw.normal(size=(300, 1)) * [3.0, -2.0, 1.0] + 0.1 * draw.normal(size=(300, 3))).astype(dtype)
    hole = draw.random(x.shape) < 0.2
    gappy = np.where(hole, np.nan, x).astype(dtype)
    full = VAEImputer(random_state=0, **TAUGHT).fit_transform(gappy)
    assert full.dtype == dtype
    assert np.array_equal(full[~hole], x[~hole])
    known = hole & (hole.sum(1) < 3)[:, None]
    error, spread = (full - x)[known], (x - np.nanmean(gappy, 0))[known]
    assert np.square(error).mean() < 0.25 * np.square(spread).mean()


def test_a_row_without_a_known_cell_gets_the_middle(fitted) -> None:
    nothing = pets(4).mask(np.ones((4, 7), bool)).astype(pets(4).dtypes)
    full = fitted.transform(nothing)
    assert not full.isna().any().any()
    assert full["weight"].between(2, 24).all()


def test_copies_answer_alike_and_clones_are_unfitted(fitted) -> None:
    gappy = with_gaps(pets(20, seed=3))
    again = pickle.loads(pickle.dumps(fitted))
    pd.testing.assert_frame_equal(again.transform(gappy), fitted.transform(gappy))
    assert b"torch" not in pickle.dumps(fitted)
    assert not hasattr(clone(fitted), "model_")
    pd.testing.assert_frame_equal(fitted.transform(gappy[5:6]), fitted.transform(gappy)[5:6])


def test_it_stands_in_a_pipeline() -> None:
    x = with_gaps(pets()[["weight", "half"]])
    model = make_pipeline(VAEImputer(random_state=0, **SMALL).set_output(transform="pandas"), LinearRegression())
    assert np.isfinite(model.fit(x, np.arange(len(x))).predict(x)).all()


def test_columns_that_cannot_be_learned_keep_their_gaps_and_say_so() -> None:
    x = with_gaps(pets()).assign(nothing=np.nan, code=[f"c{i}" for i in range(240)])
    x.loc[x.index[3], "code"] = None
    model = VAEImputer(random_state=0, **SMALL).fit(x)
    with pytest.warns(UserWarning, match="keeps its missing cells") as said:
        full = model.transform(x)
    assert [str(each.message).split("'")[1] for each in said] == ["nothing", "code"]
    assert full["nothing"].isna().all()
    assert full.drop(columns=["nothing", "code"]).notna().all().all()


def test_an_array_is_refused_by_what_was_fitted_to_words(fitted) -> None:
    with pytest.raises(ValueError, match="holds words; give a data frame"), pytest.warns(UserWarning, match="names"):
        fitted.transform(np.full((2, 7), 1.0))
    with pytest.raises(ValueError, match="no number"):
        VAEImputer(**SMALL).fit(np.full((5, 2), np.nan))
    with pytest.raises(ValueError, match="beyond"):
        VAEImputer(**SMALL).fit(np.array([[1e305, 1.0], [0.0, 2.0]]))


def test_a_run_of_a_table_is_an_estimator_of_data_frames(tmp_path) -> None:
    frame = pets(80).astype({"kind": str}).drop(columns="came")
    small = {"model.net.widths": [8], "model.latent": 2, "model.samples": 2}
    run = mg.train("tabular", frame, small, steps=4, batch=16, device="cpu", run=tmp_path / "run", quiet=True)
    codes = VAETransformer.of_run(run)
    gappy = with_gaps(frame)
    assert np.allclose(codes.transform(gappy), run.encode(gappy).x, atol=1e-4)
    assert np.isfinite(codes.score(gappy))
    assert Sampler.of_run(run).score_samples(gappy[:3]).shape == (3,)
    back = codes.inverse_transform(codes.transform(frame))
    assert list(back.columns) == list(frame.columns)
    assert back.notna().all().all()
    assert set(back["kind"]) <= {"cat", "dog"}
    assert np.array_equal(pickle.loads(pickle.dumps(codes)).transform(gappy), codes.transform(gappy))
    made = Sampler.of_run(run).sample(9, random_state=0)
    assert made.shape == (9, 6)
    assert list(made.columns) == list(frame.columns)
    with pytest.raises(ValueError, match="give a data frame with the columns kind, weight"):
        codes.transform(np.zeros((2, 6)))
    with pytest.raises(ValueError, match="has no column 'weight'"):
        codes.transform(frame.drop(columns="weight"))


def test_objects_and_text_are_filled_as_they_are_written() -> None:
    days = pd.date_range("2024-01-01", periods=60, freq="31h")
    x = pd.DataFrame(
        {
            "day": days.date,
            "said": days.strftime("%d.%m.%Y"),
            "price": [f"${1000 + i:,}" for i in range(60)],
            "flag": pd.Series([True, False, True] * 20, dtype=object),
            "zone": days.tz_localize("UTC"),
            "bit": [0.0, 1.0] * 30,
            "span": pd.to_timedelta([1, 2, 3] * 20, unit="D"),
        },
        index=[0] * 60,
    )
    true = x.copy()
    for place in range(x.shape[1]):
        x.iloc[place + 3, place] = None
    full = VAEImputer(random_state=0, **SMALL).fit_transform(x)
    assert list(full.dtypes) == list(x.dtypes)
    for place, name in enumerate(x.columns):
        assert type(full.iloc[place + 3, place]) is type(true.iloc[place + 3, place]), name
    assert re.fullmatch(r"[0-9]{2}[.]0[1-3][.]2024", full["said"].iloc[4])
    assert re.fullmatch(r"[$]1,0[0-9]{2}", full["price"].iloc[5])


def test_frames_that_cannot_be_read_are_refused_in_an_estimators_words() -> None:
    x = pd.DataFrame({"day": [f"{i}/{i}/2024" for i in range(1, 13)], "a": np.arange(12.0) ** 2})
    with pytest.raises(ValueError, match=r"day 1 of month 1; parse that column first"):
        VAEImputer(**SMALL).fit(x)
    with pytest.raises(ValueError, match="two columns of one name"):
        VAEImputer(**SMALL).fit(x.set_axis(["a", "a"], axis=1))
    with pytest.raises(ValueError, match="no rows"):
        VAEImputer(**SMALL).fit(x[:0])


def test_frames_of_mixed_types_are_fitted() -> None:
    x, new = with_gaps(pets()), with_gaps(pets(30, seed=4))
    how = {name: said for name, said in TAUGHT.items() if name != "n_draws"} | {"n_draws": 4, "random_state": 0}
    codes = VAETransformer(**how).fit(x)
    assert codes.transform(new).shape == (30, 2)
    assert list(codes.inverse_transform(codes.transform(new)).columns) == list(x.columns)
    dog = pets(60, seed=9)["kind"] == "dog"
    z = codes.transform(pets(60, seed=9))
    between = np.linalg.norm(z[dog].mean(0) - z[~dog].mean(0))
    assert between > z[dog].std(0).mean()
    odd = pets(60, seed=9).assign(name=np.where(dog, "Tom", "Rex"))
    finder = VAEOutlierDetector(**how).fit(x)
    assert finder.score_samples(odd).mean() < finder.score_samples(pets(60, seed=9)).mean()
    assert set(finder.predict(new)) <= {-1, 1}
    made = Sampler(**how).fit(x).sample(50)
    assert set(made["kind"].dropna()) == {"cat", "dog"}
    assert codes.fit(np.eye(5)).transform(np.zeros((2, 5))).shape == (2, 2)
