"""The bench of few pictures, without a training: its table says how far trainings lie apart, and no half-trained run is
judged."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent / "bench"))

import few_pictures


def test_the_table_shows_every_seed_and_the_spread_between_trainings() -> None:
    found = [
        {"augment": "ada", "seed": s, "steps": 300, "fid": f, "interval": [0, 9], "p": 0.1 * s}
        for s, f in ((1, 4.0), (0, 6.0))
    ]
    found.append({"augment": "none", "seed": 0, "steps": 300, "fid": 7.0, "interval": [0, 9], "p": None})
    assert few_pictures.table(found).splitlines()[2:] == [
        "| `ada` | 300 | 2 | 5.00 | -7.71 to 17.71 | 6.00, 4.00 | 0.00, 0.10 |",
        "| `none` | 300 | 1 | 7.00 | one seed | 7.00 |  |",
    ]


def test_a_training_that_was_stopped_is_not_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    halfway = SimpleNamespace(run=SimpleNamespace(log=lambda: [{"fraction": 0.5}]))
    monkeypatch.setattr(few_pictures.mg, "train", lambda *said, **leaves: halfway)
    with pytest.raises(SystemExit, match="75"):
        few_pictures.one("ada", 0, 10, tmp_path)
