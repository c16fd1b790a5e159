"""Keys of a service: a file of the workspace that only its owner can read, and the verb that shows them."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from amlcore.errors import DeploymentError
from amlcore.serving import keys as workspace_keys
from amlcore.serving.deployment import Auth, Deployment
from amlcore.serving.keys import ServiceKeys
from amlcore.serving.runtime.http.key_guard import VARIABLE, KeyGuard
from tests.support.serving_models import LOCK, iris, package, register


def test_keys_are_made_once_and_only_for_their_owner(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: ServiceKeys.of(tmp_path, "flowers").read(), range(16)))
    assert made == [made[0]] * 16
    assert made[0]["primary"] != made[0]["secondary"]
    assert min(map(len, made[0].values())) >= 32
    file = tmp_path / "keys" / "flowers.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [path.name for path in file.parent.iterdir()] == ["flowers.json"]


def test_one_key_is_replaced_and_the_other_stays(tmp_path):
    keys = ServiceKeys.of(tmp_path, "flowers")
    before = keys.read()
    keys.regenerate("primary")
    after = keys.read()
    assert (before["primary"] != after["primary"], before["secondary"] == after["secondary"]) == (True, True)
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    with pytest.raises(DeploymentError, match="no key 'tertiary'; did you mean 'primary'"):
        keys.regenerate("tertiary")


@pytest.mark.parametrize("text", ["[]", '{"primary": "p"}', '{"primary": 1, "secondary": 2}'])
def test_a_file_that_holds_no_keys_is_named(tmp_path, text):
    keys = ServiceKeys.of(tmp_path, "flowers")
    keys.path.write_text(text)
    with pytest.raises(DeploymentError, match=r"flowers\.json does not contain keys"):
        keys.read()


def test_the_service_reads_the_key_file_of_the_workspace(tmp_path):
    keys = ServiceKeys.of(tmp_path, "flowers")
    served = KeyGuard.of("flowers", {VARIABLE: str(keys.path)})
    for key in keys.read().values():
        assert served.admit(f"Bearer {key}".encode())
    assert not served.admit(None)


@pytest.mark.slow
def test_aml_keys_shows_and_replaces_them(project, aml, tmp_path, monkeypatch):
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "bentoml"))
    bento = package(register(tmp_path, iris(), name="flowers"), Deployment(auth=Auth.key), serving_lock=LOCK)
    shown = aml("keys", "flowers", "--json").json
    assert shown["file"] == str(project / ".amlcore/keys/flowers.json")
    assert json.loads((project / ".amlcore/keys/flowers.json").read_text()) == {
        which: shown[which] for which in ("primary", "secondary")
    }
    renewed = aml("keys", "flowers", "--regenerate", "secondary")
    assert renewed.out.splitlines()[0] == f"primary {shown['primary']}"
    assert shown["secondary"] not in renewed.out
    assert "there is no service 'flower'; did you mean 'flowers'?" in aml("keys", "flower", status=2).err

    settings = bento.path / "src" / "service.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "auth": "none"}))
    assert "has no keys; package it with deployment.auth=key" in aml("keys", "flowers", status=2).err


def test_the_workspace_and_the_service_name_the_same_variable():
    """A Bento holds nothing of the workspace's side, so each has the name."""
    assert workspace_keys.VARIABLE == VARIABLE
