"""The bench of few labels: label sets by number, a table that says how many there were, no half-trained run judged."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent / "bench"))

import labels


def test_label_sets_are_numbers() -> None:
    assert labels.numbers("0-2,5") == [0, 1, 2, 5]


def test_the_table_says_how_many_sets_there_were() -> None:
    found = [
        dict(method="few-labels", data="mnist", set=k, wrong=w, n=10_000, seconds=60.0) for k, w in enumerate((90, 110))
    ]
    (row,) = labels.table(found).splitlines()[2:]
    assert "| mnist | few-labels | 0-1 | 1.00 % | 0.00 to 2.27 % | 0.90 % | 1.10 % | 1.0 |" in row
    assert "one label set" in labels.table(found[:1])


def test_the_table_puts_rows_of_the_same_sets_together_the_better_one_first() -> None:
    sets = {"few-labels": (0, 1), "neighbours": (0, 1), "supervised": (0, 2, 3, 4, 7)}
    wrong = {"few-labels": 100, "neighbours": 90, "supervised": 300}
    found = [
        dict(method=m, data="mnist", set=k, wrong=wrong[m], n=10_000, seconds=60.0)
        for m, some in sets.items()
        for k in some
    ]
    rows = [row.split(" | ")[1:3] for row in labels.table(found).splitlines()[2:]]
    assert rows == [["supervised", "0,2-4,7"], ["neighbours", "0-1"], ["few-labels", "0-1"]]


def test_a_training_that_was_stopped_is_not_judged() -> None:
    run = SimpleNamespace(run=SimpleNamespace(log=lambda: [{"fraction": 0.9}, {"valid/error": 0.1}]))
    with pytest.raises(SystemExit, match="75"):
        labels.judged(run)
