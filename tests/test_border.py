"""The border: what comes in by the command line and what goes out of it, for every task, on every kind of data."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from morphogen import cli, files, machine
from morphogen.core.batch import Batch
from morphogen.core.space import Image, Sound, Tokens, Vector
from morphogen.data.find import open_data, resolve
from morphogen.data.stamp import dataset_of
from morphogen.detector import Detector
from morphogen.normality import keep
from morphogen.opened import OpenRun
from morphogen.plan import Plan
from morphogen.run import Run
from morphogen.tasks.task import find, tasks

MODEL = {"use": "vae", "latent": 3, "net": {"use": "mlp", "widths": [8]}}
HEAVY = ("torch", "numpy", "pydantic", "matplotlib", "rich", "PIL", "safetensors")


def fresh(path, data, facts=None, **model):
    """A run with the weights that its seed draws: as good as a trained one for all that is tested here."""
    facts = facts or open_data(data).facts()
    recipe = {
        "data": resolve(data),
        "model": MODEL | model,
        "train": Plan.complete({"steps": 4}),
        "seed": 0,
        "device": "cpu",
        "precision": "float32",
    }
    run = Run.create(path, recipe, facts)
    run.save_weights(run.build(), {"step": 0})
    run.append({"step": 4, "fraction": 1.0, "time": 1.0, "loss/model": 2.0, "rate": 1.0, "distortion": 1.0, "n/s": 9.0})
    run.append({"step": 4, "valid/loss": 2.5})
    return run


def customers(path):
    """A table of numbers and words with gaps, whose colour is to be told."""
    draw = np.random.default_rng(0)
    rows = [f"{draw.integers(18, 90)},{draw.choice(['red', 'blue', 'green'])},{draw.normal():.2f}," for _ in range(300)]
    path.write_text("age,colour,size,note\n" + "\n".join(f"{row}{'hi' if len(row) % 2 else ''}" for row in rows))
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("border")


@pytest.fixture(scope="module")
def runs(home):
    """A run over each kind of Space, and files of that kind to give to it."""
    torch.manual_seed(0)
    machine.prepare()
    wave = 0.1 * torch.randn(20, 1, 16)
    sound = dataset_of("waves", Sound(16, rate=8000), dict.fromkeys(("train", "valid", "test"), (wave, None)), {},
                       classes=("hum", "hiss"))  # fmt: skip
    made = {
        "image": fresh(home / "image", "digits"),
        "tokens": fresh(home / "tokens", "patterns"),
        "vector": fresh(home / "vector", "blobs"),
        "sound": fresh(home / "sound", "digits", sound.facts()),
        "table": fresh(home / "table", {"use": "table", "path": customers(home / "rows.csv"), "target": "colour"}),
        "told": fresh(home / "told", "digits", labelled=True),
        "point": fresh(home / "point", "digits", posterior="point", terms=["distortion"]),
        "plane": fresh(home / "plane", "digits", latent=2),
        "line": fresh(home / "line", "digits", latent=1),
    }
    files.save(home / "waves.wav", wave, sound.space)
    keep(made["sound"], Detector.fit(made["sound"].model(), [Batch(wave)], [Batch(wave)]))  # its own data is not there
    flat = {"centre": torch.zeros(3), "scale": torch.ones(3), "weight": torch.zeros(2, 3), "bias": torch.zeros(2)}
    made["sound"].keep("probe", {name: tensor.double() for name, tensor in flat.items()}, {})
    made["sound"].keep("temperature_probe", {"heat": torch.ones(())}, {})
    return made


SPACES = ("image", "tokens", "vector", "sound", "table")
OF_A_RUN = {
    "sample": ["-n", "5", "--seed", "3"],
    "reconstruct": ["-n", "4"],
    "interpolate": ["-n", "3", "--steps", "4"],
    "traverse": ["--steps", "3"],
    "manifold": ["-n", "3"],
    "encode": ["-n", "6"],
    "score": ["-n", "6", "--samples", "4"],
    "fidelity": ["-n", "6"],
    "evaluate": ["-n", "6", "--samples", "4"],
    "judge": ["-n", "6", "--scores", "swd"],
    "classify": ["-n", "6", "--sure", "0.1"],
    "detect": ["-n", "6", "--most", "3", "--false-alarms", "0.1"],
    "show": [],
    "restore": ["-n", "3", "--harm", "--damage", "mask=half", "--samples", "5"],
}


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("name", OF_A_RUN)
def test_every_task_runs_on_every_space(do, runs, space, name):
    words = [name, runs[space].path]
    if space == "sound" and tasks()[name].data is not None:
        words.append("waves.wav")
    code, out, err = do(*words, *OF_A_RUN[name], "--json")
    assert code == 0, err
    said = json.loads(out)
    if tasks()[name].gives == "Values":
        for path in said["files"]:
            assert Path(path).is_file()
        assert said["recipe"]["task"] == name
    elif tasks()[name].data is not None:
        assert "protocol" in out


def test_no_task_is_left_out():
    elsewhere = {"train", "resume", "decode", "runs", "recipes", "data", "tasks", "recipe", "checks"}
    elsewhere |= {"compare", "prune", "completion"}  # tests/test_catalogue.py, test_completion.py
    archives = {"compress", "decompress", "contents"}  # tests/test_archive.py
    edits = {"direction", "directions", "edit", "combine", "exchange", "mix"}  # tests/test_edit.py
    made = {"augment", "worth", "resemble"}  # tests/test_augment.py, test_tables.py
    assert set(tasks()) == set(OF_A_RUN) | elsewhere | archives | edits | made


@pytest.mark.parametrize("name", ["recipes", "data", "tasks", "checks", "runs"])
def test_lists(do, runs, home, name):
    words = [name, home] if name == "runs" else [name]
    code, out, _ = do(*words)
    assert code == 0
    assert out.strip()
    code, out, _ = do(*words, "--json")
    assert code == 0
    said = json.loads(out)
    assert said["schema"] == 1
    assert said[name] if name != "checks" else said["packages"]


@pytest.mark.parametrize("space", SPACES)
def test_codes_and_back(do, runs, space, home, tmp_path):
    given = ["waves.wav"] if space == "sound" else []
    codes, back = tmp_path / "codes.npz", tmp_path / "back.npz"
    assert do("encode", runs[space].path, *given, "-o", codes)[0] == 0
    with np.load(codes, allow_pickle=False) as held:
        assert held["x"].shape[1:] == (3,)
        assert len(held["names"]) == len(held["x"])
        assert ("y" in held.files) == (space != "sound")
    assert do("decode", runs[space].path, codes, "-o", back)[0] == 0
    stored, _ = files.load_examples([back], runs[space].space)
    assert len(stored) == len(np.load(codes)["x"])


@pytest.mark.parametrize(("space", "suffix"), [("image", "png"), ("image", "gif"), ("vector", "csv"), ("sound", "wav"),
                                               ("table", "csv"), ("tokens", "jsonl"), ("image", "npz")])  # fmt: skip
def test_an_output_gives_its_recipe_back(do, runs, space, suffix, tmp_path):
    path = tmp_path / f"out.{suffix}"
    assert do("sample", runs[space].path, "-n", "3", "--seed", "5", "-o", path)[0] == 0
    code, out, _ = do("recipe", path, "--json")
    assert code == 0
    note = json.loads(out)
    assert note["run"] == str(runs[space].path)
    assert note["seed"] == 5
    assert note["arguments"]["n"] == 3
    again = tmp_path / f"again.{suffix}"
    words = note["command"].split()[1:]
    assert do(*words, "-o", again)[0] == 0
    assert again.read_bytes() == path.read_bytes()


def test_samples_do_not_depend_on_how_many_are_drawn(do, runs, tmp_path):
    for count in (3, 700):
        assert do("sample", runs["vector"].path, "-n", count, "-o", tmp_path / f"{count}.npy")[0] == 0
    few, many = np.load(tmp_path / "3.npy"), np.load(tmp_path / "700.npy")
    assert np.allclose(few, many[:3], atol=1e-6)
    assert len(np.unique(many, axis=0)) == 700


def test_a_model_that_is_told_labels(do, runs, tmp_path):
    run = runs["told"].path
    assert do("sample", run, "-n", "12", "-o", tmp_path / "all.npy")[0] == 0
    assert do("sample", run, "-n", "12", "--label", "7", "-o", tmp_path / "seven.npy")[0] == 0
    assert do("traverse", run, "--steps", "3", "--label", "7", "-o", tmp_path / "t.png")[0] == 0
    code, _, err = do("sample", run, "--label", "eleven")
    assert code == 2
    assert "eleven" in err
    image = tmp_path / "one.npy"
    np.save(image, np.zeros((1, 8, 8), np.uint8))
    code, _, err = do("reconstruct", run, image, "-o", tmp_path / "r.png")
    assert code == 2
    assert "label" in err
    assert do("reconstruct", run, image, "--label", "7", "-o", tmp_path / "r.png")[0] == 0
    code, _, err = do("sample", runs["image"].path, "--label", "7")
    assert code == 2
    assert "not label-conditional" in err


@pytest.mark.parametrize("recipe", ["vae", "gan", "conditional-gan"])
@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((3, 16, 16), ("odd.npy", "3 examples", "add some")),
        ((40, 1, 1), ("odd.npy", "one pixel each", "table")),
    ],
)
def test_data_that_nothing_can_be_learned_from(do, tmp_path, recipe, shape, words):
    """Too few pictures, or pictures that are none: the file and the remedy are named, and no run is left behind."""
    path, run = tmp_path / "odd.npy", tmp_path / "run"
    np.save(path, np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    for more in ([], ["--dry-run"]):
        code, _, err = do("train", recipe, path, "--run", run, *more)
        assert code == 2
        assert all(word in err for word in words), err
        assert not run.exists()


def test_one_class_is_named_where_labels_are_wanted(do, tmp_path):
    path = tmp_path / "alike.npz"
    np.savez(path, x=np.random.default_rng(0).integers(0, 256, (40, 16, 16), dtype=np.uint8), y=np.zeros(40, np.int64))
    code, _, err = do("train", "conditional-gan", path, "--run", tmp_path / "run")
    assert code == 2
    assert "alike.npz" in err
    assert "two or more" in err


def test_a_missing_ability_is_refused_by_name(do, runs):
    code, _, err = do("score", runs["point"].path, "-n", "4")
    assert code == 2
    assert "Scores" in err
    assert "vae" in err
    code, out, _ = do("evaluate", runs["point"].path, "-n", "4", "--json")
    assert code == 0
    said = json.loads(out)
    assert "Scores" in said["likelihood"]["not_measured"]
    assert said["reconstruction"]["root_mean_square"] > 0
    code, _, err = do("manifold", runs["line"].path)
    assert code == 2
    assert "latent=2" in err


def test_what_is_there_is_not_overwritten(do, runs, tmp_path):
    path = tmp_path / "grid.png"
    words = ("sample", runs["image"].path, "-n", "2", "-o", path)
    assert do(*words)[0] == 0
    before = path.read_bytes()
    code, _, err = do(*words, "--seed", "9")
    assert (code, path.read_bytes()) == (2, before)
    assert "not overwritten" in err
    assert do(*words, "--seed", "9", "--force")[0] == 0
    assert path.read_bytes() != before
    first, second = do("sample", runs["plane"].path, "-n", "2")[1], do("sample", runs["plane"].path, "-n", "2")[1]
    assert first != second


def test_values_go_to_a_pipe_and_to_a_device(runs, tmp_path):
    """`-o -` into a pipe is the bytes of a picture; a device is written to and stays what it is."""
    words = [sys.executable, "-m", "morphogen", "sample", str(runs["image"].path), "-n", "2", "-o"]
    done = subprocess.run([*words, "-"], capture_output=True, timeout=60, check=True)
    assert done.stdout.startswith(b"\x89PNG")
    assert cli.main([*words[3:], os.devnull]) == 0
    assert Path(os.devnull).is_char_device()
    assert cli.main([*words[3:], "-", "--json"]) == 2


def test_scores_that_cannot_be_kept_are_shown_all_the_same(do, runs, monkeypatch):
    from morphogen import report

    def full(*a, **k):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report, "write", full)
    words = ("evaluate", runs["vector"].path, "-n", "6", "--samples", "4")
    code, out, err = do(*words)
    assert code == 1
    assert "log_p" in out
    assert "could not be kept" in err
    assert "No space left" in err
    said = json.loads(do(*words, "--json")[1])
    assert said["likelihood"]["elbo"] < 0
    assert said["error"]["exit_code"] == 1


def test_damaged_weights_are_refused(do, runs, home):
    import shutil

    copy = home / "damaged"
    shutil.copytree(runs["image"].path, copy)
    for damage in (lambda b: b[:100], lambda b: b[:-9] + b"damaged!!", lambda b: b"", lambda b: b"\x80\x02}q\x00."):
        (copy / "weights.safetensors").write_bytes(damage((runs["image"].path / "weights.safetensors").read_bytes()))
        code, _, err = do("sample", copy)
        assert code == 2
        assert "weights.safetensors" in err
    (copy / "weights.safetensors").unlink()
    assert "resume" in do("sample", copy)[2]
    (copy / "data.json").write_text("{")
    assert do("show", copy)[0] == 2
    code, out, _ = do("runs", home, "--json")
    assert code == 0
    assert any("unreadable" in row for row in json.loads(out)["runs"])


BAD = """
frobnicate|trian vae digits|Sample x|--frob|-x|-|--|sample|sample --seed 3|sample nowhere|sample .
sample /dev/null|sample RECIPE|sample RUN extra|sample RUN -n 0|sample RUN -n -5|sample RUN -n 1.5
sample RUN -n nan|sample RUN -n 1e3|sample RUN -n 1_000|sample RUN -n 0x10|sample RUN -n \uff11\uff12
sample RUN -n 99999999999999999999|sample RUN -n|sample RUN -n=|sample RUN --n 3|sample RUN --seed -1
sample RUN --seed 9223372036854775808|sample RUN --seed x|sample RUN --temperature nan
sample RUN --temperature inf|sample RUN --temperature -1|sample RUN --temperature 1e400
sample RUN --temperature=|sample RUN --sed 3|sample RUN -o x.xyz|sample RUN -o x.wav
sample RUN -o RUN/weights.safetensors|sample RUN -o /proc/nowhere/x.png|sample RUN --label 3
sample RUN -n 2 -o RECIPE|reconstruct RUN nowhere.png|reconstruct RUN mnost|reconstruct RUN blobs
reconstruct RUN RECIPE|reconstruct RUN --split tset|reconstruct RUN /dev/null|reconstruct RUN --binary dinamic
interpolate RUN -n 1|interpolate RUN --steps 0|interpolate RUN --steps -3|traverse RUN --width inf
traverse RUN --width -2|decode RUN|decode RUN nowhere.npz|decode RUN RECIPE|encode RUN -n x
score RUN --samples 0|score RUN --samples 1e9|score RUN patterns|manifold RUN -n nan|show|show RUN extra
show RECIPE|runs nowhere|recipe|recipe nowhere.png|recipe RECIPE|recipe .|resume nowhere
resume RUN model.latent=4|resume RUN data.limit=3|resume RUN train.stps=4|resume RUN nonsense|train
train vaee digits|train vae|train vae digts|train vae nowhere/|train vae digits latnet=3
train vae digits model.latnet=3|train vae digits model.latent=x|train vae digits model.latent=-1
train vae digits model.latent=nan|train vae digits train.steps=-1|train vae digits train.steps=0
train vae digits train.steps=nan|train vae digits train.lr=x|train vae digits seed=-1|train vae digits seed=1.5
train vae digits device=gpu|train vae digits precision=float12|train vae digits =3|train vae digits model=3
train vae digits model.use=gann|train vae digits data.limit=0|train vae digits model.net.widths=[0]
train vae digits train.steps=1 --run RUN|train RECIPE/x.toml digits|train vae digits --frob
train vae digits train.steps=9 --dry-ru
"""
COMMANDS = [line for block in BAD.strip().splitlines() for line in block.split("|")]


def test_the_list_is_long():
    assert len(COMMANDS) >= 60


@pytest.mark.parametrize("line", COMMANDS)
def test_mistakes_are_told_in_a_line(do, runs, home, line):
    before = sorted(p for p in home.iterdir())
    run = str(runs["image"].path)
    code, out, err = do(*(word.replace("RUN", run).replace("RECIPE", f"{run}/recipe.toml") for word in line.split(" ")))
    assert code in (1, 2), (code, out, err)
    assert err.startswith("morphogen: ")
    assert err.count("\n") == 1
    assert "tell us" not in err
    assert out == ""
    assert sorted(p for p in home.iterdir()) == before


@pytest.mark.parametrize(
    "words",
    [
        ["sample", "a\0b"],
        ["sample", "x" * 1_000_000],
        ["x" * 1_000_000],
        ["sample", "\udcff\ud800"],
        ["sample", "a\nb\x1b[2J"],
        ["train", "vae", "y" * 5000],
        ["sample", "../../../.."],
        ["sample", "~root"],
        ["show", "\u202eevil"],
        [""],
        ["sample", ""],
        ["train", "vae", ""],
        ["train", "", "digits"],
        ["recipe", "\ud800"],
        ["runs", "z" * 5000],
        ["train", "vae", "digits", "a" * 9999],
    ],
)
def test_hostile_words(do, words):
    code, _, err = do(*words)
    assert code in (1, 2)
    assert err.count("\n") == 1
    assert "\x1b" not in err
    assert "tell us" not in err
    assert len(err) < 3000


def test_suggestions(do, runs):
    assert "'train'" in do("trian")[2]
    assert "'latent'" in do("train", "vae", "digits", "model.latnet=3")[2]
    assert "'--seed'" in do("sample", runs["image"].path, "--sed", "3")[2]
    assert "'steps'" in do("train", "vae", "digits", "train.stpes=3")[2]
    assert "'vae'" in do("train", "vaee", "digits")[2]
    assert "'digits'" in do("train", "vae", "digts")[2]


def test_a_dry_run_leaves_nothing(do, home):
    before = sorted(home.rglob("*"))
    words = ("train", "vae", "digits", "model.net.widths=[8]", "train.batch=8", "--dry-run", "--json")
    code, out, err = do(*words)
    assert code == 0, err
    assert json.loads(out)["parameters"] > 0
    assert sorted(home.rglob("*")) == before


def test_train_resume_show(do, tmp_path):
    run = tmp_path / "run"
    leaves = ("model.net.widths=[8]", "model.latent=2", "train.batch=16", "train.log_every=2", "data.limit=64")
    code, out, err = do("train", "vae", "digits", *leaves, "train.steps=4", "--run", run, "--json")
    assert code == 0, err
    said = json.loads(out)
    assert (said["step"], said["stopped"]) == (4, False)
    for name in ("weights.safetensors", "log.jsonl", "report.md", "curves.png"):
        assert (run / name).is_file()
    code, out, err = do("resume", run, "train.steps=6", "--quiet", "--json")
    assert code == 0, err
    assert json.loads(out)["step"] == 6
    assert do("resume", run, "--json")[0] == 0
    code, out, _ = do("show", run)
    assert code == 0
    assert "finished" in out
    assert do("evaluate", run, "-n", "5", "--samples", "2")[0] == 0
    report = (run / "report.md").read_text()
    assert "log_p" in report
    assert "Protocol: data digits" in report
    assert do("evaluate", run, "-n", "5", "--samples", "2")[0] == 0
    assert (run / "report.md").read_text() == report


@pytest.mark.parametrize("space", ["image", "table"])
def test_the_command_of_a_score_gives_it_again(do, runs, space):
    """Pasted into a shell: no word stands for another, and -n is there."""
    run = runs[space].path
    assert do("evaluate", run, "-n", "7", "--samples", "3", "--seed", "2")[0] == 0
    records = json.loads((run / "scores.json").read_text())
    assert {"likelihood", "reconstruction"} <= {record["metric"] for record in records}
    again = {}
    for record in records:
        command = record.get("protocol", {}).get("command")
        if record["protocol"]["n"] != 7 or command is None:
            continue
        if command not in again:
            code, out, err = do(*shlex.split(command)[1:], "--json")
            assert code == 0, (command, err)
            again[command] = json.loads(out)
        said = again[command].get(record["metric"], again[command])
        for name, value in record.items():
            if isinstance(value, float):
                assert said[name] == pytest.approx(value, rel=1e-6), (command, name)
    assert len(again) == 3


def test_a_command_names_what_it_was_given(runs):
    """Names of files with spaces and hyphens are quoted; of an array in memory there is no command."""
    run, told = OpenRun(runs["image"].path), find("score")
    said = run.command(told, {"data": ["-odd.png", "two words.npy"], "n": 3, "samples": 500, "split": None})
    assert shlex.split(said) == ["morphogen", "score", str(run.path), "./-odd.png", "two words.npy", "-n", "3"]
    assert run.command(told, {"data": np.zeros((2, 8, 8)), "n": None}) is None
    x = np.zeros((2, 8, 8), np.uint8)
    assert "command" not in run.score(x, samples=2)["protocol"]


def test_a_stopped_training_says_75(do, tmp_path, monkeypatch):
    from morphogen import session

    monkeypatch.setattr(session, "fit", lambda run, *a, **k: {"step": 1, "stopped": True, "valid": {}})
    assert do("train", "vae", "digits", "--run", tmp_path / "run")[0] == 75


def test_failures(do, runs, monkeypatch, capsys):
    from morphogen import opened

    def broken(*a, **k):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(opened.OpenRun, "perform", broken)
    code, _, err = do("sample", runs["image"].path)
    assert code == 1
    assert "--debug" in err
    with pytest.raises(ZeroDivisionError):
        cli.main(["sample", str(runs["image"].path), "--debug"])

    def interrupted(*a, **k):
        raise KeyboardInterrupt

    monkeypatch.setattr(opened.OpenRun, "perform", interrupted)
    assert do("sample", runs["image"].path)[0] == 130


# In a process of its own ----------------------------------------------------------------------------------------


def shell(*words, **more):
    env = dict(os.environ) | more.pop("env", {})
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=60, **more)


@pytest.mark.parametrize("line", ["-m morphogen --help", "-m morphogen score --help", "-c import=morphogen"])
def test_nothing_heavy_is_imported_before_it_is_needed(line):
    done = shell("-X", "importtime", *(word.replace("=", " ") for word in line.split()))
    assert done.returncode == 0
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "morphogen" in loaded
    assert not loaded & set(HEAVY)


def test_help_is_quick():
    import time

    took = []
    for _ in range(5):
        began = time.perf_counter()
        shell("-m", "morphogen", "--help")
        took.append(time.perf_counter() - began)
    bare = []
    for _ in range(3):
        began = time.perf_counter()
        shell("-c", "0")
        bare.append(time.perf_counter() - began)
    assert min(took) < max(0.2, 8 * min(bare))  # a busy machine slows both alike


def test_terminals_of_every_kind(runs):
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii:strict"}
    done = shell("-m", "morphogen", "show", runs["image"].path, env=ascii_only)
    assert done.returncode == 0
    assert done.stderr == ""
    reader, writer = os.pipe()
    os.close(reader)  # whoever was to read has gone
    command = [sys.executable, "-m", "morphogen", "--help"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, timeout=60)
    os.close(writer)
    assert done.stderr == b""
    assert done.returncode == 141
    closed = subprocess.run(f"{sys.executable} -m morphogen --help >&- 2>&-", shell=True, timeout=60)
    assert closed.returncode == 0


def test_spaces_are_not_assumed():
    """Nothing in the tasks or the command line knows what a picture is."""
    import ast

    home = Path(cli.__file__).parent
    for path in [*home.glob("tasks/*.py"), home / "cli.py", home / "opened.py", home / "work.py", home / "report.py"]:
        names = {n.id for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Name)}
        names |= {n.attr for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Attribute)}
        assert not names & {"Image", "height", "width_", "channels", "pixels", Image.__name__}, path
    assert {Sound, Tokens, Vector}  # the kinds that the runs above are made of


def test_a_summary_fits_on_a_line():
    """The list of all commands is read at a glance."""
    assert [task.name for task in tasks().values() if not 10 < len(task.summary) <= 115] == []


NAMED_BY_DATA = {"run", "data", "said"}  # tables whose keys are paths, files, classes or columns


def _keys(value, path=()):
    """Every key of what was printed, with the tables that it stands in."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield path, key
            yield from _keys(below, (*path, key))
    elif isinstance(value, list):
        for below in value:
            yield from _keys(below, path)


@pytest.mark.parametrize(
    "name", ["fidelity", "score", "evaluate", "judge", "classify", "detect", "show", "checks", "runs"]
)
def test_keys_of_json_are_words_that_any_language_takes(do, runs, home, name):
    words = (
        [name, runs["image"].path, *OF_A_RUN[name]] if name in OF_A_RUN else [name, *([home] if name == "runs" else [])]
    )
    code, out, err = do(*words, "--json")
    assert code == 0, err
    odd = [
        (path, key) for path, key in _keys(json.loads(out)) if not key.isidentifier() and not set(path) & NAMED_BY_DATA
    ]
    assert odd == []
