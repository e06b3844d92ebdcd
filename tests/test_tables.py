"""Tables: what is found in a file, how it is read and written, what a model says of it, and bad files told apart."""

# ruff: noqa: E501  (lines of files, and what is said of them, stand whole)

import csv
import json
import math
import sys

import numpy as np
import pytest
import torch

import morphogen as mg
from morphogen import cli
from morphogen.core import noise
from morphogen.core.build import part
from morphogen.core.noise import Noise
from morphogen.core.space import space_from_facts
from morphogen.core.table import Number, Table, Word
from morphogen.data.cells import number
from morphogen.data.columns import on_normal_scale
from morphogen.data.find import open_data
from morphogen.data.rows import read_rows, texts
from morphogen.errors import UserError

NAN = math.nan
SPACE = Table(
    (
        Number("size", (0.0, 1.0, 9.0), (-2.0, 0.0, 2.0), 1),
        Word("colour", ("blue", "green", "red")),
        Number("age", (10.0, 20.0), (-1.0, 1.0), 0),
        Word("only", ("yes",)),
    )
)
STORED = torch.tensor([[0.5, 2, 12, 0], [9, 0, NAN, 0], [NAN, NAN, 20, NAN], [5, 1, 10, 0]], dtype=torch.float64)


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding) if isinstance(text, str) else text)
    return path


def made(count=60, seed=0):
    """Lines of a table of every kind of column."""
    draw = np.random.default_rng(seed)
    lines = ["id,age,income,when,colour,ok,two,const,empty,row"]
    for i in range(count):
        lines.append(
            f"u{i:04d},{draw.integers(18, 90)},{np.exp(draw.normal(10, 1)):.2f},2024-01-{1 + i % 28:02d},"
            f"{draw.choice(['red', 'blue', 'NA'])},{draw.choice(['true', 'false'])},{draw.integers(0, 2)},7,,{i}"
        )
    return "\n".join(lines) + "\n"


# What a file is found to hold


def test_columns_are_found_by_looking(tmp_path):
    data = open_data(str(write(tmp_path / "t.csv", made())))
    kinds = {c.name: type(c).__name__ for c in data.space.columns}
    assert kinds == {
        "age": "Number", "income": "Number", "when": "Number", "colour": "Word", "ok": "Word", "two": "Word",
        "const": "Word",
    }  # fmt: skip
    assert dict(data.skipped) == {
        "column id": "every cell is different", "column empty": "empty", "column row": "a row number",
    }  # fmt: skip
    words = {c.name: c.words for c in data.space.columns if isinstance(c, Word)}
    assert words["colour"] == ("blue", "red")
    assert (words["two"], words["const"]) == (("0", "1"), ("7",))
    assert {c.name: c.decimals for c in data.space.columns if isinstance(c, Number)} == {
        "age": 0,
        "income": 2,
        "when": 0,
    }
    assert sum(data.facts()["sizes"].values()) == 60
    assert data.fingerprint == open_data(str(tmp_path / "t.csv")).fingerprint


def test_what_is_asked_of_columns(tmp_path):
    path = str(write(tmp_path / "t.csv", made()))
    spec = {"use": "table", "path": path, "target": "colour", "categorical": ["age"], "drop": ["income", "when"]}
    data = open_data(spec)
    assert data.classes == ("blue", "red")
    assert "colour" not in data.space.names
    assert "income" not in data.space.names
    assert isinstance(data.space.columns[0], Word)
    labels = torch.cat([split.y for split in data.splits.values()])
    assert set(labels.tolist()) == {-1, 0, 1}, "a blank label is -1"
    with pytest.raises(UserError, match="did you mean 'colour'"):
        open_data(spec | {"target": "color"})
    with pytest.raises(UserError, match=r"no column 'agge' \(categorical\); did you mean 'age'"):
        open_data(spec | {"categorical": ["agge"]})
    with pytest.raises(UserError, match="a target needs two classes"):
        open_data({"use": "table", "path": path, "target": "const"})
    with pytest.raises(UserError, match="are no classes"):
        open_data({"use": "table", "path": path, "target": "id"})


