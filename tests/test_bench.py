"""The driver of the benchmarks, without benchmarks: arguments, statistics, tables, pages, broken processes."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parent.parent / "bench"
sys.path.append(str(BENCH))

import page  # noqa: E402
import probe  # noqa: E402
import run  # noqa: E402
import sides  # noqa: E402
import small  # noqa: E402
import speed  # noqa: E402
import tally  # noqa: E402
from tally import Took  # noqa: E402


def machine(**changed):
    gflops = {"MKL float32": 90.0, "oneDNN float32": 200.0, "bfloat16": 360.0}
    facts = dict(cpu="a processor", cores=2, torch="2", gflops=gflops, share=1.0, load=0.2, minute=0.3, when="today")
    return probe.Machine(**(facts | changed))


# Statistics -------------------------------------------------------------------------------------------------------


def test_a_ratio_is_the_median_of_pairs_not_the_ratio_of_medians():
    ratio = tally.paired([1.0, 10.0, 3.0], [1.0, 2.0, 3.0])
    assert (ratio.median, ratio.low, ratio.high, ratio.pairs) == (1.0, 1.0, 5.0, 3)
    assert str(ratio) == "1.00x (1.00 to 5.00)"


def test_twice_as_fast_is_a_ratio_of_two():
    assert tally.paired([4.0], [2.0]).median == 2.0


@pytest.mark.parametrize(("theirs", "ours"), [([], []), ([1.0], [1.0, 2.0]), ([1.0], [0.0]), ([-1.0], [1.0])])
def test_what_is_no_pair_is_refused(theirs, ours):
    with pytest.raises(ValueError, match=r"pairs|above 0"):
        tally.paired(theirs, ours)


def test_medians_are_per_unit_and_memory_is_not():
    taken = [Took(2.0, 4.0, 10, 500.0), Took(4.0, 8.0, 10, 700.0), Took(3.0, 6.0, 10, 600.0)]
    assert [tally.median(taken, what) for what in ("wall", "cpu", "peak")] == pytest.approx([0.3, 0.6, 600.0])


def test_turns_alternate():
    order: list[str] = []
    who = {name: lambda name=name: order.append(name) or Took(1.0, 1.0) for name in "AB"}
    taken = tally.rounds(who, 3)
    assert "".join(order) == "ABABAB"
    assert {name: len(each) for name, each in taken.items()} == {"A": 3, "B": 3}


def test_on_a_busy_machine_there_are_fewer_pairs_and_never_half_a_pair():
    who = {name: lambda: time.sleep(0.01) or Took(1.0, 1.0) for name in "AB"}
    taken = tally.rounds(who, 1000, seconds=0.0, least=2)
    assert [len(each) for each in taken.values()] == [2, 2]


def test_parity_is_the_largest_relative_difference():
    assert tally.parity([100.0, 50.0], [100.0, 51.0]) == pytest.approx(0.02)
    assert all(math.isinf(tally.parity(*sides)) for sides in (([], []), ([1.0], [1.0, 2.0]), ([1.0], [math.nan])))


def test_a_round_takes_about_a_second_of_theirs():
    assert speed.a_second_of(Took(0.2, 0.2, 20), 100) == 100
    assert speed.a_second_of(Took(2.0, 2.0, 20), 100) == 10
    assert speed.a_second_of(Took(9.0, 9.0, 1), 100) == 1


# The machine ------------------------------------------------------------------------------------------------------


def test_what_counts_as_rest():
    assert machine().quiet
    assert not machine(load=1.5).quiet
    assert not machine(share=0.8).quiet


def test_a_busy_machine_is_said_to_be_one_in_plain_words():
    at_rest = page.caption("c", "p.", machine(), machine())
    assert "CONTENDED" not in at_rest
    assert "The machine was at rest" in " ".join(at_rest.split())
    for before, after in ((machine(load=3.0), machine()), (machine(), machine(share=0.5))):
        assert "CONTENDED" in page.caption("c", "p.", before, after)


def test_the_name_of_the_machine_is_told_nowhere():
    import socket

    name = probe.processor()
    assert name
    assert socket.gethostname() not in name


# Arguments --------------------------------------------------------------------------------------------------------


def test_the_usual_sections():
    said = run.arguments([])
    assert (said.sections, said.threads, said.rounds) == (["machine", "startup", "step", "sample", "whole"], None, None)
    assert "whole" not in run.arguments(["--quick"]).sections


def test_sections_threads_and_rounds():
    said = run.arguments(["step", "whole", "--threads", "1,2", "--rounds", "3", "--nets", "mlp"])
    assert (said.sections, said.threads, said.rounds, said.nets) == (["step", "whole"], [1, 2], 3, ["mlp"])


@pytest.mark.parametrize(
    "words",
    [
        ["steps"],
        ["--threads", "0"],
        ["--threads", "many"],
        ["--rounds", "0"],
        ["--nets", "gan"],
        ["--quick", "--write"],
    ],
)
def test_what_is_not_understood_is_refused(words, capsys):
    with pytest.raises(SystemExit) as stop:
        run.arguments(words)
    assert stop.value.code == 2
    assert "error" in capsys.readouterr().err


@pytest.mark.parametrize("section", ["machine", *run.SECTIONS])
def test_the_command_below_a_table_measures_that_table_again(section):
    said = run.arguments(["--threads", "1,2", "--rounds", "4", "--minutes", "5", "--ours", "10", "--gb", "1"])
    again = run.arguments(run.command(section, said).split()[2:])
    assert again.sections == [section]
    if section in ("step", "sample", "whole"):
        assert (again.threads, again.rounds) == ([1, 2], 4)
    if section == "quality":
        assert (again.minutes, again.ours) == (5, 10)
    assert set(run.PROTOCOL) == {"machine", *run.SECTIONS}


def test_rounds_that_were_asked_for_are_all_done():
    assert speed.Ask([1], rounds=7).times(15) == (7, math.inf)
    assert speed.Ask([1], quick=True).times(15) == (2, math.inf)
    assert speed.Ask([1]).times(15) == (15, speed.BUDGET)


# Tables and pages -------------------------------------------------------------------------------------------------


def table():
    return page.Table("step", ("net", "ms"), [("mlp", "1.5"), ("a|b", "12.25")], notes=["A note."])


def test_a_table_as_markdown():
    lines = table().markdown().splitlines()
    assert lines[:4] == ["| net | ms |", "| --- | ---: |", "| mlp | 1.5 |", "| a/b | 12.25 |"]
    assert lines[-1] == "A note."


def test_a_table_as_text_has_even_columns():
    lines = table().text().splitlines()
    assert lines[0] == "net     ms"
    assert lines[2:4] == ["mlp    1.5", "a|b  12.25"]


def test_only_what_is_between_the_markers_is_replaced(tmp_path):
    file = tmp_path / "page.md"
    file.write_text("a\n<!-- bench: step -->\nold\n<!-- end -->\nb\n<!-- bench: whole -->\nkept\n<!-- end -->\n")
    for _ in range(2):  # again is the same
        page.put(file, "step", r"new \1 \g<0>")
        assert file.read_text() == (
            "a\n<!-- bench: step -->\n\nnew \\1 \\g<0>\n\n<!-- end -->\nb\n<!-- bench: whole -->\nkept\n<!-- end -->\n"
        )
    with pytest.raises(SystemExit, match="0 places for 'sample'"):
        page.put(file, "sample", "new")


@pytest.mark.parametrize("section", ["machine", *run.SECTIONS])
def test_the_page_has_a_place_for_every_section(section, tmp_path):
    copy = tmp_path / "benchmarks.md"
    copy.write_text(run.PAGE.read_text())
    page.put(copy, section, "what was found")
    assert copy.read_text().count("what was found") == 1


def test_every_row_fits_its_head():
    made = small.machine(machine())[0]
    ask = speed.Ask([1])
    taken = {"theirs": [Took(1.0, 1.0, 10, 100.0)] * 3, "ours": [Took(0.5, 0.5, 10, 40.0)] * 3}
    assert all(len(row) == len(made.head) for row in made.rows)
    row = speed.step_said(speed.STEPS[0], 1, taken, 1e-6, ask)
    assert len(row) == 9
    assert row[2:6] == ("100.00", "50.00", "2.00x (2.00 to 2.00)", "2.00x")
    assert ask.records[0]["wall"]["median"] == 2.0
    lines = [
        {"what": "training", "memory_images_per_s": 10, "file_images_per_s": 9, "ratio": 0.9},
        {"peak_rss_gb": 1.2},
    ]
    stream = small.streaming_table(lines, 4, 1)
    assert all(len(row) == len(stream.head) for row in stream.rows)


def test_losses_of_other_work_are_not_compared():
    taken = {"theirs": [Took(2.0, 2.0)], "float32": [Took(1.0, 1.0)]}
    said = {"theirs": [{"test_loss": 100.0}], "float32": [{"test_loss": -120.0}]}
    with pytest.raises(sides.Broken, match="not the same work"):
        speed.whole_said("float32", 1, taken, said, speed.Ask([1]))


# Processes --------------------------------------------------------------------------------------------------------

WORKER = """
import json, sys
print(json.dumps({"ready": True, "threads": int(sys.argv[2])}), flush=True)
for line in sys.stdin:
    if not line.strip():
        break
    do = json.loads(line)["do"]
    if do == "die":
        sys.exit("out of luck")
    said = {"error": "no"} if do == "fail" else {"seconds": 1.0, "cpu_seconds": 2.0, "steps": 3}
    print(json.dumps(said), flush=True)
