"""The Queue: a folder of requests for the workers of one kind, as any process can read it."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

from amlcore.compute.request import RunRequest
from amlcore.record.documents import ProcessIdentity, QueueSettings
from amlcore.record.reading import read_document
from amlcore.worker.files import write_json
from amlcore.worker.layout import QueueLayout, RunLayout
from amlcore.worker.process_identity import identity

LOST_CHECK_S = 1.0
"""How often it is checked whether the processes of a run are gone."""

CANCEL_PATIENCE_S = 5.0
"""How long after its kill wait a canceled run may stay without a result before its supervisor is ended too."""


class Queue:
    """Who holds which request: nobody yet, or an owner, which is a worker with all that it started."""

    def __init__(self, folder: Path) -> None:
        self.layout = QueueLayout(folder)

    @classmethod
    def of_request(cls, path: str) -> Self:
        """The queue to which a request was added at `path`."""
        return cls(Path(path).parent.parent)

    def make(self, settings: dict[str, object]) -> None:
        for folder in (self.layout.new, self.layout.claimed, self.layout.ended):
            os.makedirs(folder, exist_ok=True)  # its driver tries again after a full disk
        write_json(self.layout.worker, {**settings, "driver": identity()})

    def add_owner(self, owner: str) -> Path:
        """Make the folder for what `owner` claims, where there is none yet."""
        folder = Path(self.layout.claimed, owner)
        with suppress(FileExistsError):
            folder.mkdir()
            os.utime(folder, (0, 0))  # until it takes a request: the rename sets the folder's time to that moment
        return folder

    @property
    def driver(self) -> ProcessIdentity | None:
        """The driver whose queue it is; None while another driver makes or removes it."""
        settings = read_document(self.layout.worker, QueueSettings)
        return None if settings is None else settings.driver

    @property
    def ended(self) -> list[str]:
        """The owners that take no more requests."""
        return names(self.layout.ended)

    @property
    def new(self) -> list[str]:
        """The names of the requests that no worker has."""
        return names(self.layout.new)

    @property
    def claimed(self) -> dict[str, str]:
        """The owners by the names of the requests that they claimed."""
        return {name: owner for owner in names(self.layout.claimed) for name in names(f"{self.layout.claimed}/{owner}")}

    def request(self, name: str) -> RunRequest | None:
        """The request of a name, whether it waits or is claimed."""
        for path in (Path(self.layout.new, name), *Path(self.layout.claimed).glob(f"*/{name}")):
            with suppress(FileNotFoundError, PermissionError):
                return RunRequest.read(path)
        return None

    def withdraw(self, run: str) -> bool:
        """Take back the request of `run`; False where no request of it waits."""
        for name in self.new:
            if name.startswith(f"{run}."):
                with suppress(FileNotFoundError):
                    os.unlink(os.path.join(self.layout.new, name))
                    return True
        return False

    def discard(self, run: str) -> None:
        """Remove the request of `run`, even if a worker that has exited had claimed it."""
        for path in (*Path(self.layout.new).glob(f"{run}.*"), *Path(self.layout.claimed).glob(f"*/{run}.*")):
            path.unlink(missing_ok=True)

    def is_waiting(self, run: str) -> bool:
        """Whether no worker has the request of `run` yet."""
        return any(name.startswith(f"{run}.") for name in self.new)

    def has_worked(self, owner: str) -> bool:
        """Whether an owner ever took a request."""
        with suppress(FileNotFoundError):
            return os.stat(f"{self.layout.claimed}/{owner}").st_mtime > 0
        return False

    def give_up(self, owner: str) -> str | None:
        """Withdraw one waiting request, since the `owner` that was started for it failed; return its run."""
        Path(self.layout.ended, owner).touch()
        return next((run for run in map(run_of, reversed(self.new)) if self.withdraw(run)), None)


def is_cancel_overdue(request: RunRequest) -> bool:
    """Whether a run was canceled so long ago that its supervisor must be stuck."""
    with suppress(FileNotFoundError):
        canceled_at = os.stat(RunLayout(request.folder).cancel).st_mtime
        return time.time() - canceled_at > request.kill_wait_s + CANCEL_PATIENCE_S
    return False


def run_of(name: str) -> str:
    """The run of a request, by its name."""
    return name.partition(".")[0]


def names(folder: str) -> list[str]:
    """The names in a folder, without those still being written; none where there is no such folder."""
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except FileNotFoundError:
        return []
