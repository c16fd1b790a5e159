"""Running services: a real `bentoml serve` on loopback, and real requests."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

from amlcore.errors import DeploymentError, NotFoundError
from amlcore.serving.deployment import Deployment
from amlcore.serving.launch import start
from amlcore.serving.service import Service, list_services
from tests.support.serving_models import LOCK, iris, mixed_pipeline, package, register

pytestmark = pytest.mark.slow

PYTHON = Path(sys.executable)


def processes(mark: str) -> list[str]:
    """The command lines of all processes whose environment or command line holds `mark`."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (path / "cmdline").read_bytes() + (path / "environ").read_bytes()
            if mark.encode() in words and path.name != str(os.getpid()):
                found.append((path / "cmdline").read_text().replace("\0", " "))
    return found


@pytest.fixture(scope="module")
def people(root):
    """A service of two workers for a pipeline over mixed columns."""
    estimator, frame = mixed_pipeline()
    resources = {"cpu": 2, "memory_in_gb": 0.5, "gpu": 0}
    model = register(root, estimator, name="people", version=3, frame=frame, resource_configuration=resources)
    bento = package(model, Deployment(), serving_lock=LOCK)
    service = start(bento, python=PYTHON, folder=root / "services" / "people")
    service.wait_for_deployment()
    yield service
    service.delete()


def test_rows_records_and_frames_answer_as_the_model(people):
    estimator, frame = mixed_pipeline()
    expected = estimator.predict(frame).tolist()
    assert people.run(frame)["predictions"] == expected
    body = json.dumps({"data": json.loads(frame.to_json(orient="values"))})
    assert people.run(frame.iloc[0])["predictions"] == expected[:1]
    assert people.run(body) == {"predictions": expected, "model": "people", "version": 3}
    answer = httpx.post(people.scoring_uri + "_proba", json={"data": json.loads(frame.to_json(orient="records"))})
    np.testing.assert_array_equal(answer.json()["probabilities"], estimator.predict_proba(frame))
    assert answer.json()["classes"] == ["no", "yes"]


def test_a_bad_request_is_a_client_error_over_http(people):
    answer = httpx.post(people.scoring_uri, json={"data": [{"age": "old", "class": 1, "port": "S", "alone": True}]})
    assert answer.status_code == 422
    assert answer.json()["error"]["column"] == "age"
    assert httpx.post(people.scoring_uri, content=b"{").status_code == 400
    assert httpx.get(people.scoring_uri).status_code == 405
    with pytest.raises(DeploymentError, match="answered 422: row 0 has 1 value, but the model takes 4"):
        people.run([[1]])


def test_bentoml_routes_still_work(people):
    base = people.scoring_uri.removesuffix("/predict")
    assert [httpx.get(f"{base}/{path}").status_code for path in ("readyz", "livez", "metrics", "")] == [200] * 4
    page = httpx.get(base)
    assert "://" not in page.text
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for loaded in re.findall(r'(?:src|href)="\./([^"]+)"', page.text):
        assert httpx.get(f"{base}/{loaded}").status_code == 200
    described = httpx.get(people.swagger_uri).json()
    for path in ("/predict", "/predict_proba"):
        post = described["paths"][path]["post"]
        examples = post["requestBody"]["content"]["application/json"]["examples"]
        assert set(examples) == {"records", "rows", "one row, and the method", "columns"}
        for example in examples.values():
            assert httpx.post(base + path, json=example["value"]).status_code == 200
        assert set(post["responses"]) == {"200", "400", "408", "413", "415", "422", "429", "500", "504"}


def test_bentomls_own_client_gets_the_same_answer(people):
    """In a process of its own: BentoML's imports warn, and warnings are errors here."""
    row = {"age": 40, "class": 1, "port": "S", "alone": True}
    script = (
        "import json, sys, bentoml\n"
        "with bentoml.SyncHTTPClient(sys.argv[1]) as client:\n"
        "    print(json.dumps(client.predict(data=json.loads(sys.argv[2]))))"
    )
    base = people.scoring_uri.removesuffix("/predict")
    done = subprocess.run([PYTHON, "-c", script, base, json.dumps([row])], check=True, stdout=subprocess.PIPE)
    assert json.loads(done.stdout) == people.run([row])


def test_workers_and_threads_are_those_of_the_bento(people):
    workers = [line for line in processes(f"AMLCORE_SERVICE={people.log.parent}") if "worker.service" in line]
    assert len(workers) == 2
    assert len(processes("OMP_NUM_THREADS=1\0")) >= 2


def test_the_supervisor_loads_no_model(people):
    """Nor what it needs: a library that is loaded shows in proc(5)'s maps."""
    mark = f"AMLCORE_SERVICE={people.log.parent}".encode()
    loaded = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (path / "environ").read_bytes():
                is_worker = b"worker.service" in (path / "cmdline").read_bytes()
                loaded.setdefault(is_worker, set()).add("/sklearn/" in (path / "maps").read_text())
    assert loaded == {True: {True}, False: {False}}


