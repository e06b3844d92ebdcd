"""Data frames in and out: the same table as a frame of any library, a dictionary or a file is the same data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

import morphogen as mg
from morphogen.data.find import open_data
from morphogen.data.frames import frame_of, sheet_of_frame
from morphogen.data.given import hold
from morphogen.errors import UserError

ROWS = 120


def animals() -> pd.DataFrame:
    draw = np.random.default_rng(0)
    age = draw.integers(1, 30, ROWS)
    weight = np.where(draw.random(ROWS) < 0.1, np.nan, 0.5 * age + draw.normal(size=ROWS))
    return pd.DataFrame(
        {
            "age": age,
            "weight": weight,
            "zip": pd.Categorical(draw.choice(["101", "202", "303"], ROWS)),
            "tame": draw.random(ROWS) < 0.5,
            "kind": draw.choice(["cat", "dog"], ROWS),
        }
    )


SAME = {
    "pandas": lambda frame: frame,
    "polars": pl.from_pandas,
    "polars, lazy": lambda frame: pl.from_pandas(frame).lazy(),
    "pyarrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
}


@pytest.mark.parametrize("library", SAME)
def test_a_frame_is_the_same_data_in_every_library(library, tmp_path):
    frame = animals()
    data = open_data(hold(SAME[library](frame), "kind"))
    assert [type(column).__name__ for column in data.space.columns] == ["Number", "Number", "Word", "Word"]
    assert data.classes == ("cat", "dog")
    file = tmp_path / "animals.csv"
    frame.to_csv(file, index=False)
    from_file = open_data(file, target="kind", categorical=["zip"])
    for split, part in data.splits.items():
        theirs = from_file.splits[split]
        assert torch.equal(
            part.x.gather(torch.arange(len(part))).nan_to_num(-1),
            theirs.x.gather(torch.arange(len(theirs))).nan_to_num(-1),
        )
        assert torch.equal(part.y, theirs.y)


def test_a_frame_of_whole_numbers_is_a_table():
    frame = pd.DataFrame({"age": np.arange(40) % 7 * 3, "kids": np.arange(40) % 5})
    assert open_data(hold(frame)).space.kind == "table"
    assert open_data(hold({"age": list(frame["age"]), "kids": frame["kids"].to_numpy()})).space.kind == "table"


def test_labels_beside_a_frame_are_its_target():
    frame = animals().drop(columns="kind")
    data = open_data(hold(frame, pd.Series(["a", "b", None] * 40, name="group")))
    assert data.classes == ("a", "b")
    assert sorted(torch.cat([part.y for part in data.splits.values()]).unique().tolist()) == [-1, 0, 1]
    assert open_data(hold(frame, [0, 1] * 60)).classes == ("0", "1")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: hold(animals(), "sort"), "no column 'sort'"),
        (lambda: hold(animals(), [1, 2]), "2 labels, the frame has 120 rows"),
        (lambda: hold(animals().head(0)), "holds no rows"),
        (lambda: hold(pd.DataFrame(np.zeros((3, 2)), columns=["a", "a"])), "two columns of one name"),
        (lambda: hold(pd.DataFrame({"a": [[1], [2]]})), "column 'a' holds list"),
        (lambda: hold({"a": [1, 2], "b": [1]}), "not of one length (a: 2, b: 1)"),
        (lambda: frame_of({"a": [1]}, "pandsa"), "did you mean 'pandas'"),
        (lambda: open_data({"use": "frame", "digest": "0" * 64}), "does not hold"),
    ],
)
def test_frames_that_cannot_be_taken_are_refused_in_words(make, said):
    with pytest.raises(UserError) as refused:
        make()
    assert said in str(refused.value)


def test_an_array_or_a_recipe_is_no_frame():
    for x in (np.zeros((3, 2)), torch.zeros(3, 2), [[1, 2]], "digits", {"use": "digits"}, {}, None):
        assert sheet_of_frame(x) is None


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames")
    return mg.train("tabular", animals(), y="kind", steps=6, run=folder / "run", quiet=True)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_new_rows_are_a_frame_of_the_same_columns(trained, library):
    import narwhals as nw

    made = nw.from_native(trained.sample(7).frame(library))
    assert [name for name in made.columns if name != "kind"] == ["age", "weight", "zip", "tame"]
    assert len(made) == 7
    assert all(type(value) is int for value in made["age"].to_list())
    assert set(made["zip"].to_list()) <= {"101", "202", "303"}
    assert set(made["tame"].to_list()) <= {True, False}


def test_rows_of_a_table_are_no_array(trained):
    with pytest.raises(UserError, match=r"\.frame\(\)"):
        pd.DataFrame(trained.sample(3))


def test_every_task_takes_a_frame(trained):
    frame = animals()
    few = frame.head(12)
    codes = trained.encode(few)
    assert codes.labels.tolist() == [("cat", "dog").index(kind) for kind in few["kind"]]
    shuffled = pl.from_pandas(few[["tame", "zip", "age", "weight"]])
    assert np.allclose(codes.x, trained.encode(shuffled).x, atol=1e-5)
    assert list(codes.frame("pandas").columns)[-1] == "label"
    assert np.isfinite(trained.score(few, samples=3)["log_p"])
    assert trained.detect(few, false_alarms=0.3)["examples"] == 12


def test_missing_cells_of_a_frame_are_filled_and_the_rest_is_as_it_was(trained):
    frame = animals().assign(note="as it was")
    whole = trained.restore(frame, samples=4).frame("pandas")
    assert list(whole.columns) == list(frame.columns)
    assert not whole["weight"].isna().any()
    there = frame["weight"].notna()
    assert np.array_equal(whole["weight"][there], frame["weight"][there])
    assert list(whole["age"]) == list(frame["age"])
    assert set(whole["note"]) == {"as it was"}


def test_whole_numbers_with_gaps_stay_whole():
    made = frame_of({"n": [1, None, 3], "f": [1.0, None, 2.0]}, "pandas")
    assert [str(kind) for kind in made.dtypes] == ["Int64", "float64"]
    assert made["n"].isna().tolist() == [False, True, False]


def test_new_rows_have_the_target_column_again(trained, tmp_path):
    """Drawn by what the run's classifier says of each row; a larger n only adds rows."""
    made = trained.sample(40)
    assert made.space.names[-1] == "kind"
    assert set(made.frame()["kind"]) <= {"cat", "dog"}
    assert list(trained.sample(9).frame()["kind"]) == list(made.frame()["kind"])[:9]
    assert np.allclose(trained.encode(made).x, trained.encode(made.frame()).x, atol=1e-5)


