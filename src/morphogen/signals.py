"""Being asked to stop: once, politely; twice, at once. A terminal that closes asks, too, unless nohup is to keep it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["SIGNALS", "stopped_by_signals"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)


@contextmanager
def stopped_by_signals() -> Iterator[list[int]]:
    """A list that fills when someone asks this process to stop; asked twice, it stops at once."""
    asked: list[int] = []
    terminals = [number for number in (1, 2) if os.isatty(number)]

    def ask(number: int, frame: object) -> None:
        if number == signal.SIGHUP:
            _no_more_words(terminals)
        if asked and number != signal.SIGHUP:  # a hang-up is told by the shell and by the system, of one window
            os._exit(128 + number)
        asked.append(number)

    heard = [number for number in SIGNALS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
    try:
        before = {number: signal.signal(number, ask) for number in heard}
    except ValueError:  # not the main thread: whoever runs us looks after signals
        yield asked
        return
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _no_more_words(terminals: list[int]) -> None:
    """Whatever is still said to a terminal that is gone would fail, before the state is saved."""
    for number in terminals:
        if not os.isatty(number):
            with suppress(OSError):
                nothing = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nothing, number)
                os.close(nothing)
