"""Damaged .npy and .npz files from a seed: changed bytes, cut ends, headers that lie, members that are locked, in other
methods, in types that no model takes, and bombs."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from functools import cache
from pathlib import Path

import numpy as np

TYPES = ["?", "<u4", "<u8", "<i8", "<f2", "<f8", "<f16", "<c8", "<c16", "<c32", "|O", "|V8", "<M8[s]", "<m8[D]", "|S4",
         "<U3", ">f4", "|u1", "<i2", "|b1", "<x9", "|S0", "<f99", "|S999999999"]  # fmt: skip
SIDES = ["0", "1", "7", "65536", "4294967296", "9223372036854775807", "99999999999999999999", "-1", "1e9", "x", "()",
         "2L", "True", "__import__('os')", "((((((((", "[9]"]  # fmt: skip


def arrays() -> dict[str, dict[str, np.ndarray]]:
    """Sound ones: pictures, a table, sequences."""
    rng = np.random.default_rng(0)
    return {
        "pictures": {"x": rng.integers(0, 256, (12, 8, 8), np.uint8), "y": np.arange(12) % 3},
        "reals": {"x": rng.random((12, 8, 8)), "note": np.array('{"morphogen": {}}')},
        "table": {"x": rng.normal(size=(20, 6)), "y": np.array(["a", "b"] * 10)},
        "tokens": {"arr_0": rng.integers(0, 5, (20, 9))},
    }


@cache
def sound() -> tuple[tuple[str, bytes], ...]:
    """Their files, as (ending, bytes)."""
    made = []
    for held in arrays().values():
        for save in (np.savez, np.savez_compressed):
            out = io.BytesIO()
            save(out, **held)
            made.append((".npz", out.getvalue()))
        made.append((".npy", npy(held.get("x", held.get("arr_0")))))
    return tuple(made)


def npy(x: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, x, allow_pickle=False)
    return out.getvalue()


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return out.getvalue()


@cache
def bombs() -> tuple[tuple[str, bytes], ...]:
    """A few kilobytes each, which say that they are much more; two of them are as large as is read."""
    big = header("|u1", "(4687500, 8, 8)") + bytes(300_000_000)
    rows = header("|u1", "(90000000, 1)") + bytes(90_000_000)
    reals = header("<f8", "(5000000, 6)") + bytes(240_000_000)
    large = [header("|u1", "(260000, 8, 8)") + bytes(16_640_000), header("<f8", "(260000, 6)") + bytes(12_480_000)]
    made = [(".npz", zipped({"x.npy": each})) for each in (big, rows, reals, *large)]
    made.append((".npz", zipped({"x.npy": b"\x93NUMPY\x02\x00" + struct.pack("<I", 200_000_000) + b" " * 200_000_000})))
    made.append((".npy", header("<f8", "(99999999999, 6)") + bytes(96)))
    made.append((".npy", header("|u1", "(99999999999999999, 8, 8)") + bytes(96)))
    return tuple(made)


def header(kind: str, shape: str, order: str = "False") -> bytes:
    said = f"{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(said) + 1) + said.encode() + b"\n"


def damaged(seed: int) -> tuple[str, bytes]:
    """The file of a seed."""
    rng = random.Random(seed)
    if rng.random() < 0.02:
        return rng.choice([bomb for place, bomb in enumerate(bombs()) if place not in (3, 4)])
    ending, data = rng.choice(sound())
    kind = rng.randrange(6)
    if kind == 0:
        return ending, lying(rng, ending)
    if kind == 1 and ending == ".npz":
        return ending, other_members(rng, data)
    bad = bytearray(data)
    if kind == 2:
        return ending, bytes(bad[: rng.randrange(len(bad))])
    if kind == 3:
        start, stop = sorted(rng.randrange(len(bad) + 1) for _ in range(2))
        return ending, bytes(bad[:start] + (bad[stop:] if rng.random() < 0.5 else bad[start:stop] * 2 + bad[stop:]))
    front = rng.random() < 0.6  # where headers are
    for _ in range(rng.choice([1, 1, 2, 5, 40])):
        place = rng.randrange(min(len(bad), 160)) if front else rng.randrange(len(bad))
        bad[place] = rng.choice([rng.randrange(256), bad[place] ^ 1 << rng.randrange(8), 0, 255])
    return ending, bytes(bad)


def lying(rng: random.Random, ending: str) -> bytes:
    """A header that says something else than what stands behind it."""
    shape = f"({', '.join(rng.choice(SIDES) for _ in range(rng.randrange(5)))},)"
    if rng.random() < 0.3:
        shape = rng.choice(["(12, 8, 8)", "(20, 6)", "()", "(" * 3000, "(12, 8, 8", "12"])
    front = bytearray(header(rng.choice(TYPES), shape, rng.choice(["False", "True", "0", "None"])))
    if rng.random() < 0.2:
        front[6] = rng.randrange(5)
    content = bytes(front) + rng.randbytes(rng.choice([0, 96, 768, 960]))
    return (
        content
        if ending == ".npy"
        else zipped({"x.npy": content}, rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
    )


def other_members(rng: random.Random, data: bytes) -> bytes:
    """An .npz whose members are locked, named, sized or compressed in another way."""
    kind = rng.randrange(5)
    x = npy(next(iter(rng.choice(list(arrays().values())).values())))
    if kind == 0:
        return zipped({"x.npy": x}, rng.choice([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]))
    if kind == 1:
        return zipped({rng.choice(["x", "x.txt", "../x.npy", "x.npy/", "\n.npy", ".npy"]): x})
    if kind == 2:
        return zipped({"x.npy": x, "y.npy": rng.choice([b"", b"words", x, npy(np.array(3))])})
    bad = bytearray(data)
    for mark, flag, method, sizes in ((b"PK\x03\x04", 6, 8, 18), (b"PK\x01\x02", 8, 10, 20)):
        place = -1
        while (place := bad.find(mark, place + 1)) >= 0:
            if kind == 3:
                bad[place + flag] |= 1
            elif rng.random() < 0.5:
                bad[place + method : place + method + 2] = struct.pack("<H", rng.choice([1, 12, 14, 93, 99, 8, 0]))
            else:
                bad[place + sizes : place + sizes + 8] = struct.pack(
                    "<II", *(rng.choice([0, 9, 1 << 31, (1 << 32) - 1]),) * 2
                )
    return bytes(bad)


def written(home: Path, seed: int) -> Path:
    """The file of a seed, on the disk."""
    ending, data = damaged(seed)
    path = home / f"stranger{ending}"
    path.write_bytes(data)
    return path
