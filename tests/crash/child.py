"""What the tests of training share: tiny runs, a two-player model, and processes that can be killed.

As a program it is a warm parent (`python child.py serve`): it imports torch once, then forks a child for every line it
reads, so that a kill costs milliseconds and not an import. It never runs a backward pass itself: autograd forbids that
before a fork. `python child.py fit RUN` is a plain process.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

import morphogen
from morphogen import disk, session
from morphogen.core import build, noise
from morphogen.core.batch import Batch
from morphogen.core.model import Model, Turn
from morphogen.core.space import Space, Vector
from morphogen.data.dataset import Dataset
from morphogen.data.find import open_data
from morphogen.plan import Plan
from morphogen.ranks import Ranks
from morphogen.run import Run
from morphogen.train import Training, train

HOME = Path(__file__).resolve().parents[2]
TINY: dict[str, Any] = {"use": "vae", "latent": 2, "net": {"use": "mlp", "widths": [16]}}


class duel(Model):
    """Two players: a forger moves noise towards the data, a judge tells them apart. Their losses pull in two ways."""

    players: ClassVar[dict[str, str]] = {"judge": "judge.*", "forger": "forger.*"}

    def __init__(self, space: Space, labels: Vector | None = None, /, *, width: int = 8) -> None:
        super().__init__()
        self.space = space
        self.forger = nn.Sequential(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, space.size))
        self.judge = nn.Sequential(nn.Linear(space.size, width), nn.Tanh(), nn.Linear(width, 1))

    def play(self, batch: Batch, step: int) -> Iterator[Turn]:
        x = batch.x.flatten(1).float()
        fake = self.forger(noise.normal((len(x), 4), event=1, like=x))
        opinion = self.judge(x).mean() - self.judge(fake.detach()).mean()
        yield Turn("judge", -opinion + 0.1 * (self.judge(x) ** 2).mean(), log={"opinion": opinion.detach()})
        fresh = self.forger(noise.normal((len(x), 4), event=1, like=x))
        yield Turn("forger", -self.judge(fresh).mean() + (fresh**2).mean())

    def review(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": self.judge(batch.x.flatten(1).float())[:, 0] ** 2}


@contextmanager
def on_the_shelf(make: type[Model]) -> Iterator[None]:
    """A model of the test's own, for as long as the block lasts: other tests list the shelf."""
    build.names("models")
    build._shelves["models"][make.__name__] = make
    try:
        yield
    finally:
        del build._shelves["models"][make.__name__]


def spec(
    model: Any = TINY, *, data: Any = "digits", precision: str = "float32", seed: int = 3, **plan: Any
) -> dict[str, Any]:
    """A whole recipe on small data: every default filled in, as a run keeps it."""
    table = {"steps": 12, "batch": 20, "log_every": 1, "warmup": 3, "compile": False} | plan
    return {
        "data": data if isinstance(data, dict) else {"use": data},
        "model": build.part("models", model).spec,
        "train": Plan.complete(table),
        "seed": seed,
        "device": "cpu",
        "precision": precision,
    }


def make(path: Path, recipe: dict[str, Any], data: Dataset | None = None) -> tuple[Run, Dataset]:
    """A fresh run and its data."""
    data = data or open_data(recipe["data"])
    return Run.create(path, recipe, data.facts()), data


def training(run: Run, data: Dataset) -> Training:
    """A training that stands where the run stands."""
    made = Training(run, data, Ranks())
    made.resume()
    return made


def advance(t: Training, to: int) -> list[dict[str, float]]:
    """Train up to a step; the records on the way."""
    said = []
    if t.step < to:
        for progress in train(t):
            said += [progress.record] if progress.record else []
            if progress.step >= to:
                break
    return said


