"""An image of a Bento answers; built where there is a builder."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import Aml

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

ROW = [13.2, 2.8, 2.5, 18, 103, 1.5, 0.9, 0.2, 1.2, 4.8, 0.9, 2.1, 600]


def builder() -> str | None:
    """The program that builds and runs images here, if one works."""
    for name in ("docker", "podman"):
        if shutil.which(name) and subprocess.run([name, "info"], capture_output=True, check=False).returncode == 0:
            return name
    return None


@pytest.mark.skipif(builder() is None, reason="neither docker nor podman works here")
def test_an_image_answers(aml: Aml, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "bentoml"))
    aml("init", "demo")
    demo = tmp_path / "project" / "demo"
    aml("run", cwd=demo)
    tag = aml("deploy", "wine", "--json", cwd=demo).json["tag"]
    tool, image = str(builder()), f"amlcore-test-{tag.partition(':')[2]}"
    bentoml = str(Path(sys.executable).parent / "bentoml")
    subprocess.run([bentoml, "containerize", tag, "--backend", tool, "--image-tag", image], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    run = [tool, "run", "--rm", "--detach", "--publish", f"127.0.0.1:{port}:3000", image]
    container = subprocess.run(run, check=True, capture_output=True, text=True).stdout.strip()
    try:
        assert answer(port)["predictions"] == [2]
    finally:
        subprocess.run([tool, "stop", container], check=False, capture_output=True)
        subprocess.run([tool, "rmi", "--force", image], check=False, capture_output=True)


def answer(port: int) -> dict[str, list[int]]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/predict",
        data=json.dumps({"data": [ROW]}).encode(),
        headers={"Content-Type": "application/json"},
    )
    until = time.monotonic() + 120
    while time.monotonic() < until:
        with contextlib.suppress(OSError), urllib.request.urlopen(request) as response:
            found: dict[str, list[int]] = json.load(response)
            return found
        time.sleep(0.5)
    raise AssertionError("the image does not answer")
