"""The folder of a run: one process makes it, nobody loses anything by another, and links of strangers lead nowhere."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from morphogen import atomic, cli, disk, run_folder, session
from morphogen.core import build
from morphogen.data.find import open_data
from morphogen.errors import UserError
from morphogen.opened import OpenRun
from morphogen.plan import Plan
from morphogen.run import Run
from morphogen.run_folder import Taken
from morphogen.tasks.train import resume, train

TINY = ["train.steps=2", "train.batch=16", "train.compile=false", "model.net.widths=[8]", "model.latent=2"]
GROUP = 10


def recipe(**plan: object) -> dict:
    table = {"steps": 2, "batch": 16, "compile": False} | plan
    model = {"use": "vae", "latent": 2, "net": {"use": "mlp", "widths": [8]}}
    return {
        "data": {"use": "digits"}, "model": build.part("models", model).spec, "train": Plan.complete(table), "seed": 0,
        "device": "cpu", "precision": "float32",
    }  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "run"
    session.fit(Run.create(path, recipe(), open_data("digits").facts()), quiet=True)
    return path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


# Two at once -----------------------------------------------------------------------------------------------------


def at_once(work: Callable[[int], None], count: int) -> list[int]:
    """Forks of this process that begin at one moment; what each came to: 0, or the code of what it raised."""
    gate, go = os.pipe()
    children = []
    for number in range(count):
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                os.close(go)
                os.read(gate, 1)  # until every child is there
                work(number)
                code = 0
            except UserError:
                code = 2
            finally:
                os._exit(code)
        children.append(pid)
    os.close(gate)
    os.close(go)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]


def made_once(path: Path, facts: dict, whole: dict) -> None:
    """One of ten makes the run and "trains" it (a state is what training leaves first), the others withdraw."""

    def work(number: int) -> None:
        run = Run.create(path, whole, facts)
        try:
            with run.locked():
                run.save_state(0, {"by": torch.tensor([number])}, {"elapsed": 0.0})
        except UserError:
            run.take_back()
            raise

    codes = at_once(work, GROUP)
    assert sorted(codes) == [0] + [2] * (GROUP - 1), codes
    state = Run.open(path).load_state()
    assert state is not None
    assert codes[int(state[0]["by"])] == 0
    assert not (path / run_folder.MARKER).exists()


def test_of_ten_at_once_one_makes_the_run(tmp_path: Path) -> None:
    facts, whole = open_data("digits").facts(), recipe()
    for number in range(5):
        made_once(tmp_path / "above" / str(number), facts, whole)


def test_ten_at_once_that_make_and_take_back_leave_nothing(tmp_path: Path) -> None:
    """All of them are mistaken: whoever makes the folder removes it, and nothing else."""
    facts, whole = open_data("digits").facts(), recipe()

    def work(number: int) -> None:
        for _ in range(5):
            try:
                run = Run.create(tmp_path / "above" / "run", whole, facts)
            except Taken:
                continue
            run.take_back()

    assert at_once(work, 4) == [0] * 4
    Run.create(tmp_path / "above" / "run", whole, facts)  # whatever is left, a run can be made there
    assert Run.open(tmp_path / "above" / "run").recipe == whole


CHILD = """
import os, sys
from pathlib import Path
from typing import Any
import torch
from morphogen.errors import UserError
from morphogen.opened import OpenRun
from morphogen.tasks.train import resume, train
from morphogen.data.find import open_data
from morphogen.core import build
torch.set_num_threads(1)
open_data("digits")
for shelf in ("models", "nets", "families", "priors", "terms", "data"):
    build.names(shelf)
home = Path(sys.argv[1])
for round in range(int(sys.argv[2])):
    gate, go = os.pipe()
    children = []
    for number in range(10):
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                os.close(go)
                os.read(gate, 1)
                train("vae", "digits", sys.argv[3:], run=home / str(round), quiet=True)
                code = 0
            except UserError:
                code = 2
            finally:
                os._exit(code)
        children.append(pid)
    os.close(gate)
    os.close(go)
    print(*sorted(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children))
