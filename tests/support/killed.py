"""A process that is killed at one of its file operations, whichever is chosen."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from tests.support.crashes import OPERATIONS, WRITING

LATE_S = 120


def operations(action: Callable[[], object]) -> int:
    """How many file operations `action` does, in a process of its own."""
    reading, writing = os.pipe()
    status = _forked(action, at=0, told=writing)
    os.close(writing)
    with os.fdopen(reading) as counted:
        count = counted.read()
    assert status == 0, f"the action itself ended with {status}"
    return int(count)


def killed(action: Callable[[], object], *, at: int) -> None:
    """Carry `action` out in a process of its own, which is killed right before its operation number `at`."""
    status = _forked(action, at=at, told=None)
    assert status == -signal.SIGKILL, f"the action was not killed at {at}, but ended with {status}"


def _forked(action: Callable[[], object], *, at: int, told: int | None) -> int:
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    signal.alarm(LATE_S)
    counted = 0

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal counted
        opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        if opened or event in OPERATIONS:
            counted += 1
            if counted == at:
                os.kill(os.getpid(), signal.SIGKILL)

    status = 1
    try:
        sys.addaudithook(count)
        action()
        if told is not None:
            os.write(told, str(counted).encode())
        status = 0
    finally:
        os._exit(status)
