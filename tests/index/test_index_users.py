"""Filters in a workspace that several users share: each has an index of their own, of what they may read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.run_records import write_run
from tests.support.users import GROUP, User, group_workspace, unable

pytestmark = pytest.mark.skipif(bool(unable()), reason=unable())
ANNA, BEN = User(41001), User(41002)


def _belongs(folder: Path, user: User, *, mode: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user.uid, GROUP)
    folder.chmod(mode)


def test_a_private_run_is_found_by_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    root = group_workspace(tmp_path / "group")
    for number, user in enumerate((ANNA, BEN)):
        _belongs(write_run(root, number, user=f"user{number}", metrics={"m": number}), user, mode=0o2755)
    private = write_run(root, 5, user="user0", metrics={"m": 5})
    _belongs(private, ANNA, mode=0o700)

    for _ in range(2):  # read, and from the index
        own, others = ANNA.aml(root, "runs", "m >= 0", "--json"), BEN.aml(root, "runs", "m >= 0", "--json")

        assert [row["metrics"]["m"] for row in own.json] == [5, 1, 0]
        assert own.err == ""
        assert [row["metrics"]["m"] for row in others.json] == [1, 0]
        assert others.err.startswith("aml: warning: skipping a run: ")
        assert private.name in others.err
    assert not list(root.rglob("*.sqlite"))
    for user in (ANNA, BEN):
        (path,) = (tmp_path / f"home-{user.uid}").rglob("*.sqlite")
        assert path.stat().st_mode & 0o077 == 0
