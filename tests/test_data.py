"""Data: batches are pure functions of (seed, step), splits are stable, and nothing in a folder can hurt."""

from __future__ import annotations

import gc
import gzip
import hashlib
import io
import os
import struct
import threading
import zlib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from PIL import Image as Pictures

from morphogen.core import noise
from morphogen.core.noise import Noise
from morphogen.core.space import Image, Tokens, Vector
from morphogen.data import fetch
from morphogen.data.batches import Batches
from morphogen.data.dataset import Dataset, Split
from morphogen.data.fetch import Remote, locate
from morphogen.data.find import open_data, resolve
from morphogen.data.split import by_hash, row_hashes
from morphogen.data.stores import FileStore, MemoryStore, npy_header
from morphogen.errors import UserError

USERS = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def numbered(count: int, side: int = 2, store: type = MemoryStore) -> Dataset:
    """Pictures that say which row they are."""
    x = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(count, side, side, 1)
    return Dataset("numbered", Image(side, side), {"train": Split(store(x), torch.arange(count))}, "x")


def on_disk(path, x: np.ndarray) -> FileStore:
    np.save(path, x)
    return FileStore(path)


# Batches


def test_a_batch_is_a_function_of_seed_and_step():
    data = numbered(50)
    one, two = Batches(data, "train", 8, seed=3), Batches(data, "train", 8, seed=3)
    forth = [one.at(step) for step in range(20)]
    back = [two.at(step) for step in reversed(range(20))][::-1]
    for a, b in zip(forth, back, strict=True):
        assert torch.equal(a.x, b.x)
        assert torch.equal(a.y, b.y)
        assert a.y.dtype == torch.int64
        assert torch.equal((a.x[:, 0, 0, 0] * 255).round().long(), a.y)
    assert not torch.equal(Batches(data, "train", 8, seed=4).at(0).y, one.at(0).y)


def test_an_epoch_is_every_row_once_and_the_next_differs():
    batches = Batches(numbered(50), "train", 8)
    chain = torch.cat([batches.at(step).y for step in range(25)])
    epochs = chain[:200].view(4, 50)
    assert all(epoch.sort().values.tolist() == list(range(50)) for epoch in epochs)
    assert not torch.equal(epochs[0], epochs[1])


def test_a_batch_may_be_larger_than_the_set():
    assert Batches(numbered(3), "train", 8).at(5).y.shape == (8,)
    assert Batches(numbered(1), "train", 4).at(0).y.tolist() == [0, 0, 0, 0]


