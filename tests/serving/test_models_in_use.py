"""Services found by an alias of their model, and versions that a service keeps from being removed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml

from amlcore.cli.main import main
from amlcore.errors import NotFoundError
from amlcore.model.aliases import set_alias
from amlcore.model.folders import versions
from amlcore.serving.find import find_service
from amlcore.worker.files import write_json
from amlcore.worker.process_identity import identity
from amlcore.workspace import Workspace
from tests.support.model_records import CONTENT, add_version


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with three versions of a model, of which the first two are packaged; it is the working folder."""
    (tmp_path / ".amlcore").mkdir()
    (tmp_path / ".amlcore/config.json").write_text('{"workspace_name": "here"}')
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    for _ in range(3):
        add_version(tmp_path)
    for service, tag, version in (("wine", "aaa", 1), ("wine", "bbb", 2), ("wine-api", "ccc", 2), ("api", "ddd", 1)):
        _package(tmp_path, service, tag, version)
    return tmp_path


def _package(root: Path, service: str, tag: str, version: int) -> None:
    """A Bento as the store lists it."""
    folder = root / "store/bentos" / service / tag
    folder.mkdir(parents=True)
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    labels = {"model": "wine", "model_version": str(version), "run": "", "sha256": sha256}
    about = {"name": service, "version": tag, "creation_time": f"2026-01-01T00:00:0{version}+00:00", "labels": labels}
    (folder / "bento.yaml").write_text(yaml.safe_dump(about))


def _found(root: Path, reference: str) -> str:
    return find_service(Workspace(root=str(root)), reference, log=lambda _: None).tag


def test_a_service_is_found_by_an_alias_of_its_model(root: Path) -> None:
    set_alias(root / "models", "wine", "champion", 1)
    assert _found(root, "wine@champion") == "wine:aaa"
    assert _found(root, "api@champion") == "api:ddd"  # by the name of the service
    set_alias(root / "models", "wine", "champion", 2)
    assert _found(root, "wine@champion") == "wine:bbb"
    set_alias(root / "models", "wine", "champion", 3)
    with pytest.raises(NotFoundError, match=r"means wine:3, .* package it with: aml deploy wine@champion"):
        _found(root, "wine@champion")
    with pytest.raises(NotFoundError, match="model 'wine' has no alias 'champoin'; did you mean 'champion'"):
        _found(root, "wine@champoin")
    with pytest.raises(NotFoundError, match="there is no model 'beer'"):
        _found(root, "beer@champion")


def test_a_version_that_is_packaged_or_served_is_not_removed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "rm", "wine:3", "wine:1"]) == 2
    message = capsys.readouterr().err
    assert (
        "wine:1 is packaged as api:ddd and wine:aaa" in message
        or "wine:1 is packaged as wine:aaa and api:ddd" in message
    )
    assert "bentoml delete wine:aaa" in message
    record = {"name": "live", "process": identity(), "bento": "wine:bbb", "port": 3000, "route": "/predict"}
    (root / ".amlcore/services/live").mkdir(parents=True)
    write_json(str(root / ".amlcore/services/live/service.json"), record)
    assert main(["models", "rm", "wine:2"]) == 2
    assert "wine:2 is what service 'live' serves" in capsys.readouterr().err
    assert versions(root / "models/wine") == [1, 2, 3]
    assert main(["models", "rm", "wine:3"]) == 0