def test_another_process_finds_stops_and_forgets_a_service(root):
    model = register(root, iris(), name="flowers")
    bento = package(model, Deployment(), serving_lock=LOCK)
    folder = root / "services" / "flowers"
    start(bento, python=PYTHON, folder=folder).wait_for_deployment()
    reopened = Service(folder)
    assert (reopened.state, reopened.bento) == ("Healthy", bento.tag)
    assert "flowers" in [service.name for service in list_services(folder.parent)]
    assert reopened.run([[5.1, 3.5, 1.4, 0.2]])["predictions"] == [0]
    assert httpx.post(reopened.scoring_uri + "_proba", json={"data": [[1, 2, 3, 4]]}).status_code == 404
    assert "/predict_proba" not in httpx.get(reopened.swagger_uri).json()["paths"]
    assert "POST" in reopened.get_logs()

    script = (
        f"from amlcore.serving.service import Service; Service(__import__('pathlib').Path({str(folder)!r})).delete()"
    )
    subprocess.run([PYTHON, "-c", script], check=True)
    assert not folder.exists()
    assert processes(f"AMLCORE_SERVICE={folder}") == []
    assert reopened.state == "Failed"
    with pytest.raises(NotFoundError, match="no service 'flowers'"):
        Service(folder)


def test_starting_again_replaces_and_a_killed_supervisor_leaves_nothing(root):
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import LinearRegression

    data, target = load_diabetes(return_X_y=True)
    line = LinearRegression().fit(data, target)
    bento = package(register(root, line, name="diabetes"), Deployment(), serving_lock=LOCK)
    folder = root / "services" / "diabetes"
    start(bento, python=PYTHON, folder=folder)
    service = start(bento, python=PYTHON, folder=folder)
    service.wait_for_deployment()
    assert service.run(data[:3])["predictions"] == line.predict(data[:3]).tolist()
    assert service.run([[1e308] * 10])["predictions"] == [None]  # as the model says, which JSON has no word for
    assert "RuntimeWarning" not in service.get_logs()
    record = json.loads((folder / "service.json").read_text())
    os.kill(record["process"]["pid"], signal.SIGKILL)
    service.delete()
    assert processes(f"AMLCORE_SERVICE={folder}") == []
    with pytest.raises(DeploymentError, match="does not answer: it is Failed"):
        service.run(data[:3])


def failed(bento, folder):
    service = start(bento, python=PYTHON, folder=folder)
    try:
        with pytest.raises(DeploymentError, match="is Failed; the end of") as error:
            service.wait_for_deployment(timeout_s=60)
        log = service.get_logs()
    finally:
        service.delete()
    assert "Traceback" not in log
    assert processes(f"AMLCORE_SERVICE={folder}") == []
    return str(error.value)


def test_a_model_that_must_not_be_served_is_one_message(root):
    model = register(root, iris(), name="spoilt")
    bento = package(model, Deployment(), serving_lock=LOCK)
    source = bento.path / "src"

    settings = json.loads((source / "service.json").read_text())
    (source / "service.json").write_text(json.dumps({**settings, "scikit_learn": "1.2.2"}))
    assert "environment: aml serve spoilt" in failed(bento, root / "services" / "spoilt")
    (source / "service.json").write_text(json.dumps(settings))

    file = source / "model" / "files" / "model.joblib"
    file.chmod(0o644)
    file.write_bytes(file.read_bytes() + b" ")
    assert "is not the file that was registered" in failed(bento, root / "services" / "spoilt")


def test_a_model_that_does_not_load_stops_the_service(root):
    """Its class is in no module that the Bento carries: only the worker, which loads it, can find out."""
    folder = root / "lost"
    folder.mkdir()
    (folder / "lost_module.py").write_text("class Lost:\n    def predict(self, rows):\n        return rows\n")
    sys.path.insert(0, str(folder))
    try:
        import lost_module

        model = register(root, lost_module.Lost(), name="lost")
    finally:
        sys.path.remove(str(folder))
    message = failed(package(model, Deployment(), serving_lock=LOCK), root / "services" / "lost")
    assert "lost:1 cannot be loaded: ModuleNotFoundError: No module named 'lost_module'" in message

    shutil.copy(folder / "lost_module.py", model.folder / "code")
    service = start(package(model, Deployment(), serving_lock=LOCK), python=PYTHON, folder=root / "services" / "lost")
    service.wait_for_deployment()
    assert service.run([[1, 2]])["predictions"] == [[1.0, 2.0]]
    service.delete()


def test_plain_bentoml_serves_it_by_tag_and_as_a_folder(root, tmp_path):
    """In a folder whose modules have the names of the service's own."""
    bento = package(register(root, iris(), name="plain"), Deployment(), serving_lock=LOCK)
    for name in ("app.py", "service.py", "model.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong module')\n")
    command = str(PYTHON.parent / "bentoml")
    for where, what in ((tmp_path, bento.tag), (bento.path, ".")):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        arguments = [command, "serve", what, "--host", "127.0.0.1", "--port", str(port)]
        with subprocess.Popen(arguments, cwd=where, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            try:
                assert answer(port) == [0]
            finally:
                server.send_signal(signal.SIGINT)
                server.wait(30)
    assert processes(bento.tag) == []


def answer(port):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with contextlib.suppress(httpx.TransportError):
            return httpx.post(f"http://127.0.0.1:{port}/predict", json={"data": [5.1, 3.5, 1.4, 0.2]}).json()[
                "predictions"
            ]
        time.sleep(0.1)
    raise AssertionError("no answer within 60 s")


def test_the_foreground_ends_with_its_children(root):
    """As `aml serve` becomes it; Ctrl-C stops it."""
    bento = package(register(root, iris(), name="front"), Deployment(), serving_lock=LOCK)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = (
        "import sys; from pathlib import Path; from amlcore.serving.bento import find_bento; "
        "from amlcore.serving.launch import serve_in_foreground; "
        f"serve_in_foreground(find_bento('front'), python=Path(sys.executable), port={port})"
    )
    with subprocess.Popen([PYTHON, "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            assert answer(port) == [0]
        finally:
            server.send_signal(signal.SIGINT)
            assert server.wait(30) == 0
    assert processes(str(bento.path)) == []
