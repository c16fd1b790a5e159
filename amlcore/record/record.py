"""The Record: a run's folder, as the driver reads and writes it."""

from __future__ import annotations

import glob
import hashlib
import math
import os
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from amlcore.errors import NotFoundError, RecordError
from amlcore.record import heartbeat
from amlcore.record.documents import (
    AttemptResult,
    CancelRequest,
    Claim,
    OutputFile,
    ProcessIdentity,
    Pruned,
    QueueEntry,
    RecordedRequest,
    RunEnvironment,
    RunInfo,
)
from amlcore.record.reading import is_blank, read_document, read_documents, read_text
from amlcore.record.status import RunState, RunStatus
from amlcore.worker import durable
from amlcore.worker.files import write_json
from amlcore.worker.layout import QueueLayout, RunLayout
from amlcore.worker.process_identity import identity

F = TypeVar("F")


class Record:
    """A run's folder. One process at a time, the driver, writes its state."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.layout = RunLayout(str(folder))

    @property
    def workspace_path(self) -> Path:
        """The root of the workspace: the run's folder is outputs/<experiment>/<run> in it."""
        return self.folder.parent.parent.parent

    @cached_property
    def info(self) -> RunInfo:
        """What was known when the run was submitted. It is written once, so it is read once."""
        info = read_document(self.layout.run, RunInfo)
        if info is None:
            raise NotFoundError(f"{self.folder} holds no run")
        return info

    @property
    def snapshot_id(self) -> str:
        """The snapshot that the run was submitted with.

        Raises
        ------
        RecordError
            A script began the run by itself, or run.json is damaged.
        """
        snapshot = self.info.snapshot
        if snapshot is None:
            raise RecordError(f"{self.layout.run} is damaged: it lacks snapshot")
        return snapshot.id

    @property
    def status(self) -> RunStatus:
        """How far the run is."""
        return self._read(self.layout.state, RunStatus) or RunStatus(RunState.NotStarted)

    @property
    def environment(self) -> RunEnvironment | None:
        """The environment of the run; None before it was built."""
        return self._read(self.layout.environment, RunEnvironment)

    @property
    def request(self) -> RecordedRequest | None:
        """What a worker was asked to do; None before that."""
        return self._read(self.layout.request, RecordedRequest)

    @property
    def lock(self) -> str | None:
        """The lock of the run's environment; None before that was built."""
        return self.lock_of(self.environment)

    def lock_of(self, environment: RunEnvironment | None) -> str | None:
        """The lock of the run's environment, which the caller has read already.

        Raises
        ------
        RecordError
            The lock is missing, or is not the one that the environment was built from.
        """
        expected = None if environment is None else environment.lock_sha256
        text = read_text(self.layout.lock, may_be_empty=expected is not None)
        if expected is None:
            return text
        if text is None:
            raise RecordError(f"{self.layout.lock} is missing")
        sha256 = hashlib.sha256(text.encode("utf-8")).hexdigest()
        if sha256 != expected:
            raise RecordError(
                f"{self.layout.lock} was changed after the environment was built: its sha256 is {sha256}, "
                f"not {expected}"
            )
        return text

    @property
    def cancel_request(self) -> CancelRequest | None:
        """Why the run is to end; None if nobody asked for that."""
        return self._read(self.layout.cancel, CancelRequest)

    @property
    def queue_entry(self) -> QueueEntry | None:
        """Where the run's request was put for a worker; None before that."""
        return self._read(self.layout.queued, QueueEntry)

    @property
    def driver(self) -> ProcessIdentity | None:
        """The process that drives the run, or did when it was killed."""
        return read_document(self.layout.driver, ProcessIdentity)

    def has_ended(self) -> bool:
        return self.status.state.ended

    def enter(
        self,
        state: RunState,
        reason: str | None = None,
        *,
        exit_status: int | None = None,
        usage: dict[str, float] | None = None,
    ) -> None:
        """Write that the run is in `state` from now on; entering the same state again only changes the reason.

        Everything of a run is on the disk before it is said to have ended. The trials of a sweep, of which there may be
        thousands, are synced together with the sweep. The states before the end are not synced: whatever a power cut
        leaves of them, the run is lost.
        """
        before = self.status
        now = datetime.now(UTC).timestamp()
        status = RunStatus(
            state=state,
            reason=reason,
            at=before.at if state is before.state else now,
            exit_status=exit_status,
            times={**before.times, state.value: before.times.get(state.value, now)},
            usage=usage or before.usage,
        )
        is_last = state.ended and not self.is_child
        if is_last:
            durable.sync_tree(self.folder, *self.child_folders)
        write_json(self.layout.state, asdict(status), sync=is_last)
        if is_last:
            durable.sync_parents(self.layout.state, self.folder.parent.parent.parent)

    @property
    def is_child(self) -> bool:
        """Whether this is a trial, or was started by the script of another run: its name ends with a number then."""
        return "_" in self.folder.name

    @property
    def child_folders(self) -> list[Path]:
        """The folders of this run's children."""
        if not any(os.path.exists(f"{self.folder}_{first}") for first in (0, 1)):
            return []  # so that a run without children does not list a folder of thousands of runs
        return list(self.folder.parent.glob(f"{glob.escape(self.folder.name)}_*"))

    def child(self, number: int) -> Record:
        """The record of a child of this run, such as a trial of a sweep, by its number."""
        return Record(self.folder.with_name(f"{self.folder.name}_{number}"))

    def drive(self, *, sync: bool = True) -> None:
        """Say that this process drives the run from now on, and keep its heartbeat until it is released."""
        if not self.is_driven_here:
            write_json(self.layout.driver, identity(), sync=sync and not self.is_child)
        heartbeat.start(self.layout.driver)

    def release(self) -> None:
        """Say that this process no longer drives the run, if it did: everything that was asked for is done."""
        heartbeat.stop(self.layout.driver)
        if self.is_driven_here:
            Path(self.layout.driver).unlink(missing_ok=True)

    @property
    def is_driven_here(self) -> bool:
        """Whether this process drives the run."""
        return self.driver == ProcessIdentity.current()

    @property
    def is_present(self) -> bool:
        """Whether nobody has removed the run; its folder may exist again, since a worker may still write to it."""
        return os.path.exists(self.layout.run)

    @property
    def is_readable(self) -> bool:
        """Whether the files that hold the state of the run are intact; after a power cut some may be empty."""
        try:
            _ = (self.info, self.status, self.claim, self.result, self.queue_entry, self.driver)
        except (RecordError, NotFoundError):
            return False
        return True

    @property
    def is_driven(self) -> bool:
        """Whether the driver of the run is alive."""
        driver = self.driver
        if driver is None:
            return False
        is_alive = driver.is_alive
        if is_alive is not None:
            return is_alive
        if not os.path.exists(self.layout.config):
            return self._may_be_driven_elsewhere()
        return heartbeat.is_beating(self.layout.driver)  # nothing else of a driver on another host can be seen

    def _may_be_driven_elsewhere(self) -> bool:
        """Whether a script on another host that started this run itself, and has no heartbeat, may be alive.

        A child ends with its parent. Only its own host knows about a run that was started by hand.
        """
        parent = self.info.parent
        if parent is None:
            return True
        parent_record = Record(self.folder.with_name(parent))
        return parent_record.is_present and not parent_record.has_ended()

    @property
    def attempt(self) -> int:
        """The number of the newest attempt; 0 before a worker has claimed the run."""
        try:
            numbers = [int(name) for name in os.listdir(self.layout.attempts) if name.isdigit()]
        except FileNotFoundError:
            return 0
        return max(numbers, default=0)

    @property
    def claim(self) -> Claim | None:
        """Who runs the newest attempt; None before its script starts."""
        return self._read(self.layout.attempt(self.attempt).claim, Claim)

    @property
    def result(self) -> AttemptResult | None:
        """How the newest attempt ended; None until then."""
        return self._read(self.layout.attempt(self.attempt).result, AttemptResult)

    def withdraw(self) -> bool:
        """Take back a request that no worker has claimed; False if a worker has it."""
        entry = self.queue_entry
        if entry is not None:
            try:
                os.unlink(entry.path)
            except FileNotFoundError:
                return not self.is_enqueued
        return True

    @property
    def is_enqueued(self) -> bool:
        """Whether a worker has the request or can find it; False if the driver was killed before it wrote it."""
        entry = self.queue_entry
        if entry is None:
            return False
        path = Path(entry.path)
        claimed = Path(QueueLayout(path.parent.parent).claimed)
        # In the order in which a request moves, so that a moving one is not missed; an attempt begins before it leaves.
        # The queue again at the end, since the request may have been put back meanwhile.
        return path.exists() or any(claimed.rglob(path.name)) or self.attempt > 0 or path.exists()

    @property
    def is_executing(self) -> bool:
        """Whether a process of the newest attempt may be alive."""
        claim = self.claim
        return claim is not None and any(process.is_alive is not False for process in claim.processes)

    @property
    def outputs(self) -> list[OutputFile]:
        """The files that the run kept, unless they were pruned."""
        return self.outputs_without(self.pruned)

    def outputs_without(self, pruned: Pruned) -> list[OutputFile]:
        """The files that the run kept, by what was `pruned`, so that nothing is read twice."""
        if pruned.outputs is not None:
            return []
        return [file for file in self._listed or [] if file.path.startswith("outputs/")]

    @property
    def pruned(self) -> Pruned:
        """What of the run was deleted to save space."""
        return read_document(self.layout.pruned, Pruned) or Pruned()

    @property
    def output_hashes(self) -> dict[str, str] | None:
        """The sha256 of each file that the run kept, by its path in the run; None if they were never listed."""
        files = self._listed
        return None if files is None else {file.path: file.sha256 for file in files}

    def _read(self, path: str, form: type[F]) -> F | None:
        """The document at `path`; None if there is none, or a power cut left it blank before the run ended."""
        try:
            return read_document(path, form)
        except RecordError:
            if os.path.exists(self.layout.driver) and is_blank(path):
                return None
            raise

    @property
    def _listed(self) -> list[OutputFile] | None:
        return read_documents(self.layout.listing, OutputFile)


def strict(value: Any) -> Any:
    """`value` as strict JSON allows it: NaN and the infinities become text."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict(item) for item in value]
    return value