@pytest.mark.parametrize(
    ("mark", "ending", "head"),
    [(",", ".csv", ""), (";", ".csv", "\ufeff"), ("\t", ".tsv", ""), ("|", ".csv", ""), ("\t", ".csv", '# {"morphogen": {"a": ","}}\n')],
)  # fmt: skip
def test_marks_between_cells_are_found(tmp_path, mark, ending, head):
    rows = [["a", "b c"], *[[str(i * 0.5), "x, y; z" if i % 3 else 'say ""hi""'] for i in range(12)]]
    text = head + "\r\n".join(mark.join(f'"{cell}"' for cell in row) for row in rows)
    data = open_data(str(write(tmp_path / f"t{ending}", text)))
    assert data.space.names == ("a", "b c")
    assert data.space.columns[1].words == ('say "hi"', "x, y; z")


def test_numbers_as_people_write_them(tmp_path):
    assert [number(c) for c in ("1.50", "-3e2", "+.5", "7.")] == [1.5, -300.0, 0.5, 7.0]
    assert math.isnan(number("NA"))
    for wrong in ("1_000", "\u0661", "inf", "-Infinity", "1e400", "0x10", "1,234", "1 000", "=A1"):
        with pytest.raises(ValueError, match=r"number|finite|comma|large"):
            number(wrong)
    rows = "\n".join(f"{i}.5;{i % 7},25" for i in range(20))
    assert open_data(str(write(tmp_path / "t.csv", "a;b\n" + rows))).space.columns[1].decimals == 2


def test_formulas_are_text(tmp_path):
    lines = "\n".join(f"{i * 0.5},{'=1+1' if i % 2 else '@SUM(A1)'}" for i in range(12))
    assert open_data(str(write(tmp_path / "t.csv", f"a,b\n{lines}"))).space.columns[1].words == ("=1+1", "@SUM(A1)")


def test_rows_of_another_length_are_skipped_or_refused(tmp_path):
    text = "a,b\n" + "".join(f"{i}.5,x{i % 2}\n" for i in range(9)) + "1.5\n\n2.5,x1,3\n"
    path = str(write(tmp_path / "t.csv", text))
    data = open_data(path)
    assert data.skipped == [("line 11", "1 cells in place of 2"), ("line 13", "3 cells in place of 2")]
    with pytest.raises(UserError, match="line 11: 1 cells in place of 2"):
        open_data(path, strict=True)