def content(t: Training) -> dict[str, Tensor]:
    """Everything that a state holds, apart."""
    return {name: tensor.detach().clone() for name, tensor in t.tensors().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Equal bit for bit, name for name."""
    return a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and torch.equal(a[k], b[k]) for k in a)


def final(run: Path) -> dict[str, Tensor]:
    """The last state of a run and the weights for use, as they lie on the disk."""
    opened = Run.open(run)
    state = opened.load_state()
    assert state is not None
    weights, _ = disk.open_sealed(run / "weights.safetensors")
    return state[0] | {f"weights|{k}": v for k, v in weights.items()}


# Breaking the disk -----------------------------------------------------------------------------------------------


@dataclass
class Faults:
    """Counts our calls that must reach the disk, and does `harm(call, halfway)` at the one numbered `at`."""

    at: int
    harm: Callable[[str, Callable[[], None] | None], None]
    count: int = 0

    def __call__(self, name: str, halfway: Callable[[], None] | None = None) -> None:
        self.count += 1
        if self.count == self.at:
            self.harm(name, halfway)


@contextmanager
def faulty(faults: Faults) -> Iterator[Faults]:
    """Every open, write, fsync, rename and unlink of ours goes through `faults`."""
    real_fsync, real_replace, real_unlink, real_open = os.fsync, os.replace, Path.unlink, os.open
    real_fill, real_save = disk._fill, disk.write_tensors

    def fsync(handle: int) -> None:
        faults("fsync")
        real_fsync(handle)

    def replace(old: Any, new: Any, **more: Any) -> None:
        faults("replace")
        real_replace(old, new, **more)

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path.exists():
            faults("unlink")
        real_unlink(path, missing_ok=missing_ok)

    def open_(path: Any, *more: Any, **named: Any) -> int:
        faults("open")
        return real_open(path, *more, **named)

    def once(whole: Callable[[], None], part: Callable[[], None]) -> None:
        cut: list[bool] = []
        faults("write", lambda: (part(), cut.append(True))[0])
        if not cut:
            whole()

    def fill(file: Any, wanted: bytes) -> None:
        once(lambda: real_fill(file, wanted), lambda: real_fill(file, wanted[: len(wanted) // 2]))

    def save(file: Any, tensors: Any, metadata: Any) -> None:
        def halfway() -> None:
            real_save(file, tensors, metadata)
            file.flush()
            os.truncate(file.fileno(), os.fstat(file.fileno()).st_size // 2)

        once(lambda: real_save(file, tensors, metadata), halfway)

    os.fsync, os.replace, Path.unlink, os.open = fsync, replace, unlink, open_  # type: ignore[assignment, method-assign]
    disk._fill, disk.write_tensors = fill, save
    try:
        yield faults
    finally:
        os.fsync, os.replace, Path.unlink, os.open = real_fsync, real_replace, real_unlink, real_open  # type: ignore[method-assign]
        disk._fill, disk.write_tensors = real_fill, real_save


def die(name: str, halfway: Callable[[], None] | None) -> None:
    """SIGKILL, in the middle of the write if it is one."""
    if halfway is not None:
        halfway()
    os.kill(os.getpid(), signal.SIGKILL)


# The warm parent -------------------------------------------------------------------------------------------------


def fit(path: str, die_at: int = 0) -> None:
    """Train a run to its end, or to its death at the `die_at`-th call to the disk."""
    faults = Faults(die_at, die)
    with faulty(faults), on_the_shelf(duel):
        session.fit(Run.open(path), quiet=True)
    print(json.dumps({"calls": faults.count}), file=sys.stderr)


def _child(order: dict[str, Any]) -> None:
    code = 70
    try:
        for number in (signal.SIGCHLD,):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        fit(order["run"], order.get("die_at", 0))
        code = 0
    finally:
        sys.stderr.flush()
        os._exit(code)


def serve() -> None:
    """Fork a child for each line of input; kill it after `kill_after` seconds, unless it has ended by then."""
    torch.set_num_threads(1)
    open_data("digits")
    for shelf in ("models", "nets", "families", "priors", "terms", "schedules", "data"):
        build.names(shelf)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        began = time.monotonic()
        pid = os.fork()
        if pid == 0:
            _child(order)
        killed = signal.sigtimedwait({signal.SIGCHLD}, order.get("kill_after", 120.0)) is None
        if killed:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        while signal.sigtimedwait({signal.SIGCHLD}, 0) is not None:
            pass
        said = {"code": os.waitstatus_to_exitcode(status), "seconds": time.monotonic() - began}
        print(json.dumps(said), flush=True)


class Parent:
    """The other end of `serve`."""

    def __init__(self, log: Path) -> None:
        self.log = log
        with open(log, "wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, __file__, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                env=environment(), text=True,
            )  # fmt: skip
        self._read()

    def _read(self) -> str:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], 240)
        line = self.process.stdout.readline() if ready else ""
        assert line, f"the parent died: {self.log.read_text()[-2000:]}"
        return line

    def fit(self, run: Path, **order: Any) -> dict[str, Any]:
        """What became of a child: its exit code (minus the signal that killed it) and its seconds."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"run": str(run)} | order) + "\n")
        self.process.stdin.flush()
        said: dict[str, Any] = json.loads(self._read())
        assert said["code"] in (0, -signal.SIGKILL), self.log.read_text()[-2000:]
        return said

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


def environment(**more: str) -> dict[str, str]:
    """A child's environment: our sources, one thread, warnings as errors."""
    source = str(Path(morphogen.__file__).resolve().parents[1])
    return os.environ | {"PYTHONPATH": source, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"} | more


def chance(seed: int) -> random.Random:
    """Seeded chance."""
    return random.Random(seed)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        torch.set_num_threads(1)
        fit(sys.argv[2])