def test_in_order_without_shuffling():
    assert Batches(numbered(5), "train", 3, shuffle=False).at(1).y.tolist() == [3, 4, 0]


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_the_batch_of_one_process(world):
    data = open_data("digits", binary="dynamic")
    whole = Batches(data, "train", 10, seed=1).at(7)
    shares = [Batches(data, "train", 10, seed=1, rank=r, world=world).at(7) for r in range(world)]
    assert torch.equal(torch.cat([s.x for s in shares]), whole.x)
    assert [s.start for s in shares] == [r * 10 // world for r in range(world)]
    assert {s.total for s in shares} == {10}
    with noise.source(Noise(0, "train", 7, total=10)):
        everything = noise.normal((10, 3), event=1, like=whole.x)
    for share in [m for s in shares for m in s.shares(2)]:
        with noise.source(Noise(0, "train", 7, share.start, share.total)):
            drawn = noise.normal((len(share), 3), event=1, like=whole.x)
        assert torch.equal(drawn, everything[share.start : share.start + len(share)])


def test_a_sweep_is_all_rows_in_order_whatever_its_size():
    data = open_data("digits", binary="dynamic")
    batches = Batches(data, "train", 10, seed=1)
    sweeps = [list(batches.sweep(size)) for size in (100, 333, 5000)]
    for sweep in sweeps[1:]:
        assert torch.equal(torch.cat([b.x for b in sweep]), torch.cat([b.x for b in sweeps[0]]))
    assert torch.equal(torch.cat([b.y for b in sweeps[0]]), data.splits["train"].y.long())
    assert len(sweeps[0][-1]) == len(batches) % 100


def test_what_is_missing_is_said():
    with pytest.raises(UserError, match=r"no valid examples; it has train 5"):
        Batches(numbered(5), "valid", 2)
    with pytest.raises(UserError, match="cannot be shared"):
        Batches(numbered(5), "train", 2, world=3)


# Streaming


def test_a_file_gives_the_batches_that_memory_gives(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (101, 4, 3, 1), dtype=np.uint8)
    file, memory = on_disk(tmp_path / "x.npy", x), MemoryStore(torch.from_numpy(x))
    one, two = (Batches(Dataset("d", Image(4, 3), {"train": Split(s)}, ""), "train", 7, seed=2) for s in (memory, file))
    for step in [0, 1, 2, 3, 40, 41, 3, 100]:
        assert torch.equal(one.at(step).x, two.at(step).x)
    assert torch.equal(torch.cat([b.x for b in one.sweep(10)]), torch.cat([b.x for b in two.sweep(10)]))
    rows = torch.tensor([5, 6, 7, 7, 100, 0])
    assert torch.equal(file.gather(rows), memory.gather(rows))
    assert len(file.gather(rows[:0])) == 0
    with pytest.raises(IndexError):
        file.gather(torch.tensor([101]))
    two.close()


def threads() -> int:
    return sum(thread.name.startswith("morphogen-read-ahead") for thread in threading.enumerate())


def test_the_reading_thread_ends_with_its_owner(tmp_path):
    data = Dataset("d", Image(4, 4), {"train": Split(on_disk(tmp_path / "x.npy", np.zeros((9, 4, 4, 1), "u1")))}, "")
    batches = Batches(data, "train", 2)
    batches.at(0)
    assert threads() == 1
    batches.close()
    assert threads() == 0
    batches = Batches(data, "train", 2)
    next(batches.sweep(2))
    batches.at(0)
    del batches
    gc.collect()
    for thread in threading.enumerate():
        if thread.name.startswith("morphogen-read-ahead"):
            thread.join(5)
    assert threads() == 0


def test_a_file_that_shrinks_is_an_error_where_it_is_asked_for(tmp_path):
    path = tmp_path / "x.npy"
    data = Dataset("d", Image(32, 32), {"train": Split(on_disk(path, np.zeros((1000, 32, 32, 1), "u1")))}, "")
    batches = Batches(data, "train", 100)
    batches.at(0)
    os.truncate(path, 5000)
    with pytest.raises(UserError, match="became shorter"):
        [batches.at(step) for step in range(1, 12)]
    batches.close()
    with pytest.raises(UserError, match="cut off"):
        FileStore(path)


def test_streaming_keeps_little_in_memory(tmp_path):
    path = tmp_path / "big.npy"
    big = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(120_000, 32, 32, 1))
    big[::97] = 7
    del big
    batches = Batches(Dataset("d", Image(32, 32), {"train": Split(FileStore(path))}, ""), "train", 1000)
    before = resident()
    for step in range(120):
        batches.at(step)
    batches.close()
    assert resident() - before < 40e6, "123 MB were read; they must not stay"


def resident() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * float(os.sysconf("SC_PAGE_SIZE"))


@pytest.mark.parametrize(
    ("x", "word"),
    [
        (np.array([{}, 1], dtype=object), "objects"),
        (np.asfortranarray(np.zeros((3, 4))), "Fortran"),
        (np.zeros((3, 4), ">f4"), "big-endian"),
        (np.zeros(()), "single value"),
    ],
)
def test_npy_files_that_cannot_be_streamed_are_refused(tmp_path, x, word):
    path = tmp_path / "x.npy"
    np.save(path, x, allow_pickle=True)
    with pytest.raises(UserError, match=word) as error:
        npy_header(path)
    assert str(path) in str(error.value)


# Arrays


@pytest.mark.parametrize("memory", [1.0, 1e-7])
def test_pictures_are_known_by_looking(tmp_path, memory):
    draw = np.random.default_rng(0)
    grey = draw.integers(0, 256, (40, 6, 5), dtype=np.uint8)
    cases = [
        (grey, Image(6, 5)),
        (grey[..., None], Image(6, 5)),
        (np.stack([grey] * 3, 1), Image(6, 5, 3)),
        (np.stack([grey] * 3, -1), Image(6, 5, 3)),
        (grey > 99, Image(6, 5, 1, 2)),
        (grey.astype("f4") / 255, Image(6, 5)),
        (grey.astype("i8"), Image(6, 5)),
    ]
    for number, (x, space) in enumerate(cases):
        np.save(tmp_path / f"{number}.npy", x)
        data = open_data(tmp_path / f"{number}.npy", memory=memory)
        assert data.space == space, data.protocol
        seen = torch.cat([b.x for b in Batches(data, "train", 4).sweep(7)])
        assert seen.shape[1:] == space.shape
        assert 0 <= float(seen.min()) <= float(seen.max()) <= 1
        assert sum(map(len, data.splits.values())) == 40


