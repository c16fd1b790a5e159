"""The next process removes what a killed one left behind, but not what a living one uses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from amlcore.environment.temporary_folder import OWNER, temporary_folder
from amlcore.model.new_version import prepared_folder
from amlcore.worker.files import write_json
from amlcore.worker.process_identity import identity

WORK = """
import sys, time
from pathlib import Path
from amlcore.environment.temporary_folder import temporary_folder
from amlcore.model.new_version import prepared_folder
with temporary_folder("model") as folder, prepared_folder(Path(sys.argv[1]) / "first") as prepared:
    (folder / "half").write_text("")
    (prepared / "files").mkdir()
    print(folder, flush=True)
    time.sleep(4711)
"""


def test_only_folders_of_killed_processes_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    models = tmp_path / "models"
    (tmp_path / "amlcore-of-a-user").mkdir()
    (tmp_path / "amlcore-damaged").mkdir()
    (tmp_path / "amlcore-damaged" / OWNER).write_text("{")
    (tmp_path / "amlcore-elsewhere").mkdir()
    write_json(str(tmp_path / "amlcore-elsewhere" / OWNER), {**identity(), "host": "elsewhere"})
    command = [sys.executable, "-c", WORK, str(models)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        with temporary_folder("bento") as own, prepared_folder(models / "second"):
            assert list(own.iterdir()) == []
            assert folder.exists()
            assert len(list(models.glob("first/.tmp-*"))) == 1
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert folder.exists()
    with temporary_folder("bento"), prepared_folder(models / "second"):
        assert not folder.parent.exists()
        assert list(models.glob("first/.tmp-*")) == []
    remaining_names = {"amlcore-of-a-user", "amlcore-damaged", "amlcore-elsewhere", "models"}
    assert {path.name for path in tmp_path.iterdir()} == remaining_names
