"""One workspace for a group of users: what each of them creates, sees and may do."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from amlcore.errors import DeploymentError
from amlcore.serving.keys import ServiceKeys
from tests.support import users
from tests.support.aml import until
from tests.support.users import GROUP, User, group_workspace

pytestmark = [pytest.mark.skipif(bool(users.unable()), reason=users.unable() or "-"), pytest.mark.timeout(600)]

ANNA, BEN, CLARA, DORA = User(41001, 0o002), User(41002, 0o002), User(41003, 0o022), User(41004, 0o077)
ALL = (ANNA, BEN, CLARA, DORA)
FIT = """
import os, pickle
from sklearn.tree import DecisionTreeClassifier
from amlcore import Run
os.makedirs("outputs/more")
open("outputs/more/notes.txt", "w").write("kept")
pickle.dump(DecisionTreeClassifier().fit([[0], [1]], [0, 1]), open("outputs/model.joblib", "wb"))
Run.get_context().log("accuracy", 1.0)
"""
WAITS = """
import os, sys, time
os.makedirs("outputs/more")
open("outputs/more/notes.txt", "w").write("kept")
while not os.path.exists(sys.argv[1]):
    time.sleep(0.02)
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = group_workspace(tmp_path_factory.mktemp("group") / "workspace")
    (root / "fit.py").write_text(FIT)
    (root / "waits.py").write_text(WAITS)
    return root


@pytest.fixture(scope="module")
def runs(workspace: Path) -> dict[User, Path]:
    """A run of each; the first is hers whose umask is the strictest, who so makes all that they share."""
    DORA.aml(workspace, "run", "waits.py", "environment=current", "--", ".")
    for user in (CLARA, ANNA):
        user.aml(workspace, "run", "fit.py", "environment=current", "experiment_name=waits")
    return {
        user: folder for folder in workspace.glob("outputs/*/*") for user in ALL if user.uid == folder.stat().st_uid
    }


def test_folders_of_a_shared_workspace_belong_to_the_group(workspace: Path, runs: dict[User, Path]) -> None:
    objects = workspace / ".amlcore/snapshots/objects"
    state = [objects, *objects.iterdir(), workspace / ".amlcore/slots", workspace / ".amlcore/queue"]
    for folder in (workspace / "outputs/waits", *state, runs[ANNA], runs[CLARA]):
        status = folder.stat()
        assert (status.st_gid, stat.S_IMODE(status.st_mode) & 0o2070) == (GROUP, 0o2070), folder
    assert stat.S_IMODE(runs[DORA].stat().st_mode) & 0o077 == 0  # as her umask says


def test_unreadable_runs_give_one_warning_in_every_verb(workspace: Path, runs: dict[User, Path]) -> None:
    listed = BEN.aml(workspace, "runs", "--json")
    assert {Path(one["folder"]) for one in listed.json} == {runs[ANNA], runs[CLARA]}
    (warning,) = listed.err.splitlines()
    assert warning.startswith(f"aml: warning: skipping a run: {runs[DORA]}/")
    assert "the run belongs to uid 41004, who has not given you access" in warning
    for verb in ("show", "wait"):
        said = BEN.aml(workspace, verb, "latest")
        # Of older runs than the one that is meant, nothing is read.
        assert {line for line in said.err.splitlines() if "warning" in line} <= {warning}
        assert f"uid {DORA.uid}" in BEN.aml(workspace, verb, runs[DORA].name, status=1).err


def test_a_colleagues_run_is_registered_and_all_see_the_model(workspace: Path, runs: dict[User, Path]) -> None:
    assert DORA.aml(workspace, "register", runs[ANNA].name, "--name", "tree").out == "tree:1\n"
    runs[CLARA].chmod(0o2755)
    said = BEN.aml(workspace, "register", runs[CLARA].name, "--name", "tree")
    assert said.out == "tree:2\n"
    assert f"does not name tree:2: it belongs to uid {CLARA.uid}" in said.err
    refused = BEN.aml(workspace, "register", runs[DORA].name, "--name", "tree", status=1)
    assert f"uid {DORA.uid}" in refused.err
    assert f"uid {DORA.uid}" in BEN.aml(workspace, "rerun", runs[DORA].name, status=1).err

    models = CLARA.aml(workspace, "models", "--json").json

    assert [(one["version"], one["run"]) for one in models] == [(2, runs[CLARA].name), (1, runs[ANNA].name)]
    assert not list((workspace / "models/tree").glob(".tmp-*"))


