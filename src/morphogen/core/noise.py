"""Counter-based noise: what is drawn depends on (seed, stream, step, draw, place in the batch) and on nothing else.

So a resumed run draws what the uninterrupted one would have drawn, and splitting a batch over micro-batches or ranks
changes nothing: each share draws the noise of the whole batch and keeps its own rows (Salmon et al. 2011, "Parallel
random numbers: as easy as 1, 2, 3", for the idea of counters in place of state).

    with noise.source(Noise(seed, "train", step)):
        eps = noise.normal((64, 16), event=1, like=x)
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

__all__ = ["Alike", "Initialisation", "Noise", "bernoulli", "normal", "source", "uniform", "use"]


@dataclass
class Noise:
    """One stream of draws for the rows `start .. start + rows` of a batch of `total` rows (0: the batch is whole)."""

    seed: int
    stream: str = "sample"
    step: int = 0
    start: int = 0
    total: int = 0
    draws: int = 0

    def generator(self, device: torch.device) -> torch.Generator:
        """The generator of the next draw."""
        counter = f"{self.seed}/{self.stream}/{self.step}/{self.draws}".encode()
        self.draws += 1
        number = int.from_bytes(hashlib.blake2b(counter, digest_size=8).digest(), "little") >> 1
        return torch.Generator(device).manual_seed(number)

    def draw(self, kind: Callable[..., Tensor], size: Sequence[int], event: int, device: torch.device) -> Tensor:
        """Draw `size`, whose last `event` dimensions are one datum and whose dimension before them is the batch."""
        size, axis = list(size), len(size) - event - 1
        if self.total == 0 or axis < 0:
            return kind(size, generator=self.generator(device), device=device)
        rows = size[axis]
        size[axis] = self.total
        return kind(size, generator=self.generator(device), device=device).narrow(axis, self.start, rows)


@dataclass
class Alike(Noise):
    """The same draws for every datum: what is said of one depends neither on its place nor on its company."""

    def draw(self, kind: Callable[..., Tensor], size: Sequence[int], event: int, device: torch.device) -> Tensor:
        wanted, axis = list(size), len(size) - event - 1
        one = [1 if place == axis else length for place, length in enumerate(wanted)]
        return kind(one, generator=self.generator(device), device=device).expand(wanted)


_current: ContextVar[Noise | None] = ContextVar("noise", default=None)  # each thread has its own


def use(noise: Noise | None) -> Noise | None:
    """Make `noise` the source of every draw from here on; returns the one before. None: torch's global generator."""
    before = _current.get()
    _current.set(noise)
    return before


@contextmanager
def source(noise: Noise | None) -> Iterator[Noise | None]:
    """Draw from `noise` inside the block."""
    before = use(noise)
    try:
        yield noise
    finally:
        use(before)


def _draw(kind: Callable[..., Tensor], size: Sequence[int], event: int, like: Tensor) -> Tensor:
    current = _current.get()
    if current is None:
        return kind(list(size), device=like.device)
    return current.draw(kind, size, event, like.device)


def normal(size: Sequence[int], *, event: int, like: Tensor) -> Tensor:
    """Standard normal noise of `size` on the device of `like`."""
    return _draw(torch.randn, size, event, like)


def uniform(size: Sequence[int], *, event: int, like: Tensor) -> Tensor:
    """Uniform noise in [0, 1) of `size` on the device of `like`."""
    return _draw(torch.rand, size, event, like)


def bernoulli(probability: Tensor, *, event: int) -> Tensor:
    """One coin for each element of `probability`."""
    return (uniform(probability.shape, event=event, like=probability) < probability).to(probability.dtype)


def _takes_generator(function: Any) -> bool:
    return inspect.isfunction(function) and "generator" in inspect.signature(function).parameters


DRAWING = {torch.rand, torch.randn, torch.randint, torch.randperm, torch.normal, torch.bernoulli, torch.multinomial}
DRAWING |= {Tensor.uniform_, Tensor.normal_, Tensor.random_, Tensor.bernoulli_, Tensor.exponential_, Tensor.log_normal_}
DRAWING |= {function for function in vars(torch.nn.init).values() if _takes_generator(function)}


class Initialisation(TorchFunctionMode):
    """Random initialisation of weights from a generator of its own: torch's generator of the process, which other
    threads draw from, is neither read nor moved. Numbers are those that `torch.manual_seed(seed)` would give.

    >>> with Initialisation(0):
    ...     weight = torch.nn.Linear(2, 1).weight
    >>> _ = torch.manual_seed(0)
    >>> torch.equal(weight, torch.nn.Linear(2, 1).weight)
    True
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if func in DRAWING and given.get("generator") is None:
            given["generator"] = self.generator
        return func(*args, **given)
