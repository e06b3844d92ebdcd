"""Data for games: modes that can be counted, sprites with known factors, and input that starves a critic."""

from __future__ import annotations

import os
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image as Pictures

from morphogen import cli
from morphogen.core.space import Image, Vector
from morphogen.data import fetch
from morphogen.data.batches import Batches
from morphogen.data.find import open_data, resolve
from morphogen.data.gaussians import centres, grid_centres, ring_centres
from morphogen.data.sprites import FACTORS
from morphogen.errors import UserError

USERS = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
GAN = 'model = { use = "gan", latent = 4, features = 8, net = { use = "conv", width = 4, norm = "batch" } }\n'


def real(name: str, folder: str, monkeypatch, **options):
    """A set of $MORPHOGEN_DATA, or a skip that says so."""
    if not any((place / folder).is_dir() for place in fetch.data_folders()):
        pytest.skip(f"{folder} is not in $MORPHOGEN_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", USERS)  # unpacked once a machine
    return open_data(name, **options)


def everything(data, name="train"):
    return data.splits[name].x.gather(torch.arange(len(data.splits[name])))


# Modes in the plane


@pytest.mark.parametrize(("name", "modes", "sigma"), [("ring", 8, 0.02), ("grid", 25, 0.05)])
def test_points_lie_around_the_centre_of_their_label_in_the_data_s_own_units(name, modes, sigma):
    data, (where, told) = open_data(name, count=5000), centres(resolve(name, count=5000))
    assert where.shape == (modes, 2)
    assert told == sigma
    assert len(data.classes) == modes
    assert sum(map(len, data.splits.values())) == 5000
    batches = Batches(data, "train", 64)
    seen = next(batches.sweep(5000))
    assert seen.x.mean(0).abs().max() < 1e-4
    assert (seen.x.std(0, correction=0) - 1).abs().max() < 1e-4
    points = data.space.write(seen.x)
    assert torch.allclose(points, everything(data), atol=1e-5)
    off = points - where[seen.y]
    assert off.std().item() == pytest.approx(sigma, rel=0.05)
    assert off.abs().max() < 6 * sigma
    assert torch.equal(torch.cdist(points, where).argmin(1), seen.y)
    assert set(seen.y.tolist()) == set(range(modes))


def test_where_the_modes_lie():
    assert torch.allclose(ring_centres().norm(dim=1), torch.full((8,), 2.0))
    assert torch.allclose(ring_centres(4, 1.0), torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]]), atol=1e-6)
    assert grid_centres()[[0, 12, 24]].tolist() == [[-4.0, -4.0], [0.0, 0.0], [4.0, 4.0]]
    assert torch.pdist(grid_centres()).min() == 2.0
    where, sigma = centres({"use": "ring", "modes": 3, "sigma": 0.1, "limit": 40})
    assert (len(where), sigma) == (3, 0.1)


def test_points_are_the_same_wherever_they_are_made():
    here = torch.get_num_threads()
    once = open_data("ring", count=3000).fingerprint
    try:
        torch.set_num_threads(1 if here > 1 else 2)
        assert open_data("ring", count=3000).fingerprint == once
    finally:
        torch.set_num_threads(here)
    for changed in ({"seed": 1}, {"sigma": 0.03}, {"modes": 7}, {"radius": 1.0}):
        assert open_data("ring", count=3000, **changed).fingerprint != once


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_points_make_a_set_all_the_same(count):
    data = open_data("grid", count=count, side=1)
    assert isinstance(data.space, Vector)
    assert torch.isfinite(Batches(data, "train", 4).at(0).x).all()


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ({"use": "ring", "sigma": 0}, "sigma = 0"),
        ({"use": "ring", "modes": 0}, "modes = 0"),
        ({"use": "grid", "spacing": -1}, "spacing = -1"),
        ({"use": "grid", "count": 0}, "count = 0"),
        ({"use": "stacked-mnist", "count": 10**9}, "fit in memory"),
        ({"use": "stacked-mnist", "count": 0}, "count = 0"),
        ({"use": "stacked-mnist", "valid": -1}, "valid = -1"),
        ({"use": "sprites", "label": "shoes"}, "label: 'shoes' is unknown"),
    ],
)
def test_mistakes_are_named(spec, word):
    with pytest.raises(UserError, match=word):
        open_data(spec)


def test_only_sets_of_gaussians_have_centres():
    with pytest.raises(UserError, match="known of ring and grid"):
        centres(resolve("blobs"))


# Stacked digits


def test_stacked_digits_say_their_number(monkeypatch):
    data = real("stacked-mnist", "mnist", monkeypatch, count=3000)
    digits = open_data("mnist")
    assert data.facts()["sizes"] == {"train": 3000, "valid": 10_000, "test": 10_000}
    assert data.space == Image(28, 28, 3)
    assert data.classes[7] == "007"
    assert len(data.classes) == 1000
    for name in ("train", "valid", "test"):
        known = {
            x.tobytes(): int(y) for x, y in zip(everything(digits, name).numpy(), digits.splits[name].y, strict=True)
        }
        x, y = everything(data, name)[:200].numpy(), data.splits[name].y[:200].tolist()
        assert x.dtype == np.uint8
        read = [sum(known[p[..., c : c + 1].tobytes()] * 10 ** (2 - c) for c in range(3)) for p in x]
        assert read == y
    assert len(set(data.splits["test"].y.tolist())) == 1000
    longer = open_data("stacked-mnist", count=4000)
    assert torch.equal(everything(longer)[:3000], everything(data))
    assert longer.fingerprint != data.fingerprint
    again, other = (open_data("stacked-mnist", count=3000, seed=seed) for seed in (0, 1))
    assert again.fingerprint == data.fingerprint
    assert not torch.equal(everything(other), everything(data))
    assert len(open_data("stacked-mnist", count=10, valid=0).splits["valid"]) == 0
    assert len(open_data("stacked-mnist", count=100, limit=9).splits["train"]) == 9


