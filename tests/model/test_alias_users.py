"""Aliases in a workspace that several users share, whatever their umasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.model_records import add_version
from tests.support.users import User, group_workspace, unable

pytestmark = pytest.mark.skipif(bool(unable()), reason=unable())
ANNA, BEN = User(41001, umask=0o077), User(41002)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace of a group, with three versions of a model that belong to root."""
    root = group_workspace(tmp_path / "group")
    for accuracy in (0.5, 0.6, 0.7):
        add_version(root, metrics={"accuracy": accuracy})
    return root


def test_everyone_in_the_group_moves_aliases_and_the_log_names_them(workspace: Path) -> None:
    ANNA.aml(workspace, "alias", "wine@champion", "1", "--why", "by Anna")
    BEN.aml(workspace, "promote", "wine:2", "--to", "champion", "--if", "accuracy > champion.accuracy")
    ANNA.aml(workspace, "alias", "wine@champion", "3")

    events = BEN.aml(workspace, "models", "log", "wine", "--json").json

    moves = [event for event in events if event["event"] == "alias set"]
    assert [(move["previous"], move["version"]) for move in moves] == [(None, 1), (1, 2), (2, 3)]
    assert moves[0]["by"] != moves[1]["by"]
    assert moves[0]["by"] == moves[2]["by"]
    assert BEN.aml(workspace, "alias", "wine@champion").out == "wine:3\n"


def test_a_version_is_removed_by_its_owner_alone(workspace: Path) -> None:
    message = BEN.aml(workspace, "models", "rm", "wine:1", status=2).err
    assert "wine:1 belongs to root, and you may not write to" in message
    assert (workspace / "models/wine/1/model.json").exists()


def test_who_may_not_write_reads_the_aliases_and_is_told(workspace: Path) -> None:
    ANNA.aml(workspace, "alias", "wine@champion", "1")
    (workspace / "models/wine/aliases").chmod(0o555)

    assert BEN.aml(workspace, "models", "show", "wine@champion", "--json").json["version"] == 1
    message = BEN.aml(workspace, "alias", "wine@champion", "2", status=2).err
    assert "the log of model 'wine' is in" in message
    assert "cannot be written: Permission denied" in message
