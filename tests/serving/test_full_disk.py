"""If the disk is full while a model is packaged, one message names the disk and the command to repeat."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.serving_models import iris, register
from tests.support.users import unable

pytestmark = pytest.mark.skipif(bool(unable()), reason=unable())


@pytest.mark.parametrize("full", ["TMPDIR", "BENTOML_HOME"])
def test_a_full_disk_is_named_and_how_to_repeat_the_packaging(project: Path, tmp_path: Path, full: str) -> None:
    register(project, iris(), name="flowers")
    folders = {name: tmp_path / name for name in ("TMPDIR", "BENTOML_HOME")}
    for folder in folders.values():
        folder.mkdir()
    aml = [sys.executable, "-m", "amlcore", "deploy", "flowers", "deployment.timeout_s=5.0", "deployment.auth=key"]
    mount = f'mount -t tmpfs -o size=64k none "{folders[full]}" && exec "$@"'

    process = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", mount, "sh", *aml],
        cwd=project,
        env={**os.environ, **{name: str(folder) for name, folder in folders.items()}},
        capture_output=True,
        text=True,
        check=False,
    )

    assert process.returncode == 1, process.stderr
    assert "Traceback" not in process.stderr
    last = process.stderr.splitlines()[-1]
    assert f"the disk is full: {folders[full]}" in last
    assert last.endswith("free some space, then: aml deploy flowers:1 deployment.timeout_s=5.0 deployment.auth=key")
