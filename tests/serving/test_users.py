"""A service of another user: served if its files are readable, otherwise refused with one message at the start."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ports import free_ports
from tests.support.serving_models import iris, register
from tests.support.users import GROUP, User, group_workspace, unable

pytestmark = pytest.mark.skipif(bool(unable()), reason=unable())

OWNER, OTHER = 41101, 41102


@pytest.fixture(scope="module")
def workspace() -> Iterator[Path]:
    """A group's workspace with a model a service."""
    base = Path(tempfile.mkdtemp(prefix="amlcore-test-users-"))  # below a folder that everybody may enter
    base.chmod(0o755)
    root = group_workspace(base / "workspace")
    for name in ("open", "private", "guarded"):
        register(root, iris(), name=name)
        (root / f"store-{name}").mkdir()
        os.chown(root / f"store-{name}", OWNER, GROUP)
    subprocess.run(["chgrp", "-R", str(GROUP), root / "models"], check=True)
    yield root
    shutil.rmtree(base)


def users(workspace: Path, name: str, *, umask: int = 0o022) -> tuple[User, User]:
    """The owner of a store and somebody else, who both name it in BENTOML_HOME."""
    return tuple(User(uid, umask, workspace / f"store-{name}") for uid in (OWNER, OTHER))  # type: ignore[return-value]


def test_a_bento_of_another_user_can_be_served(workspace: Path) -> None:
    owner, other = users(workspace, "open")
    owner.aml(workspace, "deploy", "open")
    (port,) = free_ports(1)
    command = other.command(workspace, "serve", "open", "--port", port)
    service = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert ask(service, port)["predictions"] == [0]
    finally:
        service.send_signal(signal.SIGTERM)
        output = service.communicate(timeout=60)[0]
    assert "Traceback" not in output

    refused = other.aml(workspace, "deploy", "open", status=2)
    assert f"store-open/bentos/open belongs to uid {OWNER} and you cannot write to it; set BENTOML_HOME" in refused.err


def ask(service: subprocess.Popen[str], port: str) -> dict[str, list[int]]:
    """The answer of a service as soon as it gives one."""
    until = time.monotonic() + 120
    url = f"http://127.0.0.1:{port}/predict"
    request = urllib.request.Request(url, b'{"data": [[5.1, 3.5, 1.4, 0.2]]}', {"Content-Type": "application/json"})
    while time.monotonic() < until and service.poll() is None:
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                answer: dict[str, list[int]] = json.load(response)
                return answer
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"the service gave no answer; exit status {service.poll()}")


def test_a_bento_that_only_its_owner_may_read_is_refused(workspace: Path) -> None:
    owner, _ = users(workspace, "private", umask=0o077)
    _, other = users(workspace, "private")
    owner.aml(workspace, "deploy", "private")
    for arguments in (("serve", "private"), ("serve", "private:1"), ("keys", "private")):
        refused = other.aml(workspace, *arguments, status=2)
        assert f"belongs to uid {OWNER} and you cannot read it; ask them for access" in refused.err
        assert "aml: serving" not in refused.err


def test_a_service_whose_keys_belong_to_another_user_is_refused(workspace: Path) -> None:
    owner, other = users(workspace, "guarded")
    owner.aml(workspace, "deploy", "guarded", "deployment.auth=key")
    owner.aml(workspace, "keys", "guarded")
    for verb in ("serve", "keys"):
        refused = other.aml(workspace, verb, "guarded", status=2)
        assert f"guarded.json belongs to uid {OWNER}, and only they may read the service's keys" in refused.err
        assert "aml: serving" not in refused.err
