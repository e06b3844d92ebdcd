"""Whatever a .npy or .npz says, every reader answers with values that fit or with an error of ours that names the file.

python tests/hostile/test_numpy_files.py 2000
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))

import numpy_files
import pytest

import morphogen as mg
from morphogen import cli, files
from morphogen.beside import labels_beside
from morphogen.core.space import Image, Sound, Tokens, Vector
from morphogen.core.worded import read_damage
from morphogen.damaging import _given
from morphogen.data.find import open_data
from morphogen.errors import UserError
from morphogen.metrics.inception import _tensors
from morphogen.notes import note_of
from morphogen.sides import column

SPACES = (Image(8, 8), Vector(6), Tokens(9, 5), Sound(8, 8))
SLOW = 2.0
MEMORY = 300_000_000


def as_damaged(path: Path) -> object:
    from morphogen.core.damage import chain

    return _given([path], chain(Image(8, 8), read_damage("noise=0.1")), Path("run"))


READERS = {
    "train": open_data,
    **{f"task on {space.kind}": lambda path, space=space: files.load_examples(path, space) for space in SPACES},
    "labels": lambda path: labels_beside([path], [f"{path}[{row}]" for row in range(12)], ("0", "1", "2")),
    "column": lambda path: column(f"{path}:y" if path.suffix == ".npz" else str(path), 12),
    "restore": as_damaged,
    "weights": _tensors,
    "note": lambda path: note_of(path.suffix, path.read_bytes()),
}


def attack(home: Path, seeds: range, command: list[str] | None = None) -> Counter[str]:
    """All readers, and with a command that too, on the file of each seed."""
    told: Counter[str] = Counter()
    for seed in seeds:
        path = numpy_files.written(home, seed)
        for name, reader in READERS.items():
            if name == "labels" and path.suffix == ".npy":
                continue
            began = time.process_time()
            try:
                reader(path)
                told["read"] += 1
            except UserError as error:
                told["refused"] += 1
                if str(path) not in str(error) or "\n" in str(error):
                    pytest.fail(f"{name}, seed {seed}: {error}")
            except Exception as error:
                raise AssertionError(f"{name}, seed {seed}: {error!r}") from error
            took = time.process_time() - began
            assert took < SLOW, f"{name}, seed {seed}: {took:.1f} s"
        if command is not None:
            code = cli.main([*command, str(path)])
            assert code in (0, 2), f"{command}, seed {seed}: {code}"
            told[f"exit {code}"] += 1
    return told


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("strangers") / "run"
    tiny = {"model.net": {"use": "mlp", "widths": [8]}, "model.latent": 2}
    x = numpy_files.arrays()["pictures"]["x"]
    return str(mg.train("vae", x, tiny, steps=1, batch=4, device="cpu", run=folder, quiet=True).path)


def test_damaged_files_through_every_reader(tmp_path: Path) -> None:
    told = attack(tmp_path, range(250))
    assert told["refused"] > 1000
    assert told["read"] > 300


def test_damaged_files_by_the_command_line(tmp_path: Path, run: str) -> None:
    for number, words in enumerate((["encode", run], ["train", "vae", "--dry-run"])):
        told = attack_by(words, tmp_path, range(500 + 15 * number, 515 + 15 * number))
        assert told["exit 2"] > 3


def attack_by(words: list[str], home: Path, seeds: range) -> Counter[str]:
    readers, told = dict(READERS), Counter[str]()
    READERS.clear()
    try:
        told = attack(home, seeds, words)
    finally:
        READERS.update(readers)
    return told


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(4))
def test_two_thousand_damaged_files(tmp_path: Path, part: int) -> None:
    attack(tmp_path, range(10_000 + 500 * part, 10_500 + 500 * part))


@pytest.mark.nightly
def test_two_hundred_damaged_files_by_the_command_line(tmp_path: Path, run: str) -> None:
    attack_by(["encode", run], tmp_path, range(20_000, 20_200))


def test_memory_is_bounded() -> None:
    """All bombs and some others, in a process of its own: what it took beyond what it had when it began."""
    done = subprocess.run([sys.executable, __file__, "20"], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def main(words: list[str]) -> None:
    """So many files, and all bombs; the peak of memory above that of a clean process."""
    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for number, (ending, data) in enumerate(numpy_files.bombs()):
            (home / f"bomb{number}{ending}").write_bytes(data)
        child = os.fork()
        if not child:  # a process that has not made the bombs
            attack(home, range(2))
            os.execv(sys.executable, [sys.executable, __file__, "--bombs", str(home), words[0]])
        _, status = os.waitpid(child, 0)
        sys.exit(os.waitstatus_to_exitcode(status))


def highest() -> int:
    """Bytes of memory that this process had at once (getrusage counts what was before exec, too)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def inside(home: Path, count: int) -> None:
    """What is measured."""
    attack(home, range(3_000, 3_002))  # what is imported on the way counts as clean
    clean = highest()
    told = Counter[str]()
    for path in sorted(home.glob("bomb*")):
        for name, reader in READERS.items():
            if name == "note":
                continue
            try:
                reader(path)
                told["read"] += 1
            except UserError as error:
                told["refused"] += str(path) in str(error)
    peak = highest() - clean
    print({"bombs": dict(told), "peak, MB": round(peak / 1e6)})
    assert peak < MEMORY, peak
    print(dict(attack(home, range(4_000, 4_000 + count))))


if __name__ == "__main__":
    if sys.argv[1] == "--bombs":
        inside(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main(sys.argv[1:])
