"""Files: what is written is read back, carries its recipe, is whole, and overwrites nothing unasked."""

from __future__ import annotations

import csv
import json
import os
import wave

import numpy as np
import pytest
import torch
from PIL import Image as Pictures

from morphogen import files
from morphogen.core.space import Image, Sound, Tokens, Vector
from morphogen.errors import Failure, UserError
from morphogen.sheet import contact_sheet, squarest

NOTE = {"run": "runs/é", "seed": 3, "arguments": {"n": 4}}


def some(space, count: int = 5) -> torch.Tensor:
    """Values that a model of this space could say."""
    draw = torch.Generator().manual_seed(0)
    if isinstance(space, Tokens):
        return torch.randint(0, space.levels, (count, *space.shape), generator=draw)
    x = torch.rand((count, *space.shape), generator=draw)
    if isinstance(space, Image):
        return space.read(space.write(x))
    return x * 2 - 1


SPACES = [
    Image(8, 8, 1, 17),
    Image(28, 28, 1, 2),
    Image(5, 9, 3),
    Image(4, 4, 4),
    Image(4, 4, 2),
    Tokens(6, 4, tuple("abcd")),
    Tokens(6, 300),
    Tokens(3, 2, ("no", "yes")),
    Vector(3, ("a", "b,c", "d"), (1.0, 2.0, 3.0), (2.0, 2.0, 0.5)),
    Vector(12),
    Sound(50, 1, 8000),
    Sound(50, 2, 44100),
]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_every_space_goes_to_every_format_that_fits(tmp_path, space):
    values = some(space)
    for ending in files.suffixes(space):
        path = tmp_path / f"x{ending}"
        assert files.save(path, values, space, NOTE) == [path]
        assert path.stat().st_size
        note = files.read_note(path)
        assert note == (None if ending in (".npy", ".txt") else NOTE), ending
        with pytest.raises(UserError, match="exists and is not overwritten"):
            files.save(path, values, space, NOTE)
        files.save(path, values, space, NOTE, force=True)
    assert not [p for p in tmp_path.iterdir() if p.suffix == ".partial"]
    with pytest.raises(UserError, match=rf"are written as \{files.default_suffix(space)}"):
        files.save(tmp_path / "x.mp4", values, space)


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_what_is_written_is_read_back(tmp_path, space):
    values = some(space)
    for ending in set(files.suffixes(space)) - {".png", ".gif"}:
        files.save(tmp_path / f"x{ending}", values, space, NOTE)
        stored, names = files.load_examples(tmp_path / f"x{ending}", space)
        assert len(names) == 5
        assert names[1].endswith(f"x{ending}[1]")
        assert torch.allclose(space.read(stored).float(), values.float(), atol=1e-4), ending


