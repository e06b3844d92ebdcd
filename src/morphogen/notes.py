"""The note that an output carries, found again in the bytes of its file."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image as Pictures

from morphogen.data.npz import Arrays
from morphogen.data.pictures import quiet
from morphogen.formats import KEY

__all__ = ["note_of"]

LONGEST_NOTE = 0.01  # gigabytes


def note_of(ending: str, content: bytes) -> dict[str, Any] | None:
    """The note in the bytes of a file; None where there is none, whatever else the bytes are."""
    try:
        told = _NOTES[ending](content) if ending in _NOTES else None
        note = None if told is None else json.loads(told)
    except Exception:  # a stranger's bytes may break a reader in any way, and then they hold no note of ours
        return None
    if isinstance(note, dict) and set(note) == {KEY}:
        note = note[KEY]
    return note if isinstance(note, dict) else None


def _png_note(content: bytes) -> str | None:
    with quiet(), Pictures.open(io.BytesIO(content), formats=["PNG"]) as picture:
        told = picture.info.get(KEY)
        return told if isinstance(told, str) else None


def _gif_note(content: bytes) -> bytes | None:
    with quiet(), Pictures.open(io.BytesIO(content), formats=["GIF"]) as picture:
        told = picture.info.get("comment")
        return told if isinstance(told, bytes) else None


def _npz_note(content: bytes) -> str | None:
    with Arrays(Path("note.npz"), LONGEST_NOTE, content) as held:
        return str(held.read("note").item()) if "note" in held else None


def _wav_note(content: bytes) -> bytes | None:
    place = 12
    while place + 8 <= len(content):
        size = int(struct.unpack_from("<I", content, place + 4)[0])
        if content[place : place + 4] == b"mgen":
            return content[place + 8 : place + 8 + size]
        place += 8 + size + size % 2
    return None


def _first_line(content: bytes) -> bytes | None:
    line = content.split(b"\n", 1)[0].removeprefix(b"# ")
    return line if f'"{KEY}"'.encode() in line else None


def _parquet_note(content: bytes) -> bytes | None:
    from pyarrow.parquet import read_metadata

    told = (read_metadata(io.BytesIO(content)).metadata or {}).get(KEY.encode())
    return told if isinstance(told, bytes) else None


_NOTES: dict[str, Callable[[bytes], str | bytes | None]] = {
    ".png": _png_note,
    ".gif": _gif_note,
    ".npz": _npz_note,
    ".wav": _wav_note,
    ".jsonl": _first_line,
    ".parquet": _parquet_note,
    ".csv": _first_line,  # as older files have it
    ".provenance.json": _first_line,
}