def test_a_conditional_model_writes_the_class_that_it_was_told(tmp_path):
    run = mg.train("conditional-vae", animals(), y="kind", steps=2, run=tmp_path / "run", quiet=True)
    assert list(run.sample(4).frame()["kind"]) == ["cat", "dog"] * 2
    assert set(run.sample(4, label="dog").frame()["kind"]) == {"dog"}


def test_rows_are_written_as_parquet_with_their_types_and_their_recipe(trained, tmp_path):
    from morphogen.files import read_note

    file = trained.sample(6, seed=3).save(tmp_path / "rows.parquet")[0]
    back = pd.read_parquet(file)
    assert list(back.columns) == ["age", "weight", "zip", "tame", "kind"]
    assert pd.api.types.is_integer_dtype(back["age"])
    assert pd.api.types.is_bool_dtype(back["tame"])
    assert read_note(file)["seed"] == 3


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_augmented_rows_are_a_table_that_is_trained_on(trained, tmp_path, ending):
    out = tmp_path / f"more{ending}"
    trained.augment(n=10, out=out, keep_copies=True)
    lines = (tmp_path / "more-provenance.jsonl").read_text().splitlines()
    assert len(lines) == 11
    again = mg.train("tabular", out, {"data.target": "kind"}, steps=1, run=tmp_path / "again", quiet=True)
    assert again.space.names == trained.space.names
    assert again.run.facts["classes"] == ["cat", "dog"]
    with pytest.raises(UserError, match="exists"):
        trained.augment(n=10, out=out, keep_copies=True)
