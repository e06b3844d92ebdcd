"""Archives: what goes in comes out, whatever the model does; and what cannot be trusted is refused."""

from __future__ import annotations

import inspect
import io
import json
import os
import random
import subprocess
import sys
import time
import types
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from fake_codec import Fake, fake_of, folder, picture, small, smooth
from morphogen import cli
from morphogen.codec import crc32c as sums
from morphogen.codec import png
from morphogen.codec.crc32c import TABLE, by_numpy, crc32c, mend
from morphogen.codec.names import Names
from morphogen.codec.pack import pack
from morphogen.codec.pictures import from_kept, to_kept
from morphogen.codec.reader import Models, Walk
from morphogen.codec.recover import salvage
from morphogen.codec.restore import restore
from morphogen.codec.strips import Shelf, Spool
from morphogen.codec.unpack import contents, unpack
from morphogen.errors import Failure, UserError


def same(home, back, exact):
    """Whether a folder came back: pictures as pictures, everything else, and with `exact` all, byte for byte."""
    for path in (p for p in home.rglob("*") if p.is_file()):
        other = back / path.relative_to(home)
        if not exact and path.suffix == ".npz":
            assert (np.load(other / "x.npy") == np.load(path)["x"]).all()
            assert (np.load(other / "y.npy") == np.load(path)["y"]).all()
            continue
        if exact or path.suffix != ".png":
            assert other.read_bytes() == path.read_bytes(), path
        else:
            with Image.open(path) as a, Image.open(other) as b:
                assert (np.asarray(a) == np.asarray(b)).all()
                assert (a.mode, a.info) == (b.mode, b.info)
        assert other.stat().st_mode == path.stat().st_mode


# There and back -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tile", "exact"), [((8, 8), False), ((7, 5), True), ((28, 28), True), ((200, 300), False)])
def test_a_folder_comes_back(tmp_path, tile, exact):
    home, out = folder(tmp_path / "in"), tmp_path / "x.mgn"
    said = pack([home], out, Fake(tile), oracle=Fake(tile), exact=exact, paranoid=True)
    assert said["coded_by_the_model"] == (10 if exact else 11)
    assert said["fallbacks"].keys() <= {"no gain"}
    assert said["blocks"]["learned"]
    assert any("16 bits" in line for line in said["kept as bytes"])
    assert said["bytes_of_the_archive"] == out.stat().st_size
    unpack(out, tmp_path / "out", fake_of)
    same(home, tmp_path / "out" / "in", exact)
    with pytest.raises(UserError, match="not overwritten"):
        unpack(out, tmp_path / "out", fake_of)
    unpack(out, tmp_path / "out", fake_of, force=True)
    rows = contents(out)
    assert sum(row["size"] for row in rows) == said["uncompressed_bytes"] - padding(rows, out)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"in"}  # nothing temporary is left


def padding(rows, out):
    with open(out, "rb") as file:
        told = Shelf(file, Models(None)).catalogue.told
    return sum(n * (s[0] * s[1] * s[2] or 1) for s, n in told.items()) - sum(row["size"] for row in rows)


@pytest.mark.parametrize("recover", [False, True])
def test_one_file_is_enough(tmp_path, recover):
    out, held = small(tmp_path / "in")
    for name, data in held.items():
        unpack(out, tmp_path / "one", fake_of, extract=name, recover=recover)
        if not name.endswith(".png"):
            assert (tmp_path / "one" / name).read_bytes() == data
    with pytest.raises(UserError, match=r"did you mean 'a\.png'"):
        unpack(out, tmp_path / "one", fake_of, extract="b.png", recover=recover)


def test_extracting_one_reads_no_other_block(tmp_path, monkeypatch):
    from morphogen.codec.blocks import Block

    rng = np.random.default_rng(0)
    for number in range(4):
        (tmp_path / f"{number}").write_bytes(rng.bytes(1 << 20))
    pack([tmp_path / f"{number}" for number in range(4)], tmp_path / "x.mgn", Fake())
    seen = []
    plain = Block.decode
    monkeypatch.setattr(Block, "decode", lambda self, learned: seen.append(self.first) or plain(self, learned))
    unpack(tmp_path / "x.mgn", tmp_path / "out", fake_of, extract="2")
    assert seen == [2 << 20]


