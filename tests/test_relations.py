"""Columns that follow from others are found, and new rows keep to it."""

# ruff: noqa: E501  (lines of files stand whole)

import math

import numpy as np
import pytest
import torch

from morphogen.core import noise
from morphogen.core.build import part
from morphogen.core.column import Number, Word
from morphogen.core.derived_columns import Derived
from morphogen.core.noise import Noise
from morphogen.core.space import space_from_facts
from morphogen.core.table import Table
from morphogen.data.find import open_data
from morphogen.data.rows import fill_rows, read_rows, texts
from morphogen.data.sheet import read_sheet
from morphogen.errors import UserError

AIRLINES = ("UA", "AA", "DL", "B6")
NAMES = {"UA": "United", "AA": "American", "DL": "Delta", "B6": "JetBlue"}


@pytest.fixture(scope="module")
def flights(tmp_path_factory):
    draw, lines = np.random.default_rng(0), ["departs,hour,minute,late,net,gross,code,airline,noise"]
    for _ in range(400):
        hour, minute, net, code = (
            draw.integers(5, 24),
            draw.integers(0, 60),
            draw.integers(1000, 9000),
            draw.choice(AIRLINES),
        )
        gone = draw.random() < 0.1
        cells = [
            hour * 100 + minute,
            hour,
            minute,
            "" if gone else draw.integers(0, 90),
            f"{net / 100:.2f}",
            f"{net * 1.2 / 100:.3f}",
        ]
        lines.append(",".join(map(str, [*cells, code, NAMES[code], f"{draw.normal():.4f}"])))
    path = tmp_path_factory.mktemp("flights") / "f.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_sums_and_names_are_found(flights):
    space = open_data(str(flights)).space
    said = {space.names[d.place]: ([space.names[i] for i in d.of], d.weights, d.constant) for d in space.derived}
    assert set(said) == {"departs", "gross", "code"}, "nothing else follows from anything"
    departs, weights, constant = said["departs"]
    assert dict(zip(departs, weights, strict=True)) == {"hour": 100.0, "minute": 1.0}
    assert constant == 0
    assert said["gross"][:2] == (["net"], (1.2,))
    assert said["code"][0] == ["airline"]
    assert space_from_facts(space.facts()) == space


def test_new_rows_keep_to_it(flights):
    space = open_data(str(flights)).space
    family = part("families", {"use": "mixed", "parts": 2})(space)
    with noise.source(Noise(0)):
        x = family(torch.randn(50, family.out.size)).sample((20,)).flatten(0, 1)
    rows = [dict(zip(space.names, row, strict=True)) for row in texts(space.write(x), space)]
    for row in rows:
        assert int(row["departs"]) == 100 * int(row["hour"]) + int(row["minute"])
        assert float(row["gross"]) == pytest.approx(1.2 * float(row["net"]), abs=6e-4)
        assert NAMES[row["code"]] == row["airline"]
    assert len({row["departs"] for row in rows}) > 100


def test_what_is_there_stays_and_what_follows_is_filled(flights):
    space = open_data(str(flights)).space
    stored = read_rows(flights, space, False)[:3]
    x = space.read(stored)
    assert torch.equal(space.write(x).nan_to_num(-1), stored.nan_to_num(-1))
    family = part("families", "mixed")(space)
    p = family(torch.zeros(3, family.out.size))
    gone = torch.zeros(3, len(space.columns), dtype=torch.bool)
    gone[:, space.names.index("departs")] = True
    seen = ~space._cells(gone)
    with noise.source(Noise(0)):
        filled = space.write(p.complete(x, seen))
    assert torch.equal(filled[:, 0], stored[:, 0]), "from the hour and the minute"
    wrong = stored.clone()
    wrong[:, 0] = 1234
    assert space.write(space.read(wrong))[0, 0] == pytest.approx(1234, abs=1), (
        "a cell that is there is no model's to mend"
    )
    sheet = read_sheet(flights)
    sheet.columns[0][0] = ""
    assert fill_rows(sheet, space, filled)[1][0][0] == texts(stored, space)[0][0]


def test_few_rows_prove_nothing(tmp_path):
    draw = np.random.default_rng(0)
    lines = [",".join(f"{v:.3f}" for v in draw.normal(size=6)) for _ in range(8)]
    (tmp_path / "t.csv").write_text("a,b,c,d,e,f\n" + "\n".join(lines) + "\n")
    assert not open_data(str(tmp_path / "t.csv")).space.derived


def test_hostile_relations_are_refused():
    columns = (Number("a"), Number("b"), Word("w", ("x", "y")), Word("v", ("p", "q")))
    good = Table(columns, 0, (Derived(0, (1,), (2.0,), 1.0), Derived(3, (2,), beside=(1.0, 0.0))))
    facts = good.facts()
    assert space_from_facts(facts) == good
    stored = good.derived[1].work_out(torch.tensor([[0, 0, 1, 0], [0, 0, math.nan, 0]], dtype=torch.float64))
    assert stored[0] == 0
    assert stored[1].isnan()
    one = good.derived[0].facts()
    two = good.derived[1].facts()
    hostile = [
        3, [3], [one, one], [one | {"place": 9}], [one | {"place": True}], [one | {"of": []}], [one | {"of": [0]}], [one | {"weights": [1e999]}],
        [one | {"weights": [1.0, 2.0]}], [one | {"constant": "x"}], [one | {"of": [2]}], [two | {"beside": [0.0]}], [two | {"beside": [0.0, 7.0]}],
        [two | {"beside": [0.5, 0.0]}], [two | {"of": [1]}], [one] * 9, [one | {"more": 1}],
    ]  # fmt: skip
    for derived in hostile:
        with pytest.raises(UserError):
            space_from_facts(facts | {"derived": derived})
