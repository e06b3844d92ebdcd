"""Lossless coding of test pictures: what a user has (xz, PNG, WebP, JPEG XL) beside archives of `morphogen compress`.

`python bench/run.py codecs --runs mnist=RUN,...` asks this file, in a process of its own for each set, and makes the
table. Every codec has its best settings, and what it packed is unpacked and compared with the pictures: one that gives
back anything else is FAILED. JPEG XL takes part where `cjxl` is on the path or the plugin lies in .bench/jxl:

    python -m pip install --no-deps --target .bench/jxl imagecodecs
"""

from __future__ import annotations

import io
import json
import lzma
import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from page import Table
from sides import HOME, Broken, process
from speed import Ask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]  # (h, w) or (h, w, 3); of binarised pictures, 0 and 1

__all__ = ["SETS", "Asked", "Codec", "classical", "codecs", "measured"]

SETS = ("mnist", "fashion-mnist", "cifar10")
BINARY = "binary-"  # binary-mnist: each pixel is 1 where it is at least half as bright as can be
ASKED = {"mnist": 1.11, "fashion-mnist": 3.15, "binary-mnist": 0.15, "cifar10": 3.90}
APART, QUICK = 1000, 50  # pictures as files of their own; of a set, with --quick
PLUGIN = HOME.parent / ".bench" / "jxl"
MORPHOGEN = str(Path(sys.executable).with_name("morphogen"))
HEAD = (
    "set", "codec", "pictures", "whole file, bits/dim", "without its model", "a file each", "packs, MB/s",
    "unpacks, MB/s", "asked",
)  # fmt: skip


@dataclass
class Asked(Ask):
    """And what this section wants to know."""

    runs: Sequence[tuple[str, str]] = ()
    sets: Sequence[str] = SETS
    n: int | None = None


# What a user has --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Codec:
    """Pixels into bytes and back, the second told nothing but the shape and whether there are two levels."""

    name: str
    pack: Callable[[Pixels, bool], bytes]
    unpack: Callable[[bytes, tuple[int, ...], bool], Pixels]
    stacked: bool = False  # it gets the pictures one after the other, which is best for bytes, and not as a sheet


def _xz(x: Pixels, two: bool) -> bytes:
    import numpy as np

    raw = (np.packbits(x) if two else x).tobytes()
    window = min(
        1 << 26, max(4096, 1 << len(raw).bit_length())
    )  # -9 takes 64 MiB, and time to clear them for each file
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": window}]
    return lzma.compress(raw, filters=filters)


def _unxz(data: bytes, shape: tuple[int, ...], two: bool) -> Pixels:
    import numpy as np

    flat = np.frombuffer(lzma.decompress(data), np.uint8)
    return (np.unpackbits(flat, count=math.prod(shape)) if two else flat).reshape(shape)


def _pillow(**options: Any) -> Callable[[Pixels, bool], bytes]:
    """By Pillow; two levels as a picture of one bit where the format has such, else as black and white."""

    def pack(x: Pixels, two: bool) -> bytes:
        from PIL import Image

        picture = Image.fromarray(x * 255 if two else x)
        file = io.BytesIO()
        (picture.convert("1") if two and options["format"] == "PNG" else picture).save(file, **options)
        return file.getvalue()

    return pack


def _unpillow(data: bytes, shape: tuple[int, ...], two: bool) -> Pixels:
    import numpy as np
    from PIL import Image

    return _like(np.asarray(Image.open(io.BytesIO(data))).astype(np.uint8), shape, two)


def _like(found: Pixels, shape: tuple[int, ...], two: bool) -> Pixels:
    """Grey that came back as equal channels, and two levels that came back as black and white."""
    if len(shape) == 2 and found.ndim == 3 and bool((found == found[..., :1]).all()):
        found = found[..., 0]
    return (found > 0).astype(found.dtype) if two else found


def _cjxl(x: Pixels, two: bool) -> bytes:
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        Image.fromarray(x * 255 if two else x).save(f"{folder}/x.png", compress_level=0)
        options = ["-d", "0", "-e", "9", "--num_threads=0", "--quiet"]
        subprocess.run(["cjxl", f"{folder}/x.png", f"{folder}/x.jxl", *options], check=True, capture_output=True)
        return Path(folder, "x.jxl").read_bytes()


def _djxl(data: bytes, shape: tuple[int, ...], two: bool) -> Pixels:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "x.jxl").write_bytes(data)
        words = ["djxl", f"{folder}/x.jxl", f"{folder}/x.png", "--num_threads=0", "--quiet"]
        subprocess.run(words, check=True, capture_output=True)
        return _unpillow(Path(folder, "x.png").read_bytes(), shape, two)