def test_the_same_files_make_the_same_archive(tmp_path):
    out, _ = small(tmp_path / "in")
    pack(sorted((tmp_path / "in").iterdir()), tmp_path / "again", Fake())
    assert (tmp_path / "again").read_bytes() == out.read_bytes()


def test_small_pictures_share_a_block(tmp_path):
    for number in range(200):
        picture(tmp_path / "in" / f"{number:03}.png", smooth(8, 8, 1, seed=number))
    said = pack([tmp_path / "in"], tmp_path / "x.mgn", Fake())
    assert said["blocks"] == {"learned": 1}
    assert len((tmp_path / "x.mgn").read_bytes()) < 200 * 64 / 2
    assert contents(tmp_path / "x.mgn")[7]["name"] == "in/007.png"


def test_a_model_that_is_only_named(tmp_path):
    out, held = small(tmp_path / "in", inside=False)
    with pytest.raises(UserError, match="--model"):
        unpack(out, tmp_path / "out", fake_of)
    with pytest.raises(UserError, match="another"):
        unpack(out, tmp_path / "out", fake_of, profile=b"a profile of something else")
    unpack(out, tmp_path / "out", fake_of, profile=Fake().profile)
    assert (tmp_path / "out" / "t.txt").read_bytes() == held["t.txt"]
    assert len(contents(out)) == 4


def test_the_empty_and_the_odd(tmp_path):
    with pytest.raises(UserError, match="no file"):
        pack([], tmp_path / "x.mgn", Fake())
    (tmp_path / "none").mkdir()
    for words in (["nowhere"], [tmp_path / "none"], ["/dev/zero"]):
        with pytest.raises(UserError):
            pack(words, tmp_path / "x.mgn", Fake())
    (tmp_path / "none" / "e").write_bytes(b"")
    pack([tmp_path / "none"], tmp_path / "x.mgn", Fake())
    unpack(tmp_path / "x.mgn", tmp_path / "out", None)  # no learned block, no model needed
    assert (tmp_path / "out" / "none" / "e").read_bytes() == b""
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("level", [0, 1, 3, 6, 9])
@pytest.mark.parametrize("interlace", [0, 1])
def test_png_of_any_writer(tmp_path, level, interlace):
    """Each comes back exactly; followed where zlib wrote it, kept as bytes where not."""
    path = tmp_path / "p.png"
    picture(path, smooth(70, 90, 3), compress_level=level)
    data = path.read_bytes()
    if interlace:  # two pieces of pixels, and bytes behind the end
        at = data.index(b"IDAT") - 4
        length = int.from_bytes(data[at : at + 4], "big")
        raw = data[at + 8 : at + 8 + length]
        chunks = b"".join(
            len(part).to_bytes(4, "big") + b"IDAT" + part + zlib.crc32(b"IDAT" + part).to_bytes(4, "big")
            for part in (raw[:5], b"", raw[5:])
        )
        path.write_bytes(data[:at] + chunks + data[at + 12 + length :] + b"more")
    said = pack([path], tmp_path / "x.mgn", Fake(), exact=True)
    assert said["coded_by_the_model"] == 1
    unpack(tmp_path / "x.mgn", tmp_path / "out", fake_of)
    assert (tmp_path / "out" / "p.png").read_bytes() == path.read_bytes()


def test_a_list_of_single_bytes_costs_no_minutes():
    """Of 300,000 IDATs each byte is moved once, and a reader refuses more of them than a writer makes."""
    rows, out, began = (
        np.random.default_rng(0).integers(0, 256, (550, 550), np.uint8),
        io.BytesIO(),
        time.process_time(),
    )
    kept = png.Kept(png.ihdr(550, 550, 1), png.IEND, (0, 15, 8, 0), sizes=(1,) * 300_000, types=bytes(550))
    png.write(out, [rows], 1, kept)
    assert time.process_time() - began < 2  # it was 10 s
    with Image.open(out) as back:
        assert (np.asarray(back) == rows).all()
    with pytest.raises(UserError, match="does not fit"):
        from_kept(to_kept(kept, 0), 550, 550, 1)


