"""A service does what its OpenAPI document says: schemathesis and BentoML's own client on a real `bentoml serve`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from amlcore.serving.deployment import Auth, Deployment
from amlcore.serving.keys import ServiceKeys
from amlcore.serving.launch import start
from tests.support.serving_models import LOCK, iris, mixed_pipeline, package, register

pytestmark = pytest.mark.slow

PYTHON = Path(sys.executable)


@pytest.fixture(scope="module", params=["mixed", "iris"])
def service(root, request):
    """One with named columns of several types behind a key, and one that takes an array and no key."""
    estimator, frame = mixed_pipeline() if request.param == "mixed" else (iris(), None)
    model = register(root, estimator, name=request.param, frame=frame)
    auth = Auth.key if frame is not None else Auth.none
    bento = package(model, Deployment(auth=auth, max_body_mb=1.0), serving_lock=LOCK)
    keys = ServiceKeys.of(root, request.param) if auth is Auth.key else None
    service = start(bento, python=PYTHON, folder=root / "services" / request.param, keys=keys)
    service.wait_for_deployment()
    yield service
    service.delete()


def headers(service):
    return {"Authorization": f"Bearer {service.get_keys()[0]}"} if service.auth_enabled else {}


def test_schemathesis_finds_nothing(service, tmp_path):
    given = [word for name, value in headers(service).items() for word in ("--header", f"{name}: {value}")]
    command = [PYTHON.parent / "st", "run", service.swagger_uri, *given]
    options = ["--checks", "all", "--max-examples", "30", "--seed", "1", "--generation-deterministic", "--no-color"]
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(
        [*command, *options], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    assert "Traceback" not in service.get_logs()


def test_bentomls_own_client_sends_the_key_and_gets_the_models_answer(service):
    """In a process of its own: BentoML's imports warn, and warnings are errors here."""
    described = httpx.get(service.swagger_uri, headers=headers(service)).json()
    content = described["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    example = content["examples"]["rows"]["value"] if "examples" in content else {"data": [[5.1, 3.5, 1.4, 0.2]]}
    script = (
        "import json, sys, bentoml\n"
        "with bentoml.SyncHTTPClient(sys.argv[1], token=sys.argv[2] or None) as client:\n"
        "    print(json.dumps(client.predict(**json.loads(sys.argv[3]))))"
    )
    base = service.scoring_uri.removesuffix("/predict")
    key = service.get_keys()[0] if service.auth_enabled else ""
    done = subprocess.run([PYTHON, "-c", script, base, key, json.dumps(example)], check=True, stdout=subprocess.PIPE)
    assert json.loads(done.stdout) == service.run(example)