"""


def trainings_at_once(home: Path, rounds: int) -> None:
    import subprocess

    import morphogen

    source = str(Path(morphogen.__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(home), str(rounds), *TINY], capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": source, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines() == ["0 2 2 2 2 2 2 2 2 2"] * rounds, done.stdout + done.stderr[-2000:]
    for number in range(rounds):
        state = Run.open(home / str(number)).load_state()
        assert state is not None
        assert state[1]["step"] == 2


def test_of_ten_trainings_at_once_one_trains(tmp_path: Path) -> None:
    trainings_at_once(tmp_path, 1)


@pytest.mark.nightly
def test_of_ten_trainings_at_once_one_trains_twenty_times_over(tmp_path: Path) -> None:
    trainings_at_once(tmp_path, 20)


def test_two_without_a_name_make_two_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    facts, whole = open_data("digits").facts(), recipe()
    assert at_once(lambda number: Run.create_beside(Path("runs/vae"), whole, facts) and None, 4) == [0] * 4
    assert sorted(p.name for p in Path("runs").iterdir()) == ["vae", "vae-2", "vae-3", "vae-4"]


def test_a_resume_that_comes_between_keeps_its_run(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", recipe(), open_data("digits").facts())
    with Run.open(run.path).locked():
        run.take_back()
        assert (run.path / "recipe.toml").is_file()
    Run.open(run.path).save_state(0, {"x": torch.zeros(1)}, {})
    run.take_back()
    assert Run.open(run.path).load_state() is not None


# Folders that were there before ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "held", [{"data.json": '{"my":"data"}'}, {".draft.tmp": "x", "data.json": "{}"}, {"state/x": ""}]
)
def test_a_folder_with_anything_of_the_users_is_refused_and_untouched(held: dict, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    for name, text in held.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for words in (["vae", "digits"], ["ladder", "blobs"]):
        with pytest.raises(UserError, match="already there"):
            train(*words, TINY[:3], run=folder, quiet=True)
    found = {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}
    assert found == held


def test_an_empty_folder_of_the_users_outlives_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "above" / "mine").mkdir(parents=True)
    with pytest.raises(UserError, match="pictures"):
        train("ladder", "blobs", ["train.steps=2"], run=tmp_path / "above" / "mine", quiet=True)
    assert list((tmp_path / "above" / "mine").iterdir()) == []
    with pytest.raises(UserError, match="pictures"):
        train("ladder", "blobs", ["train.steps=2"], run=tmp_path / "new" / "run", quiet=True)
    assert not (tmp_path / "new").exists()


def test_a_mistake_removes_no_file_that_came_meanwhile(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "above" / "run", recipe(), open_data("digits").facts())
    (run.path / "notes.txt").write_text("mine")
    run.take_back()
    assert [p.name for p in run.path.iterdir()] == ["notes.txt"]


def test_a_killed_maker_leaves_a_folder_that_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts, whole = open_data("digits").facts(), recipe()

    def killed(*words: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(disk, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            Run.create(tmp_path / "run", whole, facts)
    assert {p.name for p in (tmp_path / "run").iterdir()} == {".lock", ".morphogen-new", "state"}
    with run_folder.locked(tmp_path / "run"), pytest.raises(Taken, match="another process"):
        Run.create(tmp_path / "run", whole, facts)
    assert Run.create(tmp_path / "run", whole, facts).recipe == whole
    assert not (tmp_path / "run" / run_folder.MARKER).exists()


def test_a_name_that_is_no_text_is_refused_before_anything_is_written(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not UTF-8"):
        Run.create(tmp_path / "\udc9b", recipe(), open_data("digits").facts())
    assert list(tmp_path.iterdir()) == []
    shutil.copytree(trained, tmp_path / "\udc9b")
    with pytest.raises(UserError, match="not UTF-8"):
        Run.open(tmp_path / "\udc9b").model()


# Links -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["state", "samples", "kept", "tensorboard", "trackio"])
def test_a_folder_that_is_a_link_is_refused_by_name(name: str, run: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "step-000000000.safetensors").write_text("precious")
    shutil.rmtree(run / name, ignore_errors=True)
    (run / name).symlink_to(victim)
    for words in (["resume", run, "train.steps=3"], ["sample", run], ["detect", run]):
        assert cli.main([str(word) for word in words]) == 2
    with pytest.raises(UserError, match=rf"run/{name} is a link.* try again"):
        Run.open(run)
    assert [p.read_text() for p in victim.iterdir()] == ["precious"]


PLANTED = [".lock", "log.jsonl", "weights.safetensors", "manifest.json", "recipe.toml", "report.md", "curves.png"]


@pytest.mark.parametrize("name", PLANTED)
def test_a_file_that_is_a_link_is_never_written_through(name: str, run: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    content = (run / name).read_bytes() if (run / name).exists() else b"precious"
    victim.write_bytes(content)
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(victim)
    code = cli.main(["resume", str(run), "train.steps=3", "--quiet"])
    assert code == (2 if name == ".lock" else 0)
    assert victim.read_bytes() == content


def test_a_log_that_is_a_link_or_a_pipe_gets_no_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a run without a state nothing else would have put a new log in its place."""
    run = Run.create(tmp_path / "run", recipe(), open_data("digits").facts())
    (tmp_path / "victim").write_text("precious\n")
    (run.path / "log.jsonl").symlink_to(tmp_path / "victim")
    run.append({"step": 1})
    assert (tmp_path / "victim").read_text() == "precious\n"
    (run.path / "log.jsonl").unlink()
    os.mkfifo(run.path / "log.jsonl")
    run.append({"step": 1})
    assert "could not be written" in capsys.readouterr().err


