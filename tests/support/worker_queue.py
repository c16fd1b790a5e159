"""A queue written by hand, as a driver would write it, and a worker on it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from amlcore.worker import main as worker_main
from amlcore.worker.files import read_json, write_json
from amlcore.worker.layout import OWNER_VARIABLE, QueueLayout, RunLayout
from amlcore.worker.process_identity import identity


class HandmadeQueue:
    """Lays requests for the files of a folder and starts workers for them."""

    def __init__(self, folder: Path, *, preload: list[str] | None = None, python: str = sys.executable) -> None:
        self.folder = folder
        self.python = python
        self.layout = QueueLayout(folder / "queue")
        self.objects = folder / "objects"
        self.workers: list[subprocess.Popen[bytes]] = []
        self._count = 0
        for path in (self.layout.new, self.layout.claimed, self.layout.ended, str(self.objects)):
            os.makedirs(path)
        self.settings: dict[str, Any] = {"preload": preload or [], "driver": identity(), "idle_s": 0.2}
        write_json(self.layout.worker, self.settings)

    def start(self, **variables: str) -> subprocess.Popen[bytes]:
        owner = f"worker-{len(self.workers)}"
        os.makedirs(os.path.join(self.layout.claimed, owner))
        with open(self.layout.log, "ab") as log:
            worker = subprocess.Popen(
                [self.python, worker_main.__file__, self.layout.folder],
                env={**os.environ, OWNER_VARIABLE: owner, **variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.workers.append(worker)
        return worker

    def lay(self, source: Path, script: str = "script.py", argv: tuple[str, ...] = (), **more: Any) -> RunLayout:
        """Lay a request to run `script` of the folder `source`; the run's folder comes back."""
        self._count += 1
        name = f"20250101-000000-{self._count:06x}"
        folder = self.folder / "outputs" / "test" / name
        folder.mkdir(parents=True)
        request = {
            "run": name,
            "folder": str(folder),
            "attempt": 1,
            "objects": str(self.objects),
            "manifest": str(self._manifest(source, folder)),
            "script": script,
            "argv": list(argv),
            "environment_variables": {},
            "inputs": {},
            "timeout_s": None,
            "mem_bytes": None,
            "kill_wait_s": 5.0,
            **more,
        }
        write_json(str(folder / "run.json"), {"id": name, "experiment": "test", "parent": None, "parameters": {}})
        write_json(str(folder / "driver.json"), identity())
        write_json(str(folder / "request.json"), request)
        write_json(os.path.join(self.layout.new, f"{name}.1.json"), request)
        return RunLayout(folder)

    def wait(self, run: RunLayout, timeout_s: float = 60) -> dict[str, Any]:
        """The run's result, as soon as it is there."""
        deadline = time.monotonic() + timeout_s
        while (result := read_json(run.attempt(1).result)) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no result in {run.folder}; the worker says: {self.log}")
            time.sleep(0.002)
        return dict(result)

    def run(self, source: Path, *arguments: Any, **more: Any) -> tuple[RunLayout, dict[str, Any]]:
        run = self.lay(source, *arguments, **more)
        if not any(worker.poll() is None for worker in self.workers):
            self.start()
        return run, self.wait(run)

    @property
    def log(self) -> str:
        return Path(self.layout.log).read_text()

    def close(self) -> None:
        Path(self.layout.closed).touch()
        for worker in self.workers:
            with suppress(subprocess.TimeoutExpired):
                worker.wait(10)
            worker.kill()
            worker.wait()

    def _manifest(self, source: Path, folder: Path) -> Path:
        files: list[list[Any]] = []
        links: list[list[str]] = []
        for path in sorted(source.rglob("*")):
            name = path.relative_to(source).as_posix()
            if path.is_symlink():
                links.append([name, os.readlink(path)])
            elif path.is_file() and "__pycache__" not in name:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                stored = self.objects / digest[:2] / digest
                stored.parent.mkdir(exist_ok=True)
                if not stored.exists():
                    shutil.copyfile(path, stored)
                    stored.chmod(0o444)
                files.append(
                    [
                        name,
                        digest,
                        0o755 if os.access(path, os.X_OK) and path.stat().st_mode & 0o100 else 0o644,
                        path.stat().st_size,
                    ]
                )
        write_json(str(folder / "manifest.json"), {"files": files, "links": links})
        return folder / "manifest.json"


def out(run: RunLayout) -> str:
    return Path(run.stdout).read_text()


def err(run: RunLayout) -> str:
    return Path(run.stderr).read_text()
