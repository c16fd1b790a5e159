"""Deployments, and the Bentos that are built from them."""

import json
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from amlcore.errors import DeploymentError, ModelError, NotFoundError
from amlcore.record.ownership import open_within
from amlcore.serving.bento import Bento, find_bento, list_bentos
from amlcore.serving.deployment import Deployment
from amlcore.serving.find import find_service
from amlcore.serving.service import Service
from amlcore.worker.process_identity import identity
from amlcore.workspace import Workspace
from tests.support.serving_models import LOCK, iris, package, register


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.mark.parametrize(
    ("name", "near"),
    [("Iris", "iris"), ("sk_iris", "sk-iris"), ("1st", None), ("ab", None), ("a" * 33, "a" * 32), ("iris-", "iris")],
)
def test_a_name_that_azure_would_refuse(name, near):
    with pytest.raises(DeploymentError, match="3 to 32 lower-case letters") as error:
        Deployment(name=name).check()
    assert near is None or f"deployment.name={near}" in str(error.value)
    with pytest.raises(DeploymentError, match=f"the model's name '{name}'"):
        Deployment().service_name(name)


@pytest.mark.parametrize("image", ["", "two words", "--platform=arm", "a\nRUN b"])
def test_a_base_image_is_the_name_of_one(image):
    with pytest.raises(DeploymentError, match="must be the name of an image"):
        Deployment(base_image=image).check()


def test_a_deployment_without_a_name_takes_the_models():
    assert Deployment().service_name("sklearn-iris") == "sklearn-iris"
    assert Deployment(name="other").service_name("Any_Model") == "other"


@pytest.mark.parametrize(
    ("deployment", "cpu", "expected"),
    [
        (Deployment(), None, (None, 1)),  # as many as the machine that serves it has room for
        (Deployment(), 0.1, (1, 1)),
        (Deployment(), 4.0, (4, 1)),
        (Deployment(threads=2), 5.0, (2, 2)),
        (Deployment(workers=2), 4.0, (2, 1)),
        (Deployment(cpu=3.0), 1.0, (3, 1)),
        (Deployment(workers=8, threads=2), None, (8, 2)),
    ],
)
def test_workers_times_threads_stay_within_the_cpu(deployment, cpu, expected):
    size = deployment.size(cpu=cpu, memory_in_gb=None)
    assert (size.workers, size.threads) == expected


def test_more_workers_than_cores_are_refused():
    with pytest.raises(DeploymentError, match=r"workers=3 times deployment.threads=1 is more than the 2\.5 cpu"):
        Deployment(workers=3).size(cpu=2.5, memory_in_gb=None)
    with pytest.raises(DeploymentError, match=r"1 cpu of deployment\.cpu; together they must be at most 1"):
        Deployment(cpu=1.0, workers=2).size(cpu=8, memory_in_gb=None)


@pytest.mark.parametrize("change", [{"workers": 0}, {"threads": -1}, {"timeout_s": 0.0}, {"max_body_mb": -1.0}])
def test_sizes_are_more_than_nothing(change):
    with pytest.raises(DeploymentError, match="must be more than 0"):
        Deployment(**change).check()


def test_the_shipped_option_says_every_default():
    shipped = yaml.safe_load((Path(__file__).parents[2] / "conf" / "deployment" / "bento.yaml").read_text())
    del shipped["defaults"]
    assert shipped == asdict(Deployment())


def test_a_bento_carries_the_model_its_lock_and_its_size(tmp_path, store, capfd):
    model = register(tmp_path, iris(), resource_configuration={"cpu": 2, "memory_in_gb": 0.5, "gpu": 0})
    deployment = Deployment(timeout_s=30.0, base_image="mirror.example.com:5000/python:3.11-slim")
    bento = package(model, deployment, serving_lock=LOCK + "bentoml==1.4.39\n")
    assert capfd.readouterr() == ("", "")
    assert bento.path.is_relative_to(store)
    assert (bento.name, bento.model) == ("sklearn-iris", "sklearn-iris:1")
    assert bento.serve_command == f"aml serve sklearn-iris:{bento.version}"

    about = yaml.safe_load((bento.path / "bento.yaml").read_text())
    config = about["services"][0]["config"]
    assert (config["workers"], config["resources"]) == (2, {"cpu": 2, "memory": "512Mi"})
    assert {"name": "OMP_NUM_THREADS", "value": "1", "stage": "all"} in about["envs"]
    assert about["labels"]["run"] == "iris_1"
    assert about["labels"]["sha256"] == json.loads((model.folder / "model.json").read_text())["sha256"]
    assert about["image"]["python_version"] == "3.11"
    dockerfile = (bento.path / "env" / "docker" / "Dockerfile").read_text()
    assert "FROM mirror.example.com:5000/python:3.11-slim AS" in dockerfile

    source = bento.path / "src"
    assert (source / "requirements.txt").read_text() == LOCK + "bentoml==1.4.39\n"
    for file in ("model.json", "files/model.joblib"):
        assert (source / "model" / file).read_bytes() == (model.folder / file).read_bytes()
    described = yaml.safe_load((bento.path / "apis" / "openapi.yaml").read_text())
    assert "422" in described["paths"]["/predict"]["post"]["responses"]


