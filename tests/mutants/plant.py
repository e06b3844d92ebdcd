"""Plant bugs one at a time in a copy of the source, and count how many the tests catch: the test of the tests.

    python tests/mutants/plant.py [-j 2] [words of names ...]

Ends with 1 when fewer than 95 % are caught, or when the tests fail without any bug. What is imported by all and holds
nothing of ours (torch, scipy, pytest) is imported once; every mutant is a fork of that.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

HOME = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).parent))

from mutants import MUTANTS, Mutant  # noqa: E402

ENOUGH, SECONDS = 0.95, 240
UNWRITTEN = "ignore:Module already imported:pytest.PytestAssertRewriteWarning"
OPTIONS = ["-x", "-q", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", UNWRITTEN]


@dataclass
class Trial:
    """Some tests, against a source of their own."""

    name: str
    tests: tuple[str, ...]
    mutant: Mutant | None = None
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="mutant-")))
    began: float = 0.0
    seconds: float = 0.0
    verdict: str = ""
    said: str = ""

    def plant(self) -> bool:
        """The source with the bug in it; False if it is no longer there to be changed."""
        source = self.folder / "src"
        shutil.copytree(HOME / "src", source, ignore=shutil.ignore_patterns("__pycache__", ".mypy_cache"))
        if self.mutant is None:
            return True
        path = source / "morphogen" / self.mutant.file
        text = path.read_text(encoding="utf-8")
        if text.count(self.mutant.old) != 1:
            self.verdict, self.said = "stale", f"the old text is there {text.count(self.mutant.old)} times"
            return False
        path.write_text(text.replace(self.mutant.old, self.mutant.new), encoding="utf-8")
        return True

    def run(self) -> None:
        """In the forked child: pytest on our own source, and nothing after it."""
        code = 70
        try:
            os.setpgid(0, 0)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            out = os.open(self.folder / "out", os.O_WRONLY | os.O_CREAT)
            os.dup2(out, 1)
            os.dup2(out, 2)
            os.chdir(HOME)
            os.environ |= {
                "PYTHONPATH": str(self.folder / "src"),
                "OMP_NUM_THREADS": "1",
                "PYTHONDONTWRITEBYTECODE": "1",
            }
            sys.path.insert(0, str(self.folder / "src"))
            sys.dont_write_bytecode = True
            import pytest

            code = int(pytest.main([*OPTIONS, *self.tests]))
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def end(self, code: int | None) -> None:
        """0: nothing noticed; 1: a test failed; others: nothing ran. None: it took too long, which is noticed too."""
        self.seconds = time.monotonic() - self.began
        self.verdict = "caught" if code is None else {0: "survived", 1: "caught"}.get(code, "stale")
        lines = (self.folder / "out").read_text(encoding="utf-8", errors="replace").splitlines()
        failed = [line.split(" - ")[0].rpartition("::")[2] for line in lines if line.startswith(("FAILED", "ERROR"))]
        said = f"not done after {SECONDS} s" if code is None else ""
        self.said = said or (failed[0] if failed else " / ".join(lines[-2:]) if self.verdict == "stale" else "")


def tried(trials: Iterable[Trial], jobs: int) -> Iterator[Trial]:
    """Every trial as it ends, so many at a time."""
    waiting, running = list(trials), dict[int, Trial]()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while waiting or running:
        while waiting and len(running) < jobs:
            trial = waiting.pop(0)
            trial.began = time.monotonic()
            if not trial.plant():
                yield trial
                continue
            pid = os.fork()
            if pid == 0:
                trial.run()
            running[pid] = trial
        signal.sigtimedwait({signal.SIGCHLD}, 5.0)
        for pid, trial in list(running.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            late = time.monotonic() - trial.began > (SECONDS if trial.mutant else 3 * SECONDS)
            if not ended and late:
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            if ended or late:
                trial.end(os.waitstatus_to_exitcode(status) if ended else None)
                del running[pid]
                shutil.rmtree(trial.folder, ignore_errors=True)
                yield trial


def warm() -> None:
    """Import once what every trial needs and no trial changes. No product is computed: a fork must come before that."""
    import hypothesis.strategies
    import numpy
    import PIL.Image
    import pydantic
    import pytest
    import safetensors.torch
    import scipy.stats
    import torch

    assert all((hypothesis, numpy, PIL, pydantic, pytest, safetensors, scipy))
    torch.set_num_threads(1)
    assert "morphogen" not in sys.modules


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-j", type=int, default=2, help="mutants at a time")
    parser.add_argument("--sound", action="store_true", help="only run the tests without any bug")
    parser.add_argument("words", nargs="*", help="only those whose name holds one of these")
    asked = parser.parse_args()
    chosen = [m for m in MUTANTS if not asked.words or any(word in m.name for word in asked.words)]
    assert len({m.name for m in MUTANTS}) == len(MUTANTS)
    os.environ["OMP_NUM_THREADS"] = "1"
    warm()
    files = sorted({m.tests[0] for m in chosen})
    words = {f: " or ".join(sorted({f"({m.tests[2]})" for m in chosen if m.tests[0] == f})) for f in files}
    sound = list(tried((Trial(f, (f, "-k", words[f])) for f in files), asked.j))
    wrong = [f"{t.name}: {t.said}" for t in sound if t.verdict != "survived"]
    if wrong or asked.sound:
        print("\n".join(["These fail without any bug:", *wrong]) if wrong else f"{len(sound)} files of tests pass")
        return bool(wrong)
    verdicts = []
    for trial in tried((Trial(m.name, m.tests, m) for m in chosen), asked.j):
        verdicts.append(trial.verdict)
        print(f"{trial.verdict:9} {trial.seconds:4.0f} s  {trial.name:46} {trial.said}", flush=True)
    caught = verdicts.count("caught")
    print(f"{caught} of {len(verdicts)} planted bugs caught ({caught / max(len(verdicts), 1):.0%})")
    return 0 if caught >= ENOUGH * len(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