def test_streaming_and_memory_agree_on_everything(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (300, 5, 5), dtype=np.uint8))
    one = open_data(tmp_path / "x.npy")
    for _ in range(2):  # the second time the survey comes from the cache
        two = open_data(tmp_path / "x.npy", memory=1e-6)
        assert one.fingerprint == two.fingerprint
        assert one.facts() == two.facts()
        assert torch.equal(Batches(one, "train", 9).at(3).x, Batches(two, "train", 9).at(3).x)


def test_tables_are_standardised_by_the_training_rows(tmp_path):
    x = np.random.default_rng(0).normal(5, 3, (500, 3)).astype("f4")
    x[:, 1] = 2.0
    np.save(tmp_path / "x.npy", x)
    for memory in (1.0, 1e-7):
        data = open_data(tmp_path / "x.npy", memory=memory)
        assert isinstance(data.space, Vector)
        seen = next(Batches(data, "train", 4).sweep(500)).x
        assert torch.allclose(seen.mean(0), torch.zeros(3), atol=1e-4)
        assert torch.allclose(seen.std(0, correction=0), torch.tensor([1.0, 0.0, 1.0]), atol=1e-4)


def test_symbols_and_labels(tmp_path):
    x = np.random.default_rng(0).integers(0, 7, (60, 9))
    np.savez(tmp_path / "x.npz", x=x, y=np.array(["no", "yes"] * 30))
    data = open_data(tmp_path / "x.npz")
    assert data.space == Tokens(9, 7)
    assert data.classes == ("no", "yes")
    assert Batches(data, "train", 4).at(0).x.dtype == torch.int64


