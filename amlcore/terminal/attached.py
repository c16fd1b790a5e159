"""Attached: a run outlives the terminal that it was started from; its words go to its driver.log then."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from amlcore.log import Log
from amlcore.record.log_stream import LogStream

STDOUT, STDERR = 1, 2


class Attached:
    """Where amlcore's own words go for as long as somebody reads them, and where after that.

    Parameters
    ----------
    path : str
        The file that takes them once nobody does.
    log_stream : LogStream, optional
        What the script prints, which goes there for nobody: its files have it.
    """

    def __init__(self, path: str, *, log: Log, log_stream: LogStream | None = None) -> None:
        self._path = path
        self._log = log
        self._log_stream = log_stream
        self._terminals = {number for number in (STDOUT, STDERR) if os.isatty(number)}
        self._left: set[int] = set()

    def log(self, line: str) -> None:
        self.write(lambda: self._log(line))

    def write(self, action: Callable[[], object], *, to: int = STDERR) -> None:
        """Let `action` write to stdout or stderr; where nobody reads it any more, to the log."""
        try:
            action()
        except OSError as error:
            self.leave(
                error.strerror or "it cannot be written",
                of={to} | (self._terminals if to in self._terminals else set()),
            )
            with suppress(OSError, ValueError):
                action()

    def hang_up(self) -> None:
        """Take the terminal for gone, and with it whoever reads stderr; a file or pipe for stdout stays."""
        self.leave("SIGHUP", of={STDERR} | self._terminals)

    def leave(self, why: str, *, of: set[int]) -> None:
        """From now on let what goes to the streams `of` go to the log."""
        numbers = of - self._left
        if not numbers:
            return
        self._left |= numbers
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError:
            file = os.open(os.devnull, os.O_WRONLY)
        for number in numbers:
            if self._log_stream is not None:
                self._log_stream.abandon(number - 1)
            os.dup2(file, number)
        with suppress(OSError):
            os.write(file, f"aml: nobody reads this any more ({why}); the run goes on in the background\n".encode())
        os.close(file)


@contextmanager
def attached(path: str, *, log: Log, log_stream: LogStream | None = None) -> Iterator[Attached]:
    """Let what the block carries out go on when its terminal is closed, and its children with it."""
    run = Attached(path, log=log, log_stream=log_stream)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # a notebook; nohup
        yield run
        return
    over = threading.Event()
    before = signal.signal(signal.SIGHUP, lambda *_: run.hang_up())
    # Blocked, since that is what children inherit. A thread takes it in their place.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP,))

    def take() -> None:
        while not over.is_set():
            signal.sigwait((signal.SIGHUP,))
            if not over.is_set():
                run.hang_up()

    taker = threading.Thread(target=take, name="hangup", daemon=True)
    taker.start()
    try:
        yield run
    finally:
        over.set()
        assert taker.ident is not None
        signal.pthread_kill(taker.ident, signal.SIGHUP)
        taker.join()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP,))
        signal.signal(signal.SIGHUP, before)
