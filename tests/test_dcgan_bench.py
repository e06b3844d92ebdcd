"""The benchmark of the DCGAN, without the benchmark: arguments and rows; nightly, that both sides do the same work."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

from morphogen.data import fetch

BENCH = Path(__file__).resolve().parent.parent / "bench"
sys.path.append(str(BENCH))

import dcgan  # noqa: E402
import sides  # noqa: E402
from speed import Ask  # noqa: E402
from tally import Took  # noqa: E402


def test_every_row_fits_its_head():
    ask = Ask([1])
    taken = {"theirs": [Took(4.0, 4.0, 2)] * 3, "bfloat16": [Took(1.0, 2.0, 2)] * 3, "careful": [Took(2.0, 2.0, 2)] * 3}
    ours = dcgan.row("bfloat16", ask, 1, taken, 1e-3, 128)
    careful = dcgan.row("careful", ask, 1, taken, math.inf, 128)
    assert len(ours) == len(careful) == len(dcgan.HEAD)
    assert ours[2:6] == ("64.0", "256.0", "4.00x (4.00 to 4.00)", "2.00x")
    assert ours[-1] == "2.2x"
    assert careful[-2:] == ("", "none")
    assert [record["wall"]["median"] for record in ask.records] == [4.0, 2.0]


def test_what_can_be_asked():
    said = dcgan.arguments(["--threads", "1,2", "--rounds", "3"])
    assert (said.threads, said.rounds, said.batch, said.careful) == ([1, 2], 3, 128, False)
    with pytest.raises(SystemExit):
        dcgan.arguments(["--rounds", "0"])


def test_losses_that_differ_are_other_work(monkeypatch):
    class Side:
        def __init__(self, command, threads):
            self.ready = {"parameters": 1}
            self.loss = [1.0, 2.0] if "dcgan_plain" in command[1] else [1.0, 2.1]

        def ask(self, do, **words):
            return {"loss": self.loss}

        def __enter__(self):
            return self

        def __exit__(self, *why):
            pass

    monkeypatch.setattr(dcgan, "worker", Side)
    with pytest.raises(sides.Broken, match="other work"):
        dcgan.apart(8, 1)


def test_the_driver_itself_imports_no_torch():
    program = f"import sys; sys.path.insert(0, {str(BENCH)!r}); import dcgan; assert 'torch' not in sys.modules"
    sides.process([sys.executable, "-c", program])


@pytest.mark.nightly
def test_both_sides_do_the_same_work():
    if fetch.find("lpc-sprites/characters.png") is None:
        pytest.skip("lpc-sprites is not in $MORPHOGEN_DATA")
    found = dcgan.apart(64, 1)
    assert set(found) == set(dcgan.PRECISIONS)
