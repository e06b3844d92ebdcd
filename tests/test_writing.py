"""How cells are written: marks in numbers, dates, cells that mean nothing, words by the thousand; each decided by the
column, or said by a person, and written back as it came."""

import math

import numpy as np
import pytest
import torch

from morphogen.core.column import Number, Word
from morphogen.core.space import space_from_facts
from morphogen.core.table import Table
from morphogen.data.cells import Form, form_of, plain_number
from morphogen.data.dates import DateForm, date_form_of
from morphogen.data.find import open_data

# ruff: noqa: E501  (lines of files stand whole)
from morphogen.data.rows import fill_rows, read_rows, texts
from morphogen.data.sheet import read_sheet
from morphogen.errors import UserError

FORMS = [
    (["125,730", "99,100"], False, [125730, 99100]), (["1,234", "5"], False, [1234, 5]),
    (["0,126", "-0,132"], True, [0.126, -0.132]), (["0,126", "1,132"], False, [0.126, 1.132]), (["1,234", "5,678"], True, [1.234, 5.678]),
    (["125,730.22", "1,000.25", "3.5"], False, [125730.22, 1000.25, 3.5]), (["1.257,3", "99,5"], True, [1257.3, 99.5]),
    (["$125.73", "$3"], False, [125.73, 3]), (["49%", "3.5%"], False, [49, 3.5]), (["-$1,234.5", "$2"], False, [-1234.5, 2]),
    (["1 234,5", "12"], True, [1234.5, 12]), (["1'234", "12"], False, [1234, 12]), (["1.234.567", "12"], False, [1234567, 12]),
    (["3€", "4,5€"], False, [3, 4.5]), (["1,234,567", "12,500"], False, [1234567, 12500]),
]  # fmt: skip


@pytest.mark.parametrize(("cells", "semicolons", "numbers"), FORMS)
def test_marks_in_numbers_are_decided_by_the_column(cells, semicolons, numbers):
    form = form_of(cells, semicolons=semicolons)
    assert [form.read(cell) for cell in cells] == numbers
    assert [form.write(plain_number(float(value))) for value in numbers] == cells
    assert Form.from_word(form.told()) == form


def test_what_marks_may_mean_either_way_is_refused_or_said():
    assert "may mean 1234 or a fraction" in form_of(["1,234", "1234"], semicolons=False)
    assert form_of(["1,234", "1234"], semicolons=False, thousands=",").read("1,234") == 1234
    assert form_of(["1,234", "1234"], semicolons=False, decimal=",").read("1,234") == 1.234
    form = form_of(["1,234,567", "5"], semicolons=False)
    for wrong in ("1,2345", "12,34", "x", "1,234 kg", "$5", "1,234" * 20):
        with pytest.raises(ValueError, match=r"not a number|too large"):
            form.read(wrong)
    for hostile in ("x", "%Y", "1234.5" * 9, "$1,234.5,5"):
        with pytest.raises(UserError):
            Form.from_word(hostile)


DATES = {
    "%Y-%m-%d": ["2024-01-31", "1969-02-01"], "%-d/%-m/%Y": ["31/1/2024", "1/2/2024"], "%m/%d/%Y": ["01/31/2024", "02/01/2024"],
    "%d.%m.%y": ["01.02.24", "03.04.24"], "%Y-%m-%d 00:00:00": ["2024-01-01 00:00:00", "2024-01-02 00:00:00"],
    "%Y-%m-%dT%H:00:00Z": ["2024-01-01T05:00:00Z", "2024-01-02T06:00:00Z"], "%Y-%m": ["2024-01", "2024-02"], "%H:%M": ["14:05", "03:10"],
    "%Y-%m-%d %H:%M:%S": ["2024-02-29 23:59:59", "1950-01-02 00:00:01"], "%Y/%m/%d": ["2024/01/31", "2024/02/01"],
    "%Y-%m-%d %H:%M:%S.%f": ["2024-01-01 00:00:00.123456", "2024-01-02 00:01:00.500000"],
}  # fmt: skip


@pytest.mark.parametrize("form", DATES)
def test_dates_are_numbers_and_are_written_as_they_came(form):
    found = date_form_of(DATES[form])
    assert found == DateForm(form)
    assert [found.write(found.read(cell)) for cell in DATES[form]] == DATES[form]
    apart = found.read(DATES[form][1]) - found.read(DATES[form][0])
    assert apart != 0
    assert apart == round(apart), "of whole units"


@pytest.mark.parametrize("cells", [["1.25", "3.5"], ["1.2.3", "4.5.6"], ["555-12-1234", "555-13-1234"], ["1", "2"], ["a", "b"], ["1/2", "3/4"], ["x"]])  # fmt: skip
def test_what_is_no_date_is_none(cells):
    assert date_form_of(cells) is None


def test_a_date_that_may_be_two_is_refused_unless_it_is_said():
    assert date_form_of(["1/2/2024", "3/4/2024"]) == "'1/2/2024' may be day 1 of month 2 or day 2 of month 1"
    assert date_form_of(["1/2/2024", "3/4/2024"], "mdy").write(0.0) == "1/1/1970"
    for wrong in ("31/02/2024", "2024-01-01", "1/13/2024"):
        with pytest.raises(ValueError, match="date"):
            DateForm("%d/%m/%Y").read(wrong)
    for hostile in ("%Y%Y-%m", "%Y", "%d" * 40):
        with pytest.raises(UserError):
            DateForm(hostile).read("1")
    with pytest.raises(UserError, match="beyond"):
        DateForm("%Y-%m-%d").write(1e12)