def classical() -> tuple[list[Codec], list[str]]:
    """What can be measured here, and what cannot, and why."""
    webp = _pillow(format="WEBP", lossless=True, method=6, quality=100, exact=True)
    made = [
        Codec("xz -9e", _xz, _unxz, stacked=True),
        Codec("PNG, optimised", _pillow(format="PNG", optimize=True), _unpillow),
        Codec("WebP, method 6", webp, _unpillow),
    ]
    if shutil.which("cjxl") and shutil.which("djxl"):
        said = subprocess.run(["cjxl", "--version"], capture_output=True, text=True).stdout.split()
        made.append(Codec(f"JPEG XL {said[1] if len(said) > 1 else '?'}, cjxl effort 9", _cjxl, _djxl))
    plugin = _plugin()
    made += [plugin] if plugin else []
    if any(codec.name.startswith("JPEG XL") for codec in made):
        return made, []
    return made, [f"JPEG XL is left out: no cjxl on the path, and no imagecodecs in {PLUGIN.parent.name}/{PLUGIN.name}"]


def _plugin() -> Codec | None:
    """JPEG XL by imagecodecs, which is no dependency of anything here."""
    sys.path.append(str(PLUGIN))
    try:
        import imagecodecs  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return None
    how = {"effort": 9, "lossless": True, "numthreads": 1}

    def pack(x: Pixels, two: bool) -> bytes:
        return bytes(imagecodecs.jpegxl_encode(x * 255 if two else x, **how))

    def unpack(data: bytes, shape: tuple[int, ...], two: bool) -> Pixels:
        return _like(imagecodecs.jpegxl_decode(data, numthreads=1), shape, two)

    return Codec(f"JPEG XL {imagecodecs.jpegxl_version().split()[-1]}, imagecodecs effort 9", pack, unpack)


# Measuring, in a process of its own -------------------------------------------------------------------------------


