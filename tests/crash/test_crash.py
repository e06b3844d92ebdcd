"""No failure of the disk, no kill and no damaged file loses the last good state, or passes for a good one."""

from __future__ import annotations

import ast
import contextlib
import errno
import json
import os
import pickle
import shutil
import signal
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import child
import pytest
import torch
from child import Faults, Parent, advance, content, faulty, final, make, same, spec, training
from safetensors.torch import save_file

from morphogen import disk, run_folder
from morphogen.errors import Failure, MorphogenError, UserError
from morphogen.run import Run, fill
from morphogen.train import Training

KILLED = -signal.SIGKILL
PLAN = {"steps": 300, "batch": 16, "save_every": 7, "validate_every": 150, "log_every": 25}


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parent]:
    """The warm process that forks the children that are killed."""
    made = Parent(tmp_path_factory.mktemp("parent") / "stderr")
    yield made
    made.close()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run with two states and weights, to be copied and damaged."""
    path = tmp_path_factory.mktemp("good") / "run"
    run, data = make(path, spec(steps=6, batch=16))
    t = training(run, data)
    for step in (2, 4):
        advance(t, step)
        t.save()
    return path


def orphans(path: Path) -> list[Path]:
    return [p for p in path.rglob(".*") if p.name.endswith(".tmp")]


# Failing calls ---------------------------------------------------------------------------------------------------


def failing(number: int) -> Callable[[str, Callable[[], None] | None], None]:
    def harm(name: str, halfway: Callable[[], None] | None) -> None:
        if halfway is not None:
            halfway()
        raise OSError(number, os.strerror(number))

    return harm


def short(name: str, halfway: Callable[[], None] | None) -> None:
    """A write that says that it went well, and did not; other calls fail."""
    if halfway is None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    halfway()


HARMS = {
    "ENOSPC": failing(errno.ENOSPC),
    "EIO": failing(errno.EIO),
    "EDQUOT": failing(errno.EDQUOT),
    "short": short,
}


def saved(t: Training) -> bool:
    """Whether a save failed, in words for whoever has to mend it."""
    try:
        t.save()
    except Failure as error:
        return "free some space" in str(error)
    return False


@pytest.mark.parametrize("harm", HARMS)
def test_every_call_of_a_save_can_fail(harm: str, tmp_path: Path) -> None:
    run, data = make(tmp_path / "start", spec(batch=16))
    t = training(run, data)
    for step in (1, 2, 3):
        advance(t, step)
        t.save()
    good = content(t)
    advance(t, 4)
    new = content(t)
    at, failures = 0, 0
    while True:
        at += 1
        path = tmp_path / f"{at}"
        shutil.copytree(run.path, path)
        t.run = Run.open(path)
        with faulty(Faults(at, HARMS[harm])) as faults:
            failed = saved(t)
        assert same(content(t), new)  # a failed save harms nothing in memory
        failures += failed
        opened = Run.open(path)
        opened.model()  # weights: the old ones or the new ones, never damaged ones
        state = opened.load_state()
        assert state is not None
        kept = {k: v for k, v in state[0].items() if not k.startswith("sum|")}
        wanted = {3: good, 4: new}[state[1]["step"]]
        assert same(kept, {k: v for k, v in wanted.items() if not k.startswith("sum|")})
        if not failed:
            assert state[1]["step"] == 4
        t.save()
        assert not orphans(path)
        assert [p.name for p in Run.open(path).states()] == ["step-000000004.safetensors", "step-000000003.safetensors"]
        again = training(Run.open(path), data)
        assert same(content(again), new)
        if faults.count < at:
            break
    assert failures >= 17, failures  # three files of open, write, fsync, rename, fsync, and some more
    print(f"{harm}: {failures} of {at - 1} calls failed the save, {at - 1}/{at - 1} left a good state")


def test_a_full_disk_ends_no_training_and_costs_only_log_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from morphogen import session

    run, data = make(tmp_path / "run", spec(steps=12, batch=16, save_every=3, validate_every=100))
    saves: list[int] = []

    def save(self: session.Training, **facts: object) -> None:
        saves.append(self.step)
        if 0 < self.step < 9:
            raise Failure("the disk is full")
        real(self, **facts)

    real = session.Training.save
    monkeypatch.setattr(session.Training, "save", save)
    assert session.fit(run, data, quiet=True)["step"] == 12
    assert saves == [0, 3, 6, 9, 12, 12]
    assert capfd.readouterr().err.count("the disk is full") == 2
    reference, _ = make(tmp_path / "reference", spec(steps=12, batch=16, save_every=3, validate_every=100))
    monkeypatch.undo()
    session.fit(reference, data, quiet=True)
    assert same(final(run.path), final(reference.path))


def test_a_torn_log_line_costs_that_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = make(tmp_path / "run", spec())
    run.append({"step": 1})
    with monkeypatch.context() as patch:
        patch.setattr(run_folder, "appended", lambda *a: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        run.append({"step": 2})
    with open(run.path / "log.jsonl", "a") as file:
        file.write('{"step": 3, "lo')  # what a full disk may leave of a line
    run.append({"step": 4})
    assert run.log() == [{"step": 1}, {"step": 4}]
    (run.path / "log.jsonl").write_text('[1]\n7\n{"step": "x"}\n{"step": 2}\n' + "[" * 100_000 + "\n\x00\ufffe\n")
    assert run.log() == [{"step": 2}]
    run.forget_after(1)
    assert run.log() == []


def test_a_folder_that_was_half_made_can_be_made_again(tmp_path: Path) -> None:
    recipe = spec()
    _, data = make(tmp_path / "whole", recipe)
    at = 0
    while True:
        at += 1
        path = tmp_path / str(at)
        with faulty(Faults(at, failing(errno.EIO))) as faults, contextlib.suppress(MorphogenError):
            Run.create(path, recipe, data.facts())
        if faults.count < at:
            break
        if not (path / "recipe.toml").exists():
            Run.create(path, recipe, data.facts())
        assert Run.open(path).recipe == Run.open(tmp_path / "whole").recipe
    with pytest.raises(UserError, match="already there"):
        Run.create(path, recipe, data.facts())
    assert at > 8


# Killing ---------------------------------------------------------------------------------------------------------


def reference(parent: Parent, path: Path, **plan: object) -> tuple[dict[str, torch.Tensor], float]:
    make(path, spec(**plan))
    said = parent.fit(path)
    assert said["code"] == 0
    return final(path), said["seconds"]


def named_points(parent: Parent, path: Path, points: Iterator[int], **plan: object) -> tuple[int, int]:
    """Kill at each point, resume, compare: (equal, tried); until a point that a whole run does not reach."""
    wanted, _ = reference(parent, path / "whole", **plan)
    equal = tried = 0
    for at in points:
        run = path / f"point-{at}"
        make(run, spec(**plan))
        if parent.fit(run, die_at=at)["code"] == 0:
            break
        tried += 1
        assert parent.fit(run)["code"] == 0
        equal += same(final(run), wanted) and not orphans(run)
        shutil.rmtree(run)
    return equal, tried


def test_kill_at_every_point_of_a_save(parent: Parent, tmp_path: Path) -> None:
    """Of the third save, the first that also takes an old state away."""
    plan = {"steps": 3, "batch": 8, "save_every": 1, "validate_every": 99, "log_every": 2}
    run, data = make(tmp_path / "count", spec(**plan))
    with faulty(Faults(0, child.die)) as faults:
        t = training(run, data)
        counts = []
        for step in range(4):
            advance(t, step)
            t.save()
            counts.append(faults.count)
    begin, end = counts[1] + 2, counts[2] + 4  # the log of a fresh sitting adds no call; a margin at both ends
    equal, tried = named_points(parent, tmp_path, iter(range(begin - 2, end + 1)), **plan)
    print(f"{equal}/{tried} bit-identical after a kill at a named point")
    assert equal == tried > 15


@pytest.mark.nightly
def test_kill_at_every_point_of_every_save(parent: Parent, tmp_path: Path) -> None:
    plan = {"steps": 9, "batch": 8, "save_every": 2, "validate_every": 4, "log_every": 2, "patience": 5}
    equal, tried = named_points(parent, tmp_path, iter(range(1, 10_000)), **plan)
    print(f"{equal}/{tried} bit-identical after a kill at a named point")
    assert equal == tried > 60


@pytest.mark.nightly
def test_kill_a_compiled_run(parent: Parent, tmp_path: Path) -> None:
    """The whole step as one program: killed before, between and after states, it ends the same."""
    plan = {"steps": 9, "batch": 8, "save_every": 3, "validate_every": 99, "log_every": 2, "compile": True}
    wanted, _ = reference(parent, tmp_path / "whole", **plan)
    assert not any("not compiled" in r.get("event", "") for r in Run.open(tmp_path / "whole").log())
    for at in (30, 45, 70):
        make(tmp_path / f"{at}", spec(**plan))
        assert parent.fit(tmp_path / f"{at}", die_at=at)["code"] == KILLED
        assert parent.fit(tmp_path / f"{at}")["code"] == 0
        assert same(final(tmp_path / f"{at}"), wanted)


def random_kills(parent: Parent, path: Path, count: int, seed: int) -> int:
    """Runs that ended bit-identical of `count`, each killed at a random moment (some once more after they resumed)."""
    wanted, _ = reference(parent, path / "warm", **PLAN)
    make(path / "timed", spec(**PLAN))
    seconds = parent.fit(path / "timed")["seconds"]
    chance = child.chance(seed)
    equal = 0
    kills = 0
    for number in range(count):
        run = path / f"run-{number}"
        make(run, spec(**PLAN))
        while True:  # a run that ended before it was killed is no kill: try again, sooner
            said = parent.fit(run, kill_after=chance.uniform(0.0, seconds))
            if said["code"] == KILLED:
                break
            shutil.rmtree(run)
            make(run, spec(**PLAN))
            seconds *= 0.9
        kills += 1
        if chance.random() < 0.25:
            kills += parent.fit(run, kill_after=chance.uniform(0.0, seconds))["code"] == KILLED
        assert parent.fit(run)["code"] == 0
        equal += same(final(run), wanted)
        shutil.rmtree(run)
    print(f"{equal}/{count} bit-identical ({kills} kills)")
    return equal


def test_kill_at_random_moments(parent: Parent, tmp_path: Path) -> None:
    assert random_kills(parent, tmp_path, 6, seed=1) == 6


@pytest.mark.nightly
def test_kill_at_fifty_random_moments(parent: Parent, tmp_path: Path) -> None:
    assert random_kills(parent, tmp_path, 50, seed=2) == 50


# Damage ----------------------------------------------------------------------------------------------------------


def copied(finished: Path, tmp_path: Path) -> Path:
    path = tmp_path / "run"
    shutil.copytree(finished, path)
    return path


def test_every_flipped_bit_is_refused_by_name(finished: Path, tmp_path: Path) -> None:
    chance, refused, tried = child.chance(7), 0, 0
    sources = [finished / "weights.safetensors", finished / "state" / "step-000000004.safetensors"]
    for source in sources:
        whole = source.read_bytes()
        header = struct.unpack("<Q", whole[:8])[0] + 8
        target = tmp_path / source.name
        for number in range(1000):
            bits = 8 * (header if number % 2 else len(whole))  # half of them in the header, where the meaning is
            bit = chance.randrange(bits)
            harmed = bytearray(whole)
            harmed[bit // 8] ^= 1 << bit % 8
            target.write_bytes(harmed)
            tried += 1
            try:
                disk.open_sealed(target)
            except UserError as error:
                refused += str(target) in str(error)
    print(f"{refused}/{tried} flipped bits refused by name")
    assert refused == tried == 2000


def damaged(kind: str, path: Path, other: Path) -> None:
    """Harm the file at `path` so; `other` is a sound file of the same kind, of another time or run."""
    whole = path.read_bytes()
    tensors, facts = disk.open_sealed(path)
    first = min(tensors)
    match kind:
        case "empty":
            path.write_bytes(b"")
        case "cut":
            path.write_bytes(whole[:-1])
        case "cut header":
            path.write_bytes(whole[:20])
        case "longer":
            path.write_bytes(whole + b"\0")
        case "zeros":
            path.write_bytes(bytes(len(whole)))
        case "huge header":
            path.write_bytes(struct.pack("<Q", 2**63) + whole[8:])
        case "header of 100 MB":
            path.write_bytes(struct.pack("<Q", 100_000_001) + whole[8:])
        case "pickle":
            path.write_bytes(pickle.dumps({"model": [1.0]}))
        case "zip":
            with zipfile.ZipFile(path, "w") as file:
                file.writestr("archive/data.pkl", pickle.dumps({}))
        case "unsealed":
            save_file(tensors, path)
        case "nested metadata":
            save_file(tensors, path, metadata={"facts": "[" * 50_000, "sha256": "0"})
        case "list of facts":
            save_file(tensors, path, metadata={"facts": "[1]", "sha256": disk.fingerprint(tensors, "[1]")})
        case "missing tensor":
            disk.seal(path, {k: v for k, v in tensors.items() if k != first}, facts)
        case "extra tensor":
            disk.seal(path, tensors | {"model|extra": torch.zeros(1)}, facts)
        case "renamed tensor":
            disk.seal(path, {k + "x" if k == first else k: v for k, v in tensors.items()}, facts)
        case "other type":
            disk.seal(path, tensors | {first: tensors[first].double()}, facts)
        case "other shape":
            disk.seal(path, tensors | {first: tensors[first].flatten()[:-1]}, facts)
        case "transposed":
            matrix = next(k for k, v in tensors.items() if v.dim() == 2 and v.shape[0] != v.shape[1])
            disk.seal(path, tensors | {matrix: tensors[matrix].T.contiguous()}, facts)
        case "not finite":
            broken = tensors[first].clone()
            broken.view(-1)[0] = float("nan")
            disk.seal(path, tensors | {first: broken}, facts)
        case "of another run":
            shutil.copy(other, path)
        case "no facts":
            disk.seal(path, tensors, {})
        case _:
            raise AssertionError(kind)


BYTES = ["empty", "cut", "cut header", "longer", "zeros", "huge header", "header of 100 MB", "pickle", "zip",
         "unsealed", "nested metadata", "list of facts", "of another run", "no facts"]  # fmt: skip
TENSORS = ["missing tensor", "extra tensor", "renamed tensor", "other type", "other shape", "transposed", "not finite"]


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound run of the same shape, from another seed."""
    path = tmp_path_factory.mktemp("other") / "run"
    run, data = make(path, spec(steps=6, batch=16, seed=4))
    t = training(run, data)
    advance(t, 4)
    t.save()
    return path


