"""An archive is made by the way that makes it smallest, the model's own bytes counted, and says which that was."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest

from fake_codec import Fake, fake_of, picture, smooth
from morphogen import progress
from morphogen.codec.smallest import pack_smallest
from morphogen.codec.unpack import coded, unpack
from morphogen.progress import Tally

NOISE = np.random.default_rng(0)


def model(size: int) -> Fake:
    """One whose profile cannot be deflated."""
    return Fake(profile=b"a profile" + np.random.default_rng(1).bytes(size))


def steps(count: int) -> np.ndarray:
    """Pictures that differences tell best: the stand-in is a good model of them."""
    return np.cumsum(np.random.default_rng(2).integers(0, 4, (count, 8, 8, 1)).reshape(count, -1), 1, np.uint8).reshape(
        count, 8, 8, 1
    )


@pytest.mark.parametrize(
    ("pixels", "size", "reference", "way", "more"),
    [
        (steps(400), 100, False, "the model: ", "of them the model itself; without it"),
        (steps(400), 50_000, False, "the files as they are|deflate of the pixels", "the model alone takes 50,0"),
        (steps(400), 50_000, True, "the model: ", "without it"),
        (steps(400), 9_000, False, "the files as they are|deflate of the pixels", "--reference would give"),
        (NOISE.integers(0, 256, (50, 8, 8, 1), np.uint8), 10, True, "the files as they are|deflate", "gains nothing"),
        (
            NOISE.integers(0, 256, (50, 8, 8, 1), np.uint8),
            9_000,
            False,
            "the files as they are|deflate",
            "gain nothing",
        ),
    ],
)
def test_the_smallest_way_wins(
    tmp_path: Path, pixels: np.ndarray, size: int, reference: bool, way: str, more: str
) -> None:
    np.save(tmp_path / "x.npy", pixels)
    codec, out = model(size), tmp_path / "x.mgn"
    said = pack_smallest([tmp_path / "x.npy"], out, codec, oracle=codec, inside=not reference)
    assert said["bytes_of_the_archive"] == out.stat().st_size <= (tmp_path / "x.npy").stat().st_size + 1000
    assert any(said["choice"].startswith(word) for word in way.split("|"))
    assert more in said["choice"]
    assert ("learned" in said["blocks"]) == said["choice"].startswith("the model: ")
    unpack(out, tmp_path / "back", fake_of, profile=codec.profile if reference else None)
    assert (tmp_path / "back" / "x.npy").read_bytes() == (tmp_path / "x.npy").read_bytes()


def test_what_reference_would_give_is_about_what_it_gives(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", steps(400))
    said = pack_smallest([tmp_path / "x.npy"], tmp_path / "x.mgn", model(50_000))["choice"]
    about = int(said.rpartition("about ")[2].replace(",", ""))
    given = pack_smallest([tmp_path / "x.npy"], tmp_path / "r.mgn", model(50_000), inside=False)["bytes_of_the_archive"]
    assert abs(about - given) < 0.1 * given


def test_never_more_than_the_files_and_a_small_header(tmp_path: Path) -> None:
    """Noise, as pictures, as an .npz and as other files; with `exact` it comes back byte for byte."""
    home = tmp_path / "in"
    for number in range(6):
        picture(home / f"{number}.png", NOISE.integers(0, 256, (40, 40, 1), np.uint8), compress_level=9)
    (home / "noise").write_bytes(NOISE.bytes(5000))
    np.savez_compressed(home / "x.npz", x=NOISE.integers(0, 256, (9, 8, 8), np.uint8))
    read = sum(path.stat().st_size for path in home.iterdir())
    for exact in (False, True):
        said = pack_smallest([home], tmp_path / "x.mgn", model(20_000), exact=exact, force=True)
        assert said["bytes_of_the_archive"] <= read + 1000
        assert said["coded_by_the_model"] == 0
        unpack(tmp_path / "x.mgn", tmp_path / f"back{exact}", None)
        for path in home.iterdir() if exact else ():
            assert (tmp_path / f"back{exact}" / "in" / path.name).read_bytes() == path.read_bytes()


def test_standard_input_and_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Pipe(io.BytesIO):
        pass

    for content in (b"words " * 1000, np.random.default_rng(3).bytes(3000)):
        into = type("Out", (), {"buffer": Pipe(), "isatty": lambda self: False})()
        monkeypatch.setattr(sys, "stdin", type("In", (), {"buffer": io.BytesIO(content)})())
        monkeypatch.setattr(sys, "stdout", into)
        said = pack_smallest(["-"], "-", model(100))
        monkeypatch.undo()
        assert said["choice"].endswith("the model codes none of these files")
        (tmp_path / "x.mgn").write_bytes(into.buffer.getvalue())
        unpack(tmp_path / "x.mgn", tmp_path / "back", fake_of, force=True)
        assert (tmp_path / "back" / "stdin").read_bytes() == content


def test_nothing_is_left_where_a_file_is_missing(tmp_path: Path) -> None:
    from morphogen.errors import UserError

    with pytest.raises(UserError, match="is no file"):
        pack_smallest([tmp_path / "none"], tmp_path / "x.mgn", model(10))
    assert not list(tmp_path.iterdir())


def test_progress_counts_what_the_model_codes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "x.npy", smooth(9, 8, 8, 1))
    totals: list[int] = []
    pack_smallest([tmp_path / "x.npy"], tmp_path / "x.mgn", Fake(), inside=False, watch=totals.append)
    assert totals == [9 * 64]
    assert coded(tmp_path / "x.mgn") in (0, 9 * 64)  # whichever way won
    assert coded("-") == 0
    now = iter([0.0, 0.5, 3.0, 4.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    tally = Tally(100, "compress")
    for count in (10, 40, 50):
        tally(count)
    assert capsys.readouterr().err == "\rcompress: 50 of 100  0:03 left \rcompress: 100 of 100  0:00 left \n"
