"""Which address a service listens on, who may stop it, and that no reader of its log can block it."""

from __future__ import annotations

import json
import os
import pwd
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from amlcore.errors import DeploymentError, RequestError
from amlcore.serving.address import check_port, find_address
from amlcore.serving.keys import ServiceKeys
from amlcore.serving.processes import check_replaceable, stop
from amlcore.serving.runtime.http.access_log import AccessLog
from amlcore.serving.runtime.http.request_log import LoggedRequest
from amlcore.worker.files import write_json
from amlcore.worker.process_identity import identity
from tests.support.serving_models import iris, packaged


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"), ("::1", "::1"), ("[::1]", "::1"), ("0.0.0.0", "0.0.0.0")],
)
def test_the_address_of_a_host(host: str, address: str) -> None:
    assert find_address(host, 3000) == address


@pytest.mark.parametrize("host", ["no such host", "", "256.1.1.1.1", "a" * 300, "::1::"])
def test_an_invalid_host_is_one_message(host: str) -> None:
    with pytest.raises(RequestError, match="--host"):
        check_port(find_address(host, 3000) if host else "198.51.100.1", 3000)


def test_a_taken_port_is_told_from_an_address_that_is_not_here() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(RequestError, match=f"--port {port} on 127.0.0.1: Address already in use"):
            check_port("127.0.0.1", port)
    with pytest.raises(RequestError, match=r"--host 198\.51\.100\.1: this machine does not have that address"):
        check_port("198.51.100.1", 3000)
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        free = probe.getsockname()[1]
    check_port("::1", free)


def test_keys_that_are_replaced_at_once_never_come_back(tmp_path: Path) -> None:
    keys = ServiceKeys.of(tmp_path, "flowers")
    before = keys.read()
    both = [
        threading.Thread(target=ServiceKeys(keys.path).regenerate, args=(which,)) for which in before for _ in range(8)
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert not set(before.values()) & set(keys.read().values())


def test_two_processes_that_replace_keys_wait_for_each_other(tmp_path: Path) -> None:
    keys = ServiceKeys.of(tmp_path, "flowers")
    before = keys.read()
    code = "import sys; from pathlib import Path; from amlcore.serving.keys import ServiceKeys\n"
    code += "for _ in range(50): ServiceKeys(Path(sys.argv[1])).regenerate(sys.argv[2]); sys.stdout.write('.')\n"
    ended = [subprocess.Popen([sys.executable, "-c", code, str(keys.path), which], stdout=-3) for which in before]
    assert [process.wait() for process in ended] == [0, 0]
    assert not set(before.values()) & set(keys.read().values())


def test_a_reader_that_stands_still_loses_lines_and_holds_up_nobody() -> None:
    reads, writes = os.pipe2(os.O_NONBLOCK)
    log = AccessLog(writes)
    scope = {"client": ("127.0.0.1", 1), "method": "POST", "path": "/predict"}
    note = LoggedRequest("predict", 200, 0.001, "id", scope, 1, 1)
    for _ in range(1000):
        log.write([note] * 20)
    text = os.read(reads, 1 << 20)
    log.write([note])
    lines = [json.loads(line) for line in (text + os.read(reads, 1 << 20)).splitlines()]
    dropped = [line["dropped"] for line in lines if "dropped" in line]
    assert dropped
    assert len(lines) - len(dropped) + sum(dropped) == 20_001
    os.close(reads)
    os.close(writes)


NEVER_WAITS = """
import logging, sys
from amlcore.serving.runtime.http.streams import never_wait
logging.basicConfig(stream=sys.stderr)
never_wait()
for _ in range(2000):
    print("x" * 1000)
    sys.stderr.write("y" * 1000)
    logging.error("z" * 1000)
open(sys.argv[1], "w").close()
"""


def test_output_of_a_worker_does_not_wait_for_a_reader(tmp_path: Path) -> None:
    """Two megabytes go into pipes that nobody reads, whoever else shares them stays as it was."""
    reads, writes = os.pipe()
    command = [sys.executable, "-c", NEVER_WAITS, str(tmp_path / "done")]
    subprocess.run(command, stdout=writes, stderr=writes, timeout=200, check=True)
    assert (tmp_path / "done").exists()
    assert os.get_blocking(writes)
    os.close(reads)
    os.close(writes)


def test_a_path_that_raises_again_and_again_is_switched_off(tmp_path: Path) -> None:
    predictor = packaged(tmp_path, iris(), proven=False)
    asked = []

    class Raises:
        def score(self, *_: object, **__: object) -> None:
            asked.append(1)
            raise RuntimeError("broken")

    predictor._fast_paths = Raises()
    for _ in range(10):
        assert predictor.answer("predict", b'{"data": [[5.1, 3.5, 1.4, 0.2]]}')[0] == 200
    assert len(asked) == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_a_service_of_another_user_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "service"
    folder.mkdir()
    write_json(str(folder / "service.json"), {"name": "flowers", "process": identity(os.getpid())})
    for path in (tmp_path, *tmp_path.parents[:-2]):
        path.chmod(path.stat().st_mode | 0o055)
    stranger = pwd.getpwnam("nobody").pw_uid
    code = (
        "import os, sys; from pathlib import Path\n"
        "from amlcore.errors import DeploymentError\n"
        "from amlcore.serving.processes import check_replaceable, stop\n"
        "os.setuid(int(sys.argv[2]))\n"
        "for act in (stop, check_replaceable):\n"
        "    try: act(Path(sys.argv[1]))\n"
        "    except DeploymentError as error: print(error)\n"
    )
    command = [sys.executable, "-c", code, str(folder), str(stranger)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert said == ["service 'flowers' was started by root, and only they can stop it"] * 2
    assert (folder / "service.json").exists()
    check_replaceable(folder.parent / "none")
    write_json(str(folder / "service.json"), {"name": "x", "process": {**identity(1), "host": "elsewhere"}})
    with pytest.raises(DeploymentError, match="runs on elsewhere"):
        stop(folder)