def test_temporary_names_cannot_be_guessed(tmp_path: Path) -> None:
    names = set()
    for _ in range(50):
        with atomic.placed(tmp_path / "x", force=True) as file:
            names |= {p.name for p in tmp_path.iterdir()} - {"x"}
            file.write(b"1")
    assert len(names) == 50
    assert all(map(atomic.is_temporary, names))


# The same weights, the same bytes --------------------------------------------------------------------------------


def test_the_same_tensors_are_the_same_bytes(tmp_path: Path) -> None:
    """In whatever order they come; the safetensors package draws the order of metadata in each process."""
    kinds = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16,
             torch.float32, torch.float64]  # fmt: skip
    tensors = {f"{k}|é".removeprefix("torch."): torch.arange(6).reshape(2, 3).to(k) for k in kinds}
    tensors |= {"scalar": torch.tensor(2.0), "none": torch.zeros(0, 4)}
    for order in (list(tensors), list(tensors)[::-1]):
        disk.seal(tmp_path / order[0][:4], {name: tensors[name] for name in order}, {"step": 1, "of": "a"})
    one, two = sorted(tmp_path.iterdir())
    assert one.read_bytes() == two.read_bytes()
    back, facts = disk.open_sealed(one)
    assert facts == {"step": 1, "of": "a"}
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[k], v) and back[k].dtype == v.dtype for k, v in tensors.items())


def test_a_file_is_what_the_package_itself_writes(tmp_path: Path) -> None:
    """With one key of metadata there is no order to draw."""
    import io

    from safetensors.torch import save

    from morphogen.tensor_file import write_tensors

    tensors = {"w": torch.randn(3, 5), "b": torch.randn(5), "n": torch.arange(4), "u": torch.arange(4).to(torch.uint8)}
    ours = io.BytesIO()
    write_tensors(ours, tensors, {"one": "key"})
    assert ours.getvalue() == save(tensors, metadata={"one": "key"})


