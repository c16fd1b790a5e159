"""A model from another environment: refused by the wrong interpreter, served by its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.aml import Aml

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TRAIN = Path(__file__).parents[1] / "azure/article/train_iris.py"


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "bentoml"))


@contextmanager
def served(project: Path, name: str) -> Iterator[str]:
    """`aml serve NAME` until the block ends; the address of its predict."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (project / "serve.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "amlcore", "serve", name, "--port", str(port)],
            cwd=project,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait_until_ready(server, f"http://127.0.0.1:{port}/readyz", project / "serve.log")
        yield f"http://127.0.0.1:{port}/predict"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _wait_until_ready(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + 240
    while time.monotonic() < until:
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(log.read_text())


def _post(url: str, body: Any) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def test_an_old_model_is_served_in_its_own_environment(project: Path, aml: Aml) -> None:
    (project / "train_iris.py").write_text(TRAIN.read_text())
    said = aml("run", "train_iris.py", "environment=sklearn-1.2", "model.name=old-iris", "deployment=bento")
    assert "serve it with: aml serve old-iris:" in said.err

    wrong = subprocess.run(
        [sys.executable, "-m", "bentoml", "serve", "old-iris:latest"],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert wrong.returncode != 0
    assert "scikit-learn 1.2.2" in wrong.stderr + wrong.stdout
    assert "aml serve old-iris" in wrong.stderr + wrong.stdout

    with served(project, "old-iris") as url:
        answer = _post(url, {"data": [[5.1, 3.5, 1.4, 0.2], [6.9, 3.1, 5.4, 2.1]]})
    assert answer == {"predictions": [0, 2], "model": "old-iris", "version": 1}


def test_a_python_that_bentoml_does_not_support_is_said_when_it_is_packaged(project: Path, aml: Aml) -> None:
    old = aml("env", "build", "file", "environment.file=old.yml", status=None, cwd=_with_old_yaml(project))
    if old.status != 0:
        assert "3.6" in old.err
        pytest.skip("this machine has no Python 3.6")
    (project / "train_iris.py").write_text(TRAIN.read_text())
    aml("run", "train_iris.py", "environment.file=old.yml", "model.name=old-iris")

    said = aml("deploy", "old-iris", status=2)

    assert "Python 3.6" in said.err
    assert "environment.python=3.11" in said.err


def _with_old_yaml(project: Path) -> Path:
    (project / "old.yml").write_text((TRAIN.parent / "sklearn-env.yml").read_text())
    return project