def test_an_unreadable_run_keeps_nobody_from_removing_others(workspace: Path, runs: dict[User, Path]) -> None:
    BEN.aml(workspace, "run", "waits.py", "environment=current", "experiment_name=bens", "--", ".")
    (own,) = workspace.glob("outputs/bens/*")
    for dry in (["--dry-run"], []):
        assert BEN.aml(workspace, "rm", own.name, *dry).out == f"{own.name}\n"
    assert not own.exists()
    for other in (DORA, ANNA):
        refusal = BEN.aml(workspace, "rm", runs[other].name, status=2).err
        assert f"belongs to {other.name}; only they can remove it" in refusal
    for words in (["archive", runs[DORA].name], ["note", runs[DORA].name, "mine"]):
        assert "who has not given you access" in BEN.aml(workspace, *words, status=1).err
    BEN.aml(workspace, "rm", "--undo")
    BEN.aml(workspace, "prune", "--what", "outputs", "--keep-best", "1", "--metric", "accuracy", "--dry-run")
    BEN.aml(workspace, "rm", own.name, "--now")


def test_keys_are_each_users_own_and_refused_to_others_before_anything_starts() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        state = group_workspace(Path(folder, "workspace")) / ".amlcore"
        with _as(ANNA):
            kept = ServiceKeys.of(state, "iris").read()
        with _as(BEN):
            assert ServiceKeys.of(state, "other").read() != kept
            with pytest.raises(DeploymentError, match="and only they may read the service's keys"):
                ServiceKeys.of(state, "iris").read()
            with pytest.raises(DeploymentError, match="and only they may read the service's keys"):
                ServiceKeys.of(state, "iris").regenerate("primary")
            with pytest.raises(PermissionError):  # neither can they be removed, and others put in their place
                ServiceKeys.of(state, "iris").path.unlink()
        with _as(ANNA):
            assert ServiceKeys.of(state, "iris").read() == kept


@contextmanager
def _as(user: User) -> Iterator[None]:
    os.setegid(GROUP)
    os.seteuid(user.uid)
    before = os.umask(user.umask)
    try:
        yield
    finally:
        os.umask(before)
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture
def left(workspace: Path) -> Iterator[Any]:
    """A run of Clara's whose driver was killed, and the file that lets its script end."""
    go = workspace / "go"
    CLARA.aml(workspace, "run", "waits.py", "environment=current", "experiment_name=left", "--detach", "--", str(go))
    (folder,) = until(lambda: [path.parents[2] for path in workspace.glob("outputs/left/*/attempts/1/claim.json")])
    until(lambda: '"Running"' in (folder / "state.json").read_text())
    os.kill(json.loads((folder / "driver.json").read_text())["pid"], signal.SIGKILL)
    yield folder, go
    go.touch()


def test_only_a_user_who_may_write_a_run_reconciles_it(workspace: Path, left: Any) -> None:
    folder, go = left
    for verb, status in (("cancel", 2), ("resume", 2)):
        said = BEN.aml(workspace, verb, folder.name, status=status)
        assert not (folder / "cancel.json").exists(), said
    waiting = subprocess.Popen(BEN.command(workspace, "wait", folder.name), stderr=subprocess.PIPE, text=True)
    assert waiting.stderr is not None
    line = waiting.stderr.readline()
    assert re.match(r"aml: Running( for \d+ s)?: its driver has exited; ", line)
    assert "uid 41003" in line

    go.touch()
    until((folder / "attempts/1/result.json").exists)
    (before,) = (one for one in BEN.aml(workspace, "runs", "--json").json if one["id"] == folder.name)
    assert before["state"] == "Running"
    (after,) = (one for one in CLARA.aml(workspace, "runs", "--json").json if one["id"] == folder.name)

    assert (after["state"], after["reason"]) == ("Completed", None)
    assert (folder / "outputs/more/notes.txt").read_text() == "kept"
    waiting.communicate(timeout=60)
    assert waiting.returncode == 0