def test_a_resume_that_changes_nothing_voids_nothing(run: Path) -> None:
    before = disk.digest(run / "weights.safetensors")
    Run.open(run).keep("learned", {"way": torch.ones(1)}, {})
    assert cli.main(["resume", str(run), "--quiet"]) == 0
    assert disk.digest(run / "weights.safetensors") == before
    assert Run.open(run).kept("learned") is not None


# What a kill leaves, what a finished run keeps, who may read it --------------------------------------------------


def test_temporary_files_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path) -> None:
    (tmp_path / ".weights.safetensors.0123456789abcdef.tmp").write_bytes(b"x")
    (tmp_path / ".0123456789abcdef.tmp").write_bytes(b"x")
    kept = ["x.0123456789abcdef.tmp", ".notes.tmp", ".x.0123.tmp", ".x.0123456789abcdef.tmp.txt"]
    for name in kept:
        (tmp_path / name).write_bytes(b"mine")
    (tmp_path / ".link.0123456789abcdef.tmp").symlink_to(tmp_path / kept[0])
    with atomic.placed(tmp_path / "new", force=False) as file:
        file.write(b"alive")
        atomic.sweep(tmp_path)
    assert (tmp_path / "new").read_bytes() == b"alive"
    assert {p.name for p in tmp_path.iterdir()} == {"new", ".link.0123456789abcdef.tmp", *kept}


@pytest.mark.parametrize("name", [".step-000000004.safetensors.0123456789abcdef.tmp", ".tmpAbC123",
                                  ".step-000000004.safetensors.4711.tmp"])  # fmt: skip
def test_the_next_save_removes_what_a_killed_one_left(name: str, run: Path) -> None:
    left = [folder / name for folder in (run, run / "state", run / "samples")]
    for path in left:
        path.write_bytes(b"half")
    (run / ".tmp-mine").write_text("mine")
    opened = Run.open(run)
    with opened.locked():
        opened.save_state(3, {"x": torch.zeros(1)}, {})
    assert not [path for path in left if path.exists()]
    assert (run / ".tmp-mine").exists()


