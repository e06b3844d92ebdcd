"""From examples at rest to what one step sees: gather, read, view, on the device.

The batch of a step is a pure function of (seed, step): positions step*size .. (step+1)*size in an endless chain of
permutations, one an epoch; where few examples have labels, some of each batch come from a chain of those. So a resumed
run sees what the uninterrupted one would have seen, and so do its ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from morphogen.core import noise
from morphogen.core.batch import Labelled
from morphogen.core.noise import Noise
from morphogen.data.ahead import ReadAhead
from morphogen.data.dataset import Batch, Dataset, Split, Store
from morphogen.data.stores import MemoryStore
from morphogen.errors import UserError

__all__ = ["Batches", "Mixed", "Order"]

CPU = torch.device("cpu")
VIEW_ROWS = 256  # A sweep draws the noise of a view for so many rows at a time, whatever its batch size is.

Fetch = Callable[[int], tuple[Tensor, Tensor]]


class Order:
    """An endless chain of permutations of `count` rows, one an epoch; in order if there is no seed."""

    def __init__(self, count: int, seed: int | None, stream: str = "order") -> None:
        self.count, self.seed, self.stream = count, seed, stream
        self._epochs: dict[int, Tensor] = {}

    def epoch(self, number: int) -> Tensor:
        """The permutation of one epoch; this one and the next are kept."""
        if number not in self._epochs:
            self._epochs = {n: p for n, p in self._epochs.items() if abs(n - number) == 1}
            self._epochs[number] = self._permutation(number)
        return self._epochs[number]

    def _permutation(self, number: int) -> Tensor:
        if self.seed is None:
            return torch.arange(self.count)
        return torch.randperm(self.count, generator=Noise(self.seed, self.stream, number).generator(CPU))

    def rows(self, begin: int, end: int) -> Tensor:
        """The rows at positions begin .. end of the chain."""
        number, offset = divmod(begin, self.count)
        rows = self.epoch(number)[offset : offset + end - begin]
        if len(rows) == end - begin:
            return rows
        return torch.cat([rows, self.rows(begin + len(rows), end)])


class Mixed:
    """Of every `size` positions `few` are drawn from the `chosen` rows, evenly spread, the others from all rows."""

    def __init__(self, chosen: Tensor, few: int, size: int, count: int, seed: int) -> None:
        self.chosen, self.few, self.size = chosen, few, size
        self.some, self.all = Order(len(chosen), seed, "order/labelled"), Order(count, seed)

    def rows(self, begin: int, end: int) -> Tensor:
        """The rows at positions begin .. end of the chain."""
        before = torch.arange(begin, end + 1) * self.few // self.size  # how many of the chosen stand before each
        start, stop = int(before[0]), int(before[-1])
        rows = torch.empty(end - begin, dtype=torch.int64)
        mine = before.diff() > 0
        rows[mine] = self.chosen[self.some.rows(start, stop)]
        rows[~mine] = self.all.rows(begin - start, end - stop)
        return rows


def _share(store: Store, order: Order | Mixed, size: int, start: int, stop: int, step: int) -> tuple[Tensor, Tensor]:
    rows = order.rows(step * size + start, step * size + stop)
    return rows, store.gather(rows)


def _stretch(store: Store, size: int, step: int) -> tuple[Tensor, Tensor]:
    rows = torch.arange(step * size, min((step + 1) * size, len(store)))
    return rows, store.gather(rows)


def _ahead(store: Store, fetch: Fetch, last: int | None = None) -> Fetch:
    return fetch if isinstance(store, MemoryStore) else ReadAhead(fetch, last=last)


class Batches:
    """The batches of one split of a data set, `size` examples a step over all ranks, this rank's share of them."""

    def __init__(
        self,
        data: Dataset,
        split: str,
        size: int,
        *,
        seed: int = 0,
        device: torch.device = CPU,
        rank: int = 0,
        world: int = 1,
        shuffle: bool = True,
        labelled: int = 0,
    ) -> None:
        if split not in data.splits or not len(data.splits[split]):
            raise UserError(f"{data.name} has no {split} examples; it has {_sizes(data)}")
        if size < world:
            raise UserError(f"a batch of {size} cannot be shared by {world} processes; make train.batch larger")
        part = data.splits[split]
        self.data, self.size, self.seed, self.device = data, size, seed, device
        self.start, self._stop = rank * size // world, (rank + 1) * size // world
        self._store = part.x.to(device)
        self._y = None if part.y is None else part.y.to(device, torch.int64)
        self._guesses = None if part.guesses is None else part.guesses.to(device)
        self._labelled = None if part.y is None else _labelled(part.y, min(labelled, size) / size)
        order = (
            _mixed(data.name, part, labelled, size, seed) if labelled else Order(len(part), seed if shuffle else None)
        )
        self._fetch = _ahead(self._store, partial(_share, self._store, order, size, self.start, self._stop))

    def __len__(self) -> int:
        """Examples in the split."""
        return len(self._store)

    def at(self, step: int) -> Batch:
        """The batch of a step: always full, whatever was asked for before."""
        rows, stored = self._fetch(step)
        x = self._read(stored)
        if self.data.view is not None:
            with noise.source(Noise(self.seed, "view", step, self.start, self.size)):
                x = self.data.view(x)
        y, guesses = self._of(self._y, rows), self._of(self._guesses, rows)
        return Batch(x, y, self.start, self.size, guesses, self._labelled)

    def sweep(self, size: int) -> Iterator[Batch]:
        """Every row once and in order, the last batch short; what is drawn does not depend on `size`."""
        steps = -(-len(self) // size)
        fetch = _ahead(self._store, partial(_stretch, self._store, size), steps)
        try:
            for step in range(steps):
                rows, stored = fetch(step)
                yield Batch(self._seen(self._read(stored), step * size), self._of(self._y, rows))
        finally:
            _close(fetch)

    def close(self) -> None:
        """Stop reading ahead."""
        _close(self._fetch)

    def _read(self, stored: Tensor) -> Tensor:
        return self.data.space.read(stored.to(self.device, non_blocking=True))

    def _of(self, told: Tensor | None, rows: Tensor) -> Tensor | None:
        return None if told is None else told.index_select(0, rows.to(self.device, non_blocking=True))

    def _seen(self, x: Tensor, begin: int) -> Tensor:
        if self.data.view is None:
            return x
        pieces, done = [], 0
        while done < len(x):
            block, start = divmod(begin + done, VIEW_ROWS)
            piece = x[done : done + VIEW_ROWS - start]
            with noise.source(Noise(self.seed, "sweep", block, start, VIEW_ROWS)):
                pieces.append(self.data.view(piece))
            done += len(piece)
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


def _mixed(name: str, part: Split, labelled: int, size: int, seed: int) -> Mixed:
    chosen = torch.empty(0) if part.y is None else (part.y >= 0).nonzero().flatten()
    if not len(chosen):
        raise UserError(
            f"train.labelled = {labelled}, and no training example of {name} has a label; label some, or set "
            "train.labelled=0"
        )
    return Mixed(chosen, min(labelled, size), size, len(part), seed)


def _labelled(y: Tensor, chosen: float) -> Labelled:
    """Of batches a part is `chosen` among the labelled rows, and the rest is drawn from all."""
    share = float((y >= 0).double().mean())
    return Labelled(share, chosen + (1 - chosen) * share)


def _close(fetch: Fetch) -> None:
    if isinstance(fetch, ReadAhead):
        fetch.close()


def _sizes(data: Dataset) -> str:
    return ", ".join(f"{name} {len(split):,}" for name, split in data.splits.items()) or "none at all"
