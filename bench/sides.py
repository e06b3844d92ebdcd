"""The two sides: processes that answer requests, and processes that are timed from birth to death.

A process that ends with an error, says that it failed, or does not answer in time counts for nothing: `Broken`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from tally import Took

__all__ = ["HOME", "OURS", "THEIRS", "Broken", "Worker", "environment", "process", "worker"]

HOME = Path(__file__).resolve().parent
PEER = Path(os.environ.get("PEER_VENV", HOME.parent / ".bench" / "pythae-venv"))
OURS = [sys.executable, str(HOME / "ours.py")]
THEIRS = [str(PEER / "bin" / "python"), str(HOME / "peer_pythae.py")]
PATIENCE = 900.0  # seconds for one answer


class Broken(Exception):
    """A measurement that does not count, and why."""


def environment(threads: int) -> dict[str, str]:
    """The same number of threads for both, and the data where the Makefile would look for it."""
    shared = HOME.parent.parent / "shared" / "data"
    data = {"MORPHOGEN_DATA": str(shared)} if shared.is_dir() and "MORPHOGEN_DATA" not in os.environ else {}
    words = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")} if threads else {}
    return {**os.environ, **data, **words}


def _tail(log: IO[bytes]) -> str:
    log.seek(0)
    lines = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-3:])[-500:]


class Worker:
    """A process that answers one line of JSON with another."""

    def __init__(self, command: Sequence[str], threads: int) -> None:
        self.name, self.log = Path(command[1]).stem, tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            [*command, "--threads", str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, env=environment(threads),
        )  # fmt: skip
        self.ready = self._answer()
        if self.ready.get("threads") != threads:
            self.kill()
            self.release()
            raise Broken(f"{self.name} runs with {self.ready.get('threads')} threads, not {threads}")

    def _answer(self) -> dict[str, Any]:
        timer = threading.Timer(PATIENCE, self.process.kill)
        timer.start()
        try:
            assert self.process.stdout is not None
            line = self.process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            self.process.kill()
            why = f"{self.name} ended with {self.process.wait()}: {_tail(self.log)}"
            self.release()
            raise Broken(why)
        said: dict[str, Any] = json.loads(line)
        if "error" in said:
            raise Broken(f"{self.name}: {said['error']}")
        return said

    def ask(self, do: str, **words: Any) -> dict[str, Any]:
        """One request, one answer."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # the answer, or the lack of one, says why
            self.process.stdin.write(json.dumps({"do": do, **words}) + "\n")
            self.process.stdin.flush()
        return self._answer()

    def took(self, do: str, **words: Any) -> Took:
        """One request that measures."""
        said = self.ask(do, **words)
        return Took(said["seconds"], said["cpu_seconds"], said.get("steps") or said["images"])

    def close(self) -> None:
        """Ask it to end, and see that it ends well."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write("\n")
            self.process.stdin.close()
            code = self.process.wait(timeout=60)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            code = self.kill()
        if code:
            raise Broken(f"{self.name} ended with {code}: {_tail(self.log)}")

    def release(self) -> None:
        """Pipes and log."""
        for end in (self.process.stdin, self.process.stdout, self.log):
            with suppress(OSError):  # what it was never told is of no use now
                if end is not None:
                    end.close()

    def kill(self) -> int:
        """End it, whatever it does."""
        self.process.kill()
        return self.process.wait()


@contextmanager
def worker(command: Sequence[str], threads: int) -> Iterator[Worker]:
    """A worker that is gone afterwards; that it ended well is part of the measurement."""
    it = Worker(command, threads)
    try:
        yield it
        it.close()
    finally:
        if it.process.poll() is None:
            it.kill()
        it.release()


def process(
    command: Sequence[str], threads: int = 0, patience: float = 1800.0, more: Mapping[str, str] | None = None
) -> tuple[Took, str]:
    """A whole process, timed from outside: what it took, with all of its children, and what it printed."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as log:
        began = time.perf_counter()
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=log, env={**environment(threads), **(more or {})}
        )
        timer = threading.Timer(patience, child.kill)
        timer.start()
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            child.kill()
            raise
        finally:
            timer.cancel()
        wall = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise Broken(f"{' '.join(map(str, command[:3]))} ended with {child.returncode}: {_tail(log)}")
        out.seek(0)
        printed = out.read().decode()
    return Took(wall, usage.ru_utime + usage.ru_stime, 1, usage.ru_maxrss / 1024), printed


def last_json(printed: str) -> dict[str, Any]:
    """The last line of JSON of what a process printed."""
    lines = [line for line in printed.splitlines() if line.startswith("{")]
    if not lines:
        raise Broken(f"nothing was said: {printed[-200:]!r}")
    said: dict[str, Any] = json.loads(lines[-1])
    return said
