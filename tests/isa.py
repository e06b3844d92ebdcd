"""Run what depends on rounding as processors with other instructions would: `make test-isa`, `make test-isa ISA=quick`.

Each setting limits the libraries below torch, in processes of their own: oneDNN, ATen and MKL. What a processor lacks
cannot be asked of it (AVX-512 on one that has AVX2), so run this on several. `quick` is what CI runs: the oldest
instructions with two threads, on the tests that would notice first.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE"}
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "AVX2"}
AVX512 = {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "ATEN_CPU_CAPABILITY": "avx512"}
SETTINGS = [(limits, threads) for limits in (OLDEST, AVX2, AVX512, {}) for threads in (1, 2)]
SENSITIVE = ["golden", "alone", "integers", "compiled", "truth", "golden_archives", "atoms", "games", "spreading"]
QUICK = [
    "tests/test_golden.py",
    "tests/test_alone.py",
    "-k",
    "alone or [vae] or gan] or tabular or m2 or iwae or ladder]",
]


def run(limits: dict[str, str], threads: int, selected: list[str]) -> bool:
    """One setting; whether all tests passed."""
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "2",
        "--dist",
        "worksteal",
        "-p",
        "no:cacheprovider",
        *selected,
    ]
    began = time.monotonic()
    done = subprocess.run(words, cwd=ROOT, env=os.environ | limits | {"OMP_NUM_THREADS": str(threads)}, check=False)
    name = " ".join(f"{key}={value}" for key, value in limits.items()) or "no limits"
    verdict = "passed" if done.returncode == 0 else "FAILED"
    print(f"{verdict}: {name}, {threads} thread{'s' * (threads > 1)}, {time.monotonic() - began:.0f} s", flush=True)
    return done.returncode == 0


def main(words: list[str]) -> int:
    """Every setting, or the quick one."""
    if words == ["quick"]:
        return 0 if run(OLDEST, 2, QUICK) else 1
    selected = [f"tests/test_{name}.py" for name in SENSITIVE]
    passed = [run(limits, threads, selected) for limits, threads in SETTINGS]  # all of them, whatever the first say
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
