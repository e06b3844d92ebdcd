"""Reading ahead: what the next steps will ask for is fetched while this one is computed."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

__all__ = ["ReadAhead"]

Fetched = TypeVar("Fetched")


class ReadAhead(Generic[Fetched]):
    """`fetch(step)`, with the next `depth` steps under way in one thread; steps may jump, they only lose the lead.

    An exception of `fetch` is raised to whoever asks for that step. The thread ends with `close` or with this object.
    """

    def __init__(self, fetch: Callable[[int], Fetched], depth: int = 4, last: int | None = None) -> None:
        self._fetch, self._depth, self._last = fetch, depth, last
        self._pending: dict[int, Future[Fetched]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="morphogen-read-ahead")
        self._end = weakref.finalize(self, self._thread.shutdown, wait=False, cancel_futures=True)

    def __call__(self, step: int) -> Fetched:
        beyond = step + 1 + self._depth
        wanted = range(step, beyond if self._last is None else min(beyond, self._last))
        for old in [s for s in self._pending if s not in wanted]:
            self._pending.pop(old).cancel()
        for ahead in wanted:
            if ahead not in self._pending:
                self._pending[ahead] = self._thread.submit(self._fetch, ahead)
        return self._pending.pop(step).result()

    def close(self) -> None:
        """Stop the thread and wait for it."""
        self._end.detach()
        self._pending.clear()
        self._thread.shutdown(wait=True, cancel_futures=True)
