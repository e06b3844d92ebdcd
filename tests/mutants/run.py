"""Plant bugs one at a time in a copy of the source, and count how many the tests catch: the test of the tests.

    python tests/mutants/run.py [-j 2] [words of names ...]

Ends with 1 when fewer than 95 % are caught, or when the tests fail without any bug.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HOME = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).parent))

from mutants import MUTANTS, Mutant  # noqa: E402

ENOUGH, SECONDS = 0.95, 240


def tested(source: Path, tests: tuple[str, ...]) -> tuple[int, str]:
    """pytest's exit code on this source, and the first test that failed."""
    environment = os.environ | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "--tb=no",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        *tests,
    ]
    try:
        done = subprocess.run(command, cwd=HOME, env=environment, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return 1, f"not done after {SECONDS} s"
    lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return done.returncode, lines[0].split(" - ")[0].rpartition("::")[2] if lines else done.stdout[-300:]


def planted(mutant: Mutant) -> tuple[str, str, float]:
    """(caught, survived or stale; by which test; seconds)."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        source = Path(folder) / "src"
        shutil.copytree(HOME / "src", source, ignore=shutil.ignore_patterns("__pycache__", ".mypy_cache"))
        path = source / "morphogen" / mutant.file
        text = path.read_text(encoding="utf-8")
        if text.count(mutant.old) != 1:
            return "stale", f"the old text is there {text.count(mutant.old)} times", 0.0
        path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        code, said = tested(source, mutant.tests)
    word = {0: "survived", 1: "caught"}.get(code, "stale")  # 2 .. 5: nothing ran
    return word, said, time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-j", type=int, default=2, help="mutants at a time")
    parser.add_argument("--sound", action="store_true", help="only run the tests without any bug")
    parser.add_argument("words", nargs="*", help="only those whose name holds one of these")
    asked = parser.parse_args()
    chosen = [m for m in MUTANTS if not asked.words or any(word in m.name for word in asked.words)]
    assert len({m.name for m in MUTANTS}) == len(MUTANTS)
    sets = sorted({m.tests for m in chosen})
    with ThreadPoolExecutor(asked.j) as pool:
        sound = list(pool.map(lambda tests: tested(HOME / "src", tests), sets))
        wrong = [f"{' '.join(tests)}: {said}" for tests, (code, said) in zip(sets, sound, strict=True) if code]
        if wrong or asked.sound:
            print("\n".join(["These fail without any bug:", *wrong]) if wrong else f"{len(sets)} sets of tests pass")
            return bool(wrong)
        results = []
        for mutant, (word, said, seconds) in zip(chosen, pool.map(planted, chosen), strict=True):
            results.append(word)
            print(f"{word:9} {seconds:5.0f} s  {mutant.name:48} {said.splitlines()[-1] if said else ''}", flush=True)
    caught = results.count("caught")
    print(f"{caught} of {len(results)} planted bugs caught ({caught / max(len(results), 1):.0%})")
    return 0 if caught >= ENOUGH * len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
