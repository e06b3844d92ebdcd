"""The formats, one way: bytes from values and a note. `readers.py` is the way back; `files.py` chooses among them."""

from __future__ import annotations

import csv as tables
import io
import json
import struct
import wave
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pictures
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from morphogen.core.space import Image, Sound, Space, Tokens, Vector
from morphogen.core.table import Table
from morphogen.data.rows import cells, texts
from morphogen.errors import UserError
from morphogen.sheet import TILE, contact_sheet, enlarge, on_checks, pixels
from morphogen.terminal import text

__all__ = ["KEY", "beside", "csv", "gif", "jsonl", "npy", "npz", "png", "rows", "sheet", "single_png", "txt", "wav"]

Note = Mapping[str, Any] | None
KEY = "morphogen"
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
FRAME_MS = 80
LONGEST = 1 << 28


def _told(note: Note) -> str:
    return json.dumps({KEY: dict(note or {})}, sort_keys=True, default=str)


def beside(note: Note) -> bytes:
    """The note as a file of its own, for formats that others read without looking at a first line."""
    return f"{_told(note)}\n".encode()


def _picture(tile: NDArray[np.uint8]) -> Pictures.Image:
    return Pictures.fromarray(tile[..., 0] if tile.shape[-1] == 1 else np.ascontiguousarray(tile))


def _png(picture: Pictures.Image, note: Note) -> bytes:
    info, out = PngInfo(), io.BytesIO()
    info.add_itxt(KEY, json.dumps(dict(note or {}), sort_keys=True, default=str))
    picture.save(out, "PNG", pnginfo=info, optimize=True)
    return out.getvalue()


def png(values: Tensor, space: Image, note: Note) -> bytes:
    """All pictures on one sheet."""
    columns = int((note or {}).get("columns", 0))
    return _png(_picture(contact_sheet(pixels(values, space), columns)), note)


def single_png(values: Tensor, space: Image, note: Note) -> bytes:
    """One picture, pixel for pixel."""
    return _png(_picture(pixels(values, space)[0]), note)


def gif(values: Tensor, space: Image, note: Note) -> bytes:
    """One frame after another, for ever; colours by a palette of each frame."""
    tiles = enlarge(pixels(values, space), max(1, -(-4 * TILE // max(space.height, space.width))))
    frames = [_picture(on_checks(tile) if tile.shape[-1] == 4 else tile) for tile in tiles]
    frames = [f if f.mode == "L" else f.quantize(256, dither=Pictures.Dither.FLOYDSTEINBERG) for f in frames]
    out = io.BytesIO()
    frames[0].save(
        out, "GIF", save_all=True, append_images=frames[1:], duration=FRAME_MS, loop=0, comment=_told(note).encode()
    )
    return out.getvalue()


def npy(values: Tensor, space: Space, note: Note) -> bytes:
    """Stored values; the format has no room for a note."""
    out = io.BytesIO()
    np.save(out, space.write(values.detach().cpu()).contiguous().numpy())
    return out.getvalue()


def npz(values: Tensor, space: Space, note: Note) -> bytes:
    """Stored values as x, and the note."""
    out = io.BytesIO()
    np.savez_compressed(out, x=space.write(values.detach().cpu()).contiguous().numpy(), note=np.array(_told(note)))
    return out.getvalue()


def txt(values: Tensor, space: Tokens, note: Note) -> bytes:
    """A line each, in the alphabet."""
    return "".join(f"{text(row, space)}\n" for row in values.tolist()).encode()


def jsonl(values: Tensor, space: Tokens, note: Note) -> bytes:
    """The note on the first line, then an object for each sequence."""
    lines = [json.dumps({"tokens": row, "text": text(row, space)}, ensure_ascii=False) for row in values.tolist()]
    return "\n".join([_told(note), *lines, ""]).encode()


def csv(values: Tensor, space: Vector, note: Note) -> bytes:
    """The names of the columns, a line for each row; a note has no room in it, and stands in a file beside it."""
    out = io.StringIO(newline="")
    writer = tables.writer(out, lineterminator="\n")
    writer.writerow(space.columns or [f"c{i}" for i in range(space.length)])
    writer.writerows([f"{v:.9g}" for v in row] for row in space.write(values.detach().cpu()).tolist())
    return out.getvalue().encode()


def rows(values: Tensor, space: Table, note: Note) -> bytes:
    """The same of a table: words as words, nothing where a cell is missing."""
    return sheet(list(space.names), texts(space.write(values.detach().cpu()), space))


def parquet(values: Tensor, space: Table, note: Note) -> bytes:
    """The columns of a table, each of its own type; the note among the metadata of the file."""
    try:
        import pyarrow
        from pyarrow.parquet import write_table
    except ImportError:
        raise UserError("Parquet is written by pyarrow: pip install morphogen[tables]; or name a .csv file") from None
    made = pyarrow.table(cells(space.write(values.detach().cpu()), space))
    out = io.BytesIO()
    write_table(made.replace_schema_metadata({KEY: _told(note)}), out)
    return out.getvalue()


def sheet(names: list[str], lines: list[list[str]]) -> bytes:
    """Cells that are text already."""
    out = io.StringIO(newline="")
    writer = tables.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(lines)
    return out.getvalue().encode()


def wav(values: Tensor, space: Sound, note: Note) -> bytes:
    """16-bit PCM, one sound after another, the note in a chunk of its own."""
    out = io.BytesIO()
    samples = values.detach().float().cpu().nan_to_num(0.0).clamp(-1, 1).mul(32767).round().to(torch.int16)
    with wave.open(out, "wb") as file:
        file.setnchannels(space.channels)
        file.setsampwidth(2)
        file.setframerate(space.rate or 8000)
        file.writeframes(samples.movedim(1, 2).contiguous().numpy().astype("<i2").tobytes())
    told = _told(note).encode()
    chunk = b"mgen" + struct.pack("<I", len(told)) + told + b"\0" * (len(told) % 2)
    content = out.getvalue() + chunk
    return content[:4] + struct.pack("<I", len(content) - 8) + content[8:]
