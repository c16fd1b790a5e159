"""Attached: lets a run outlive the terminal that it was started from, and log to driver.log from then on."""

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
    """Where amlcore's own messages go while somebody reads them, and where they go after that.

    Parameters
    ----------
    path : str
        The file that takes them once nobody reads them.
    log_stream : LogStream, optional
        What the script prints; it never goes to that file, since the run's log files have it.
    """

    def __init__(self, path: str, *, log: Log, log_stream: LogStream | None = None) -> None:
        self._path = path
        self._log = log
        self._log_stream = log_stream
        self._terminals = {number for number in (STDOUT, STDERR) if os.isatty(number)}
        self._redirected: set[int] = set()

    def log(self, line: str) -> None:
        self.write(lambda: self._log(line))

    def write(self, action: Callable[[], object], *, to: int = STDERR) -> None:
        """Let `action` write to stdout or stderr, or to the file once nobody reads the stream."""
        try:
            action()
        except OSError as error:
            self.redirect(
                error.strerror or "it cannot be written to",
                streams={to} | (self._terminals if to in self._terminals else set()),
            )
            with suppress(OSError, ValueError):
                action()

    def hang_up(self) -> None:
        """Treat the terminal as gone, and the reader of stderr with it; a file or pipe at stdout stays."""
        self.redirect("SIGHUP", streams={STDERR} | self._terminals)

    def redirect(self, why: str, *, streams: set[int]) -> None:
        """Send what goes to `streams` to the file from now on."""
        numbers = streams - self._redirected
        if not numbers:
            return
        self._redirected |= numbers
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError:
            file = os.open(os.devnull, os.O_WRONLY)
        for number in numbers:
            if self._log_stream is not None:
                self._log_stream.abandon(number - 1)
            os.dup2(file, number)
        with suppress(OSError):
            os.write(file, f"aml: output closed ({why}); the run continues in the background\n".encode())
        os.close(file)


@contextmanager
def attached(path: str, *, log: Log, log_stream: LogStream | None = None) -> Iterator[Attached]:
    """Let the block and its child processes continue when their terminal is closed."""
    run = Attached(path, log=log, log_stream=log_stream)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # a notebook; nohup
        yield run
        return
    is_over = threading.Event()
    before = signal.signal(signal.SIGHUP, lambda *_: run.hang_up())
    # Children inherit that it is blocked; here a thread takes it.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP,))

    def take_hangups() -> None:
        while not is_over.is_set():
            signal.sigwait((signal.SIGHUP,))
            if not is_over.is_set():
                run.hang_up()

    thread = threading.Thread(target=take_hangups, name="hangup", daemon=True)
    thread.start()
    try:
        yield run
    finally:
        is_over.set()
        assert thread.ident is not None
        signal.pthread_kill(thread.ident, signal.SIGHUP)
        thread.join()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP,))
        signal.signal(signal.SIGHUP, before)