def test_each_packaging_is_a_new_version(tmp_path, store, monkeypatch):
    """Also where a notebook asks every program for colours."""
    for name in ("FORCE_COLOR", "CLICOLOR_FORCE", "PY_COLORS"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("COLUMNS", "10")
    model = register(tmp_path, iris())
    first, second = (package(model, Deployment(name="flowers"), serving_lock=LOCK) for _ in range(2))
    assert first.version != second.version
    assert find_bento("flowers") == find_bento("flowers:latest") == second
    assert find_bento(first.tag) == first
    assert list_bentos() == [second, first]
    assert [path.name for path in sorted((store / "bentos/flowers").glob("*/"))] == [first.version, second.version]
    with pytest.raises(NotFoundError, match="did you mean 'flowers'"):
        find_bento("flower")
    with pytest.raises(NotFoundError, match="no version 'x'"):
        find_bento("flowers:x")


def test_a_service_of_this_workspace_goes_before_others(tmp_path, store):
    model = register(tmp_path, iris(), name="iris")
    ours = package(model, Deployment(), serving_lock=LOCK)
    theirs = ours.path.with_name("zzzzzzzzzzzzzzzz")
    shutil.copytree(ours.path, theirs)
    about = yaml.safe_load((theirs / "bento.yaml").read_text())
    about |= {"version": theirs.name, "creation_time": "2999-01-01T00:00:00+00:00"}
    about["labels"]["run"] = "theirs"
    (theirs / "bento.yaml").write_text(yaml.safe_dump(about))
    said = []

    def found(root, reference):
        return find_service(Workspace(root=str(root)), reference, log=said.append).version

    assert (found(tmp_path, "iris"), found(tmp_path, "iris:latest"), said) == (ours.version, ours.version, [])
    assert found(tmp_path, f"iris:{theirs.name}") == theirs.name
    assert found(tmp_path, "iris:1") == ours.version  # the version of the model
    assert found(tmp_path / "elsewhere", "iris") == theirs.name
    assert (
        said
        == [f"note: iris:{theirs.name} belongs to another workspace: this one has no model iris:1 of run theirs"] * 2
    )
    shutil.rmtree(ours.path)
    with pytest.raises(
        NotFoundError, match=f"not packaged; package it with: aml deploy iris; iris:{theirs.name} belongs"
    ):
        found(tmp_path, "iris")
    with pytest.raises(NotFoundError, match=r"model 'iris:1' is registered but not packaged; .* aml deploy iris:1$"):
        found(tmp_path, "iris:1")
    with pytest.raises(NotFoundError, match=f"no version '7'; model versions: 1; Bento versions: {theirs.name}$"):
        found(tmp_path, "iris:7")
    with pytest.raises(NotFoundError, match="there is no service 'iri'; did you mean 'iris'"):
        found(tmp_path, "iri")


@pytest.mark.parametrize("name", ["", ":1", "/x", "../x", "**", "[", "x\0"])
def test_a_name_that_no_service_can_have_is_not_found(name, store):
    (store / "bentos/iris/1").mkdir(parents=True)
    with pytest.raises(NotFoundError, match="there is no service"):
        find_bento(name)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "3", "labels: [model_version]", "{labels: {model_version: 1}}", "\0", "labels: null"]
)
def test_a_bento_that_cannot_be_read_is_passed_over(text, store):
    (store / "bentos/iris/1").mkdir(parents=True)
    (store / "bentos/iris/1/bento.yaml").write_text(text)
    assert list_bentos() == []


def test_a_store_without_a_home_is_one_message(monkeypatch):
    monkeypatch.delenv("BENTOML_HOME", raising=False)
    monkeypatch.setenv("HOME", "~")
    with pytest.raises(DeploymentError, match="BENTOML_HOME"):
        list_bentos()


