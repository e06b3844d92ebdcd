"""What a path means: all that is there, however it is written, under the files' own names, for every task alike."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pictures

import morphogen as mg
from morphogen.cli import main
from morphogen.data.find import open_data
from morphogen.errors import UserError
from morphogen.examples import find_examples
from morphogen.run import Run


def picture(seed: int, size=(12, 12)) -> Pictures.Image:
    """Blobs in grey, no two alike."""
    values = np.random.default_rng(seed).integers(0, 256, (4, 4), dtype=np.uint8)
    return Pictures.fromarray(values).resize(size, Pictures.Resampling.BICUBIC)


def fill(folder: Path, count: int = 30, first: int = 0, size=(12, 12)) -> Path:
    for number in range(first, first + count):
        home = folder / ("anna" if number % 2 else "bob")
        home.mkdir(parents=True, exist_ok=True)
        picture(number, size).save(home / f"{number:02}.png")
    return folder


def odd(folder: Path) -> Path:
    """Good pictures and files that are none, or bad."""
    fill(folder, 6, 500)
    (folder / "anna" / "empty.png").write_bytes(b"")
    (folder / "anna" / "nota.png").write_text("no picture")
    (folder / "film.mp4").write_bytes(b"x")
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "anna" / "._501.png").write_bytes(b"x")
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """Thirty pictures in two classes, one of another size, and a run that was trained on them for a step."""
    here = tmp_path_factory.mktemp("paths")
    fill(here / "faces")
    picture(99, (20, 30)).save(here / "faces" / "anna" / "99.png")
    mg.train("vae", here / "faces", steps=1, run=here / "run", quiet=True)
    return here


@pytest.mark.parametrize("spelling", ["faces", "./faces", "../{}/faces", "{}/../faces", "faces/."])
def test_a_path_is_all_that_is_there_however_it_is_written(home, monkeypatch, spelling):
    monkeypatch.chdir(home)
    (home / home.name).mkdir(exist_ok=True)
    found = find_examples(Run.open("run"), spelling.format(home.name), split=None, label=None, fit=False)
    assert len(found) == 31
    assert [Path(name).name for name in found.names] == sorted(
        (p.name for p in (home / "faces").rglob("*.png")), key=lambda n: (int(n[:2]) % 2 == 0, n)
    )
    assert set(found.data.splits[found.split].y.tolist()) == {0, 1}
    assert found.data.classes == ("anna", "bob")


def test_the_split_of_a_path_is_taken_only_where_it_is_asked(home, monkeypatch):
    monkeypatch.chdir(home)
    run = mg.open("run")
    parts = {part: run.encode("./faces", split=part) for part in ("train", "valid", "test")}
    assert sum(map(len, parts.values())) == 31
    assert list(parts["test"].names) == list(run.encode().names)  # the run's own, without a path
    named = {name for values in parts.values() for name in values.names}
    assert named == {f"faces/{path.relative_to(home / 'faces')}" for path in (home / "faces").rglob("*.png")}
    with pytest.raises(UserError, match="part of one set, and 2 paths"):
        run.encode(["faces/anna", "faces/bob"], split="test")
    other = fill(home / "other", 40, 200)
    assert len(run.encode(other, split="test")) == 4


def test_the_same_pixels_reach_training_and_tasks(home):
    run, data = Run.open(home / "run"), open_data(home / "faces")
    rows = {}
    for split in data.splits.values():
        stored = split.x.gather(__import__("torch").arange(len(split)))
        rows |= {Path(name).name: pixels for name, pixels in zip(split.names, stored, strict=True)}
    found = find_examples(run, str(home / "faces"), split=None, label=None, fit=False)
    for name, pixels in zip(found.names, found.data.splits["given"].x.values, strict=True):
        assert bool((rows[Path(name).name] == pixels).all()), name


def test_the_terminal_says_which_examples(home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    assert main(["encode", "run", "-o", "own.npz"]) == 0
    assert "faces: the test split, 3 of 31 examples" in capsys.readouterr().err
    assert main(["encode", "run", "faces", "-o", "all.npz"]) == 0
    assert "all 31 examples" in capsys.readouterr().err
    assert len(np.load("all.npz")["x"]) == 31


@pytest.mark.parametrize("verb", ["encode", "reconstruct", "classify --by probe", "detect --false-alarms 0.5", "score"])
def test_bad_files_of_a_folder_are_left_out_by_every_verb(home, monkeypatch, capsys, verb):
    monkeypatch.chdir(home)
    if not (home / "odd").exists():
        odd(home / "odd")
    words = verb.split() + (["--samples", "2"] if verb == "score" else [])
    assert main([words[0], "run", "odd", *words[1:]]) == 0
    err = capsys.readouterr().err
    assert "left out of odd: anna/empty.png: empty file; anna/nota.png: not a picture" in err
    assert "mp4" not in err


def test_a_bad_file_that_is_named_is_an_error(home):
    run = mg.open(home / "run")
    for name in ("empty.png", "nota.png"):
        path = odd(home / "bad") / "anna" / name
        with pytest.raises(UserError, match=name):
            run.encode(path)


def test_a_dry_run_names_what_is_skipped(home, capsys):
    assert main(["train", "vae", str(odd(fill(home / "dry"))), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "anna/nota.png" in out
    assert "not a picture" in out
    assert "1 .mp4" in out


def test_pictures_of_another_size_are_refused_with_what_the_verb_takes(home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    picture(700, (40, 30)).save("large.png")
    assert main(["encode", "run", "large.png"]) == 2
    assert "give --fit" in capsys.readouterr().err
    assert main(["encode", "run", "large.png", "--fit", "-o", "fit.npz"]) == 0
    assert main(["restore", "run", "large.png", "--damage", "noise=0.1"]) == 2
    err = capsys.readouterr().err
    assert "give --tiles" in err
    assert "--fit" not in err
    fill(home / "mixed", 6, 300)
    picture(701, (40, 30)).save("mixed/large.png")
    assert main(["encode", "run", "mixed"]) == 2
    assert "1 of the 7 pictures have another size" in capsys.readouterr().err


def test_a_picture_may_be_called_anything(home):
    path = home / "noname"
    picture(800).save(path, "PNG")
    assert len(mg.open(home / "run").encode(path)) == 1


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("faces.zip", "unpack it, and name the folder"),
        ("faces.mat", "numpy.save"),
        ("one.png", "put all pictures in a folder"),
        ("film.mp4", "take its frames out"),
        ("voice.wav", "spectrograms"),
        ("text.txt", r"\(N, length\)"),
        ("table.xlsx", "as .csv"),
    ],
)
def test_a_file_that_is_no_data_is_refused_with_the_remedy(tmp_path, name, word):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UserError, match=word):
        open_data(tmp_path / name)


def test_folders_without_a_picture_say_what_is_there(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.wav").write_bytes(b"x")
    with pytest.raises(UserError, match=r"there is 3 \.wav; sounds are not read: make spectrograms"):
        open_data(tmp_path)
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "t.csv").write_text("a,b\n")
    with pytest.raises(UserError, match="name the array or table itself"):
        open_data(tmp_path / "inner")


def test_a_link_that_leads_nowhere_is_called_one(tmp_path, home):
    os.symlink(tmp_path / "nowhere", tmp_path / "link")
    for call in (open_data, mg.open(home / "run").encode):
        with pytest.raises(UserError, match="link to something that is not there"):
            call(tmp_path / "link")


def test_a_name_that_is_nothing_is_answered_with_sets_alone(home):
    for call in (open_data, mg.open(home / "run").encode):
        with pytest.raises(UserError, match="there is no") as caught:
            call("zzzz")
        said = str(caught.value)
        assert "digits" in said
        assert not any(f" {word}," in said for word in ("array", "folder", "given", "table"))


def test_a_copied_run_without_its_data_says_what_to_give(home, tmp_path):
    moved = home / "moved"
    fill(moved)
    mg.train("vae", moved, steps=1, run=tmp_path / "run", quiet=True)
    moved.rename(home / "elsewhere")
    with pytest.raises(UserError, match="or give the examples"):
        mg.open(tmp_path / "run").encode()


def test_a_dry_run_says_how_many_labels_are_left_and_where_they_mean_nothing(capsys):
    assert main(["train", "vae", "digits", "--dry-run", "data.labels=2"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"labelled +20\b", out)
    assert "data.labels = 2 hides labels, and this model reads none" in out
