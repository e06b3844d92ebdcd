"""Several processes are one: gloo on this machine, as torchrun starts them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent / "crash"))

import child
from child import duel, make, on_the_shelf, spec

from morphogen import session
from morphogen.ranks import Ranks
from morphogen.run import Run

LONG = {"steps": 30, "batch": 21, "log_every": 10, "save_every": 10, "validate_every": 15}

FIT = """
import json, os, signal, sys
import torch
torch.set_num_threads(1)
import child
from morphogen import session
from morphogen.errors import MorphogenError
from morphogen.run import Run
from morphogen.train import Training
path, die_at, twist = sys.argv[1], int(sys.argv[2]), sys.argv[3]
rank = int(os.environ["RANK"])
real = Training.play
def play(self):
    if self.step == die_at and rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self)
Training.play = play
try:
    with child.on_the_shelf(child.duel):
        run = Run.open(path)
        data = child.open_data(run.recipe["data"])
        if twist == "recipe" and rank == 1:
            run.recipe["train"]["lr"] = 0.5
        if twist == "data" and rank == 1:
            data.fingerprint = "0" * 64
        if twist == "full" and rank == 0:
            from morphogen import disk
            save, count = disk.seal, [0]
            def seal(*args):
                count[0] += 1
                if count[0] in (3, 4):
                    raise disk.Failure("the disk is full")
                save(*args)
            disk.seal = seal
        print(json.dumps(session.fit(run, data, quiet=True)["step"]))
except MorphogenError as error:
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
    sys.exit(error.code)
"""


def port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def two(run: Path, die_at: int = -1, twist: str = "") -> list[tuple[int, str]]:
    """Exit code and last words of each of two ranks."""
    path = os.pathsep.join([child.environment()["PYTHONPATH"], str(Path(child.__file__).parent)])
    where = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port()), "GLOO_SOCKET_IFNAME": "lo"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", FIT, str(run), str(die_at), twist],
            env=child.environment(PYTHONPATH=path, RANK=str(rank), LOCAL_RANK=str(rank), **where),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        return [(p.wait(100), p.stderr.read() if p.stderr else "") for p in processes]
    finally:
        for p in processes:
            p.kill()
            p.wait(20)
            if p.stderr:
                p.stderr.close()


def alike(a: Path, b: Path) -> float:
    """The largest difference of weights, moments and averages, as a share of the largest number of each tensor."""
    first, second = child.final(a), child.final(b)
    assert first.keys() == second.keys()
    return max(float((first[k] - v).abs().max() / v.abs().max().clamp_min(1e-3)) for k, v in second.items())


def losses(run: Path) -> list[dict[str, float]]:
    said = [r for r in Run.open(run).log() if any(k.startswith("loss/") for k in r)]
    return [{k: v for k, v in r.items() if k != "time" and not k.endswith("/s")} for r in said]


MODELS: dict[str, dict[str, Any]] = {
    "vae": {"data": {"use": "digits", "binary": "dynamic"}},
    "two players": {"model": "duel", "batch": 20},
}


@pytest.mark.parametrize("case", MODELS)
def test_two_processes_are_one_and_resume_when_killed(case: str, tmp_path: Path) -> None:
    with on_the_shelf(duel):
        tree = spec(**LONG | MODELS[case])
        one, data = make(tmp_path / "one", tree)
        session.fit(one, data, quiet=True)
        both, _ = make(tmp_path / "both", tree, data)
        assert two(both.path) == [(0, ""), (0, "")]
        assert alike(both.path, one.path) < 1e-5
        a, b = losses(one.path), losses(both.path)
        assert [r["step"] for r in a] == [r["step"] for r in b] == [1, 10, 20, 30]
        for mine, theirs in zip(a, b, strict=True):
            assert mine.keys() == theirs.keys()
            assert all(theirs[k] == pytest.approx(v, rel=1e-5, abs=1e-6) for k, v in mine.items())
        killed, _ = make(tmp_path / "killed", tree, data)
        codes = two(killed.path, die_at=17)
        assert codes[1][0] == -9
        assert codes[0][0] != 0  # the survivor notices, and does not hang
        state = killed.load_state()
        assert state is not None
        assert state[1]["step"] == 10
        assert two(killed.path) == [(0, ""), (0, "")]
        assert child.same(child.final(killed.path), child.final(both.path))
        assert losses(killed.path) == losses(both.path)


@pytest.mark.parametrize("what", ["recipe", "data"])
def test_ranks_that_disagree_are_refused(what: str, tmp_path: Path) -> None:
    run, _ = make(tmp_path / "run", spec(steps=5))
    for code, words in two(run.path, twist=what):
        assert code == 2
        assert f"the ranks disagree on the {what}: rank [1] has another than rank 0" in words
    assert not Run.open(run.path).states()


def test_a_full_disk_of_one_rank_does_not_part_them(tmp_path: Path) -> None:
    run, _ = make(tmp_path / "run", spec(steps=9, save_every=2, validate_every=100))
    said = two(run.path, twist="full")
    assert [code for code, _ in said] == [0, 0]
    assert said[0][1].count("the disk is full") >= 1
    assert Run.open(run.path).states()[0].stem == "step-000000009"


def test_a_process_alone_needs_nobody() -> None:
    alone = Ranks()
    x = torch.ones(3)
    alone.sum_([x])
    alone.agree("recipe", "00")
    alone.wait()
    assert torch.equal(x, torch.ones(3))
    assert alone.any(True)
    assert not alone.any(False)
    assert alone.first(0.5) == 0.5


def test_torchrun_end_to_end(tmp_path: Path) -> None:
    leaves = [
        "model.latent=2",
        "model.net.widths=[16]",
        "train.steps=6",
        "train.batch=20",
        "precision=float32",
        "device=cpu",
    ]
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1",
        "--master-port", str(port()), "-m", "--", "morphogen", "train", "vae", "digits", *leaves,
    ]  # fmt: skip
    run = tmp_path / "run"
    done = subprocess.run(
        [*command, "--run", str(run), "--quiet"], env=child.environment(GLOO_SOCKET_IFNAME="lo"),
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    state = Run.open(run).load_state()
    assert state is not None
    assert state[1]["step"] == 6
    one, data = session.start("vae", "digits", leaves, tmp_path / "one")
    session.fit(one, data, quiet=True)
    assert alike(run, one.path) < 1e-5
    assert json.loads((run / "manifest.json").read_text())