def test_a_file_with_its_own_test_split(tmp_path):
    draw = np.random.default_rng(0)
    x, t = draw.integers(0, 256, (50, 4, 4), dtype=np.uint8), draw.integers(0, 256, (7, 4, 4), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", x_train=x, y_train=np.arange(50) % 3, x_test=t, y_test=np.arange(7) % 3)
    data = open_data(tmp_path / "x.npz")
    assert len(data.splits["test"]) == 7
    assert len(data.splits["train"]) + len(data.splits["valid"]) == 50
    assert data.splits["test"].y.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert "as given" in data.protocol


@pytest.mark.parametrize(
    ("held", "word"),
    [
        ({"x": np.array([{}, []], dtype=object)}, "cannot be read|Python objects"),
        ({"x": np.array([[1.0, np.nan], [1, 2]])}, "row 0"),
        ({"x": np.array([[1.0, 0.5], [np.inf, 2]])}, "row 1"),
        ({"x": np.full((3, 4, 4), 700)}, "pixels from 700"),
        ({"x": np.full((3, 4, 4), -0.5)}, r"\(x \+ 1\) / 2"),
        ({"x": np.zeros((3, 9, 9, 9))}, "no axis"),
        ({"x": np.zeros((0, 4, 4))}, "no examples"),
        ({"x": np.zeros((3, 0, 4))}, "neither"),
        ({"x": np.array(["a", "b"])}, "holds <U1"),
        ({"x": np.array([[-1, 2]])}, "not symbols"),
        ({"x": np.zeros((3, 4, 4), "u1"), "y": np.zeros(2)}, "labels are"),
        ({"q": np.zeros(3)}, "must be named x"),
    ],
)
def test_arrays_that_make_no_sense_are_refused(tmp_path, held, word):
    np.savez(tmp_path / "x.npz", **held)
    with pytest.raises(UserError, match=word):
        open_data(tmp_path / "x.npz")


def test_damaged_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((9, 4, 4), "u1"))
    np.save(tmp_path / "x.npy", np.zeros((9, 4, 4), "u1"))
    for name in ("x.npz", "x.npy"):
        whole = (tmp_path / name).read_bytes()
        for cut in (0, 5, len(whole) // 2, len(whole) - 9):
            (tmp_path / name).write_bytes(whole[:cut])
            with pytest.raises(UserError):
                open_data(tmp_path / name)


# Splits


def test_splits_are_stable_and_duplicates_stay_together():
    x = np.random.default_rng(0).integers(0, 256, (1000, 30), dtype=np.uint8)
    few, _ = by_hash(row_hashes(x[:500]), 0.1, 0.1)
    all_, _ = by_hash(row_hashes(np.concatenate([x, x])), 0.1, 0.1)
    for name in ("train", "valid", "test"):
        rows = set(all_[name].tolist())
        assert set(few[name].tolist()) <= rows
        assert {row + 1000 for row in rows if row < 1000} == {row for row in rows if row >= 1000}
    assert 60 < len(all_["valid"]) / 2 < 140
    assert len(np.unique(row_hashes(x))) == 1000


@pytest.mark.parametrize("count", [1, 2, 3, 4, 10])
def test_tiny_sets_leave_no_split_empty(count):
    for seed in range(20):
        x = np.random.default_rng(seed).integers(0, 256, (count, 8), dtype=np.uint8)
        parts, how = by_hash(row_hashes(x), 0.1, 0.1)
        assert all(len(parts[name]) for name in ("train", "valid", "test")), how
        if count > 2:
            assert sorted(torch.cat(list(parts.values())).tolist()) == list(range(count))


def test_fingerprints_tell_data_and_options_apart():
    prints = [open_data("digits", **o).fingerprint for o in ({}, {"valid": 0.2}, {"limit": 50}, {"binary": "dynamic"})]
    assert len(set(prints)) == 4
    assert open_data("digits").fingerprint == prints[0]


# Binarisation


def test_dynamic_binarisation_is_new_each_epoch_and_repeats_by_seed():
    data = open_data("digits", limit=40, binary="dynamic")
    batches = Batches(data, "train", 40, seed=1, shuffle=False)
    first, second = batches.at(0).x, batches.at(1).x
    assert data.space.levels == 2
    assert set(first.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(first, second)
    assert torch.equal(first, Batches(data, "train", 40, seed=1, shuffle=False).at(0).x)
    mean = torch.stack([batches.at(step).x for step in range(400)]).mean(0)
    grey = next(Batches(open_data("digits", limit=40), "train", 40).sweep(40)).x
    assert float((mean - grey).abs().max()) < 0.15
    assert float((mean - grey).abs().mean()) < 0.02


@pytest.mark.parametrize("how", ["static", "threshold"])
def test_fixed_binarisation_is_fixed(how):
    one, two = (open_data("digits", binary=how) for _ in range(2))
    x = next(Batches(one, "train", 9, seed=1).sweep(2000)).x
    assert torch.equal(x, next(Batches(two, "train", 9, seed=2).sweep(2000)).x)
    assert set(x.unique().tolist()) == {0.0, 1.0}
    assert one.space == Image(8, 8, 1, 2)
    assert ("static" if how == "static" else "one half") in one.protocol


def test_binarisation_of_what_is_no_picture_is_refused():
    with pytest.raises(UserError, match="for pictures"):
        open_data("blobs", binary="dynamic")


# Folders


def draw(path, mode="RGB", size=(8, 6), seed=0, **options):
    depth = len(Pictures.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], depth), dtype=np.uint8)
    picture = Pictures.fromarray(pixels[..., 0] if depth == 1 else pixels, mode=None if mode != "CMYK" else "CMYK")
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **options)
    return pixels


def test_a_folder_of_classes(tmp_path):
    for number in range(30):
        draw(tmp_path / "set" / "cat" / f"{number}.png", "L", seed=number)
        draw(tmp_path / "set" / "dog" / "old" / f"{number}.png", "L", seed=100 + number)
    data = open_data(tmp_path / "set")
    assert data.space == Image(6, 8)
    assert data.classes == ("cat", "dog")
    assert not data.skipped
    assert sum(int((split.y == 1).sum()) for split in data.splits.values()) == 30
    again = open_data({"use": "folder", "path": str(tmp_path / "set"), "memory": 1e-7})
    for _ in range(2):
        assert again.fingerprint == data.fingerprint
        assert not isinstance(again.splits["train"].x, MemoryStore)
        assert torch.equal(Batches(again, "train", 5).at(2).x, Batches(data, "train", 5).at(2).x)
        again = open_data({"use": "folder", "path": str(tmp_path / "set"), "memory": 1e-7})