@pytest.mark.parametrize("space", [s for s in SPACES if isinstance(s, Image) and s.channels != 2], ids=str)
def test_a_folder_of_pictures_is_read_back(tmp_path, space):
    values = some(space)
    paths = files.save(tmp_path / "out", values, space, NOTE)
    assert [p.name for p in paths] == [f"{i:05}.png" for i in range(5)]
    assert files.read_note(paths[2]) == NOTE | {"index": 2}
    stored, names = files.load_examples(tmp_path / "out", space)
    assert torch.equal(space.read(stored), values)
    assert names == [str(p) for p in paths]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_every_space_shows_itself(space):
    for values in (some(space), some(space) * 0, some(space, 1)):
        plain = files.show(values, space)
        assert plain.strip() or not values.any()
        assert all(len(line) < 130 for line in plain.splitlines())
        assert "\x1b" not in plain
    if isinstance(space, Image):
        lines = files.show(some(space), space, colour=True).splitlines()
        assert len(lines) == -(-space.height // 2)
        assert all(line.endswith("\x1b[0m") for line in lines)


def test_a_sheet_is_near_square_and_exact():
    tiles = np.arange(6, dtype=np.uint8)[:, None, None, None].repeat(4, 1).repeat(4, 2) * 40
    sheet = contact_sheet(tiles, columns=3, times=1)
    assert sheet.shape == (14, 20, 1)
    assert [int(sheet[3 + 6 * (n // 3), 3 + 6 * (n % 3), 0]) for n in range(6)] == [0, 40, 80, 120, 160, 200]
    assert {int(sheet[0, 0, 0]), int(sheet[7, 5, 0])} == {255}
    assert [squarest(n, 28, 28) for n in (1, 2, 4, 16, 64, 100, 50)] == [1, 2, 2, 4, 8, 10, 8]
    assert contact_sheet(np.zeros((1, 8, 8, 3), np.uint8)).shape == (60, 60, 3)
    assert contact_sheet(np.zeros((2, 28, 28, 1), np.uint8)).shape == (60, 118, 1)
    assert max(contact_sheet(np.zeros((100, 300, 300, 1), np.uint8)).shape) < 3100


def test_a_gif_moves(tmp_path):
    space = Image(8, 8, 3)
    files.save(tmp_path / "x.gif", some(space, 7), space, NOTE)
    with Pictures.open(tmp_path / "x.gif") as picture:
        assert picture.n_frames == 7
        assert picture.size == (224, 224)
        assert picture.info["loop"] == 0


def test_other_programs_can_read_what_is_written(tmp_path):
    space = Vector(2, ("a", "b"), (1.0, 2.0), (2.0, 2.0))
    files.save(tmp_path / "x.csv", torch.zeros(1, 2), space, NOTE)
    rows = list(csv.reader((tmp_path / "x.csv").read_text().splitlines()))
    assert rows == [["a", "b"], ["1", "2"]], "from the first line on, as pandas.read_csv takes it"
    assert files.read_note(tmp_path / "x.csv") == NOTE
    files.save(tmp_path / "x.wav", torch.zeros(3, 2, 50), Sound(50, 2, 8000), NOTE)
    with wave.open(str(tmp_path / "x.wav")) as file:
        assert file.getparams()[:4] == (2, 2, 8000, 150)
    files.save(tmp_path / "x.jsonl", torch.tensor([[0, 1]]), Tokens(2, 2, ("a", "b")), NOTE)
    assert json.loads((tmp_path / "x.jsonl").read_text().splitlines()[1]) == {"tokens": [0, 1], "text": "ab"}


def test_values_that_are_not_finite_or_out_of_range_still_show(tmp_path):
    x = torch.tensor([float("nan"), 9.0, -9.0, float("inf")]).view(1, 1, 2, 2)
    files.save(tmp_path / "x.png", x, Image(2, 2), NOTE)
    assert files.show(x, Image(2, 2)) is not None


def test_columns_are_matched_by_name(tmp_path):
    space = Vector(2, ("a", "b"))
    (tmp_path / "x.csv").write_text("b,other,a\n1,7,2\n3,7,4\n")
    assert files.load_examples(tmp_path / "x.csv", space)[0].tolist() == [[2, 1], [4, 3]]


@pytest.mark.parametrize(
    ("name", "content", "space", "word"),
    [
        ("x.png", None, Image(9, 9), "is 8 x 8, the model's pictures are 9 x 9"),
        ("y.png", b"nothing", Image(9, 9), "not a picture"),
        ("x.mp3", b"", Sound(9), "not read from .mp3"),
        ("x.wav", b"RIFF\0\0\0\0WAVE", Sound(9), "not a WAV"),
        ("x.csv", b"a,b\n1,x\n", Vector(2), "not a table of numbers"),
        ("x.csv", b"1,2,3\n", Vector(2), "2 columns"),
        ("x.csv", b"1,nan\n", Vector(2), "not finite"),
        ("x.csv", b"\xff\xfe1\x00", Vector(2), "not a table"),
        ("x.txt", b"abz\n", Tokens(3, 2, ("a", "b")), "'z' is not in the model's alphabet"),
        ("x.txt", b"ab\n", Tokens(3, 2, ("a", "b")), "2 symbols where the model takes 3"),
        ("x.jsonl", b'{"tokens": "ab"}\n', Tokens(3, 2), "each line must be"),
        ("x.npy", b"\x93NUMPY", Vector(2), "x.npy cannot be read"),
        ("x.txt", b"\xff", Tokens(3, 2), "not UTF-8"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, name, content, space, word):
    path = tmp_path / name
    if content is None:
        Pictures.new("L", (8, 8)).save(path)
        assert files.load_examples(path, space, fit=True)[0].shape == (1, 9, 9, 1)
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match=word) as error:
        files.load_examples(path, space)
    assert str(path) in str(error.value)


def test_arrays_that_do_not_fit_are_refused(tmp_path):
    cases = [
        (np.zeros((3, 5)), "shape"),
        (np.array([{}]), "Python objects"),
        (np.full((3, 4, 4), 99), r"save uint8 in 0\.\."),
    ]
    for x, word in cases:
        np.save(tmp_path / "x.npy", x, allow_pickle=True)
        with pytest.raises(UserError, match=word):
            files.load_examples(tmp_path / "x.npy", Image(4, 4, 1, 17))
    with pytest.raises(UserError, match="no file"):
        files.load_examples(tmp_path / "nowhere.png", Image(4, 4))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no picture"):
        files.load_examples(tmp_path / "empty", Image(4, 4))


def test_notes_of_foreign_and_damaged_files_are_none(tmp_path):
    space = Image(8, 8)
    for ending, kind in ((".png", space), (".gif", space), (".npz", space), (".wav", Sound(50, 1, 8000))):
        path = tmp_path / f"x{ending}"
        files.save(path, some(kind), kind, NOTE)
        whole = path.read_bytes()
        for cut in (0, 4, 20, len(whole) // 3):
            path.write_bytes(whole[:cut])
            assert files.read_note(path) in (None, NOTE)
    Pictures.new("L", (4, 4)).save(tmp_path / "plain.png")
    assert files.read_note(tmp_path / "plain.png") is None
    with pytest.raises(UserError, match="cannot be read"):
        files.read_note(tmp_path / "nowhere.png")


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "x.png"
    files.save(path, some(Image(4, 4)), Image(4, 4))
    before = path.read_bytes()

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Failure, match="No space left"):
        files.save(path, some(Image(4, 4), 9), Image(4, 4), force=True)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