def sheet(x: Pixels) -> Pixels:
    """Pictures (n, h, w) or (n, h, w, 3) side by side in rows: 100 x 100 where there are 10,000."""
    rows = next(side for side in range(math.isqrt(len(x)), 0, -1) if len(x) % side == 0)
    lined = x.reshape(rows, len(x) // rows, *x.shape[1:]).swapaxes(1, 2)
    return lined.reshape(rows * x.shape[1], len(x) // rows * x.shape[2], *x.shape[3:]).copy()


def measured(codec: Codec, pictures: Sequence[Pixels], two: bool = False) -> dict[str, float]:
    """Bits per dimension and MB/s of pixels, of pictures that came back as they were; else Broken."""
    began = time.perf_counter()
    packed = [codec.pack(x, two) for x in pictures]
    middle = time.perf_counter()
    back = [codec.unpack(data, x.shape, two) for data, x in zip(packed, pictures, strict=True)]
    ended = time.perf_counter()
    for x, again in zip(pictures, back, strict=True):
        if again.shape != x.shape or again.dtype != x.dtype or again.tobytes() != x.tobytes():
            raise Broken(f"{codec.name}: what came back is not what was packed")
    raw, size = sum(x.size for x in pictures), sum(map(len, packed))
    speeds = {"packs": 1e-6 * raw / (middle - began), "unpacks": 1e-6 * raw / (ended - middle)}
    return {"bytes": size, "bits": 8 * size / raw, **speeds}


def pictures(name: str, n: int | None) -> tuple[Pixels, bool]:
    """The first `n` of a test set, channels last where there are three, and whether they have two levels."""
    import torch

    from morphogen.data.find import open_data

    two = name.startswith(BINARY)
    data = open_data(name.removeprefix(BINARY), binary="threshold" if two else None)
    test = data.splits["test"].x
    found: Pixels = test.gather(torch.arange(min(n or len(test), len(test)))).numpy()
    return (found[..., 0] if found.shape[-1] == 1 else found).copy(), two


def archived(run: str, x: Pixels, threads: int, folder: Path) -> dict[str, Any]:
    """An archive of all pictures by the command, opened by another process and compared byte for byte."""
    import numpy as np

    taken: dict[str, tuple[float, float, dict[str, Any]]] = {}
    for name, some in (("one", x[:1]), ("all", x)):  # the first freezes the model, where that was not done before
        file, back = folder / f"{name}.npy", folder / f"{name}-back"
        np.save(file, some)
        for _ in range(2 if name == "one" else 1):
            words = ["compress", run, str(file), "--out", f"{file}.mgn", "--json", "--force"]
            packs, printed = process([MORPHOGEN, *words], threads)
            unpacks, _ = process([MORPHOGEN, "decompress", f"{file}.mgn", "--out", str(back), "--force"], threads)
        if (back / file.name).read_bytes() != file.read_bytes():
            raise Broken(f"{run}: what came out of the archive is not what went in")
        taken[name] = packs.wall, unpacks.wall, json.loads(printed)
    packs_s, unpacks_s, said = taken["all"]
    if not said["coded_by_the_model"]:
        raise Broken(f"{run}: its model codes none of these pictures: {said.get('kept as bytes')}")
    model, size = said["bytes_of_the_model"], (folder / "all.npy.mgn").stat().st_size
    return {
        "bytes": size - model, "model": model, "bits": 8 * (size - model) / x.size, "whole": 8 * size / x.size,
        "packs": 1e-6 * x.size / packs_s, "unpacks": 1e-6 * x.size / unpacks_s,
        "start": [taken["one"][0], taken["one"][1]], "blocks": said["blocks"], "fallbacks": said["fallbacks"],
    }  # fmt: skip


def one_set(name: str, n: int | None, runs: Sequence[str], threads: Sequence[int]) -> Iterator[dict[str, Any]]:
    """A record for every codec, and for what is left out or failed."""
    x, two = pictures(name, n)
    about = {"set": name, "pictures": len(x), "dims": x[0].size}
    able, absent = classical()
    yield from (about | {"absent": why} for why in absent)
    for codec in able:
        try:
            found: dict[str, Any] = measured(codec, [x if codec.stacked else sheet(x)], two)
            apart = measured(codec, list(x[:APART]), two)
            yield about | {"codec": codec.name, **found, "apart": apart}
        except Exception as error:  # a codec of another library may fail in any way; the others go on
            yield about | {"codec": codec.name, "broken": str(error) or type(error).__name__}
    for run in runs:
        for count in threads:
            codec_name = f"ours, `{Path(run).name}`, {count} thread{'s' * (count > 1)}"
            with tempfile.TemporaryDirectory() as folder:
                try:
                    yield about | {"codec": codec_name, **archived(run, x, count, Path(folder))}
                except (Broken, OSError, ValueError, KeyError) as error:
                    yield about | {"codec": codec_name, "broken": str(error) or type(error).__name__}


# The section ------------------------------------------------------------------------------------------------------


def codecs(ask: Ask) -> list[Table]:
    """Set after set."""
    assert isinstance(ask, Asked)
    n = min(ask.n or QUICK, QUICK) if ask.quick else ask.n
    table = Table("codecs", HEAD, words=2)
    for name in dict.fromkeys([*ask.sets, *(name for name, _ in ask.runs)]):
        print(f"  codecs: {name} ...", flush=True)
        runs = [run for of, run in ask.runs if of == name]
        asked = {"set": name, "n": n, "runs": runs, "threads": list(ask.threads)}
        try:
            printed = process([sys.executable, __file__, json.dumps(asked)], ask.threads[0], patience=7200.0)[1]
        except Broken as error:
            ask.broken.append(f"codecs, {name}: {error}")
            continue
        found = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
        ask.records.extend(found)
        ask.broken += [f"codecs, {name}, {r['codec']}: {r['broken']}" for r in found if "broken" in r]
        table.rows += sorted((row(record) for record in found if "codec" in record), key=size)
        table.notes += dict.fromkeys(f"{name}: {r['absent']}." for r in found if "absent" in r)
        table.notes += [note for r in found if "model" in r for note in amortised(r, found)]
    return [table]


def row(record: dict[str, Any]) -> Sequence[str]:
    """A codec of a set."""
    about = (record["set"], record["codec"], f"{record['pictures']:,}")
    if "broken" in record:
        return (*about, "FAILED", *[""] * (len(HEAD) - 4))
    ours = "model" in record
    goal = f"< {ASKED[record['set']]:.2f} without it" if ours and record["set"] in ASKED else ""
    whole, bare = f"{record['whole' if ours else 'bits']:.3f}", f"{record['bits']:.3f}" if ours else ""
    apart = "" if ours else f"{record['apart']['bits']:.3f}"
    return (*about, whole, bare, apart, speed(record["packs"]), speed(record["unpacks"]), goal)


def size(row: Sequence[str]) -> float:
    """By what a row is sorted: all that has to be kept or sent, the smallest first, what failed last."""
    return math.inf if row[3] == "FAILED" else float(row[3])


def speed(found: float) -> str:
    """MB/s with two figures that count."""
    return f"{found:.0f}" if found >= 10 else f"{found:.2g}"


def amortised(ours: dict[str, Any], found: Sequence[dict[str, Any]]) -> list[str]:
    """From how many pictures on an archive with its model inside is the smaller one, at these rates."""
    said = []
    for other in found:
        if "model" in other or "bits" not in other or not other["codec"].startswith(("WebP", "JPEG XL")):
            continue
        saved = (other["bits"] - ours["bits"]) * ours["dims"] / 8  # bytes a picture
        many = f"from {math.ceil(ours['model'] / saved):,} pictures on" if saved > 0 else "never"
        said.append(f"{many} below {other['codec']}")
    start = " and ".join(f"{seconds:.1f}" for seconds in ours["start"])
    fell = f" Blocks that fell back: {ours['fallbacks']}." if ours["fallbacks"] else ""
    about = f"{ours['set']}, {ours['codec']}: its model takes {ours['model']:,} bytes"
    return [f"{'; '.join([about, *said])}. Of the time of each way, the start takes {start} s.{fell}"]


def main() -> None:
    """One set, as the section asks for it; a line of JSON for each codec."""
    said = json.loads(sys.argv[1])
    for record in one_set(said["set"], said["n"], said["runs"], said["threads"]):
        print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
