"""Synced files and folders survive a power cut; see tests/faults/power_cut.py."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from amlcore.worker import durable
from amlcore.worker.files import write_json
from tests.faults.power_cut import Disk, can_run

pytestmark = pytest.mark.skipif(bool(can_run()), reason=can_run())


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    disk = Disk(tmp_path_factory.mktemp("power"))
    with disk.mounted():
        yield disk


def _fill(top: Path, *, files: int) -> dict[str, str]:
    """Folders with files in them, some deep, and what lies among a script's outputs besides."""
    for number in range(files):
        path = top / f"{number % 3}" / "deep" / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{top.name} {number}\n" * 50)
    (top / "empty").mkdir()
    os.mkfifo(top / "pipe")  # nobody writes into it: a reader would wait for ever
    (top / "loop").symlink_to(top)
    (top / "dangling").symlink_to("nowhere")
    return {str(path.relative_to(top)): path.read_text() for path in top.rglob("*.txt") if "loop" not in path.parts}


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("files", [5, durable.OPEN_AT_ONCE + 5, 2 * durable.OPEN_AT_ONCE + 5])
def test_a_synced_tree_outlives_the_power(
    disk: Disk, files: int, at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "SYNC_FILESYSTEM_ABOVE", 2 * durable.OPEN_AT_ONCE)
    synced, left = disk.folder / f"synced-{files}-{at_once}", disk.folder / f"left-{files}-{at_once}"
    known = _fill(synced, files=files)
    if at_once:
        durable.sync_new(synced, disk.folder)
    else:
        durable.sync_tree(synced)
        durable.sync_parents(synced, disk.folder)
    _fill(left, files=3)

    disk.cut()

    assert {str(path.relative_to(synced)): path.read_text() for path in synced.rglob("*.txt")} == known
    assert (synced / "empty").is_dir()
    assert not left.exists()  # else this shows nothing


def test_a_file_that_is_replaced_is_the_old_or_the_new_one(disk: Disk) -> None:
    synced, careless = str(disk.folder / "synced.json"), str(disk.folder / "careless.json")
    for path in (synced, careless):
        write_json(path, {"written": "before"}, sync=True)
    durable.sync([disk.folder])

    write_json(synced, {"written": "after"}, sync=True)
    write_json(careless, {"written": "after"})
    disk.flush_names()
    disk.cut()

    assert json.loads(Path(synced).read_text()) == {"written": "after"}
    assert Path(careless).read_text() == ""  # its name came to the disk, and what it holds did not


def test_missing_and_unreadable_files_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("x")

    durable.sync([tmp_path / "gone", tmp_path / "there", tmp_path])
    durable.sync_tree(tmp_path / "gone")