"""


@pytest.fixture
def script(tmp_path):
    file = tmp_path / "twin.py"
    file.write_text(WORKER)
    return [sys.executable, str(file)]


def test_a_worker_answers_and_ends(script):
    with sides.worker(script, 2) as worker:
        assert worker.took("run", steps=3) == Took(1.0, 2.0, 3)
    assert worker.process.returncode == 0


@pytest.mark.parametrize(("do", "why"), [("die", "ended with 1: out of luck"), ("fail", "twin: no")])
def test_a_worker_that_fails_counts_for_nothing(script, do, why):
    with pytest.raises(sides.Broken, match=why), sides.worker(script, 1) as worker:
        worker.ask(do)
    assert worker.process.returncode is not None


def test_a_row_that_fails_says_so_and_the_others_go_on():
    ask = speed.Ask([1, 2])
    made = page.Table("step", ("net", "threads", "ms", "asked"))

    def row(case, threads, ask):
        if threads == 1:
            raise sides.Broken("no luck")
        return (case.name, "2", "1.0", "2x")

    speed.each(ask, made, speed.STEPS[:1], row)
    assert made.rows == [["mlp, float32", "1", "", "FAILED"], ("mlp, float32", "2", "1.0", "2x")]
    assert ask.broken == ["step, mlp, float32, 1 threads: no luck"]


def test_a_whole_process_is_timed_with_its_memory_and_its_exit_is_checked():
    took, printed = sides.process([sys.executable, "-c", "x = bytearray(60 << 20); print('{\"a\": 1}')"])
    assert took.wall > 0
    assert took.peak > 60
    assert sides.last_json("noise\n" + printed) == {"a": 1}
    with pytest.raises(sides.Broken, match="ended with 3"):
        sides.process([sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(sides.Broken, match="nothing was said"):
        sides.last_json("noise")


def test_the_driver_itself_imports_no_torch():
    program = f"import sys; sys.path.insert(0, {str(BENCH)!r}); import run; assert 'torch' not in sys.modules"
    sides.process([sys.executable, "-c", program])
