"""Attached: a run outlives the terminal that it was started from; its words go to its driver.log then."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from amlcore.say import Say


class Attached:
    """Where amlcore's own words go for as long as somebody reads them, and where after that.

    Parameters
    ----------
    log : str
        The file that takes them once nobody does.
    """

    def __init__(self, log: str, *, say: Say) -> None:
        self._log = log
        self._say = say
        self._gone = False

    def say(self, line: str) -> None:
        self.told(lambda: self._say(line))

    def told(self, write: Callable[[], object]) -> None:
        """Let `write` write to stdout or stderr; where nobody reads them any more, to the log."""
        try:
            write()
        except OSError as error:
            self.leave(error.strerror or "nobody reads what it says")
            with suppress(OSError, ValueError):
                write()

    def leave(self, why: str) -> None:
        """From now on let all that this process and its children print go to the log."""
        if self._gone:
            return
        self._gone = True
        try:
            log = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError:
            log = os.open(os.devnull, os.O_WRONLY)
        for number in (1, 2):
            os.dup2(log, number)
        os.close(log)
        with suppress(OSError, ValueError):
            print(f"aml: the terminal is gone ({why}); the run goes on in the background", file=sys.stderr, flush=True)


@contextmanager
def attached(log: str, *, say: Say) -> Iterator[Attached]:
    """Let what the block carries out go on when its terminal is closed, and its children with it."""
    run = Attached(log, say=say)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # a notebook; nohup
        yield run
        return
    over = threading.Event()
    before = signal.signal(signal.SIGHUP, lambda *_: run.leave("SIGHUP"))
    # Blocked, since that is what children inherit. A thread takes it in their place.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP,))

    def take() -> None:
        while not over.is_set():
            signal.sigwait((signal.SIGHUP,))
            if not over.is_set():
                run.leave("SIGHUP")

    taker = threading.Thread(target=take, name="hangup", daemon=True)
    taker.start()
    try:
        yield run
    finally:
        over.set()
        signal.pthread_kill(taker.ident or 0, signal.SIGHUP)
        taker.join()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP,))
        signal.signal(signal.SIGHUP, before)
