"""Which files a command opens, and how often: its own process and all that it starts, by Python's audit hook."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

# All processes append whole lines to one file. A script may have closed its descriptor: that must not fail an open().
_HOOK = """
import os, sys

_log = os.open({log!r}, os.O_WRONLY | os.O_APPEND)

def _hook(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)) and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
        try:
            os.write(_log, os.fsencode(os.path.abspath(os.fsdecode(arguments[0]))) + b"\\n")
        except OSError:
            pass

sys.addaudithook(_hook)
"""


def count_opens(folder: Path, *arguments: str, cwd: Path, env: dict[str, str] | None = None) -> Counter[Path]:
    """Call `aml` in `cwd` and count how often each file was opened for reading.

    Parameters
    ----------
    folder : path
        Where the hook and its log may lie.
    """
    hooks, log = folder / "hooks", folder / "opens.txt"
    hooks.mkdir(exist_ok=True)
    log.write_bytes(b"")
    (hooks / "sitecustomize.py").write_text(_HOOK.format(log=str(log)))
    path = os.pathsep.join(filter(None, (str(hooks), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-m", "amlcore", *arguments],
        cwd=cwd,
        env={**os.environ, **(env or {}), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Counter(map(Path, os.fsdecode(log.read_bytes()).splitlines()))


def below(opens: Counter[Path], folder: Path, pattern: str = "*") -> Counter[Path]:
    """Of `opens` those in `folder` whose names match `pattern`, as paths relative to it."""
    return Counter(
        {
            path.relative_to(folder): count
            for path, count in opens.items()
            if path.is_relative_to(folder) and path.match(pattern)
        }
    )
