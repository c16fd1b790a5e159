"""`aml` as a user calls it, in the foreground and in the background."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Said:
    """The output and exit status of a command."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Aml = Callable[..., Said]


Write = Callable[[str, str], Path]


HERE = "environment=current"


# Says that it has begun, then waits for the file that its argument names.
GO = "import os, sys, time\nprint('begun', flush=True)\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.02)\n"


TRAIN = """
import os, joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from amlcore import Run
X, y = load_iris(return_X_y=True)
model = LogisticRegression(max_iter=500).fit(X, y)
run = Run.get_context()
run.log("accuracy", model.score(X, y))
run.log_sample(X)
os.makedirs("outputs", exist_ok=True)
joblib.dump(model, "outputs/model.joblib")
"""


@contextmanager
def background(project: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`aml` running in the background, ended at the latest with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "amlcore", *arguments],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def until(condition: Callable[[], Any], *, within_s: float = 30.0) -> Any:
    """Wait for `condition` to become true, and return its value."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"not within {within_s} s")


def runs(aml: Aml, *arguments: str) -> list[dict[str, Any]]:
    found = aml("runs", "--json", *arguments).json
    assert isinstance(found, list)
    return found


# Registers only once the file `go` is there; stands still until then.
SLOW_PICKLE = """
import joblib, os
class Slow:
    def __reduce__(self): return (eval, ("[open('{0}/loading', 'w').close(), __import__('time').sleep(20)]",))
joblib.dump(Slow(), "outputs/model.joblib")
"""
