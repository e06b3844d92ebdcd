"""The formats, the other way: stored values of a Space from files of the user's. Bad bytes are refused by name."""

from __future__ import annotations

import csv as tables
import json
import struct
import wave
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from morphogen.core.space import Sound, Space, Tokens, Vector
from morphogen.core.table import Table
from morphogen.data.array_to_space import fitted_file
from morphogen.data.pictures import shown
from morphogen.data.rows import read_rows
from morphogen.data.sheet import ENDINGS
from morphogen.errors import UserError
from morphogen.formats import KEY, LONGEST

__all__ = ["reader"]

Reader = Callable[[Path, Any, bool], Tensor]


def reader(ending: str, space: Space, array: Mapping[str, Any] | None = None) -> Reader | None:
    """What reads files of this ending into stored values of this space; `array` is what training remembers of its own
    array, if it was one."""
    if ending in (".npy", ".npz"):
        return lambda path, space, fit: fitted_file(path, space, shown(path), array or {})
    if isinstance(space, Tokens) and ending in (".txt", ".jsonl"):
        return _read_text
    if isinstance(space, Vector) and ending == ".csv":
        return _read_csv
    if isinstance(space, Table) and ending in ENDINGS:
        return read_rows
    return _read_wav if isinstance(space, Sound) and ending == ".wav" else None


def _read_text(path: Path, space: Tokens, fit: bool) -> Tensor:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{shown(path)} is not UTF-8 text: {error}") from None
    if path.suffix.lower() == ".jsonl":
        rows = [_tokens_of(line, path) for line in lines if line and not line.startswith(f'{{"{KEY}"')]
    else:
        rows = [_spelt(line, space, path) for line in lines if line]
    for row in rows:
        if len(row) != space.length or not all(0 <= t < space.levels for t in row):
            raise UserError(
                f"{shown(path)}: {len(row)} symbols where the model takes {space.length} of 0 .. {space.levels - 1}"
            )
    return torch.tensor(rows, dtype=torch.int64).reshape(-1, space.length)


def _tokens_of(line: str, path: Path) -> list[int]:
    try:
        row = json.loads(line)["tokens"]
    except (ValueError, KeyError, TypeError, RecursionError):
        row = None
    if not isinstance(row, list) or not all(isinstance(t, int) for t in row):
        raise UserError(f'{shown(path)}: each line must be an object with "tokens": [...]')
    return row


def _spelt(line: str, space: Tokens, path: Path) -> list[int]:
    number = {word: i for i, word in enumerate(space.alphabet or [str(i) for i in range(space.levels)])}
    words = list(line) if space.alphabet and all(len(w) == 1 for w in space.alphabet) else line.split()
    strange = next((w for w in words if w not in number), None)
    if strange is not None:
        raise UserError(f"{shown(path)}: {strange!r} is not in the model's alphabet")
    return [number[w] for w in words]


def _read_csv(path: Path, space: Vector, fit: bool) -> Tensor:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [row for row in tables.reader(line for line in file if not line.startswith("#")) if row]
        if lines and not _is_number(lines[0][0]):
            lines = _in_order(lines, space)
        rows = [[float(cell) for cell in row] for row in lines]
    except (OSError, ValueError, tables.Error) as error:
        raise UserError(f"{shown(path)} is not a table of numbers: {error}") from None
    if not rows or any(len(row) != space.length for row in rows):
        raise UserError(f"{shown(path)}: every row must have the model's {space.length} columns")
    stored = torch.tensor(rows, dtype=torch.float32)
    if not bool(stored.isfinite().all()):
        raise UserError(f"{shown(path)} holds values that are not finite; mend or drop those rows")
    return stored


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _in_order(lines: list[list[str]], space: Vector) -> list[list[str]]:
    """The columns in the model's order, by name where the names are known."""
    head, rows = lines[0], lines[1:]
    if not space.columns or not set(space.columns) <= set(head):
        return rows
    order = [head.index(name) for name in space.columns]
    return [[row[i] for i in order] for row in rows if len(row) > max(order)]


def _read_wav(path: Path, space: Sound, fit: bool) -> Tensor:
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate, frames = file.getparams()[:4]
            if width != 2 or frames * channels * width > LONGEST:
                raise UserError(f"{shown(path)}: 16-bit PCM of up to {LONGEST >> 20} MB is read; convert it")
            content = file.readframes(frames)
    except (OSError, wave.Error, EOFError, struct.error, ZeroDivisionError) as error:
        raise UserError(f"{shown(path)} is not a WAV file that can be read: {error}") from None
    if channels != space.channels or (space.rate and rate != space.rate):
        raise UserError(
            f"{shown(path)}: {channels} channels at {rate} Hz, the model takes {space.channels} at {space.rate}"
        )
    samples = torch.from_numpy(np.frombuffer(content, "<i2").reshape(-1, channels).T.astype(np.float32) / 32767)
    if samples.shape[1] % space.length or not samples.numel():
        raise UserError(f"{shown(path)}: {samples.shape[1]} samples are not a multiple of the model's {space.length}")
    return samples.reshape(channels, -1, space.length).movedim(1, 0).contiguous()