def test_an_npz_that_unpacks_to_gigabytes_stays_as_it_is(tmp_path):
    """Nothing of it is unpacked; it comes back as the file that it was."""
    with zipfile.ZipFile(tmp_path / "b.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as held:
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (60_000_000, 1)})
        held.writestr("x.npy", head.getvalue() + bytes(60_000_000))
    began = time.process_time()
    said = pack([tmp_path / "b.npz"], tmp_path / "x.mgn", Fake())
    assert time.process_time() - began < 1
    assert said["coded_by_the_model"] == 0
    unpack(tmp_path / "x.mgn", tmp_path / "out", fake_of)
    assert (tmp_path / "out" / "b.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_png_that_is_none(tmp_path):
    picture(tmp_path / "good.png", smooth(20, 20, 1))
    data, rng = (tmp_path / "good.png").read_bytes(), random.Random(0)
    for number in range(150):
        bad = bytearray(data)
        for _ in range(rng.randrange(1, 4)):
            bad[rng.randrange(len(bad))] = rng.randrange(256)
        if number % 2:
            bad = bad[: rng.randrange(len(bad))]
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{number}.png").write_bytes(bytes(bad))
        with Image.open(io.BytesIO(data)) as sheet:
            out = io.BytesIO()
            sheet.convert(("P", "1", "LA", "RGBA")[number % 4]).save(out, "PNG")
        (tmp_path / "in" / f"other-{number % 4}.png").write_bytes(out.getvalue())
    pack([tmp_path / "in"], tmp_path / "x.mgn", Fake(), exact=True)
    unpack(tmp_path / "x.mgn", tmp_path / "out", fake_of)
    same(tmp_path / "in", tmp_path / "out" / "in", True)


# A model that lies --------------------------------------------------------------------------------------------------


class Liar(Fake):
    """Goes wrong in a seeded way, at encoding, at decoding, or at both."""

    def __init__(self, seed):
        super().__init__()
        self.rng = random.Random(seed)
        self.way, self.when = self.rng.randrange(8), self.rng.choice(["encode", "decode", "both"])

    def _twist(self, data):
        error = self.rng.choice([ValueError, MemoryError, RecursionError, ZeroDivisionError, KeyError, UserError,
                                 OverflowError, AssertionError, StopIteration, OSError])  # fmt: skip
        place = self.rng.randrange(len(data))
        if self.way == 0:
            raise error("sabotage")
        if self.way == 1:
            return bytes(data[:place]) + bytes([data[place] ^ 1 << self.rng.randrange(8)]) + bytes(data[place + 1 :])
        return [
            data[::-1], data[:place], bytes(data) * 40, b"", None, np.frombuffer(data, np.uint8), self.rng.randbytes(9)
        ][self.way - 2]  # fmt: skip

    def encode(self, tiles):
        data = super().encode(tiles[::-1] if self.way == 2 else tiles)  # the wrong order
        return data if self.when == "decode" else self._twist(data)

    def decode(self, data, shape):
        tiles = super().decode(data, shape)
        if self.when == "encode":
            return tiles
        raw = self._twist(tiles.tobytes())
        return np.frombuffer(raw, np.uint8).reshape(shape) if type(raw) is bytes and len(raw) == tiles.size else raw


class Other(Fake):
    """Decodes one number of the last tile otherwise; counts the tiles that it is asked for."""

    wrong, asked = 1, 0

    def decode(self, data, shape):
        self.asked += shape[0]
        tiles = super().decode(data, shape).copy()
        tiles[-1, -1, -1, -1] += self.wrong
        return tiles


@pytest.mark.parametrize("count", [50, 2000])
@pytest.mark.parametrize("paranoid", [False, True])
def test_another_implementation_decodes_some_of_every_block(tmp_path, count, paranoid):
    np.save(tmp_path / "x.npy", np.cumsum(np.ones((count, 64), np.uint8), 1, np.uint8).reshape(count, 8, 8))
    oracle = Other()
    said = pack([tmp_path / "x.npy"], tmp_path / "x.mgn", Fake(), oracle=oracle, paranoid=paranoid)
    assert said["fallbacks"] == {"the oracle decodes it differently": 1}
    oracle.wrong = oracle.asked = 0
    said = pack([tmp_path / "x.npy"], tmp_path / "x.mgn", Fake(), oracle=oracle, paranoid=paranoid, force=True)
    assert said["blocks"]["learned"] == 1
    assert oracle.asked == (count if paranoid or count == 50 else 8192 // 64)


def sabotaged(home, seeds):
    grey, colour = smooth(40, 8, 8, 1), smooth(20, 9, 3)
    home.mkdir()
    np.save(home / "a.npy", grey[..., 0])
    picture(home / "b.png", colour)
    for seed in seeds:
        out, back = home / f"{seed}.mgn", home / f"{seed}"
        said = pack([home / "a.npy", home / "b.png"], out, Liar(seed), oracle=Fake(), paranoid=True)
        assert said["fallbacks"], seed
        assert "learned" not in said["blocks"], seed
        assert said["bytes_of_the_archive"] < grey.size + colour.size + 1200
        unpack(out, back, None)
        assert (np.load(back / "a.npy") == grey[..., 0]).all()
        with Image.open(back / "b.png") as again:
            assert (np.asarray(again) == colour).all()


def test_sabotage_ends_in_deflate(tmp_path):
    sabotaged(tmp_path / "s", range(120))


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_a_thousand_sabotages(tmp_path):
    sabotaged(tmp_path / "s", range(1000))


def test_a_disk_that_lies(tmp_path, monkeypatch):
    from morphogen.codec import archive

    plain = archive.Writer._write

    def flipped(self, data):
        plain(self, data)
        self._out.seek(-1, os.SEEK_CUR)
        self._out.write(bytes([data[-1] ^ 1]))

    monkeypatch.setattr(archive.Writer, "_write", flipped)
    with pytest.raises(Failure, match="disk"):
        small(tmp_path / "in")
    assert not list(tmp_path.glob("*.mgn"))


# Names --------------------------------------------------------------------------------------------------------------


REFUSED = [
    ["/etc/passwd"],
    ["../x"],
    ["a/../b"],
    ["a//b"],
    ["./a"],
    [""],
    ["a/"],
    ["a\0b"],
    ["a\\b"],
    ["\ud800"],
    ["x" * 256],
    ["a/" * 70 + "b"],
    ["a", "a"],
    ["a", "A"],
    ["stra\u00dfe", "STRASSE"],
    ["\u00e9", "e\u0301"],
    ["a", "a/b"],
    ["a/b", "a"],
    ["x/a", "X/b"],
    ["A", "a/b"],
    ["b" * 255 + "/" + "c" * 255] * 2,
]


@pytest.mark.parametrize("names", REFUSED)
def test_names_that_are_refused(names):
    with pytest.raises(UserError):
        Names(names)


def test_names_that_are_good():
    Names(["a", "b/a", "b/b", "c.png", "\udcff", "a b", "-", "~", "...", "\u202e", "new\nline", "d/e/f", "d/e/g"])


def test_nothing_leaves_the_folder(tmp_path):
    out, _ = small(tmp_path / "in")
    target, secret = tmp_path / "out", tmp_path / "secret"
    target.mkdir()
    secret.write_text("kept")
    (target / "t.txt").symlink_to(secret)
    with pytest.raises(UserError, match="not overwritten"):
        unpack(out, target, fake_of)
    unpack(out, target, fake_of, force=True)
    assert secret.read_text() == "kept"
    assert not (target / "t.txt").is_symlink()
    pack([tmp_path / "in"], tmp_path / "y.mgn", Fake())
    (tmp_path / "elsewhere").mkdir()
    (target / "in").symlink_to(tmp_path / "elsewhere")
    for force in (False, True):
        with pytest.raises(UserError, match="link"):
            unpack(tmp_path / "y.mgn", target, fake_of, force=force)
    assert not list((tmp_path / "elsewhere").iterdir())
    (target / "in").unlink()
    (target / "in").mkdir()
    (target / "in" / "a.png").mkdir()
    with pytest.raises(UserError, match="folder"):
        unpack(tmp_path / "y.mgn", target, fake_of, force=True)
    assert not (target / "in" / "t.txt").exists()  # all or nothing


def test_a_folder_with_odd_things(tmp_path):
    home = tmp_path / "in"
    home.mkdir()
    (home / "a").write_text("a")
    (home / "link").symlink_to("/etc/passwd")
    (home / "loop").symlink_to(home)
    os.mkfifo(home / "pipe")
    said = pack([home], home / "x.mgn", Fake())
    assert len(said["skipped"]) == 3
    assert [row["name"] for row in contents(home / "x.mgn")] == ["in/a"]
    pack([home], home / "x.mgn", Fake(), force=True)  # an archive does not hold its own predecessor
    assert [row["name"] for row in contents(home / "x.mgn")] == ["in/a"]
    (home / "A").write_text("b")
    with pytest.raises(UserError, match="many systems"):
        pack([home], tmp_path / "y.mgn", Fake())
    assert not (tmp_path / "y.mgn").exists()


@pytest.mark.parametrize("size", [5, 4 << 20])
def test_a_file_that_changes(tmp_path, monkeypatch, size):
    from morphogen.codec.pictures import Looker

    path = tmp_path / "a"
    path.write_bytes(bytes(3 << 20))
    plain = Looker.item

    def item(self, name, mode, file):
        made = plain(self, name, mode, file)
        os.truncate(path, size)
        return made

    monkeypatch.setattr(Looker, "item", item)
    with pytest.raises(UserError, match=r"while it was read"):
        pack([path], tmp_path / "x.mgn", Fake())
    assert not (tmp_path / "x.mgn").exists()


# Damage -------------------------------------------------------------------------------------------------------------


def test_every_truncation_is_refused(tmp_path):
    out, _ = small(tmp_path / "in")
    data = out.read_bytes()
    for length in range(len(data)):
        with pytest.raises(UserError):
            list(Walk(io.BytesIO(data[:length]).read, Models(fake_of)).blocks())
        with pytest.raises(UserError):
            Shelf(io.BytesIO(data[:length]), Models(fake_of))
    for length in range(0, len(data), 97):
        out.write_bytes(data[:length])
        with pytest.raises(UserError):
            unpack(out, tmp_path / "out", fake_of)
    for more in (b"\0", data):
        out.write_bytes(data + more)
        with pytest.raises(UserError):
            unpack(out, tmp_path / "out", fake_of)
    assert not (tmp_path / "out").exists()


def saved(data):
    """What `--recover` makes of an archive, and whether it called it damaged."""
    found = salvage(io.BytesIO(data), Models(fake_of), Spool(io.BytesIO()))
    files = {}
    for entry in found.entries:
        out = io.BytesIO()
        restore(entry, found.strips, out)
        files[entry.name] = out.getvalue()
    return files, bool(found.holes)


def flipped(home, bits):
    """One bit at a time: refused, and with `recover` nothing is lost, since the checksums say which bit it was."""
    out, _ = small(home / "in")
    data = out.read_bytes()
    whole, damaged = saved(data)
    assert not damaged
    for bit in bits(8 * len(data)):
        bad = bytearray(data)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(UserError):
            list(Walk(io.BytesIO(bad).read, Models(fake_of)).blocks())
        assert saved(bytes(bad)) == (whole, True), bit


def test_a_flipped_bit_costs_nothing(tmp_path):
    flipped(tmp_path, lambda n: range(3, n, 19))


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_no_flipped_bit_costs_anything(tmp_path):
    flipped(tmp_path, range)


def test_a_lost_block_costs_itself(tmp_path):
    rng = np.random.default_rng(0)
    files = {f"{number}": rng.bytes(1 << 20) for number in range(4)}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    out = tmp_path / "x.mgn"
    pack([tmp_path / name for name in files], out, Fake())
    data = bytearray(out.read_bytes())
    middle = 3 << 19
    data[middle : middle + 500] = bytes(500)
    out.write_bytes(bytes(data))
    said = unpack(out, tmp_path / "out", fake_of, recover=True)
    assert [line for line in said["lost"] if line.startswith("1: ")]
    assert said["files"] == 3
    for name in "023":
        assert (tmp_path / "out" / name).read_bytes() == files[name]
    assert not (tmp_path / "out" / "1").exists()
    del data[middle : middle + 500]  # and what stands behind is found wherever it stands
    out.write_bytes(bytes(data))
    assert unpack(out, tmp_path / "again", fake_of, recover=True)["files"] == 3


# Checksums ----------------------------------------------------------------------------------------------------------


def test_crc32c_is_the_one_of_the_standard():
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    rng = random.Random(0)
    for length in [0, 1, 4095, 4096, 4097, 65535, 65536, 65537, 100_001, *(rng.randrange(200_000) for _ in range(5))]:
        data, value = rng.randbytes(length), 0xFFFFFFFF
        for byte in data:
            value = TABLE[(value ^ byte) & 255] ^ (value >> 8)
        assert crc32c(data) == by_numpy(data) == value ^ 0xFFFFFFFF
        assert crc32c(bytearray(data)) == crc32c(memoryview(data)) == crc32c(data)


def test_crc32c_without_the_other_library(monkeypatch):
    """An archive is the same whichever of the two sums it up."""
    pytest.importorskip("google_crc32c")
    assert sums._sum is not by_numpy
    monkeypatch.setitem(sys.modules, "google_crc32c", None)  # as if it were not installed
    assert sums._by_instruction() is by_numpy


@pytest.mark.parametrize("length", [1, 7, 300, 5000])
def test_a_checksum_finds_a_flipped_bit(length):
    rng = random.Random(length)
    data = rng.randbytes(length)
    for _ in range(20):
        bad = bytearray(data)
        bad[rng.randrange(length)] ^= 1 << rng.randrange(8)
        assert mend(bytes(bad), crc32c(data)) == data
    assert mend(data, crc32c(data) ^ 64) == data
    assert mend(rng.randbytes(length), rng.randrange(1 << 32)) is None


# By the command line ------------------------------------------------------------------------------------------------


@pytest.fixture
def fake_model(monkeypatch):
    fake = types.ModuleType("morphogen.codec.learned")
    fake.learned_of = lambda profile, oracle=False: fake_of(profile)
    fake.learned_of_run = lambda run: Fake()
    monkeypatch.setitem(sys.modules, "morphogen.codec.learned", fake)


def do(capsys, *words):
    capsys.readouterr()
    code = cli.main([str(word) for word in words])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert "unexpected" not in said.err, said.err
    return code, said.out, said.err


def test_commands(tmp_path, capsys, fake_model):
    home, model, out = folder(tmp_path / "in"), tmp_path / "m.mgp", tmp_path / "x.mgn"
    model.write_bytes(b"a profile")
    code, said, err = do(capsys, "compress", model, home, "-o", out, "--exact", "--json")
    assert code == 0, err
    facts = json.loads(said)
    assert facts["bytes_of_the_archive"] == out.stat().st_size
    assert 0 < facts["bits_per_dimension"] < 8
    assert do(capsys, "compress", model, home, "-o", out)[0] == 2
    assert do(capsys, "compress", model, home, "--out", out, "--force", "--exact")[0] == 0
    code, said, _ = do(capsys, "contents", out)
    assert code == 0
    assert "in/sub/text.txt" in said
    assert do(capsys, "decompress", out, "-o", tmp_path / "out")[0] == 0
    same(home, tmp_path / "out" / "in", True)
    assert do(capsys, "decompress", out, "-o", tmp_path / "one", "--extract", "in/p1.png")[0] == 0
    data = bytearray(out.read_bytes())
    data[len(data) // 2] ^= 4
    out.write_bytes(bytes(data))
    assert do(capsys, "decompress", out, "-o", tmp_path / "bad")[0] == 2
    code, said, _ = do(capsys, "decompress", out, "-o", tmp_path / "bad", "--recover")
    assert code == 1
    assert "mended" in said
    same(home, tmp_path / "bad" / "in", True)


MISTAKES = """
compress|compress M|compress M nowhere -o x|compress nowhere F -o x|compress M F|compress F F -o x|compress M F -o .
decompress|decompress F|decompress nowhere|decompress .|decompress F --extract x|decompress F --recover --extract x
contents|contents F|contents .|contents nowhere|decompress F --frob|decompress F --model F|compress M F F -o x
"""


@pytest.mark.parametrize("words", [words for line in MISTAKES.split("\n") if line for words in line.split("|")])
def test_mistakes(tmp_path, capsys, monkeypatch, fake_model, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "M").write_bytes(b"a profile")
    (tmp_path / "F").write_bytes(b"some file")
    code, out, err = do(capsys, *words.split())
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"M", "F"}


def test_pipes(tmp_path):
    """From a pipe into a pipe, without torch."""
    here = os.path.dirname(__file__)
    code = f"""
import sys
sys.path.insert(0, {here!r})
from fake_codec import Fake, fake_of
from morphogen.codec.pack import pack
from morphogen.codec.pictures import from_kept, to_kept
from morphogen.codec.reader import Models, Walk
from morphogen.codec.recover import salvage
from morphogen.codec.restore import restore
from morphogen.codec.strips import Shelf, Spool
from morphogen.codec.unpack import unpack
print(pack(["-"], "-", Fake()) if sys.argv[1] == "in" else unpack("-", "-", fake_of), file=sys.stderr)
assert "torch" not in sys.modules
"""
    array = io.BytesIO()
    np.save(array, smooth(40, 16, 16, 3))
    packed = subprocess.run([sys.executable, "-c", code, "in"], input=array.getvalue(), capture_output=True, timeout=60)
    assert packed.returncode == 0, packed.stderr
    assert packed.stdout.startswith(b"\x89MGN\r\n\x1a\n")
    assert len(packed.stdout) < len(array.getvalue())
    back = subprocess.run([sys.executable, "-c", code, "out"], input=packed.stdout, capture_output=True, timeout=60)
    assert back.returncode == 0, back.stderr
    assert back.stdout == array.getvalue()
    cut = subprocess.run([sys.executable, "-c", code, "out"], input=packed.stdout[:-1], capture_output=True, timeout=60)
    assert cut.returncode != 0
    assert cut.stdout == b""


def test_functions_of_the_package(tmp_path, fake_model):
    """The same three from Python: by their own arguments, read as strictly."""
    import morphogen as mg

    picture(tmp_path / "a.png", smooth(12, 10, 1))
    (tmp_path / "m.mgp").write_bytes(b"a profile")
    model = str(tmp_path / "m.mgp")
    said = mg.compress(model, [str(tmp_path / "a.png")], out=str(tmp_path / "x.mgn"))
    assert said["files"] == 1
    assert [entry["name"] for entry in mg.contents(str(tmp_path / "x.mgn"))] == ["a.png"]
    mg.decompress(str(tmp_path / "x.mgn"), out=str(tmp_path / "back"))
    with Image.open(tmp_path / "a.png") as one, Image.open(tmp_path / "back" / "a.png") as other:
        assert (np.asarray(one) == np.asarray(other)).all()
    assert "archive" in inspect.signature(mg.decompress).parameters
    with pytest.raises(UserError, match="loss"):
        mg.compress(model, [], out="x", loss="much")
    with pytest.raises(AttributeError, match="no 'squeeze'"):
        mg.squeeze  # noqa: B018
