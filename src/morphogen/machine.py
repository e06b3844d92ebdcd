"""What this machine is good at: device, precision, the fast way to multiply, and what a bug report should hold.

Three findings that were measured (docs/LOG.md): on AMD processors float32 products through oneDNN run at twice the
speed of MKL's, at the same precision; denormal numbers in Adam's second moments cost up to half of its time; and glibc
gives freed memory back at once, so that every step pays a page fault for each page that it takes again.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import threading
from functools import lru_cache

import torch

from morphogen.errors import UserError

__all__ = ["autocast", "choose_device", "choose_precision", "compiler_found", "prepare"]

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # the names that malloc.h has for them
_preparing = threading.Lock()  # two threads must not try out the precision of products at once
KEPT_BYTES = 2**28  # larger tensors are still given back when they are freed


def choose_device(name: str) -> torch.device:
    """`auto`: the GPU where there is one. Anything else is taken at its word."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"device = {name!r} is no device; say auto, cpu, cuda, cuda:1 or mps") from None
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present.get(device.type, False):
        raise UserError(f"device = {name!r} is not on this machine; say auto or cpu")
    return device


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """`auto`: bfloat16 where the hardware multiplies it natively, float32 elsewhere."""
    if name == "auto":
        if device.type == "cuda":
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            native = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
        return torch.bfloat16 if native else torch.float32
    if name not in PRECISIONS:
        raise UserError(f"precision = {name!r} is not known; say auto, float32 or bfloat16")
    return PRECISIONS[name]


def autocast(
    device: torch.device, precision: torch.dtype, *, cache: bool = True
) -> contextlib.AbstractContextManager[object]:
    """Networks in `precision`, everything else in float32; `cache` keeps converted weights until the block ends."""
    if precision == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, precision, cache_enabled=cache)


def prepare() -> str:
    """Set this process up for speed, once, before the first parallel region; says what it found."""
    torch.set_flush_denormal(True)  # a register of the calling thread: each thread that works needs it set
    with _preparing:
        return _prepare_process()


@lru_cache(maxsize=1)
def _prepare_process() -> str:
    _keep_freed_memory()
    if torch.cuda.is_available():
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        return "TF32 on"
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(*size, generator=generator) for size in ((256, 784), (784, 128)))
    exact = a.double() @ b.double()
    torch.set_float32_matmul_precision("medium")
    error = float(((a @ b).double() - exact).abs().max())
    if error < 1e-3:  # bfloat16 would be off by about 0.4
        return "float32 matmul: oneDNN"
    torch.set_float32_matmul_precision("highest")
    return "float32 matmul: default library"


def _keep_freed_memory() -> None:
    """Freed memory stays with the process for its next step (mallopt(3)); where there is no glibc, nothing happens."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, KEPT_BYTES)
        mallopt(TRIM_THRESHOLD, 2 * KEPT_BYTES)


def compiler_found(device: torch.device) -> bool:
    """Whether torch.compile has what it needs: a C++ compiler for the CPU, Triton for the GPU."""
    if device.type == "cuda":
        from torch.utils._triton import has_triton

        return bool(has_triton())
    return shutil.which(os.environ.get("CXX", "g++")) is not None or shutil.which("clang++") is not None
