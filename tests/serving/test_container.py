"""A container image of a Bento answers requests; built if this machine has a builder.

docker and podman build on what the Bento says. AMLCORE_BASE_IMAGE names another image with Python, as where no registry
is reached; with it buildah alone will do, which needs no daemon and no namespaces.
"""

from __future__ import annotations

import json
import os
import shutil
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

from amlcore.worker.process_identity import identity, is_alive
from tests.support.aml import Aml

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

ROW = [13.2, 2.8, 2.5, 18, 103, 1.5, 0.9, 0.2, 1.2, 4.8, 0.9, 2.1, 600]
BASE_IMAGE = os.environ.get("AMLCORE_BASE_IMAGE")
CHROOT = ("--isolation", "chroot", "--network", "host")
ENTRY = "/home/bentoml/bento/env/docker/entrypoint.sh"


def builder() -> str | None:
    """The program that builds and runs images here, if one works."""
    for name in ("docker", "podman", *(["buildah"] if BASE_IMAGE else [])):
        if shutil.which(name) and subprocess.run([name, "info"], capture_output=True, check=False).returncode == 0:
            return name
    return None


@pytest.mark.skipif(builder() is None, reason="neither docker nor podman works here, nor buildah with a base image")
def test_an_image_answers_who_has_a_key(aml: Aml, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "bentoml"))
    aml("init", "demo")
    demo = tmp_path / "project" / "demo"
    aml("run", cwd=demo)
    base = [f"deployment.base_image={BASE_IMAGE}"] if BASE_IMAGE else []
    tag = aml("deploy", "wine", "deployment.auth=key", *base, "--json", cwd=demo).json["tag"]
    key = aml("keys", "wine", "--json", cwd=demo).json["primary"]
    keys = tmp_path / "keys"
    keys.mkdir()
    shutil.copy(demo / ".amlcore" / "keys" / "wine.json", keys)
    (keys / "wine.json").chmod(0o644)  # the image's user is not the one who runs this
    tool, image = str(builder()), f"localhost/amlcore-test:{tag.partition(':')[2]}"
    bentoml = str(Path(sys.executable).parent / "bentoml")
    options = ["--opt", "isolation=chroot", "--opt", "network=host"] if tool == "buildah" else []
    subprocess.run([bentoml, "containerize", tag, "--backend", tool, *options, "--image-tag", image], check=True)
    try:
        with running(tool, image, keys) as port:
            assert ask(port, key)["predictions"] == [2]
            with pytest.raises(urllib.error.HTTPError, match="401"):
                ask(port, "another")
            (keys / "wine.json").unlink()
            (keys / "wine.json").write_text(json.dumps({"primary": "a-new-primary-key", "secondary": key}))
            (keys / "wine.json").chmod(0o644)
            time.sleep(1)
            assert ask(port, "a-new-primary-key")["predictions"] == [2]
    finally:
        subprocess.run([tool, "rmi", "--force", image], check=False, capture_output=True)


@contextmanager
def running(tool: str, image: str, keys: Path) -> Iterator[int]:
    """The port of a container of `image` that has the folder `keys`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    given = ["--volume", f"{keys}:/keys:ro", "--env", "AMLCORE_SERVICE_KEYS=/keys/wine.json"]
    if tool != "buildah":
        run = [tool, "run", "--rm", "--detach", *given, "--publish", f"127.0.0.1:{port}:3000", image]
        container = subprocess.run(run, check=True, capture_output=True, text=True).stdout.strip()
        try:
            yield port
        finally:
            subprocess.run([tool, "stop", container], check=False, capture_output=True)
        return
    container = subprocess.run([tool, "from", image], check=True, capture_output=True, text=True).stdout.strip()
    served = subprocess.Popen(
        [tool, "run", *CHROOT, *given, container, "--", ENTRY, "serve", "--port", str(port)], start_new_session=True
    )
    try:
        yield port
    finally:
        # a chroot is no namespace: what it has started outlives the one that was told to end
        started = [identity(pid) for pid in with_children(served.pid)]
        served.send_signal(signal.SIGTERM)
        served.wait(60)
        for process in started:
            if is_alive(process):
                os.kill(process["pid"], signal.SIGKILL)
        subprocess.run([tool, "rm", container], check=False, capture_output=True)


def with_children(pid: int) -> list[int]:
    """A process, its children and theirs."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [
        pid,
        *(below for task in tasks for child in task.read_text().split() for below in with_children(int(child))),
    ]


def ask(port: int, key: str) -> dict[str, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/predict",
        data=json.dumps({"data": [ROW]}).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
    )
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(request) as response:
                found: dict[str, Any] = json.load(response)
                return found
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise
        except OSError:
            pass
        time.sleep(0.5)
    raise AssertionError("the image does not answer")