def test_bentos_of_others_are_left_alone(tmp_path, store):
    source = tmp_path / "other"
    source.mkdir()
    (source / "other.py").write_text("import bentoml\n\n@bentoml.service\nclass Other:\n    pass\n")
    (source / "bentofile.yaml").write_text("{service: 'other:Other', python: {lock_packages: false}}")
    command = [sys.executable, "-m", "bentoml", "build", str(source), "-q"]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    assert list(store.glob("bentos/other/*"))
    assert list_bentos() == []


@pytest.mark.parametrize(
    ("methods", "route"), [(["predict", "transform"], "/predict"), (["transform", "fit_transform"], "/transform")]
)
def test_a_service_is_asked_at_the_route_that_answers(tmp_path, methods, route):
    (tmp_path / "src" / "model").mkdir(parents=True)
    (tmp_path / "src" / "model" / "model.json").write_text(json.dumps({"methods": methods}))
    bento = Bento("scaler", "1", tmp_path, "", {})
    assert bento.route == route
    record = {"name": "scaler", "process": identity(), "bento": "scaler:1", "port": 3000, "route": bento.route}
    (tmp_path / "service.json").write_text(json.dumps(record))
    assert Service(tmp_path).scoring_uri == f"http://127.0.0.1:3000{route}"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"python": "3.6.15"}, r"Python 3\.6\.15, but BentoML needs >=3\.9"),
        ({"framework": "Custom"}, "only ScikitLearn models"),
        ({"methods": ["fit_predict"]}, "has neither predict nor transform"),
        ({"name": "My_Model"}, "deployment.name=my-model"),
        ({"code_sha256": {"gone.py": "0"}}, r"gone\.py cannot be read"),
    ],
)
def test_a_model_that_cannot_be_served_is_not_packaged(tmp_path, store, changes, says):
    model = register(tmp_path, iris(), **changes)
    with pytest.raises((DeploymentError, ModelError), match=says):
        package(model, Deployment(), serving_lock=LOCK)
    assert not store.exists()


@pytest.mark.parametrize(
    ("modes", "store_mode", "expected"),
    [
        ({}, 0o755, 0o755),
        ({}, 0o700, 0o700),
        ({".": 0o700}, 0o755, 0o700),
        ({"models": 0o750}, 0o755, 0o750),
        ({"models/flowers": 0o701}, 0o775, 0o701),
        ({"models/flowers/1": 0o500}, 0o755, 0o700),
        ({".": 0o2770, "models": 0o2775}, 0o2775, 0o2770),
    ],
)
def test_a_bento_lets_in_nobody_who_may_not_read_its_model(tmp_path, store, modes, store_mode, expected):
    root = tmp_path / "workspace"
    model = register(root, iris(), name="flowers")
    for path in (root, *(path for path in root.rglob("*") if path.is_dir())):
        path.chmod(modes.get(str(path.relative_to(root)), 0o2775 if "." in modes and modes["."] & 0o2000 else 0o755))
    (store / "bentos/flowers").mkdir(parents=True)
    (store / "bentos/flowers").chmod(store_mode)

    bento = package(model, Deployment(), serving_lock=LOCK)

    assert oct(stat.S_IMODE(bento.path.stat().st_mode)) == oct(expected)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another group")
def test_a_group_that_does_not_own_the_workspace_counts_as_everybody(tmp_path):
    workspace, folder = tmp_path / "workspace", tmp_path / "store/version"
    folder.mkdir(parents=True)
    folder.parent.chmod(0o2775)
    workspace.mkdir()
    for group, mode, expected in ((0, 0o770, 0o2770), (41000, 0o770, 0o2700), (41000, 0o775, 0o2755)):
        os.chown(workspace, 0, group)
        workspace.chmod(mode)
        open_within(folder, [workspace])
        assert oct(stat.S_IMODE(folder.stat().st_mode)) == oct(expected)
    os.chown(folder.parent, 0, 41000)  # a store of the workspace's group
    folder.parent.chmod(0o2775)
    workspace.chmod(0o2770)
    open_within(folder, [workspace])
    assert (folder.stat().st_gid, oct(stat.S_IMODE(folder.stat().st_mode))) == (41000, oct(0o2770))


def test_the_lock_and_not_what_was_stated_decides_the_version(tmp_path, store):
    model = register(tmp_path, iris(), framework_version="0.19.1")
    bento = package(model, Deployment(), serving_lock=LOCK)
    settings = json.loads((bento.path / "src" / "service.json").read_text())
    assert LOCK.startswith(f"scikit-learn=={settings['scikit_learn']} ")
