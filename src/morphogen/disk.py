"""How bytes reach the disk: whole or not at all.

Every durable write goes temporary file -> fsync -> rename -> fsync of the folder. Tensors are *sealed*: a safetensors
file carries a sha256 of its names, shapes and bytes, because safetensors itself would load a flipped bit in silence.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from torch import Tensor

from morphogen.atomic import placed
from morphogen.errors import Failure, UserError
from morphogen.tensor_file import content, write_tensors

__all__ = ["digest", "open_sealed", "replace", "seal", "write", "write_json"]

SEAL = "sha256"


def replace(path: Path, fill: Callable[[BinaryIO], None], whole: Callable[[Path], bool]) -> None:
    """Make `path` by filling a temporary file beside it, then renaming: readers see the old file or the new one.

    It is read back first, and takes the old one's place only if it is `whole`.
    """
    try:
        with placed(path, force=True, whole=whole) as file:
            fill(file)
    except OSError as error:
        said = error.strerror or error
        raise Failure(f"{path} could not be written: {said}; free some space, then resume") from error


def write(path: Path, said: str | bytes) -> None:
    """A small file, whole or not at all."""
    wanted = said.encode() if isinstance(said, str) else said
    replace(path, lambda file: _fill(file, wanted), lambda p: p.read_bytes() == wanted)


def _fill(file: BinaryIO, wanted: bytes) -> None:
    file.write(wanted)


def write_json(path: Path, said: Any) -> None:
    """A small JSON file, whole or not at all."""
    write(path, json.dumps(said, indent=1, ensure_ascii=False) + "\n")


def digest(path: Path) -> str:
    """sha256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(tensors: Mapping[str, Tensor], facts: str) -> str:
    """sha256 over facts, names, types, shapes and bytes."""
    sha = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        sha.update(f"{name}|{tensor.dtype}|{list(tensor.shape)}|".encode())
        sha.update(content(tensor))
    return sha.hexdigest()


def seal(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Tensors and facts as one sealed safetensors file: the same ones are the same bytes."""
    still = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    said = json.dumps(facts, sort_keys=True)
    metadata = {"facts": said, SEAL: fingerprint(still, said)}
    replace(path, lambda file: write_tensors(file, still, metadata), _intact)


def _intact(path: Path) -> bool:
    with contextlib.suppress(UserError):
        open_sealed(path)
        return True
    return False


def open_sealed(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `seal` wrote, or a refusal that names the file."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UserError(f"{path} is not there")
    try:
        str(path).encode()
    except UnicodeEncodeError:  # which safetensors does not open
        raise UserError(f"{path} is not UTF-8 text; give the folder another name") from None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, RuntimeError, OverflowError) as error:
        raise UserError(f"{path} is damaged or not a safetensors file: {error}") from None
    said = metadata.get("facts", "")
    if metadata.get(SEAL) != fingerprint(tensors, said):
        raise UserError(
            f"{path} is damaged: its content does not match its sha256; use an earlier state or another copy"
        )
    return tensors, table(said, path)


def table(said: str, path: Path) -> dict[str, Any]:
    """JSON that must be a table, from `path`."""
    try:
        told = json.loads(said)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}") from None
    if not isinstance(told, dict):
        raise UserError(f"{path} is damaged: it is not a table")
    return told