def test_a_finished_run_keeps_one_state_and_goes_on_bit_for_bit(trained: Path, tmp_path: Path) -> None:
    assert [p.name for p in Run.open(trained).states()] == ["step-000000002.safetensors"]
    still = {"floor": 1.0, "warmup": 0}  # a learning rate that does not ask how long the plan is
    whole, longer = (
        Run.create(tmp_path / name, recipe(steps=steps, **still), open_data("digits").facts())
        for name, steps in (("whole", 5), ("longer", 2))
    )
    for run in (whole, longer):
        session.fit(run, quiet=True)
    resume(OpenRun(longer), ["train.steps=5"], quiet=True)
    ours, theirs = (disk.open_sealed(run.path / "weights.safetensors")[0] for run in (longer, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert [p.name for p in longer.states()] == ["step-000000005.safetensors"]


def test_a_stopped_run_keeps_two_states(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", recipe(), open_data("digits").facts())
    for step in (0, 1, 2):
        run.save_state(step, {"x": torch.zeros(1)}, {"finished": False})
    assert [p.name for p in run.states()] == ["step-000000002.safetensors", "step-000000001.safetensors"]
    run.save_state(3, {"x": torch.zeros(1)}, {"finished": True})
    assert [p.name for p in run.states()] == ["step-000000003.safetensors"]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_every_file_of_a_run_has_the_mode_that_the_umask_leaves(mask: int, tmp_path: Path) -> None:
    def work(number: int) -> None:
        os.umask(mask)
        run = Run.create(tmp_path / "run", recipe(), open_data("digits").facts())
        run.save_weights(run.build(), {"step": 0})
        run.save_state(0, {"x": torch.zeros(1)}, {})
        run.append({"step": 0})
        run.keep("learned", {"x": torch.zeros(1)}, {})
        atomic.write(run.path / "sample.png", b"x", force=False)

    assert at_once(work, 1) == [0]
    modes = {p.name: p.stat().st_mode & 0o777 for p in (tmp_path / "run").rglob("*") if p.is_file()}
    assert len(modes) > 7
    assert set(modes.values()) == {0o666 & ~mask}, modes


# The log after a kill --------------------------------------------------------------------------------------------


def test_a_look_that_no_state_knows_of_is_taken_again_and_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the last look and the last save."""
    plan = {"steps": 4, "save_every": 2, "validate_every": 99, "log_every": 1}
    whole, killed = (Run.create(tmp_path / name, recipe(**plan), open_data("digits").facts()) for name in ("a", "b"))
    session.fit(whole, quiet=True)

    def die(self: session.Session) -> None:
        if self.finished:
            raise KeyboardInterrupt
        real(self)

    real = session.Session.save
    with monkeypatch.context() as patch:
        patch.setattr(session.Session, "save", die)
        with pytest.raises(KeyboardInterrupt):
            session.fit(killed, quiet=True)
    assert sum("valid/loss" in record for record in killed.log()) == 1
    session.fit(Run.open(killed.path), quiet=True)
    steps = [[(r["step"], sorted(r)) for r in run.log() if "event" not in r] for run in (whole, killed)]
    assert steps[0] == steps[1]


# A race for a name -----------------------------------------------------------------------------------------------


def test_of_writers_at_once_without_force_one_gets_the_name(tmp_path: Path) -> None:
    def work(number: int) -> None:
        with open(tmp_path / f"tried-{number}", "w") as file:
            file.write("x")
        try:
            with atomic.placed(tmp_path / "x", force=False) as file:
                file.write(f"{number}".encode() * 1000)
        except FileExistsError:
            raise UserError("taken") from None

    codes = at_once(work, 8)
    assert sorted(codes) == [0] + [2] * 7
    assert (tmp_path / "x").read_text() == f"{codes.index(0)}" * 1000
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_a_name_taken_while_the_work_is_done_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(atomic.placed(path, force=False))
        file.write(b"ours")
        path.write_bytes(b"theirs")
        with pytest.raises(FileExistsError):
            stack.close()
    assert path.read_bytes() == b"theirs"
    assert [p.name for p in tmp_path.iterdir()] == ["x.npz"]
    atomic.write(path, b"ours", force=True)
    assert path.read_bytes() == b"ours"


def test_without_hard_links_nothing_is_overwritten_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*words: object, **more: object) -> None:
        raise PermissionError(1, "no hard links here")

    monkeypatch.setattr(os, "link", link)
    atomic.write(tmp_path / "x", b"one", force=False)
    with pytest.raises(UserError, match="exists and is not overwritten"):
        atomic.write(tmp_path / "x", b"two", force=False)
    assert (tmp_path / "x").read_bytes() == b"one"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


# Hanging up ------------------------------------------------------------------------------------------------------

HANGS_UP = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from morphogen.signals import stopped_by_signals
with stopped_by_signals() as asked:
    print("ready", flush=True)
    while not asked:
        signal.pause()
    for _ in range(3):
        print("a word to a terminal that is gone", flush=True)
        print("and another", file=sys.stderr, flush=True)
    open(sys.argv[2], "w").write(str(asked))
"""


def test_a_terminal_that_closes_asks_to_stop_and_no_word_to_it_fails(tmp_path: Path) -> None:
    import pty

    import morphogen

    source = str(Path(morphogen.__file__).resolve().parents[1])
    pid, master = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", HANGS_UP, source, str(tmp_path / "saved")])
    assert b"ready" in os.read(master, 100)
    os.close(master)
    os.waitpid(pid, 0)
    assert (tmp_path / "saved").read_text() == f"[{signal.SIGHUP.value}]"


def test_nohup_is_left_alone() -> None:
    from morphogen.signals import stopped_by_signals

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopped_by_signals() as asked:
            os.kill(os.getpid(), signal.SIGHUP)
            assert asked == []
    finally:
        signal.signal(signal.SIGHUP, before)
    with stopped_by_signals() as asked:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGHUP)  # by the shell and by the system: no second request
        assert set(asked) == {signal.SIGHUP}


def test_outputs_without_a_name_take_the_next_one(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another process takes the name after ours was found free."""
    from morphogen import said

    found = []

    def fresh(*words: Any) -> Path:
        found.append(path := real(*words))
        if len(found) == 1:
            path.write_bytes(b"theirs")
        return path

    real = said._fresh
    monkeypatch.setattr(said, "_fresh", fresh)
    assert cli.main(["sample", str(run), "-n", "2"]) == 0
    assert "sample-2.png" in capsys.readouterr().out
    assert (run / "sample.png").read_bytes() == b"theirs"
    assert cli.main(["sample", str(run), "-n", "2", "-o", str(run / "sample.png")]) == 2


# Archives --------------------------------------------------------------------------------------------------------


def test_of_archives_written_at_once_without_force_one_gets_the_name(tmp_path: Path) -> None:
    from fake_codec import Fake
    from morphogen.codec.pack import pack

    (tmp_path / "x.txt").write_text("some text")

    def work(number: int) -> None:
        pack([tmp_path / "x.txt"], tmp_path / "a.mgn", Fake())

    assert sorted(at_once(work, 4)) == [0, 2, 2, 2]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mgn", "x.txt"]


def test_an_archive_that_a_kill_cut_off_is_swept_by_the_next(tmp_path: Path) -> None:
    from fake_codec import Fake
    from morphogen.codec.pack import pack

    (tmp_path / "x.txt").write_text("some text")

    def work(number: int) -> None:
        os.link = lambda *words, **more: os.kill(os.getpid(), signal.SIGKILL)  # about to take its name
        pack([tmp_path / "x.txt"], tmp_path / "a.mgn", Fake())

    assert at_once(work, 1) == [-signal.SIGKILL]
    assert len(list(tmp_path.iterdir())) == 2
    pack([tmp_path / "x.txt"], tmp_path / "b.mgn", Fake())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.mgn", "x.txt"]


def test_extracted_files_reach_the_disk_and_obey_the_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from morphogen.codec.place import Folder

    synced: list[int] = []

    def fsync(handle: int) -> None:
        synced.append(os.fstat(handle).st_ino)
        real(handle)

    real = os.fsync
    monkeypatch.setattr(os, "fsync", fsync)
    place = Folder(tmp_path / "out")
    for name in ("a", "sub/b", "sub/c"):
        place.write(name, 0o777, False, lambda file: file.write(b"x") and None)
    place.sync()
    wanted = {p.stat().st_ino for p in (tmp_path / "out", *(tmp_path / "out").rglob("*"))}
    assert set(synced) == wanted
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "out" / "a").stat().st_mode & 0o777 == 0o777 & ~umask


@pytest.mark.parametrize("name", [".git/hooks/post-checkout", "sub/.GIT/config"])
def test_an_archive_changes_no_git_repository_that_is_there(name: str, tmp_path: Path) -> None:
    from morphogen.codec.place import Folder

    Folder(tmp_path / "new").check(name, force=True)
    (tmp_path / "old" / Path(name).parts[0]).mkdir(parents=True)
    (tmp_path / "old" / "sub" / ".GIT").mkdir(parents=True)
    with pytest.raises(UserError, match="git repository; extract elsewhere"):
        Folder(tmp_path / "old").check(name, force=True)
    for plain in ("CON", "a:b", ".bashrc", ".gitignore", "git/x"):  # names like any other, inside the folder
        Folder(tmp_path / "old").check(plain, force=False)
