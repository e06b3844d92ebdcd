"""A person's own pictures: copies and splits, classes by folders, levels, odd files, and what is said of all that."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image as Pictures
from PIL import ImageDraw

from morphogen.core.space import Image
from morphogen.data.class_folders import class_words, split_words
from morphogen.data.decoding import Budget
from morphogen.data.find import open_data
from morphogen.data.near_copies import Joined, copies
from morphogen.data.own_splits import divided
from morphogen.data.split import UNSPLIT, row_hashes
from morphogen.data.stores import MemoryStore
from morphogen.errors import UserError


def face(seed: int, side: int = 48) -> Pictures.Image:
    """A face of circles: skin, hair, eyes and mouth by the seed, on a background with a slope."""
    r = np.random.default_rng(seed)
    slope = (
        np.linspace(*r.integers(30, 220, 2), side)[None, :, None]
        + np.linspace(0, r.integers(0, 40), side)[:, None, None]
    )
    picture = Pictures.fromarray(np.broadcast_to(slope, (side, side, 3)).clip(0, 255).astype(np.uint8).copy())
    pen, s = ImageDraw.Draw(picture), side / 48
    skin, hair, eyes = (tuple(map(int, r.integers(*span, 3))) for span in ((120, 250), (0, 160), (0, 120)))
    dx, dy, wide = (float(v) * s for v in r.uniform((-4, -4, 12), (4, 4, 17)))
    x, y = side / 2 + dx, side / 2 + dy
    pen.ellipse((x - wide - 2, y - 18 * s, x + wide + 2, y + 8 * s), fill=hair)
    pen.ellipse((x - wide, y - 13 * s, x + wide, y + 17 * s), fill=skin)
    gap = float(r.uniform(4, 7)) * s
    for sign in (-1, 1):
        pen.ellipse((x + sign * gap - 2 * s, y - 3 * s, x + sign * gap + 2 * s, y + 1 * s), fill=eyes)
    pen.arc((x - 6 * s, y + float(r.uniform(2, 5)) * s, x + 6 * s, y + 11 * s), 20, 160, fill=(120, 20, 30), width=2)
    return picture


def saved(folder, names, pictures, **options):
    for name, picture in zip(names, pictures, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(folder / name, **options)
    return folder


def rows_of(data):
    return {name: split.x.gather(torch.arange(len(split))) for name, split in data.splits.items()}


# Copies


def test_twins_of_a_picture_land_in_one_split(tmp_path):
    for seed in range(60):
        picture = face(seed)
        grey = picture.convert("L")
        saved(tmp_path, [f"a/{seed}.png", f"b/{seed}.png"], [grey, grey.convert("RGB")])
        saved(tmp_path, [f"c/{seed}.jpg"], [grey], quality=88)
        grey.convert("RGBA").save(tmp_path / "c" / f"{seed}.png")
        grey.save(tmp_path / "b" / f"{seed}.webp", quality=85)
    data = open_data(tmp_path)
    home = {}
    for name, split in data.splits.items():
        for path in split.names:
            home.setdefault(path.split("/")[-1].split(".")[0], set()).add(name)
    assert all(len(places) == 1 for places in home.values()), home
    assert len(home) == 60
    assert "120 exact and 120 near copies" in data.protocol
    assert any("copies of one picture are in one split" in remark for remark in data.remarks)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 240, "valid": 30, "test": 30}


def sketch(seed: int, side: int, dots: int) -> np.ndarray:
    """The same frame with a few dots of its own: another drawing, whose thumbnail is nearly the same."""
    x = np.full((side, side), 255, np.uint8)
    x[side // 4 : -side // 4, side // 4 : -side // 4] = 90
    r = np.random.default_rng(seed)
    for _ in range(dots):
        i, j = r.integers(1, side - 3, 2)
        x[i : i + 2, j : j + 2] = 255 - x[i : i + 2, j : j + 2]
    return x


@pytest.mark.parametrize("levels", [2, 256])
@pytest.mark.parametrize("side", [8, 28, 64])
def test_drawings_that_differ_in_a_detail_are_no_copies(side, levels):
    x = np.stack([sketch(seed, side, 2 if side > 8 else 1) for seed in range(80)])[..., None]
    x = np.unique(x if levels == 256 else (x > 128).astype(np.uint8), axis=0)
    found = copies(MemoryStore(torch.from_numpy(x)), row_hashes(x), Image(side, side, 1, levels))
    assert found.equal == found.near == 0


def test_plain_pictures_are_not_taken_for_one():
    x = np.broadcast_to(np.arange(100, dtype=np.uint8)[:, None, None, None], (100, 16, 16, 1)).copy()
    found = copies(MemoryStore(torch.from_numpy(x)), row_hashes(x), Image(16, 16, 1))
    assert found.equal == found.near == 0


def test_a_kind_of_picture_is_not_a_crowd_of_copies():
    """Frames of a film, each near to the next: were they one group, there would be no split."""
    r = np.random.default_rng(0)
    x = (r.integers(60, 190, (1, 32, 32, 1)) + np.arange(100)[:, None, None, None] / 4).astype(np.uint8)
    x = np.concatenate([x, r.integers(0, 256, (100, 32, 32, 1)).astype(np.uint8)])
    found = copies(MemoryStore(torch.from_numpy(x)), row_hashes(x), Image(32, 32, 1))
    assert np.bincount(found.groups).max() <= 10


def test_equal_hashes_of_unequal_rows_part_nothing_wrongly():
    x = np.arange(12, dtype=np.uint8).reshape(3, 2, 2, 1)
    found = copies(MemoryStore(torch.from_numpy(x[[0, 1, 2, 0]])), np.zeros(4, np.uint64), Image(2, 2, 1))
    assert found.groups.tolist() == [0, 1, 2, 0]
    assert found.equal == 1


def test_joined_stores_read_as_one():
    parts = [torch.arange(6).reshape(3, 2), torch.arange(6, 10).reshape(2, 2)]
    both = Joined(*map(MemoryStore, parts))
    assert len(both) == 5
    assert torch.equal(both.gather(torch.tensor([4, 0, 3, 2])), torch.cat(parts)[[4, 0, 3, 2]])


# Splits


def test_small_sets_are_split_in_exact_tenths_class_by_class():
    r = np.random.default_rng(0)
    hashes = r.integers(0, 2**63, 400, dtype=np.uint64)
    labels = torch.arange(400) % 40
    rows, how = divided(hashes, np.arange(400), 0.1, 0.1, labels)
    assert {name: len(part) for name, part in rows.items()} == {"train": 320, "valid": 40, "test": 40}
    for part, each in (("test", 1), ("valid", 1), ("train", 8)):
        assert torch.bincount(labels[rows[part]], minlength=40).tolist() == [each] * 40
    assert "test 40, valid 40 of 400" in how
    order = r.permutation(400)
    again, _ = divided(hashes[order], np.arange(400), 0.1, 0.1, labels[order])
    assert set(order[again["test"]]) == set(rows["test"].tolist())
    few, _ = divided(hashes[:200], np.arange(200), 0.1, 0.1, torch.arange(200) % 40)  # five of each class
    assert len(few["test"]) == len(few["valid"]) == 20


@pytest.mark.parametrize("count", range(3, 12))
def test_every_part_of_a_tiny_set_has_one(count):
    rows, _ = divided(
        np.random.default_rng(count).integers(0, 2**32, count, dtype=np.uint64), np.arange(count), 0.1, 0.1
    )
    assert all(len(part) for part in rows.values())
    assert sum(map(len, rows.values())) == count


def test_groups_are_never_parted_and_do_not_overfill():
    r = np.random.default_rng(3)
    groups = np.repeat(np.arange(0, 600, 3), 3)
    rows, _ = divided(r.integers(0, 2**64, 600, dtype=np.uint64), groups, 60, 0.1)
    assert {name: len(part) for name, part in rows.items()} == {"train": 480, "valid": 60, "test": 60}
    parts = [set(groups[part].tolist()) for part in rows.values()]
    assert not parts[0] & parts[1] | parts[1] & parts[2] | parts[0] & parts[2]


def test_in_a_large_set_an_example_stays_where_it_is():
    hashes = np.random.default_rng(1).integers(0, 2**64, 30_000, dtype=np.uint64)
    first, _ = divided(hashes[:20_000], np.arange(20_000), 0.1, 0.1)
    more, _ = divided(hashes, np.arange(30_000), 0.1, 0.1)
    assert set(first["test"].tolist()) <= set(more["test"].tolist())
    assert abs(len(more["test"]) - 3000) < 300


def test_given_splits_that_share_pictures_are_said(tmp_path):
    for number in range(30):
        picture = face(number)
        saved(tmp_path, [f"train/{number}.png"], [picture])
        if number < 8:
            saved(tmp_path, [f"test/{number}.png"], [picture])
        elif number < 12:
            saved(tmp_path, [f"test/{number}.jpg"], [picture], quality=90)
        else:
            saved(tmp_path, [f"test/{number}.png"], [face(1000 + number)])
    data = open_data(tmp_path)
    assert len(data.splits["test"]) == 30
    assert "12 of 30 test examples are copies, or nearly," in data.protocol
    assert any("12 of 30 test" in remark and "remembered" in remark for remark in data.remarks)
    apart = open_data(
        saved(tmp_path / "p", [f"{s}/{n}.png" for s in ("train", "test") for n in range(9)], map(face, range(18)))
    )
    assert "copies" not in apart.protocol + "".join(apart.remarks)


def test_all_pictures_the_same_is_said(tmp_path):
    data = open_data(saved(tmp_path, [f"{n}.png" for n in range(12)], [face(1)] * 12))
    assert UNSPLIT in data.protocol
    assert any("too few different pictures" in remark and "11 exact" in remark for remark in data.remarks)


def test_a_small_test_part_is_said_and_a_large_one_is_not(tmp_path):
    saved(tmp_path, [f"{n}.png" for n in range(60)], (face(n, 12) for n in range(60)))
    assert any("6 test examples: scores on so few are rough" in remark for remark in open_data(tmp_path).remarks)
    assert not any("rough" in remark for remark in open_data(tmp_path, test=50).remarks)


# Classes


@pytest.mark.parametrize(
    ("names", "level", "wanted"),
    [
        (["anna/1", "bob/2"], None, ["anna", "bob"]),
        (["faces/anna/1", "faces/bob/2"], None, ["anna", "bob"]),  # one folder higher, as unzip leaves it
        (["x/y/anna/1", "x/y/bob/2"], None, ["anna", "bob"]),
        (["greek/alpha/1", "greek/beta/1", "latin/alpha/1"], None, ["greek/alpha", "greek/beta", "latin/alpha"]),
        (["greek/alpha/1", "greek/beta/1", "latin/alpha/1"], 1, ["greek", "greek", "latin"]),
        (["cat/1", "dog/old/2"], None, ["cat", "dog"]),
        (["cat/images/1", "dog/images/2"], None, ["cat", "dog"]),
        (["anna/1", "bob/2", "unlabelled/3"], None, ["anna", "bob", ""]),
        (["set/anna/1", "set/bob/2", "set/unlabelled/deep/3"], None, ["anna", "bob", ""]),
        (["1", "2"], None, None),
        (["anna/1", "2"], None, None),
        (["one/1", "one/2"], None, None),
    ],
)
def test_classes_are_the_folders_that_tell_pictures_apart(names, level, wanted):
    _, folders = split_words([f"{name}.png" for name in names])
    found = class_words(folders, level)
    assert (None if found is None or len(set(found) - {""}) < 2 else found) == wanted


def test_split_folders_are_found_one_folder_higher():
    given, folders = split_words(["set/train/a/1.png", "set/test/b/2.png", "set/Val/b/3.png"])
    assert given == ["train", "test", "valid"]
    assert folders == [("a",), ("b",), ("b",)]


# Levels


def black_and_white(seed: int, side: int = 20) -> Pictures.Image:
    picture = Pictures.new("1", (side, side), 1)
    points = np.random.default_rng(seed).integers(0, side, (4, 2)).tolist()
    ImageDraw.Draw(picture).line([tuple(p) for p in points], fill=0, width=2)
    return picture


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
@pytest.mark.parametrize("memory", [2.0, 1e-7])
def test_black_and_white_pictures_have_two_levels(tmp_path, monkeypatch, mode, memory):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = saved(
        tmp_path / "set", [f"{n}.png" for n in range(30)], (black_and_white(n).convert(mode) for n in range(30))
    )
    data = open_data({"use": "folder", "path": str(folder), "memory": memory})
    assert data.space == Image(20, 20, 3 if mode == "RGB" else 1, 2)
    assert "two levels" in data.protocol
    assert rows_of(data)["train"].unique().tolist() == [0, 1]


def test_black_and_white_pictures_that_are_resized_are_told_of_binarisation(tmp_path):
    saved(tmp_path, [f"{n}.png" for n in range(30)], (black_and_white(n) for n in range(30)))
    data = open_data(tmp_path, size=12)
    assert data.space.levels == 256
    assert any("data.binary=threshold" in remark for remark in data.remarks)


def test_masks_of_0_and_1_are_said_to_be_dark(tmp_path):
    masks = [Pictures.fromarray(np.asarray(black_and_white(n)).astype(np.uint8)) for n in range(20)]
    data = open_data(saved(tmp_path, [f"{n}.png" for n in range(20)], masks))
    assert data.space.levels == 256
    assert any("values 0 and 1 of 0 .. 255" in remark for remark in data.remarks)


# Arrays


def test_rows_of_x_test_that_are_in_x_train_are_counted(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (80, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", x_train=x[:60], x_test=np.concatenate([x[:13], x[60:]]))
    data = open_data(tmp_path / "a.npz")
    assert len(data.splits["test"]) == 33
    assert "13 of 33 test examples are copies" in data.protocol
    assert any("13 of 33 test" in remark for remark in data.remarks)
    np.savez(tmp_path / "b.npz", x_train=x[:60], x_test=x[60:])
    assert "copies" not in open_data(tmp_path / "b.npz").protocol
    table = np.random.default_rng(0).normal(size=(70, 3)).astype(np.float32)
    np.savez(tmp_path / "c.npz", x_train=table[:60], x_test=table[50:])
    assert "10 of 20 test examples are copies" in open_data(tmp_path / "c.npz").protocol


def test_arrays_are_split_in_exact_tenths_by_class(tmp_path):
    x = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=np.concatenate([x, x[:1]]), y=np.arange(201) % 4)
    data = open_data(tmp_path / "x.npz")
    assert {len(data.splits[part]) for part in ("valid", "test")} == {20}
    assert torch.bincount(data.splits["test"].y).tolist() == [5] * 4


# Memory


def test_no_more_is_decoded_at_once_than_the_budget_allows():
    budget, held, peak = Budget(100), [0], [0]

    def work(size):
        with budget.of(size):
            held[0] += size
            peak[0] = max(peak[0], held[0])
            time.sleep(0.001)
            held[0] -= size

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [60, 50, 40, 30, 100, 10] * 5))
    assert 60 <= peak[0] <= 100
    assert budget.held == 0


def test_a_picture_that_takes_too_much_memory_is_refused_before_it_is_decoded(tmp_path):
    Pictures.new("RGB", (5000, 4000)).save(tmp_path / "large.webp", lossless=True, quality=0, method=0)
    began = time.process_time()
    with pytest.raises(UserError, match=r"5000 x 4000 pixels of this kind take 3\d\d MB to decode"):
        open_data(tmp_path, size=16)
    assert time.process_time() - began < 2


def test_large_pictures_are_reduced_as_they_are_read(tmp_path):
    small = face(3, 48)
    large = small.resize((48 * 30, 48 * 30), Pictures.Resampling.NEAREST)
    for name, options in (("a.png", {}), ("b.tif", {}), ("c.jpg", {"quality": 95}), ("d.webp", {"lossless": True})):
        large.save(tmp_path / name, **options)
    data = open_data(tmp_path, size=48)
    rows = torch.cat([data.splits[part].x.gather(torch.arange(len(data.splits[part]))) for part in ("train",)])
    apart = (rows.float() - torch.from_numpy(np.array(small)).float()).square().mean((1, 2, 3)).sqrt()
    assert float(apart.max()) < 6