# Sprites


def test_sprites_and_their_factors(monkeypatch):
    data = real("sprites", "lpc-sprites", monkeypatch)
    assert data.space == Image(64, 64, 3)
    assert sum(map(len, data.splits.values())) == 3888
    assert data.classes == FACTORS["hair"]
    pictures = torch.cat([everything(data, name) for name in ("train", "valid", "test")])
    assert len({p.numpy().tobytes() for p in pictures}) == 3888
    total = Counter(int(y) for split in data.splits.values() for y in split.y)
    assert set(total.values()) == {648}
    few = open_data("sprites", limit=500, label="direction")
    assert few.facts()["sizes"] == {"train": 500, "valid": len(data.splits["valid"]), "test": len(data.splits["test"])}
    assert few.classes == ("front", "left", "right")
    assert few.fingerprint != data.fingerprint


def test_the_labels_of_sprites_are_what_they_show(monkeypatch):
    data = real("sprites", "lpc-sprites", monkeypatch, label="hair")
    x, y = everything(data).float(), data.splits["train"].y
    heads = x[:, 8:30].flatten(1, 2).mean(1)  # red, green and blue of the upper part
    red, green, blue = (torch.stack([heads[y == k][:, c].mean() for k in range(6)]) for c in range(3))
    named = dict(zip(FACTORS["hair"], range(6), strict=True))
    assert int((green - red - blue).argmax()) == named["green"]
    assert int((blue - red - green).argmax()) == named["blue"]
    assert int((red + green + blue).argmax()) == named["white"]


def test_sprites_that_are_not_there_say_where_to_put_them(tmp_path, monkeypatch):
    monkeypatch.setenv("MORPHOGEN_DATA", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("MORPHOGEN_MIRROR", raising=False)
    with pytest.raises(UserError) as error:
        open_data("sprites")
    for word in ("lpc-sprites/characters.png", "elsewhere", "MORPHOGEN_DATA=FOLDER", "72 rows of 54"):
        assert word in str(error.value)
    home = tmp_path / "elsewhere" / "lpc-sprites"
    home.mkdir(parents=True)
    (home / "characters.png").write_bytes(b"something else")
    with pytest.raises(UserError, match="not the file that was published"):
        open_data("sprites")


# What starves a critic: it works, or says what to do


def pictures(folder, count, size=(8, 8), same=False, **options):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        draw = np.random.default_rng(0 if same else number)
        pixels = draw.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Pictures.fromarray(pixels).save(folder / f"{number}.png")


@pytest.fixture
def told(tmp_path, monkeypatch, capsys):
    """Train on a path, then sample; the exit code and what was complained of."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "gan.toml").write_text(GAN)

    def run(recipe, path, *leaves):
        common = ["train.steps=2", "device=cpu", "--run", "made", "--quiet"]
        code = cli.main(["train", recipe, str(path), *leaves, *common])
        if code == 0:
            code = cli.main(["sample", "made", "-n", "3", "--out", "seen.png"])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.err

    return run


ODD = {
    "eight pictures": lambda home: pictures(home, 8),
    "one class": lambda home: pictures(home / "cat", 12),
    "one column": lambda home: pictures(home, 12, (1, 3)),
    "all alike": lambda home: pictures(home, 12, same=True),
}


@pytest.mark.parametrize("recipe", ["vae", "gan.toml"])
@pytest.mark.parametrize("name", ODD)
def test_odd_folders_are_trained_on(told, tmp_path, recipe, name):
    ODD[name](tmp_path / "set")
    code, err = told(recipe, "set")
    assert code == 0, err


REFUSED = {
    "one picture": (lambda home: pictures(home, 1), "holds 1 example,"),
    "three pictures": (lambda home: pictures(home, 3), "holds 3 examples,"),
    "one pixel": (lambda home: pictures(home, 12, (1, 1)), "one pixel each"),
}


@pytest.mark.parametrize("recipe", ["vae", "gan.toml"])
@pytest.mark.parametrize("name", REFUSED)
def test_folders_that_nothing_can_be_learned_from_are_refused_by_name(told, tmp_path, recipe, name):
    fill, why = REFUSED[name]
    fill(tmp_path / "set")
    code, err = told(recipe, "set")
    assert code == 2
    assert str(tmp_path / "set") in err
    assert why in err
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("recipe", ["vae", "gan.toml"])
def test_a_class_alone_is_no_label(told, tmp_path, recipe):
    pictures(tmp_path / "set" / "cat", 12)
    code, err = told(recipe, "set", "model.labelled=true")
    assert code == 2
    assert "class folders" in err


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("recipe", ["vae", "gan.toml"])
def test_pixels_that_are_no_numbers_are_named_by_their_row(told, tmp_path, recipe, value):
    x = np.random.default_rng(0).random((20, 8, 8)).astype("f4")
    x[7, 3, 3] = value
    np.save(tmp_path / "x.npy", x)
    code, err = told(recipe, "x.npy")
    assert code == 2
    assert "row 7 holds a value that is not finite" in err