def lines(path, head, rows):
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


def test_a_file_of_dates_and_marks_is_read_and_filled_in_its_own_form(tmp_path):
    draw = np.random.default_rng(0)
    rows = [
        f"{1 + i % 28:02d}/{1 + i % 12:02d}/2024;1.{draw.integers(100, 999)},50;{draw.integers(1, 99)}%"
        for i in range(200)
    ]
    path = lines(tmp_path / "t.csv", "day;pay;share", rows)
    space = open_data(str(path)).space
    assert [c.form for c in space.columns] == ["%d/%m/%Y", "1.234,5", "1234.5%"]
    assert space_from_facts(space.facts()) == space
    stored = read_rows(path, space, False)
    plain = texts(stored, space)
    assert plain[3] == [
        rows[3].split(";")[0],
        rows[3].split(";")[1].replace(".", "").replace(",5", ".5").rstrip("0"),
        rows[3].split(";")[2][:-1],
    ]
    assert torch.equal(space.write(space.read(stored)), stored)
    holes = lines(tmp_path / "h.csv", "day;pay;share", [";;", "01/02/2024;1.500,50;7%"])
    _, filled = fill_rows(read_sheet(holes), space, stored[:2])
    assert filled[0] == rows[0].replace("50;", "5;").split(";"), "as the file writes them"
    assert filled[1] == ["01/02/2024", "1.500,50", "7%"]


def test_cells_that_mean_nothing_are_all_told_at_once_and_can_be_said(tmp_path):
    cells = [f"{i}.5" for i in range(60)]
    cells[3], cells[9], cells[10] = "?", "-", "?"
    path = lines(tmp_path / "t.csv", "a,b", [f"{cell},{'xy'[i % 2]}" for i, cell in enumerate(cells)])
    with pytest.raises(
        UserError, match=r"3 of 60 cells .*'\?' \(line 5\), '-' \(line 11\).*data.missing=\[\"\?\", \"-\"\]"
    ):
        open_data(str(path))
    data = open_data({"use": "table", "path": str(path), "missing": ["?", "-"]})
    assert sum(int(split.x.values[:, 0].isnan().sum()) for split in data.splits.values()) == 3
    assert space_from_facts(data.space.facts()) == data.space
    assert read_rows(path, data.space, False)[:, 0].isnan().sum() == 3, "the model knows them, too"
    with pytest.raises(UserError, match=r"data.thousands=\",\" or data.decimal"):
        open_data(str(lines(tmp_path / "u.csv", "a|b", ['"1,234"|x', "1234|y", "5|x"] * 9)))
    with pytest.raises(UserError, match=r"data.dates=dmy or data.dates=mdy"):
        open_data(str(lines(tmp_path / "d.csv", "a,b", ["1/2/2024,x", "3/4/2024,y", "5/6/2024,x"] * 9)))
    with pytest.raises(UserError, match="both ','"):
        open_data({"use": "table", "path": str(path), "thousands": ",", "decimal": ","})


def test_many_words_come_back_and_names_are_left_out(tmp_path):
    draw = np.random.default_rng(0)
    rows = [f"d{draw.integers(0, 150)},{i}name,n{draw.integers(0, 900)},{i * 0.5}" for i in range(1000)]
    data = open_data(str(lines(tmp_path / "t.csv", "dest,id,almost,x", rows)))
    dest = data.space.columns[0]
    assert isinstance(dest, Word)
    assert (len(dest.words), dest.bits, dest.width) == (150, 48, 48)
    assert data.space.names == ("dest", "x")
    said = dict(data.skipped)
    assert said["column id"] == "every cell is different"
    assert "nearly every cell is different" in said["column almost"]
    stored = read_rows(tmp_path / "t.csv", data.space, False)
    assert texts(data.space.write(data.space.read(stored)), data.space)[7][0] == rows[7].split(",")[0]


def test_forms_of_hostile_files_are_refused():
    first = Number("a", (0.0, 1.0), (-1.0, 1.0), 0).facts()
    for wrong in (3, "x" * 99, None):
        with pytest.raises(UserError, match="written"):
            space_from_facts({"kind": "table", "columns": [first | {"form": wrong}]})
    space = Table((Number("a", (0.0, 1.0), (-1.0, 1.0), 0, form="nonsense"),))
    with pytest.raises(UserError, match="no way to write"):
        texts(torch.tensor([[math.nan], [1.0]]), space, as_found=True)
    with pytest.raises(UserError):
        space_from_facts({"kind": "table", "columns": [first], "missing": [3]})


def test_a_file_without_a_line_of_names_is_said_to_be_one(tmp_path):
    path = lines(tmp_path / "t.csv", "0.5,1.5", [f"{i * 0.25},{i * 0.5}" for i in range(40)])
    data = open_data(str(path))
    assert data.space.names == ("c0", "c1")
    assert any("no names in the first row: columns are c0, c1" in said for said in data.warnings)
    assert sum(data.facts()["sizes"].values()) == 41, "and no row is lost"
