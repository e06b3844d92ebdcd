"""The benchmark of lossless codecs, without the benchmark: sizes, rows, and that a round trip is really checked."""

from __future__ import annotations

import json
import lzma
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from morphogen.data import find
from morphogen.data.stores import MemoryStore

BENCH = Path(__file__).resolve().parent.parent / "bench"
sys.path.append(str(BENCH))

import lossless  # noqa: E402
import run  # noqa: E402
import sides  # noqa: E402
from tally import Took  # noqa: E402

X = (np.arange(12 * 8 * 8) // 5 % 256).astype(np.uint8).reshape(12, 8, 8)
FACTS = {"set": "mnist", "pictures": 10_000, "dims": 784, "packs": 2.0, "unpacks": 20.0}
CLASSICAL = FACTS | {"codec": "WebP, method 6", "bytes": 1, "bits": 1.5, "apart": {"bits": 2.0}}
OURS = FACTS | {
    "codec": "ours, `a`, 1 thread", "bytes": 1, "bits": 1.0, "whole": 2.0, "model": 4900, "start": [1.5, 1.0],
    "blocks": {"learned": 3}, "fallbacks": {},
}  # fmt: skip


def named(start):
    return next(codec for codec in lossless.classical()[0] if codec.name.startswith(start))


def raw(data, shape, two):
    return np.frombuffer(data, np.uint8).reshape(shape)


def test_a_known_set_has_the_known_size_of_xz():
    found = lossless.measured(named("xz"), [lossless.sheet(X)])
    size = len(lzma.compress(lossless.sheet(X).tobytes(), preset=9 | lzma.PRESET_EXTREME))
    assert (found["bytes"], found["bits"]) == (size, 8 * size / X.size)


@pytest.mark.parametrize(("colours", "two"), [(False, False), (False, True), (True, False)])
def test_every_codec_gives_the_pictures_back(colours, two):
    x = np.random.default_rng(0).integers(0, 2 if two else 256, (4, 9, 7, 3) if colours else (4, 9, 7)).astype(np.uint8)
    for codec in lossless.classical()[0]:
        if "cjxl" not in codec.name:  # a process a picture
            assert lossless.measured(codec, [lossless.sheet(x), *x], two)["bits"] > 0


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_grey_without_channels_or_coloured_with_them_last(channels, monkeypatch):
    stored = torch.arange(5 * 4 * 4 * channels, dtype=torch.uint8).reshape(5, 4, 4, channels)
    data = SimpleNamespace(splits={"test": SimpleNamespace(x=MemoryStore(stored))})
    asked = []
    monkeypatch.setattr(find, "open_data", lambda name, **options: asked.append((name, options)) or data)
    x, two = lossless.pictures("binary-mnist", 3)
    assert x.shape == ((3, 4, 4) if channels == 1 else (3, 4, 4, 3))
    assert (x.reshape(3, -1) == stored[:3].reshape(3, -1).numpy()).all()
    assert two
    assert asked == [("mnist", {"binary": "threshold"})]


def test_a_sheet_holds_the_pictures_in_rows():
    assert lossless.sheet(X).shape == (24, 32)
    assert (lossless.sheet(X)[8:16, 16:24] == X[6]).all()
    assert lossless.sheet(np.zeros((10_000, 2, 2, 3), np.uint8)).shape == (200, 200, 3)


def liar(data, shape, two):
    found = raw(data, shape, two).copy()
    found.flat[-1] ^= 1
    return found


@pytest.mark.parametrize("lie", [liar, lambda data, shape, two: np.zeros((1, *shape), np.uint8)])
def test_a_codec_that_lies_is_failed(lie, monkeypatch):
    lying = lossless.Codec("liar", lambda x, two: x.tobytes(), lie)
    honest = lossless.Codec("raw", lambda x, two: x.tobytes(), raw)
    with pytest.raises(sides.Broken, match="not what was packed"):
        lossless.measured(lying, [X[0]])
    monkeypatch.setattr(lossless, "pictures", lambda name, n: (X, False))
    monkeypatch.setattr(lossless, "classical", lambda: ([lying, honest], ["JPEG XL is left out"]))
    found = list(lossless.one_set("mnist", None, [], [1]))
    assert [("absent" in r, "broken" in r) for r in found] == [(True, False), (False, True), (False, False)]
    assert lossless.row(found[1])[3] == "FAILED"


def test_an_archive_that_lies_is_failed(tmp_path, monkeypatch):
    def command(words, threads):
        if words[1] == "compress":
            Path(words[words.index("--out") + 1]).write_bytes(b"archive")
            return Took(1.0, 1.0), json.dumps({"coded_by_the_model": 1, "bytes_of_the_model": 2})
        name = Path(words[2]).name.removesuffix(".mgn")
        back = Path(words[words.index("--out") + 1])
        back.mkdir(exist_ok=True)
        np.save(back / name, X[:1] if name == "one.npy" else X[::-1])
        return Took(1.0, 1.0), ""

    monkeypatch.setattr(lossless, "process", command)
    monkeypatch.setattr(lossless, "pictures", lambda name, n: (X, False))
    monkeypatch.setattr(lossless, "classical", lambda: ([], []))
    (found,) = lossless.one_set("mnist", None, ["a/run"], [1])
    assert found["broken"] == "a/run: what came out of the archive is not what went in"


def test_the_table_has_a_row_for_every_codec(monkeypatch):
    broken = FACTS | {"codec": "JPEG XL", "broken": "why"}
    lines = "\n".join(json.dumps(record) for record in (CLASSICAL, broken, OURS, {"set": "mnist", "absent": "no cjxl"}))
    monkeypatch.setattr(lossless, "process", lambda *words, **more: (Took(1.0, 1.0), lines))
    ask = lossless.Asked([1], runs=[("mnist", "a")], sets=["mnist"])
    (table,) = lossless.codecs(ask)
    assert [len(row) for row in table.rows] == [len(table.head)] * 3
    assert [row[1] for row in table.rows] == ["WebP, method 6", "ours, `a`, 1 thread", "JPEG XL"], "by the whole file"
    assert table.rows[1][3:] == ("2.000", "1.000", "", "2", "20", "< 1.11 without it")
    assert ask.broken == ["codecs, mnist, JPEG XL: why"]
    assert table.notes[0] == "mnist: no cjxl."
    assert "takes 4,900 bytes; from 100 pictures on below WebP, method 6." in table.notes[1]


def test_a_model_that_is_no_better_never_pays():
    assert "never below WebP" in lossless.amortised(OURS | {"bits": 1.5}, [CLASSICAL])[0]


def test_what_can_be_asked():
    said = run.arguments(["codecs", "--runs", "mnist=a,cifar10=b/c", "--n", "7", "--sets", "mnist"])
    assert (said.runs, said.n, said.sets) == ([("mnist", "a"), ("cifar10", "b/c")], 7, ["mnist"])
    said.threads = [1]
    again = run.arguments(run.command("codecs", said).split()[2:])
    assert (again.runs, again.n, again.sets) == (said.runs, said.n, said.sets)
    with pytest.raises(SystemExit):
        run.arguments(["codecs", "--runs", "mnist"])


def test_the_driver_itself_imports_no_torch():
    program = f"import sys; sys.path.insert(0, {str(BENCH)!r}); import lossless; assert 'torch' not in sys.modules"
    sides.process([sys.executable, "-c", program])
