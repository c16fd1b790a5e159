"""The trash: other filesystems and users, removals that break off, and people who are asked first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import users
from tests.support.called import called, ids
from tests.support.laid_runs import lay, lay_sweep, tree
from tests.support.pseudo_terminal import on_terminal
from tests.support.users import User, group_workspace


def test_outputs_on_another_filesystem_have_their_own_trash(project: Path) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == project.stat().st_dev:
        pytest.skip("this machine has one filesystem only")
    elsewhere = other / f"amlcore-{os.getpid()}"
    elsewhere.mkdir()
    try:
        (project / "outputs").symlink_to(elsewhere)
        run = lay(project, 1)
        called(project, "rm", run.name)
        assert ids(project) == []
        called(project, "rm", "--undo")
        assert ids(project) == [run.name]
        called(project, "rm", run.name, "--now")
        assert not [path for path in elsewhere.rglob("*") if path.is_file()]
    finally:
        subprocess.run(["rm", "-r", str(elsewhere)], check=True)


def test_a_removal_that_breaks_off_removes_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = lay_sweep(project, 1, trials=3)
    before, rename = tree(project / "outputs"), Path.rename

    def fail(path: Path, target: Path) -> Path:
        if path.name.endswith("_2") and "trash" in str(target):
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    assert "No space left" in called(project, "rm", sweep.name, status=1).err
    monkeypatch.undo()

    assert tree(project / "outputs") == before
    assert len(ids(project)) == 4
    assert called(project, "rm", "--undo", status=2).err == "aml: error: nothing to restore: the trash is empty\n"


def test_a_run_whose_folder_was_made_read_only_can_be_removed(project: Path) -> None:
    run = lay(project, 1, files={"outputs/x.txt": "x"})
    (run / "outputs").chmod(0o500)
    run.chmod(0o500)

    called(project, "rm", run.name, "--now")

    assert not [path for path in (project / ".amlcore/trash").rglob("*") if path.is_file()]


def test_a_run_is_not_restored_over_another_folder(project: Path) -> None:
    run = lay(project, 1)
    called(project, "rm", run.name)
    run.mkdir()
    (run / "late.txt").write_text("from a process that went on")

    assert f"{run} exists again; move it away first" in called(project, "rm", "--undo", status=2).err

    (run / "late.txt").rename(project / "late.txt")
    run.rmdir()
    called(project, "rm", "--undo")
    assert ids(project) == [run.name]


def test_a_run_that_is_being_submitted_holds_removals_up(project: Path) -> None:
    """Until the record of the new run refers to what it uses."""
    run = lay(project, 1)
    code = (
        "import sys, time; from pathlib import Path; from amlcore.record.usage_lock import in_use\n"
        "with in_use(Path(sys.argv[1])):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    user = subprocess.Popen(
        [sys.executable, "-c", code, str(project)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert user.stdin is not None
    assert user.stdout is not None
    assert user.stdout.readline() == "held\n"
    remover = subprocess.Popen(
        [sys.executable, "-m", "amlcore", "rm", run.name],
        cwd=project,
        stderr=subprocess.PIPE,
        text=True,
        stdout=subprocess.DEVNULL,
    )
    assert remover.stderr is not None
    assert "waiting for a process" in remover.stderr.readline()
    assert run.exists()

    user.stdin.close()

    assert remover.wait() == 0
    assert not run.exists()
    assert user.wait() == 0
    remover.stderr.close()
    user.stdout.close()


@pytest.mark.skipif(bool(users.unable()), reason=users.unable())
def test_the_runs_of_others_are_theirs_to_remove(tmp_path: Path) -> None:
    workspace = group_workspace(tmp_path / "workspace")
    runs = [lay(workspace, number) for number in (1, 2)]
    for path in (workspace / "outputs", *(workspace / "outputs").rglob("*")):
        os.chown(path, 42001, users.GROUP)
        path.chmod(0o2775 if path.is_dir() else 0o644)
    owner, other = User(42001, 0o022), User(42002, 0o077)

    said = other.aml(workspace, "rm", runs[0].name, status=2)
    assert f"run {runs[0].name} belongs to uid 42001; only they can remove it" in said.err

    owner.aml(workspace, "rm", runs[0].name)
    assert "the trash only holds runs of" in other.aml(workspace, "rm", "--undo", status=2).err
    assert "only they can restore it" in other.aml(workspace, "rm", "--undo", runs[0].name, status=2).err
    owner.aml(workspace, "rm", "--undo")
    assert len(other.aml(workspace, "runs", "--json").json) == 2


@pytest.mark.parametrize("words", [("--now", "RUN"), ("--where", "state = Completed")])
def test_people_are_asked_before_more_goes_than_they_named(words: tuple[str, ...], project: Path) -> None:
    run = lay(project, 1)
    rm = [sys.executable, "-m", "amlcore", "rm", *(run.name if word == "RUN" else word for word in words)]

    said = on_terminal(["sh", "-c", '"$@" || true', "sh", *rm], folder=project, columns=200, typed="n\n")
    assert "remove 1 run (0.0 MB)" in said
    assert "nothing was removed" in said
    assert run.exists()

    assert "[y/N]" not in on_terminal([*rm, "--dry-run"], folder=project)
    assert "[y/N]" not in on_terminal([*rm, "--yes"], folder=project)
    assert not run.exists()
