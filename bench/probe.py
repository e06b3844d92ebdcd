"""What machine this is, and whether it is at rest: `python bench/probe.py` prints the speed of products of 1024 x 1024.

The driver measures nothing itself and imports no torch: products are timed in a process of their own.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["Machine", "look"]

SIDE, TIMES = 1024, 15
KINDS = {"MKL float32": "highest", "oneDNN float32": "medium", "bfloat16": "medium"}
SHARE, LOAD = 0.9, 1.5  # at rest: a thread of ours has so much of its core, and fewer than so many others are running


@dataclass(frozen=True)
class Machine:
    """One look at the machine."""

    cpu: str
    cores: int
    torch: str
    gflops: dict[str, float]
    share: float  # of the time that products on one thread took, they had the processor: 1 where nobody disturbs
    load: float  # others that were running while we rested
    minute: float  # the system's own average of the last minute, which counts what we did as well
    when: str

    @property
    def ratio(self) -> float:
        """How much faster oneDNN multiplies than MKL."""
        return self.gflops["oneDNN float32"] / self.gflops["MKL float32"]

    @property
    def doubts(self) -> list[str]:
        """Why the machine does not count as at rest."""
        said = [f"{self.load:.1f} others were running"] if self.load >= LOAD else []
        return said + ([f"a thread of ours had {self.share:.2f} of a core"] if self.share < SHARE else [])

    @property
    def quiet(self) -> bool:
        """Whether nobody disturbs, by the load and by how much of a core we get."""
        return not self.doubts

    def speeds(self) -> str:
        """The products, in words."""
        return ", ".join(f"{kind} {speed:.0f}" for kind, speed in self.gflops.items())

    def facts(self) -> dict[str, Any]:
        """As a plain dictionary."""
        return asdict(self) | {"ratio": self.ratio, "quiet": self.quiet}


def look(first: bool = False) -> Machine:
    """The machine now. At the first look, before we did anything, the last minute counts as well."""
    load, minute = running(), os.getloadavg()[0]
    done = subprocess.run([sys.executable, __file__], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    name = processor()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    when = f"{datetime.datetime.now():%Y-%m-%d %H:%M}"
    load = max(load, minute) if first else load
    speeds, share = found["gflops"], found["share"]
    return Machine(name, cores, found["torch"], speeds, share, round(load, 2), round(minute, 2), when)


def processor() -> str:
    """The model of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "unknown processor"
    said = {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in reversed(lines))}
    name = said.get("model name", "unknown processor")
    family = f" (family {said['cpu family']}, model {said['model']})" if {"cpu family", "model"} <= said.keys() else ""
    return name + family


def running(seconds: float = 1.5) -> float:
    """How many others want the processor, on average, while this process rests."""
    try:
        counts = []
        for _ in range(round(seconds / 0.1)):
            time.sleep(0.1)
            stat = Path("/proc/stat").read_text()
            counts.append(int(stat.split("procs_running")[1].split()[0]) - 1)
        return sum(counts) / len(counts)
    except (OSError, IndexError):
        return os.getloadavg()[0]


def products() -> dict[str, float]:
    """GFLOP/s of square products, the median of interleaved repetitions."""
    import statistics

    import torch

    a, b = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    half = a.bfloat16(), b.bfloat16()
    taken: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(TIMES + 2):
        for kind, precision in KINDS.items():
            torch.set_float32_matmul_precision(precision)
            x, y = half if kind == "bfloat16" else (a, b)
            began = time.perf_counter()
            x @ y
            taken[kind].append(time.perf_counter() - began)
    return {kind: round(2e-9 * SIDE**3 / statistics.median(times[2:]), 1) for kind, times in taken.items()}


def share() -> float:
    """Processor time over wall time of products on one thread: what others left us."""
    import torch

    torch.set_num_threads(1)
    a, b = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    wall, cpu = time.perf_counter(), time.thread_time()
    for _ in range(TIMES):
        a @ b
    return round((time.thread_time() - cpu) / (time.perf_counter() - wall), 2)


if __name__ == "__main__":
    import torch

    print(json.dumps({"torch": torch.__version__, "gflops": products(), "share": share()}))
