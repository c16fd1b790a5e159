"""A terminal that a test can read."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import termios
from pathlib import Path

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(command: list[str], *, folder: Path, columns: int = 60, typed: str = "", **variables: str) -> str:
    """What a command writes to a terminal of so many columns that is its stdout and stderr; `typed` is its input."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    # xdist sets the size of its own workers' terminal.
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
    environment |= {"TERM": "xterm-256color", **variables}
    process = subprocess.Popen(command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, typed.encode())
    written = b""
    while True:
        try:
            written += os.read(ours, 65536)
        except OSError:  # the terminal's other end has gone
            break
    os.close(ours)
    assert process.wait(60) == 0, written
    return written.decode()