def test_folders_named_for_splits(tmp_path):
    for split, count in (("train", 20), ("test", 3)):
        for number in range(count):
            draw(tmp_path / split / "ab"[number % 2] / f"{number}.png", seed=number + len(split) * 100)
    data = open_data(tmp_path)
    assert len(data.splits["test"]) == 3
    assert data.classes == ("a", "b")
    assert len(data.splits["train"]) + len(data.splits["valid"]) == 20


def test_pictures_of_many_sizes_are_fitted(tmp_path):
    for number, size in enumerate([(10, 10), (20, 16), (30, 30), (400, 5), (20, 16)]):
        draw(tmp_path / f"{number}.png", size=size, seed=number)
    data = open_data(tmp_path)
    assert data.space == Image(16, 20, 3)
    assert "4 sizes found" in data.protocol
    assert open_data(tmp_path, size=12).space == Image(12, 12, 3)
    draw(tmp_path / "big" / "x.png", size=(1024, 512))
    assert open_data(tmp_path / "big").space == Image(128, 256, 3)


def png_with(*chunks: tuple[bytes, bytes]) -> bytes:
    out = b"\x89PNG\r\n\x1a\n"
    for name, body in chunks:
        out += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return out


def header(width: int, height: int, bits: int = 8, colour: int = 0) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)


