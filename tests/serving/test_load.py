"""A service under load: limits, keys, a graceful stop, and a worker that is killed; all on a real `bentoml serve`."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from amlcore.errors import DeploymentError
from amlcore.serving.deployment import Auth, Deployment
from amlcore.serving.keys import ServiceKeys
from amlcore.serving.launch import start
from amlcore.serving.runtime.http.request_log import MAX_OPEN
from tests.support.load import Outcome, ask, request
from tests.support.serving_models import LOCK, iris, package, register

pytestmark = pytest.mark.slow

PYTHON = Path(sys.executable)
SLEEPER = """
import time

import numpy as np


class Sleeper:
    '''Takes as many seconds as the first number says.'''

    n_features_in_ = 1

    def predict(self, rows):
        time.sleep(rows[0][0])
        return np.zeros(len(rows), dtype=int)
"""
ROW = b'{"data": [[5.1, 3.5, 1.4, 0.2]]}'


def sleeper(root, name, **deployment):
    """A Bento whose model takes its time, in a module that the model carries."""
    folder = root / "code"
    folder.mkdir(exist_ok=True)
    (folder / "sleeper.py").write_text(SLEEPER)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        import sleeper as module

        model = register(root, module.Sleeper(), name=name)
    (model.folder / "code" / "sleeper.py").write_text(SLEEPER)
    return package(model, Deployment(**deployment), serving_lock=LOCK)


@pytest.fixture(scope="module")
def guarded(root):
    """One worker that takes three requests at once, two seconds each, and wants a key."""
    bento = sleeper(root, "guarded", timeout_s=2.0, max_concurrency=3, max_body_mb=0.5, auth=Auth.key)
    keys = ServiceKeys.of(root, "guarded")
    service = start(bento, python=PYTHON, folder=root / "services" / "guarded", keys=keys)
    service.wait_for_deployment()
    yield service
    service.delete()


def base(service):
    return service.scoring_uri.removesuffix("/predict")


def post(service, seconds=0.0, *, key=None, body=None):
    headers = {"authorization": f"Bearer {key or service.get_keys()[0]}", "content-type": "application/json"}
    # a large one where it takes long, as with a real model: small ones are answered by the event loop itself
    content = json.dumps({"data": [[seconds]]}) + " " * (100_000 if seconds else 0) if body is None else body
    return httpx.post(service.scoring_uri, content=content, headers=headers, timeout=60)


def test_one_of_two_keys_is_wanted_and_kept_out_of_what_others_see(guarded):
    primary, secondary = guarded.get_keys()
    assert guarded.run([[0.0]])["predictions"] == [0]
    assert [post(guarded, key=key).status_code for key in (primary, secondary, "wrong")] == [200, 200, 401]
    for path, status in (("predict", 401), ("metrics", 401), ("docs.json", 401), ("", 401), ("livez", 200)):
        assert httpx.get(f"{base(guarded)}/{path}").status_code == status
    headers = {"authorization": f"Bearer {secondary}"}
    described = httpx.get(guarded.swagger_uri, headers=headers)
    assert described.json()["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    bento = next(path for path in (Path(os.environ["BENTOML_HOME"]) / "bentos" / "guarded").iterdir() if path.is_dir())
    seen = [path.read_text(errors="replace") for path in bento.rglob("*") if path.is_file()]
    for text in (guarded.get_logs(), described.text, *seen):
        assert primary not in text
        assert secondary not in text
    mine = [path for path in Path("/proc").glob("[0-9]*/environ") if holds(path, primary)]
    assert mine == []


def metrics(service):
    return httpx.get(f"{base(service)}/metrics", headers={"authorization": f"Bearer {service.get_keys()[1]}"}).text


def holds(path, text):
    with contextlib.suppress(OSError):
        return text.encode() in path.read_bytes()
    return False


def test_a_key_is_replaced_without_a_restart(guarded):
    before = guarded.get_keys()
    with pytest.raises(DeploymentError, match="no key 'third'"):
        guarded.regen_key("third")
    guarded.regen_key("Secondary")
    after = guarded.get_keys()
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)
    until = time.monotonic() + 20
    while post(guarded, key=before[1]).status_code != 401 and time.monotonic() < until:
        time.sleep(0.1)
    assert [post(guarded, key=key).status_code for key in (*after, before[1])] == [200, 200, 401]
    assert "Service guarded initialized" in guarded.get_logs()
    assert guarded.get_logs().count("Service guarded initialized") == 1


def test_a_service_packaged_with_keys_that_finds_none_does_not_start(root, guarded):
    from amlcore.serving.bento import find_bento

    service = start(find_bento("guarded"), python=PYTHON, folder=root / "services" / "keyless")
    try:
        with pytest.raises(DeploymentError, match="is Failed") as error:
            service.wait_for_deployment(timeout_s=60)
        assert "Traceback" not in service.get_logs()
    finally:
        service.delete()
    assert "AMLCORE_SERVICE_KEYS is not set. Start it with `aml serve guarded`" in str(error.value)


def test_health_is_answered_while_all_else_is_refused_or_late(guarded):
    with ThreadPoolExecutor(3) as pool:
        inside = [pool.submit(post, guarded, 1.2) for _ in range(3)]
        until = time.monotonic() + 10
        while "in_flight 3.0" not in metrics(guarded) and time.monotonic() < until:
            time.sleep(0.05)
        refused = post(guarded)
        health = httpx.get(f"{base(guarded)}/readyz")
        still_inside = not any(answer.done() for answer in inside)
        statuses = sorted(answer.result().status_code for answer in inside)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert (health.status_code, still_inside) == (200, True)
    # one thread works: the second of three begins after 1.2 s, and at 2 s both it and the third are late
    assert statuses == [200, 504, 504]


def test_a_large_body_is_refused(guarded):
    answer = post(guarded, body=b" " * 600_000)
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        413,
        "the body is larger than 500000 bytes, the limit of this service",
    )
    assert post(guarded, body=b'{"data": [[0.0]]}' + b" " * 400_000).status_code == 200


def test_headers_without_end_are_cut_off(guarded):
    """Before a request, behind the whole body of one, and behind one that was refused at once."""
    key = guarded.get_keys()[0]
    head = f"POST /predict HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
    chunked = f"{head}transfer-encoding: chunked\r\n\r\n1\r\n \r\n0\r\n"
    many = "a: b\r\n" * 5000
    assert sent_on(guarded, head, "x: " + "y" * 20_000, times=40).startswith(b"HTTP/1.1 431")
    assert sent_on(guarded, head, many, times=40).startswith(b"HTTP/1.1 431")
    assert sent_on(guarded, chunked, many, times=40) == b""
    refused = sent_on(guarded, chunked.replace(key, "wrong"), many, times=40)
    assert next(line for line in refused.splitlines() if b"HTTP/" in line) == b"HTTP/1.1 401 Unauthorized"
    assert guarded.run([[0.0]])["predictions"] == [0]


def sent_on(service, first, more, *, times):
    """What comes back until the connection is closed, for a start and `times` as much of the same."""
    received = b""
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        with contextlib.suppress(OSError):
            for part in (first, *[more] * times):
                connection.sendall(part.encode())
                time.sleep(0.002)
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(65536):
                received += part
    return received


def test_a_stop_finishes_what_was_begun(root):
    bento = sleeper(root, "graceful")
    service = start(bento, python=PYTHON, folder=root / "services" / "graceful")
    service.wait_for_deployment()
    record = json.loads((service.log.parent / "service.json").read_text())
    answers = []
    asking = threading.Thread(target=lambda: answers.append(httpx.post(service.scoring_uri, json={"data": [[2.0]]})))
    try:
        asking.start()
        time.sleep(0.7)
        os.kill(record["process"]["pid"], signal.SIGTERM)
        asking.join(30)
        assert [answer.status_code for answer in answers] == [200]
        until = time.monotonic() + 30
        while service.state != "Failed" and time.monotonic() < until:
            time.sleep(0.1)
        assert service.state == "Failed"
    finally:
        service.delete()


def test_a_changed_bentoml_gives_the_same_answers(root):
    """A `to_asgi` with one more parameter stands for a BentoML that was changed."""
    changed = root / "changed"
    changed.mkdir()
    (changed / "sitecustomize.py").write_text(
        "from _bentoml_sdk import Service\n"
        "original = Service.to_asgi\n"
        "Service.to_asgi = lambda self, is_main=True, more=None: original(self, is_main)\n"
    )
    bento = package(register(root, iris(), name="changed"), Deployment(auth=Auth.key), serving_lock=LOCK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(changed))
        keys = ServiceKeys.of(root, "changed")
        service = start(bento, python=PYTHON, folder=root / "services" / "changed", keys=keys)
    try:
        service.wait_for_deployment()
        assert "requests pass through its middleware first" in service.get_logs()
        assert service.run([[5.1, 3.5, 1.4, 0.2]])["predictions"] == [0]
        assert httpx.post(service.scoring_uri, json={"data": [[1]]}).status_code == 401
        headers = {"authorization": f"Bearer {service.get_keys()[1]}"}
        assert 'amlcore_requests_total{route="predict",status="200"} 1.0' in metrics(service)
        assert httpx.get(service.swagger_uri, headers=headers).status_code == 200
    finally:
        service.delete()


def workers(service):
    """The processes that answer, by their ids."""
    mark, found = f"AMLCORE_SERVICE={service.log.parent}".encode(), []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (path / "environ").read_bytes() and b"worker.service" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return found


def resident_bytes(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.timeout(240)
def test_a_minute_at_full_load_and_the_death_of_a_worker(root):
    """No error, no growth; what `kill -9` takes away is at most one request a connection."""
    model = register(root, iris(), name="soaked")
    service = start(
        package(model, Deployment(workers=2, cpu=2.0), serving_lock=LOCK),
        python=PYTHON,
        folder=root / "services" / "soaked",
    )
    outcome, connections, memory = Outcome(), 32, {}

    async def meanwhile(until):
        await asyncio.sleep(8)
        victim = workers(service)[0]
        os.kill(victim, signal.SIGKILL)
        while time.monotonic() < until - 2:
            await asyncio.sleep(2)
            for pid in set(workers(service)) - {victim}:
                memory.setdefault(pid, []).append(resident_bytes(pid))

    async def soak():
        until = time.monotonic() + 60
        loads = ask(service.port, request(ROW), until=until, outcome=outcome, connections=connections)
        await asyncio.gather(loads, meanwhile(until))

    try:
        service.wait_for_deployment()
        asyncio.run(soak())
        said = httpx.get(f"{base(service)}/metrics").text
    finally:
        service.delete()
    assert set(outcome.statuses) == {200}
    assert outcome.lost <= connections
    assert len(memory) == 2  # the one that lived, and the one that came for the one that died
    for values in memory.values():
        warm = values[len(values) // 3 :]
        assert max(warm) <= 1.05 * warm[0], values
    counted = said.partition('amlcore_predictions_total{label="0"} ')[2].split()[0]
    uncounted = outcome.statuses[200] - float(counted)  # more were counted where an answer was on its way when it died
    assert -connections <= uncounted <= MAX_OPEN
