"""The debug log of `aml -v` and AMLCORE_DEBUG=1: tracebacks, timings and subprocesses, on stderr."""

from __future__ import annotations

import logging
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from amlcore import redaction
from amlcore.terminal.output import printable
from amlcore.version import __version__

LOGGER = logging.getLogger("amlcore")
PROCESSES = logging.getLogger("amlcore.subprocess")

_CREDENTIALS = re.compile(r"(?<=://)\S+(?=@)")  # up to the last @: a password may hold / and @


@contextmanager
def debug_log() -> Iterator[None]:
    """Show what amlcore's loggers and subprocesses do while the block runs."""
    handler = _Stderr()
    handler.setFormatter(_Formatter())
    level, popen, started = LOGGER.level, subprocess.Popen, time.perf_counter()
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.DEBUG)
    subprocess.Popen = LoggedPopen  # type: ignore[misc]
    # The command line itself is not shown: which of its values are secret is known only once it is composed.
    LOGGER.debug("amlcore %s, Python %s (%s)", __version__, sys.version.split()[0], sys.executable)
    try:
        yield
    finally:
        LOGGER.debug("aml took %.3f s", time.perf_counter() - started)
        subprocess.Popen = popen  # type: ignore[misc]
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(level)


class LoggedPopen(subprocess.Popen[Any]):
    """A subprocess whose command and exit status are logged."""

    def __init__(self, args: Any, *rest: Any, **options: Any) -> None:
        words = list(args) if isinstance(args, (list, tuple)) else [args]
        shown = [
            _without_secrets(word.decode(errors="replace") if isinstance(word, bytes) else str(word)) for word in words
        ]  # before quotes are added inside a secret
        self._command = shlex.join(shown) if isinstance(args, (list, tuple)) else shown[0]
        self._started = time.perf_counter()
        self._is_logged = False
        super().__init__(args, *rest, **options)
        PROCESSES.debug("%d started: %s", self.pid, self._command)

    def poll(self) -> int | None:
        return self._log_end(super().poll())

    def wait(self, timeout: float | None = None) -> int:
        status = super().wait(timeout)
        self._log_end(status)
        return status

    def _log_end(self, status: int | None) -> int | None:
        if status is not None and not self._is_logged:
            self._is_logged = True
            PROCESSES.debug(
                "%d ended: exit status %d after %.3f s", self.pid, status, time.perf_counter() - self._started
            )
        return status


def _without_secrets(text: str) -> str:
    return _CREDENTIALS.sub("***", redaction.redact(text, redaction.secret_names))


class _Stderr(logging.Handler):
    """Writes to what stderr is at the moment: a live table takes its place for a while."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self.format(record), file=sys.stderr, flush=True)
        except Exception:
            self.handleError(record)


class _Formatter(logging.Formatter):
    """Each line with amlcore's prefix and the module it comes from, without secrets and control codes."""

    def format(self, record: logging.LogRecord) -> str:
        lines = printable(_without_secrets(super().format(record))).splitlines()
        return "\n".join(f"aml: debug: {record.name.removeprefix('amlcore.')}: {line}" for line in lines)