def hostile(folder) -> set[str]:
    """Files that must be skipped; returns their names."""
    good = io.BytesIO()
    Pictures.fromarray(np.random.default_rng(1).integers(0, 256, (40, 40), dtype=np.uint8)).save(good, "PNG")
    whole = good.getvalue()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    targa = io.BytesIO()
    Pictures.new("L", (4, 4)).save(targa, "TGA")
    bad = {
        "empty.png": b"",
        "header.png": whole[:20],
        "crc.png": bytes(flipped),
        "text.jpg": b"not a picture at all",
        "targa.png": targa.getvalue(),
        "wide.png": png_with(header(65_536, 1), (b"IDAT", zlib.compress(bytes(65_537))), (b"IEND", b"")),
        "svg.png": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "eps.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "scan.heic": targa.getvalue(),
        "bomb.png": png_with(header(13300, 13300, 1), (b"IDAT", zlib.compress(bytes(1663 * 13300), 9)), (b"IEND", b"")),
        "huge.png": png_with(header(2**31 - 1, 2**31 - 1), (b"IEND", b"")),
        "none.png": png_with(header(0, 5), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")),
        "short.png": png_with(header(40, 40), (b"IDAT", zlib.compress(bytes(60))), (b"IEND", b"")),
        "text_bomb.png": png_with(header(4, 4), (b"zTXt", b"k\0\0" + zlib.compress(bytes(90_000_000))), (b"IEND", b"")),
    }
    bad |= {f"cut{n:02}.png": whole[: len(whole) * n // 16] for n in range(1, 16)}
    for name, content in bad.items():
        (folder / name).write_bytes(content)
    return set(bad)


def strange(folder) -> int:
    """Files that are unusual and fine; returns how many."""
    draw(folder / "one.png", size=(1, 1))
    draw(folder / "line.png", "L", size=(1, 65535))
    draw(folder / "jpeg_called.png", format="JPEG")
    draw(folder / "cmyk.jpg", "CMYK")
    draw(folder / "rgba.png", "RGBA")
    draw(folder / "grey_alpha.webp", "RGBA", lossless=True)
    palette = Pictures.fromarray(np.zeros((6, 8), np.uint8), "L").convert("P")
    palette.save(folder / "palette.png", transparency=bytes([0, 128]))
    Pictures.fromarray(np.full((6, 8), 40000, np.uint16)).save(folder / "deep.png")
    frames = [Pictures.new("L", (8, 6), shade) for shade in (10, 200, 90)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    Pictures.new("1", (8, 6)).save(folder / "bits.bmp")
    draw(folder / "trailing.png")
    with (folder / "trailing.png").open("ab") as file:
        file.write(b"PK\x03\x04 something more")
    exif = Pictures.Exif()
    exif[0x0112] = 99
    draw(folder / "exif99.jpg", exif=exif)
    draw(folder / "bad_exif.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    with open(os.fsencode(folder) + b"/caf\xe9.png", "wb") as file:
        file.write((folder / "rgba.png").read_bytes())
    draw(folder / "new\nline.png", seed=5)
    draw(folder / "scan.tif", seed=6)
    draw(folder / "photo.avif", seed=7)
    pages = [Pictures.new("L", (8, 6), shade) for shade in (10, 200)]
    pages[0].save(folder / "pages.tiff", save_all=True, append_images=pages[1:])
    return 18


def test_hostile_files_are_skipped_and_listed(tmp_path):
    bad = hostile(tmp_path)
    good = strange(tmp_path)
    for name in (".hidden.png", "Thumbs.db", "__MACOSX/._x.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.png")
    data = open_data(tmp_path)
    skipped = dict(data.skipped)
    assert set(skipped) == bad | {"gone.png", "pipe.png"}, set(skipped) ^ bad
    assert all(skipped.values())
    assert f"{len(skipped)} files skipped" in data.protocol
    assert sum(map(len, data.splits.values())) == good
    assert skipped["empty.png"] == "empty file"
    assert "pixels" in skipped["bomb.png"]
    assert "HEIC" in skipped["scan.heic"]
    assert "a side of more than 65,535" in skipped["wide.png"]
    assert "link" in skipped["gone.png"]
    assert "2 of several pages" in data.protocol  # the TIFF and the moving GIF
    assert "transparency laid on white" in data.protocol
    assert "1 of 16 bits" in data.protocol
    with pytest.raises(UserError, match="strict is on"):
        open_data(tmp_path, strict=True)


def test_the_pixels_of_unusual_files_are_right(tmp_path):
    plain = draw(tmp_path / "a" / "x.png", size=(8, 6))
    exif = Pictures.Exif()
    exif[0x0112] = 6
    turned = Pictures.fromarray(np.ascontiguousarray(np.rot90(plain)))
    turned.save(tmp_path / "a" / "x.webp", lossless=True, exif=exif)
    data = open_data(tmp_path / "a")
    x = data.splits["train"].x.gather(torch.arange(2))
    assert data.space == Image(6, 8, 3)
    assert np.array_equal(x[0].numpy(), plain)
    assert torch.equal(x[0], x[1])
    Pictures.fromarray(np.full((6, 8), 40000, np.uint16)).save(tmp_path / "deep.png")
    assert data_of(tmp_path / "deep.png") == {round(40000 / 65535 * 255)}
    Pictures.new("RGBA", (8, 6), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert data_of(tmp_path / "clear.png") == {255}


def data_of(path) -> set[int]:
    """The values in a folder that holds this one file: a single picture is train, valid and test at once."""
    home = path.parent / path.stem
    home.mkdir()
    path.rename(home / path.name)
    data = open_data(home)
    assert {len(split) for split in data.splits.values()} == {1}
    return set(data.splits["valid"].x.gather(torch.tensor([0])).unique().tolist())


def test_duplicate_pictures_stay_in_one_split(tmp_path):
    for number in range(40):
        draw(tmp_path / f"{number:02}.png", seed=number % 20)
    data = open_data(tmp_path)
    seen = [{x.numpy().tobytes() for x in split.x.gather(torch.arange(len(split)))} for split in data.splits.values()]
    assert sum(map(len, seen)) == len(set.union(*seen)) == 20


def test_folders_with_nothing_in_them(tmp_path):
    with pytest.raises(UserError, match="no picture that can be read"):
        open_data(tmp_path)
    (tmp_path / "x.png").write_bytes(b"")
    with pytest.raises(UserError, match="empty file"):
        open_data(tmp_path)


# Names, recipes and downloads


def test_every_name_and_recipe_resolves(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "scans" / "x.png")
    np.save(tmp_path / "x.npy", np.zeros((3, 4, 4), "u1"))
    assert resolve("mnist", limit=5) == {"use": "mnist", "valid": 10000, "limit": 5}
    assert resolve("./scans")["path"] == str(tmp_path / "scans")
    assert resolve("./scans")["use"] == "folder"
    assert resolve({"use": "folder", "path": "scans"}) == resolve(tmp_path / "scans")
    assert resolve("x.npy")["use"] == "array"
    for spec in ("./scans", "x.npy", "digits"):
        assert open_data(resolve(spec)).fingerprint == open_data(spec).fingerprint


@pytest.mark.parametrize(
    ("spec", "options", "word"),
    [
        ("mnits", {}, "did you mean 'mnist'"),
        ("mnist", {"limti": 5}, "did you mean 'limit'"),
        ("digits", {"limit": 0}, "limit = 0"),
        ("digits", {"binary": "perhaps"}, "binary: 'perhaps' is unknown"),
        ("digits", {"valid": 2000}, "not a share"),
        ({"path": "x"}, {}, "by name"),
        ({"use": "folder", "path": "nowhere"}, {}, "is not a folder"),
        ({"use": "array", "path": "nowhere.npy"}, {}, "is not a file"),
        ("no\0name", {}, "not a path"),
    ],
)
def test_mistakes_are_named(spec, options, word):
    with pytest.raises(UserError, match=word):
        open_data(spec, **options)


def test_toy_sets_show_every_kind_of_space():
    words, table = open_data("patterns"), open_data("blobs")
    assert isinstance(words.space, Tokens)
    assert isinstance(table.space, Vector)
    assert Batches(words, "train", 3).at(0).x.shape == (3, 12)
    assert abs(float(next(Batches(table, "train", 3).sweep(900)).x.mean())) < 1e-4


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A web server of a folder, and no other place to look."""
    root = tmp_path / "mirror"
    (root / "tiny").mkdir(parents=True)
    handler = partial(Quiet, directory=str(root))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    monkeypatch.setenv("MORPHOGEN_MIRROR", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("MORPHOGEN_DATA", str(tmp_path / "elsewhere"))
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    yield root
    server.shutdown()
    thread.join()
    server.server_close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def test_a_download_is_checked_and_kept(mirror, tmp_path):
    content = gzip.compress(bytes(5000))
    (mirror / "tiny" / "x.gz").write_bytes(content)
    remote = Remote("tiny/x.gz", hashlib.sha256(content).hexdigest(), len(content))
    path = locate(remote)
    assert path == tmp_path / "cache" / "morphogen" / "tiny" / "x.gz"
    assert path.read_bytes() == content
    (mirror / "tiny" / "x.gz").unlink()
    assert locate(remote) == path
    path.write_bytes(content[:-1])
    with pytest.raises(UserError, match="is not the file that was published"):
        locate(remote)


def test_a_wrong_download_is_refused(mirror, tmp_path):
    (mirror / "tiny" / "x.gz").write_bytes(b"y" * 70)
    expected = hashlib.sha256(b"x").hexdigest()
    with pytest.raises(UserError) as error:
        locate(Remote("tiny/x.gz", expected, 50))
    assert "tiny/x.gz" in str(error.value)
    assert expected in str(error.value)
    assert "got" in str(error.value)
    assert not (tmp_path / "cache").exists()


def test_an_absent_set_says_where_it_was_looked_for(mirror, tmp_path):
    with pytest.raises(UserError) as error:
        open_data("mnist")
    for word in ("mnist/train-images", "elsewhere", "cache", "404", "MORPHOGEN_DATA"):
        assert word in str(error.value)


def real(name: str, monkeypatch):
    """A set of $MORPHOGEN_DATA, or a skip that says so."""
    if not any((folder / name).is_dir() for folder in fetch.data_folders()):
        pytest.skip(f"{name} is not in $MORPHOGEN_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", USERS)  # unpacked once a machine
    return open_data(name)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_mnist_and_its_cousin(name, monkeypatch):
    data = real(name, monkeypatch)
    assert data.facts()["sizes"] == {"train": 50_000, "valid": 10_000, "test": 10_000}
    assert data.space == Image(28, 28)
    if name == "mnist":
        assert data.splits["train"].y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert open_data(name).fingerprint == data.fingerprint


def test_cifar10(monkeypatch):
    data = real("cifar10", monkeypatch)
    assert data.facts()["sizes"] == {"train": 45_000, "valid": 5_000, "test": 10_000}
    assert data.space == Image(32, 32, 3)
    pixels = torch.cat([data.splits[name].x.values for name in ("train", "valid")]).view(-1, 3).numpy()
    levels = np.arange(256) / (255 * len(pixels))
    mean = torch.tensor([float(np.bincount(pixels[:, c], minlength=256) @ levels) for c in range(3)]).double()
    assert torch.allclose(mean, torch.tensor([0.49139968, 0.48215841, 0.44653091]).double(), atol=1e-7)


def test_the_first_examples_of_a_split(tmp_path):
    split = open_data("digits").splits["train"]
    few = split.first(7)
    assert len(few) == 7
    assert torch.equal(few.x.gather(torch.arange(7)), split.x.gather(torch.arange(7)))
    assert torch.equal(few.y, split.y[:7])
    assert len(split.first(10_000)) == len(split)
    assert len(Split(on_disk(tmp_path / "x.npy", np.zeros((9, 2, 2, 1), "u1"))).first(3)) == 3
