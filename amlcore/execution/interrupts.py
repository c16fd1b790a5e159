"""Interruptions: which signals cancel what this process drives, and when."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOK_S = 0.5
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def catch_signals() -> None:
    """Make the signals that would end this process cancel what it drives, as Ctrl-C does."""
    for number in SIGNALS[1:]:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores it
            signal.signal(number, signal.default_int_handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Delay an interruption until the block has ended; a second one does not wait."""
    waiting: list[int] = []

    def wait(number: int, _frame: object) -> None:
        if waiting:
            raise KeyboardInterrupt
        waiting.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught = [number for number in SIGNALS if signal.getsignal(number) is signal.default_int_handler]
    for number in caught:
        signal.signal(number, wait)
    try:
        yield
    finally:
        for number in caught:
            signal.signal(number, signal.default_int_handler)
    if waiting:
        raise KeyboardInterrupt


@contextmanager
def interrupted_when(is_requested: Callable[[], bool]) -> Iterator[None]:
    """Interrupt whatever the block waits for, as Ctrl-C does, once `is_requested` says so."""

    def look(*_: object) -> None:
        if is_requested():
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, LOOK_S, LOOK_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
