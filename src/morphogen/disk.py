"""How bytes reach the disk: whole or not at all.

Every durable write goes temporary file -> fsync -> rename -> fsync of the folder. Tensors are *sealed*: a safetensors
file carries a sha256 of its names, shapes and bytes, because safetensors itself would load a flipped bit in silence.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from morphogen.errors import Failure, UserError

__all__ = ["digest", "open_sealed", "replace", "seal", "write", "write_json"]

SEAL = "sha256"


def replace(path: Path, fill: Callable[[Path], None], whole: Callable[[Path], bool]) -> None:
    """Make `path` by filling a temporary file beside it, then renaming: readers see the old file or the new one.

    It is read back first, and takes the old one's place only if it is `whole`.
    """
    from safetensors import SafetensorError  # what safetensors makes of a full disk

    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        fill(temporary)
        sync(temporary)
        if not whole(temporary):
            raise OSError("what was written is not what is read back; the disk may be failing")
        os.replace(temporary, path)
        sync(path.parent)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        said = getattr(error, "strerror", None) or error
        raise Failure(f"{path} could not be written: {said}; free some space, then resume") from error


def sync(path: Path) -> None:
    """Wait until the disk has it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write(path: Path, content: str | bytes) -> None:
    """A small file, whole or not at all."""
    wanted = content.encode() if isinstance(content, str) else content
    replace(path, lambda p: _fill(p, wanted), lambda p: p.read_bytes() == wanted)


def _fill(path: Path, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


def write_json(path: Path, content: Any) -> None:
    """A small JSON file, whole or not at all."""
    write(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


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
        sha.update(tensor.flatten().view(torch.uint8).numpy().data)
    return sha.hexdigest()


def seal(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Tensors and facts as one sealed safetensors file."""
    from safetensors.torch import save_file

    still = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    said = json.dumps(facts, sort_keys=True)
    metadata = {"facts": said, SEAL: fingerprint(still, said)}
    replace(path, lambda p: save_file(still, p, metadata=metadata), _intact)


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
        content = json.loads(said)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged: it is not a table")
    return content