@pytest.mark.parametrize("kind", BYTES + TENSORS)
def test_damaged_weights_are_refused_by_name(kind: str, finished: Path, other: Path, tmp_path: Path) -> None:
    path = copied(finished, tmp_path)
    damaged(kind, path / "weights.safetensors", other / "weights.safetensors")
    with pytest.raises(UserError, match=r"weights\.safetensors"):
        Run.open(path).model()


@pytest.mark.parametrize("kind", BYTES)
def test_a_damaged_state_gives_way_to_the_one_before(
    kind: str, finished: Path, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copied(finished, tmp_path)
    name = "step-000000004.safetensors"
    damaged(kind, path / "state" / name, other / "state" / name)
    run = Run.open(path)
    state = run.load_state()
    assert state is not None
    assert state[1]["step"] == 2
    assert name in capsys.readouterr().err  # and it says so
    data = child.open_data("digits")
    t = training(run, data)
    advance(t, 3)
    t.save()
    assert [p.name for p in run.states()] == ["step-000000003.safetensors", "step-000000002.safetensors"]
    damaged(kind, path / "state" / "step-000000003.safetensors", other / "state" / name)
    damaged(kind, path / "state" / "step-000000002.safetensors", other / "state" / name)
    with pytest.raises(UserError, match="no state of this run can be read") as error:
        run.load_state()
    assert "step-000000003" in str(error.value)
    assert "step-000000002" in str(error.value)


@pytest.mark.parametrize("kind", TENSORS)
def test_a_state_of_another_model_is_refused(kind: str, finished: Path, other: Path, tmp_path: Path) -> None:
    path = copied(finished, tmp_path)
    damaged(kind, path / "state" / "step-000000004.safetensors", other)
    with pytest.raises(UserError, match=r"state|moments"):
        training(Run.open(path), child.open_data("digits"))


@pytest.mark.parametrize("kind", ["model", "moments", "average", "facts", "unknown"])
def test_a_state_that_lacks_something_is_refused(kind: str, finished: Path, tmp_path: Path) -> None:
    path = copied(finished, tmp_path)
    state = path / "state" / "step-000000004.safetensors"
    tensors, facts = disk.open_sealed(state)
    if kind == "facts":
        for key in ("elapsed", "caution", "shunned", "micro", "counted"):
            disk.seal(state, tensors, {k: v for k, v in facts.items() if k != key})
            with pytest.raises(UserError, match=key):
                training(Run.open(path), child.open_data("digits"))
        return
    prefix = {"model": "model|", "moments": "optimiser|", "average": "average|", "unknown": "?"}[kind]
    kept = {k: v for k, v in tensors.items() if not k.startswith(prefix)}
    disk.seal(state, kept | ({"spirit|x": torch.zeros(1)} if kind == "unknown" else {}), facts)
    with pytest.raises(UserError, match=r"lacks?|spirit"):
        training(Run.open(path), child.open_data("digits"))


def test_states_under_other_names_are_refused(finished: Path, tmp_path: Path) -> None:
    path = copied(finished, tmp_path)
    folder = path / "state"
    (folder / "step-000000002.safetensors").rename(folder / "step-000000009.safetensors")
    state = Run.open(path).load_state()
    assert state is not None
    assert state[1]["step"] == 4
    shutil.copy(folder / "step-000000004.safetensors", path / "weights.safetensors")
    with pytest.raises(UserError, match=r"weights\.safetensors"):
        Run.open(path).model()


def test_a_recipe_that_was_changed_behind_our_back_is_refused(finished: Path, tmp_path: Path) -> None:
    path = copied(finished, tmp_path)
    for name, old, new in (("recipe.toml", "warmup = 3", "warmup = 4"), ("data.json", "digits", "fidgit")):
        text = (path / name).read_text()
        assert old in text
        (path / name).write_text(text.replace(old, new))
        with pytest.raises(UserError, match=name):
            Run.open(path)
        (path / name).write_text(text)
    Run.open(path)


def test_fill_refuses_what_does_not_fit() -> None:
    model = torch.nn.Linear(2, 3)
    good = {k: v.clone() for k, v in model.state_dict().items()}
    fill(model, good, Path("w"))
    for bad, word in (
        ({"weight": good["weight"]}, "lacks"),
        (good | {"more": good["bias"]}, "unknown"),
        (good | {"bias": torch.zeros(4)}, "wants"),
        (good | {"bias": torch.zeros(3, dtype=torch.float64)}, "wants"),
        (good | {"bias": torch.tensor([0.0, float("inf"), 0.0])}, "finite"),
    ):
        with pytest.raises(UserError, match=word):
            fill(model, bad, Path("w"))


def test_one_process_at_a_time_trains_a_run(finished: Path, tmp_path: Path) -> None:
    run = Run.open(copied(finished, tmp_path))
    with run.locked(), pytest.raises(UserError, match="another process"), Run.open(run.path).locked():
        pass
    with Run.open(run.path).locked():
        pass


# Nothing of a file is executed -----------------------------------------------------------------------------------

AUDIT = r"""
import json, sys
from pathlib import Path
from morphogen.core import build
from morphogen.errors import MorphogenError
from morphogen import machine, recipe, session
from morphogen.run import Run
from morphogen.ranks import Ranks
from morphogen.train import Training
from morphogen.data.find import open_data
import child, torch

home = Path(sys.argv[1])
data = open_data("digits")

def look(path):
    "Everything that opening means: recipe, facts, weights, state."
    run = Run.open(path)
    machine.choose_device(str(run.recipe["device"]))
    open_data(run.recipe["data"])
    run.model()
    Training(run, data, Ranks()).resume()

def build_recipe(path):
    own = "data =" in path.read_text(encoding="utf-8", errors="replace")
    whole, found = session.complete(path, None if own else "digits", [])
    Run(path, whole, found.facts()).build()

look(home / "good")
build_recipe(home / "good.toml")
for shelf in build.SHELVES:
    for name in build.names(shelf):
        build._schema(build._shelves[shelf][name])

events, on = [], False
BAD = ("pickle.find_class", "exec", "compile", "subprocess.Popen", "os.system", "os.exec", "os.fork", "os.posix_spawn",
       "socket.connect", "socket.bind", "socket.__new__", "urllib.Request", "import", "ctypes.dlopen", "marshal.loads",
       "code.__new__", "shutil.rmtree", "webbrowser.open", "sys.addaudithook", "builtins.input")
def hook(event, args):
    parsed = event == "compile" and args[1] == "<unknown>"  # ast.literal_eval of a .npy header: a tree, never run
    if on and event in BAD and not parsed:
        events.append((event, repr(args)[:200]))
sys.addaudithook(hook)

told = {}
for path in sorted((home / "hostile").iterdir()):
    on = True
    try:
        (build_recipe if path.suffix == ".toml" else look)(path)
        said = "opened"
    except MorphogenError as error:
        said = "refused"
    except BaseException as error:
        said = f"{type(error).__name__}: {error}"
    on = False
    told[path.name] = said
assert "evil_marker" not in sys.modules
print(json.dumps({"told": told, "events": events}))
"""

RECIPES = {
    "target": 'model = { _target_ = "evil_marker.boom", use = "vae" }',
    "target2": '_target_ = "evil_marker.boom"',
    "import": 'model = { use = "evil_marker:boom" }',
    "import2": 'model = { use = "evil_marker.boom" }',
    "import3": 'model = { use = "morphogen.core.build.part" }',
    "import4": 'model = { use = "vae", net = { use = "torch.nn.Linear" } }',
    "class_path": 'model = { use = "vae", class_path = "evil_marker.boom" }',
    "module": 'model = { use = "vae", net = { use = "mlp", module = "evil_marker" } }',
    "dunder": 'model = { use = "vae", __class__ = "evil_marker.boom", __init__ = "boom" }',
    "dunder2": 'model = { use = "__import__" }',
    "yaml": 'model = { use = "!!python/object/apply:os.system [evil]" }',
    "interpolate": 'model = { use = "vae", latent = "${oc.env:HOME}" }',
    "template": 'model = { use = "vae", latent = "{{7*7}}" }',
    "format": 'model = { use = "{0.__class__}" }',
    "expression": 'model = { use = "vae", latent = "__import__(\'evil_marker\')" }',
    "act": 'model = { use = "vae", net = { use = "mlp", act = "eval" } }',
    "lambda": 'model = { use = "vae", terms = ["lambda: 0"] }',
    "path": 'model = { use = "../evil_marker" }',
    "path2": 'data = { use = "../../evil_marker.py" }',
    "url": 'data = { use = "http://127.0.0.1:9/evil" }',
    "unknown": 'modle = "vae"',
    "type": "model = 7",
    "list": "model = [1, 2]",
    "negative": 'model = { use = "vae", latent = -1 }',
    "float": 'model = { use = "vae", latent = 1e400 }',
    "nan": "train = { lr = nan }",
    "zero": "train = { save_every = 0 }",
    "seed": "seed = -1",
    "seed2": 'seed = "x"',
    "device": 'device = "evil_marker"',
    "precision": 'precision = "evil_marker"',
    "digits": f"seed = {'9' * 5000}",
    "deep": f"model = {'[' * 20_000}",
    "dotted": f"model{'.a' * 20_000} = 1",
    "nested": f"model = {'[' * 90 + ']' * 90}",
    "duplicate": 'model = "vae"\nmodel = "vae"',
    "bom": "\ufeffmodel = 'vae'",
    "laughs": 'a = "*b"\nb = "*c"',
    "track": 'train = { track = ["evil_marker"] }',
    "huge": "# " + "x" * (1 << 20),
}


def resealed(path: Path) -> None:
    """What an attacker would do: make the seals of a changed run right again, where it can be read at all."""
    (path / "manifest.json").unlink()
    with contextlib.suppress(MorphogenError):
        run = Run.open(path)
        for file in (path / "weights.safetensors", *run.states()):
            tensors, facts = disk.open_sealed(file)
            disk.seal(file, tensors, facts | {"run": run.identity})


def test_opening_hostile_files_runs_nothing_of_them(finished: Path, other: Path, tmp_path: Path) -> None:
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    shutil.copytree(finished, tmp_path / "good")
    (tmp_path / "good.toml").write_text('model = "vae"\n')
    (tmp_path / "evil_marker.py").write_text("raise SystemExit('executed')\ndef boom(*a, **k): ...\n")
    for name, text in RECIPES.items():
        (hostile / f"{name}.toml").write_text(text, encoding="utf-8")
    (hostile / "latin.toml").write_bytes(b"model = '\xff'")
    for kind in BYTES + TENSORS:
        for name in ("weights.safetensors", "state/step-000000004.safetensors"):
            path = hostile / f"{kind} {name[:5]}".replace(" ", "-")
            shutil.copytree(finished, path)
            shutil.rmtree(path / "state") if "weights" in name else None
            if "state" in name:
                (path / "state" / "step-000000002.safetensors").unlink()
            (path / "manifest.json").unlink()
            damaged(kind, path / name, other / name)
    for name, text in RECIPES.items():
        path = hostile / f"run-{name}"
        shutil.copytree(finished, path)
        key = text.split("=")[0].strip()
        lines = [line for line in (path / "recipe.toml").read_text().splitlines() if not line.startswith(f"{key} =")]
        (path / "recipe.toml").write_text("\n".join([*lines, text]), encoding="utf-8")
        resealed(path)
    for name, text in {
        "list": "[]", "deep": "[" * 100_000, "number": "9" * 5000, "class": '{"__class__": "evil_marker.boom"}',
        "kind": '{"fingerprint": "x", "space": {"kind": "evil_marker"}}',
        "space": '{"fingerprint": "x", "space": {"kind": "image", "height": "evil_marker", "width": 8}}',
        "space2": '{"fingerprint": "x", "space": 7}',
        "space3": '{"fingerprint": "x", "space": {"kind": "image", "height": -8, "width": 8}}',
            "space4": '{"fingerprint": "x", "space": {"kind": "image", "height": 1e9, "width": 8}}',
            "space5": '{"fingerprint": "x", "space": {"kind": "image", "height": 1000000000, "width": 1000000000}}',
            "space6": '{"fingerprint": "x", "space": {"kind": "vector", "length": 9, "centre": "evil", "scale": [1]}}',
            "classes": '{"fingerprint": "x", "classes": 7, "space": {"kind": "image", "height": 8, "width": 8}}',
    }.items():  # fmt: skip
        shutil.copytree(finished, hostile / f"data-{name}")
        (hostile / f"data-{name}" / "data.json").write_text(text)
        resealed(hostile / f"data-{name}")
    path = os.pathsep.join([child.environment()["PYTHONPATH"], str(Path(child.__file__).parent), str(tmp_path)])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", AUDIT, str(tmp_path)],
        env=child.environment(PYTHONPATH=path), capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.splitlines()[-1])
    strange = {name: what for name, what in said["told"].items() if what != "refused"}
    assert not strange, "\n".join(f"{k}: {v}" for k, v in strange.items())
    assert not said["events"], said["events"][:10]
    print(f"{len(said['told'])} hostile files: all refused, no code run")