BAD = {
    "empty": ("", "is empty"),
    "header": ("a,b\n", "no rows"),
    "twice": ("a,b,a\n1,2,3\n", "more than one column 'a'"),
    "slip": ("a\n" + "1.5\n" * 15 + "many\n", r"line 17, column 'a': 'many' is not a number"),
    "endless": ("a\n" + "1.5\n" * 15 + "inf\n", "line 17, column 'a': inf is not finite"),
    "thousands": ("a|b\n" + "1,234|x\n1234|x\n" * 15, "column 'a': '1,234' may mean .* data.thousands"),
    "utf16": ("a,b\n1,2\n".encode("utf-16"), "is not UTF-8 text"),
    "latin": ("a,b\n1,\xe9\n".encode("latin-1"), "is not UTF-8 text"),
    "bytes": (b"a,b\n1,\0\n", "no text"),
    "quote": ('a,b\n1,"x\n' + "y" * 200_000, "not a CSV file"),
    "ragged": ("a,b\n" + "1,2,3\n" * 9 + "1,2\n", "is it a table"),
    "nothing": ("a,b\n,\n,\n", "no column that can be learned from"),
    "strange": (b"\x89PNG\r\n\x1a\n" + bytes(64), "text"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_told_in_words(tmp_path, name):
    content, words = BAD[name]
    with pytest.raises(UserError, match=words) as refusal:
        open_data(str(write(tmp_path / "bad.csv", content)))
    assert "bad.csv" in str(refusal.value)


def test_one_long_line_is_bounded(tmp_path):
    path = tmp_path / "long.csv"
    path.write_bytes(b"a,b\n" + b"x" * (5 << 20))
    with pytest.raises(UserError, match="longer than 4 MiB"):
        open_data(str(path))
    wide = "\n".join(
        ",".join(row) for row in [[f"c{i}" for i in range(10_000)], *[[str(0.5 * j)] * 10_000 for j in range(9)]]
    )
    assert len(open_data(str(write(tmp_path / "wide.csv", wide))).space.columns) == 10_000


def test_parquet_needs_its_extra(tmp_path, monkeypatch):
    path = write(tmp_path / "t.parquet", b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"pip install morphogen\[tables\]"):
        open_data(str(path))


def test_parquet_is_read_as_csv_is(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    text = made()
    rows = list(csv.reader(text.splitlines()))
    columns = dict(zip(rows[0], zip(*rows[1:], strict=True), strict=True))
    typed = columns | {
        "age": [int(v) for v in columns["age"]], "income": [float(v) for v in columns["income"]],
        "empty": [None] * 60, "ok": [v == "true" for v in columns["ok"]],
    }  # fmt: skip
    parquet.write_table(pyarrow.table(typed), tmp_path / "t.parquet")
    data, same = open_data(str(tmp_path / "t.parquet")), open_data(str(write(tmp_path / "t.csv", text)))
    assert data.space.names == same.space.names
    assert data.space.columns[1] == same.space.columns[1]
    with pytest.raises(UserError, match="not a Parquet file"):
        open_data(str(write(tmp_path / "bad.parquet", b"PAR1" + bytes(40))))


# The space


def test_a_table_as_a_model_sees_it():
    x = SPACE.read(STORED)
    assert SPACE.shape == (10,)
    assert x[0].tolist() == pytest.approx([-1.0, 0, 0, 1, -0.6, 1, 1, 1, 1, 1])
    assert x[2].tolist() == pytest.approx([0, 0, 0, 0, 1, 0, 0, 0, 1, 0])
    back = SPACE.write(x)
    assert torch.equal(back.nan_to_num(-1), STORED.nan_to_num(-1))
    assert texts(back, SPACE)[1] == ["9", "blue", "", "yes"]
    far = x[:1].clone()
    far[0, 0], far[0, 4] = 50.0, -50.0
    assert SPACE.write(far)[0].tolist() == [9.0, 2.0, 10.0, 0.0], "never beyond what was seen"


def test_a_table_survives_its_facts_and_hostile_ones_are_refused():
    facts = json.loads(json.dumps(SPACE.facts()))
    assert space_from_facts(facts) == SPACE
    first, second = SPACE.facts()["columns"][:2]
    hostile = [
        [], {}, "x", [first, first], [first | {"knots": [1.0, 1.0]}], [first | {"knots": [0.0, NAN, 1.0]}],
        [first | {"scores": [1.0]}], [first | {"decimals": 10**9}], [first | {"decimals": True}], [second | {"words": []}],
        [second | {"words": ["a", "a"]}], [second | {"words": [1]}], [{"name": 3, "words": ["a"]}], [first | {"more": 1}],
        [first | {"knots": ["0", "1"]}], [first | {"knots": [0.0, 10**400], "scores": [0, 1]}], [None],
        [{"name": str(i), "words": ["a"]} for i in range(30_000)],
    ]  # fmt: skip
    for columns in hostile:
        with pytest.raises(UserError):
            space_from_facts({"kind": "table", "columns": columns})
    with pytest.raises(UserError):
        space_from_facts(facts | {"levels": 4})


@pytest.mark.parametrize("shape", ["tail", "humps", "zeros", "few"])
def test_numbers_are_read_on_the_scale_of_a_normal(shape):
    draw = np.random.default_rng(0)
    values = {
        "tail": draw.standard_cauchy(4000), "humps": np.concatenate([draw.normal(-50, 1, 2000), draw.normal(9, 3, 2000)]),
        "zeros": np.where(draw.random(4000) < 0.4, 0.0, draw.lognormal(0, 2, 4000)), "few": draw.integers(0, 9, 4000) * 1.0,
    }[shape].round(6)[draw.permutation(4000)]  # fmt: skip
    space = Table((on_normal_scale(Number("a", decimals=6), values, values[:3000]),))
    stored = torch.from_numpy(values)[:, None]
    x = space.read(stored)
    assert abs(float(x[:, 0].mean())) < 0.1
    assert 0.8 < float(x[:, 0].std()) < 1.15
    assert float(x[:, 0].abs().max()) < 8
    assert torch.allclose(space.write(x), stored, rtol=1e-4, atol=1e-5)


# The family


def test_the_likelihood_of_a_row_is_known():
    said = torch.randn(4, part("families", "mixed")(SPACE).out.size, generator=torch.Generator().manual_seed(0))
    p = part("families", "mixed")(SPACE)(said)
    x = SPACE.read(STORED)
    mean, scale, logits = said[0, :2], said[0, 2:4].exp(), said[0, 4:7]
    numbers = torch.distributions.Normal(mean, scale).log_prob(x[0, [0, 4]]).sum()
    words = torch.distributions.Categorical(logits=logits).log_prob(torch.tensor(2))
    assert p.log_prob(x)[0].item() == pytest.approx((numbers + words).item(), rel=1e-5)
    age = torch.distributions.Normal(said[2, 1], said[2, 3].exp()).log_prob(x[2, 4])
    assert p.log_prob(x)[2].item() == pytest.approx(age.item(), rel=1e-5), "what is missing counts nothing"
    assert torch.allclose(p.log_each(x).sum(-1), p.log_prob(x))
    moved = x.clone()
    moved[2, :4] = 7.0  # the cells of a row are there only where it says so
    assert p.log_prob(moved)[2] == p.log_prob(x)[2]


def test_draws_are_rows():
    said = torch.zeros(2, part("families", "mixed")(SPACE).out.size)
    said[:, 4:7] = torch.tensor([math.log(0.2), math.log(0.5), math.log(0.3)])
    said[:, 0] = 1.5
    p = part("families", "mixed")(SPACE)(said)
    with noise.source(Noise(0)):
        x = p.sample((4000,))
    assert x[..., SPACE.width :].eq(1).all()
    assert x[..., 1:4].sum(-1).eq(1).all()
    assert x[..., 1:4].mean((0, 1)).tolist() == pytest.approx([0.2, 0.5, 0.3], abs=0.02)
    assert x[..., 0].mean().item() == pytest.approx(1.5, abs=0.05)
    assert x[..., 0].std().item() == pytest.approx(1.0, abs=0.05)
    assert p.centre[0].tolist() == pytest.approx([1.5, 0, 1, 0, 0, 1, 1, 1, 1, 1])


def test_the_guess_of_a_number_is_its_mean_in_its_own_unit():
    scores = [i / 50 for i in range(-300, 301)]
    space = Table((Number("straight", (-6.0, 6.0), (-6.0, 6.0)), Word("w", ("a", "b")),
                   Number("tail", tuple(math.exp(s) for s in scores), tuple(scores))))  # fmt: skip
    m, s = torch.tensor([0.3, -0.5]), torch.tensor([0.7, 0.8])
    p = part("families", "mixed")(space)(torch.cat([m, s.log(), torch.tensor([0.0, math.log(3)])])[None])
    straight, a, b, tail = p.guess[0, :4].tolist()
    assert straight == pytest.approx(0.3, abs=1e-4)
    assert (a, b) == pytest.approx((0.25, 0.75))
    assert tail == pytest.approx(-0.5 + 0.8**2 / 2, abs=0.02), "E exp(s) = exp(m + s^2 / 2)"


def test_means_are_averaged_in_their_own_units():
    x = SPACE.read(torch.tensor([[1.0, 0, 10, 0], [9.0, 1, 20, 0]], dtype=torch.float64))
    mean = SPACE.average(x[:, None])
    assert SPACE.write(mean)[0, [0, 2]].tolist() == [5, 15]
    assert mean[0, 1:4].tolist() == [0.5, 0.5, 0]


def test_no_draw_has_all_the_weight():
    from morphogen.restoration import tamed

    even, one = torch.zeros(100, 1), torch.zeros(100, 1)
    one[3] = 50.0
    assert torch.equal(tamed(even), even)
    weight = tamed(one).exp()
    assert weight[3, 0].item() == pytest.approx(one.exp().mean().item() * 10, rel=1e-5), "sqrt(K) times the mean"


def test_gaps_are_made_in_training_only_of_what_is_there():
    space = Table(tuple(Word(str(i), ("a", "b")) for i in range(6)))
    x = space.read(torch.ones(500, 6, dtype=torch.float64).where(torch.arange(6) > 0, NAN))
    with noise.source(Noise(0)):
        less = part("augments", {"use": "gaps", "share": 0.5, "most": 0.8})(space)(x)
    seen = less[:, space.width :]
    assert not seen[:, 0].any()
    assert torch.equal(less[:, : space.width], x[:, : space.width] * seen[:, space.column_of])
    whole = (seen[:, 1:].sum(1) == 5).float().mean().item()
    assert 0.5 < whole < 0.75
    with pytest.raises(UserError, match="use augment = none"):
        part("augments", "gaps")(space.features(1))


# Files that a model is given


def test_rows_are_read_by_name(tmp_path):
    text = "age,more,colour,size,only\n12,?,red,0.5,yes\nNA,,blue,9.0,yes\n"
    stored = read_rows(write(tmp_path / "t.csv", text), SPACE, fit=False)
    assert torch.equal(stored.nan_to_num(-1), STORED[:2].nan_to_num(-1))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("age,colour,size,only\n12,rde,1,yes\n", r"line 2, column 'colour': 'rde' is none of its words; did you mean 'red'"),
        ("age,colour,size,only\n12,red,1,yes\nold,red,1,yes\n", r"line 3, column 'age': 'old' is not a number"),
        ("age,color,size,only\n12,red,1,yes\n", r"no column 'colour'.*did you mean 'color'"),
        ("age,colour,size,only\n12,red\n", "line 2: 2 cells in place of 4"),
    ],
)  # fmt: skip
def test_what_a_model_does_not_know_is_named_or_counts_as_missing(tmp_path, text, words):
    path = write(tmp_path / "t.csv", text)
    with pytest.raises(UserError, match=words):
        read_rows(path, SPACE, fit=False)
    if "cells" not in words:
        assert read_rows(path, SPACE, fit=True).isnan().any()


def test_arrays_of_rows_are_checked(tmp_path):
    from morphogen import files

    np.save(tmp_path / "good.npy", STORED.numpy())
    stored, _ = files.load_examples(tmp_path / "good.npy", SPACE)
    assert torch.equal(stored.nan_to_num(), STORED.nan_to_num())
    for wrong in (7.0, -1.0, 0.5, math.inf):
        bad = STORED.clone()
        bad[0, 1] = wrong
        np.save(tmp_path / "bad.npy", bad.numpy())
        with pytest.raises(UserError, match=r"colour|finite"):
            files.load_examples(tmp_path / "bad.npy", SPACE)


# All of it


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    home = tmp_path_factory.mktemp("tables")
    draw = np.random.default_rng(0)
    kind = draw.integers(0, 3, 300)
    rows = [
        f"{10 * k + draw.normal():.2f},{('low', 'middle', 'high')[k]},{5 - 2 * k + draw.normal() / 4:.1f}" for k in kind
    ]
    write(home / "rows.csv", "a,b,c\n" + "\n".join(rows))
    leaves = [
        "model.latent=2",
        "model.net.widths=[32]",
        "model.prior.components=6",
        "train.steps=300",
        "train.batch=64",
    ]
    leaves += ["train.ema=0.98", "train.warmup=20", "train.patience=20"]
    assert cli.main(["train", "tabular", str(home / "rows.csv"), *leaves, "--run", str(home / "run"), "--quiet"]) == 0
    return home


def test_new_rows_look_like_the_old(trained, capsys):
    run, out = str(trained / "run"), trained / "out.csv"
    assert cli.main(["sample", run, "-n", "400", "-o", str(out), "--force"]) == 0
    lines = out.read_text().splitlines()
    assert lines[0] == "a,b,c"
    rows = [line.split(",") for line in lines[1:]]
    assert len(rows) == 400
    of = {word: [(float(a), float(c)) for a, b, c in rows if b == word] for word in ("low", "middle", "high")}
    assert all(60 < len(pairs) < 220 for pairs in of.values()), "three kinds in about equal parts"
    for k, word in enumerate(("low", "middle", "high")):
        a, c = np.median(of[word], axis=0)
        assert abs(a - 10 * k) < 3
        assert abs(c - (5 - 2 * k)) < 1
    capsys.readouterr()
    assert cli.main(["sample", run, "-n", "3"]) == 0
    assert cli.main(["score", run, str(out), "--samples", "4"]) == 0, "its own rows are read again"
    assert cli.main(["reconstruct", run, str(trained / "rows.csv"), "-o", str(trained / "back.csv"), "--force"]) == 0


def test_empty_cells_are_filled_and_nothing_else_is_touched(trained, capsys):
    run, path, out = str(trained / "run"), trained / "holes.csv", trained / "filled.csv"
    write(path, "id,c,b,a\nx1,4.9,low,\nx2,1.00,,20.1\nx3,NA,middle,9\nx4,5,low,-99\n")
    assert cli.main(["restore", run, str(path), "-o", str(out), "--force"]) == 0
    rows = list(csv.reader(out.read_text().splitlines()))
    capsys.readouterr()
    assert cli.main(["restore", run, str(path), "-o", "-"]) == 0
    assert list(csv.reader(capsys.readouterr().out.splitlines())) == rows, "streamed as they are written"
    assert rows[0] == ["id", "c", "b", "a"]
    assert [row[0] for row in rows[1:]] == ["x1", "x2", "x3", "x4"]
    assert rows[2][1] == "1.00"
    assert rows[4] == ["x4", "5", "low", "-99"], "what is there stays as it was written"
    assert rows[2][2] == "high"
    assert abs(float(rows[1][3])) < 5, "nearer to its own kind than to the next"
    assert abs(float(rows[3][1]) - 3) < 1
    capsys.readouterr()
    assert cli.main(["restore", run, str(trained / "rows.csv"), "-n", "20", "--harm", "--damage", "mask=0.3"]) == 0
    assert cli.main(["restore", run, str(path), "--by", "descent", "-o", str(trained / "f.npz")]) == 0
    write(path, "c,b,a\n1,new,\n")
    assert cli.main(["restore", run, str(path)]) == 2
    assert "none of its words" in capsys.readouterr().err


def test_a_picture_does_not_say_what_is_missing_of_it(tmp_path):
    from morphogen.core.space import Image
    from morphogen.damaging import _gaps

    with pytest.raises(UserError, match="needs damage"):
        _gaps(Image(4, 4))


# How good new rows are


def test_resemblance_has_known_answers():
    from morphogen.metrics.resemblance import apart_by_column, apart_by_pair, association

    space = Table((Number("a"), Word("b", ("x", "y")), Number("c"), Word("d", ("p", "q"))))
    x = np.array([[1, 0, 10, 0], [2, 0, 20, 0], [3, 1, 30, 1], [4, 1, 90, 1]], dtype=float)
    y = np.array([[1, 0, 10, 1], [2, 1, 9, 0], [3, 0, NAN, 1], [9, 1, 1, 0]], dtype=float)
    assert set(apart_by_column(x, x, space).values()) == {0.0}
    assert set(apart_by_pair(x, x, space).values()) == {0.0}
    assert apart_by_column(x, y, space) == {"a": 0.25, "b": 0.0, "c": 0.75, "d": 0.0}
    assert association(x, space, 0, 2) == pytest.approx(1)
    assert association(x, space, 1, 3) == pytest.approx(1)
    assert association(y, space, 0, 2) == pytest.approx(-1)
    between, total = 4 * 1.0, 5.0  # ranks 1, 2 | 3, 4
    assert association(x, space, 0, 1) == pytest.approx((between / total) ** 0.5)
    assert apart_by_pair(x, y, space)["a", "c"] == pytest.approx(2)


def test_privacy_tells_copies_from_new_rows():
    from morphogen.metrics.privacy import privacy

    draw = torch.Generator().manual_seed(0)
    space = Table(tuple(Number(str(i)) for i in range(4)))
    train, held, new = (torch.randn(300, 4, generator=draw).double() for _ in range(3))
    clean, dirty = privacy(train, held, new, space), privacy(train, held, train.flip(0), space)
    assert (clean["copies"], dirty["copies"]) == (0, 300)
    assert clean["closer_interval"][0] < 0.5 < clean["closer_interval"][1]
    assert clean["membership_interval"][0] < 0.5 < clean["membership_interval"][1]
    assert dirty["closer"] > 0.99
    assert dirty["membership"] > 0.99
    assert "no sign" in clean["words"]
    assert "300 rows are copies" in dirty["words"]


def test_resemble_says_all_of_it(trained, capsys):
    run = str(trained / "run")
    assert cli.main(["resemble", run, "--target", "b", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["columns"]["mean"] < 0.25
    assert said["downstream"]["real"] > 0.9
    assert said["downstream"]["ratio"] > 0.5
    assert said["privacy"]["copies"] < 20  # of coarse numbers some are alike by chance
    assert "bootstrap" in said["protocol"]["learners"]
    assert cli.main(["resemble", run, "--target", "d"]) == 2
    assert "target = 'd' is no column" in capsys.readouterr().err
    assert cli.main(["resemble", run, "--samples", str(trained / "rows.csv"), "--target", "a", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["downstream"]["score"] == "R squared"
    assert said["privacy"]["copies"] > 150


def test_the_target_of_a_file_is_its_label(tmp_path, capsys):
    lines = [
        "a,b,kind",
        *[f"{i % 2 * 4 + i / 100:.2f},{'xy'[i % 3 == 0]},{'no' if i % 2 else 'yes'}" for i in range(60)],
    ]
    path, run = write(tmp_path / "t.csv", "\n".join(lines)), str(tmp_path / "run")
    words = ["data.target=kind", "train.steps=30", "model.latent=2", "model.net.widths=[8]", "train.warmup=5"]
    assert cli.main(["train", "tabular", str(path), *words, "--run", run, "--quiet"]) == 0
    given = write(tmp_path / "g.csv", "b,a,kind\nx,4.1,no\ny,0.2,\nx,0.1,yes\n")
    assert cli.main(["encode", run, str(given), "-o", str(tmp_path / "z.npz")]) == 0
    with np.load(tmp_path / "z.npz", allow_pickle=False) as held:
        assert held["y"].tolist() == [0, -1, 1]
    write(given, "b,a\nx,4.1\n")
    assert cli.main(["encode", run, str(given), "-o", str(tmp_path / "u.npz")]) == 0
    with np.load(tmp_path / "u.npz", allow_pickle=False) as held:
        assert "y" not in held.files


ROWS_NOT_PICTURES = {"model.net": "mlp", "model.weak": "none", "model.strong": "veil"}


@pytest.mark.parametrize(("recipe", "leaves"), [("m2", {}), ("few-labels", ROWS_NOT_PICTURES)])
def test_recipes_for_few_labels_take_a_table(tmp_path, recipe, leaves):
    rows = [f"{i % 9},{'ab'[i % 2]},{('old', 'new')[i % 2]}" for i in range(90)]
    file = tmp_path / "pets.csv"
    file.write_text("age,kind,state\n" + "\n".join(rows) + "\n")
    run = mg.train(recipe, file, {"data.target": "state"} | leaves, steps=2, run=tmp_path / "run", quiet=True)
    assert run.space.kind == "table"
    assert "binary" not in run.run.recipe["data"]


def test_own_colour_pictures_are_not_binarised_by_a_recipe(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3)).astype(np.uint8)
    y = [0, 1] * 20
    run = mg.train("m2", x, y=y, steps=1, run=tmp_path / "colour", quiet=True)
    assert run.space.levels == 256
    assert "binary" not in run.run.recipe["data"]
    grey = mg.train("m2", x[..., 0], y=y, steps=1, run=tmp_path / "grey", quiet=True)
    assert grey.run.recipe["data"]["binary"] == "dynamic"
    asked = mg.train("m2", x, {"data.binary": "threshold"}, y=y, steps=1, run=tmp_path / "asked", quiet=True)
    assert asked.space.levels == 2


def test_new_rows_have_empty_cells_where_the_old_ones_had_unless_they_are_filled(tmp_path, capsys):
    draw = np.random.default_rng(0)
    rows = [
        f"{'' if draw.random() < 0.4 else f'{draw.normal():.3f}'},{draw.choice(['x', 'y', 'z'])}" for _ in range(200)
    ]
    path = write(tmp_path / "t.csv", "a,b\n" + "\n".join(rows))
    leaves = ["model.latent=2", "model.net.widths=[16]", "model.prior.components=2", "train.steps=60", "train.ema=0.9"]
    assert cli.main(["train", "tabular", str(path), *leaves, "--run", str(tmp_path / "run"), "--quiet"]) == 0
    for words, least, most in (([], 0.15, 0.7), (["--fill"], 0.0, 0.0)):
        out = tmp_path / f"out{len(words)}.csv"
        assert cli.main(["sample", str(tmp_path / "run"), "-n", "300", "-o", str(out), *words]) == 0
        empty = sum(line.startswith(",") for line in out.read_text().splitlines()[1:]) / 300
        assert least <= empty <= most