SOURCES = sorted((Path(disk.__file__).parent).rglob("*.py"))
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "yaml", "marshal", "shelve", "runpy", "code"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_ATTRIBUTES = {("torch", "load"), ("torch", "save"), ("os", "system"), ("os", "popen"), ("torch", "jit")}


def test_the_source_cannot_execute_a_file() -> None:
    faults = []
    for path in SOURCES:
        inside = path.relative_to(Path(disk.__file__).parent).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            where = f"{inside}:{getattr(node, 'lineno', 0)}"
            names = []
            if isinstance(node, ast.Import):
                names = [a.name for a in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            faults += [f"{where} imports {n}" for n in names if n.partition(".")[0] in FORBIDDEN_MODULES]
            if isinstance(node, ast.Call):
                if isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
                    faults.append(f"{where} calls {node.func.id}")
                if any(k.arg == "allow_pickle" and getattr(k.value, "value", True) for k in node.keywords):
                    faults.append(f"{where} allows pickle")
                if any(k.arg == "shell" and getattr(k.value, "value", True) for k in node.keywords):
                    faults.append(f"{where} runs a shell")
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if (node.value.id, node.attr) in FORBIDDEN_ATTRIBUTES:
                    faults.append(f"{where} uses {node.value.id}.{node.attr}")
                if node.attr == "import_module" and inside not in ("core/build.py", "tasks/task.py"):
                    faults.append(f"{where} imports by name")
    assert len(SOURCES) > 40
    assert not faults, faults
