"""What the files of a run's record hold, one class per file; see docs/files.md."""

# Without `from __future__ import annotations`, so that no annotation has to be evaluated when a file is read.
# Not frozen and mostly without __eq__: making these methods for each class takes 3 % of the time of `aml runs`.
from dataclasses import dataclass, field
from typing import Any, Self

from amlcore.record.forms import Moment
from amlcore.worker.process_identity import identity, is_alive


@dataclass
class ProcessIdentity:
    """What identifies a process until its machine is restarted."""

    host: str
    boot: str
    pid: int
    started: int | None  # clock ticks between the boot and its start
    uid: int | None = None

    @classmethod
    def current(cls) -> Self:
        """The identity of this process."""
        return cls(**identity())

    @property
    def is_alive(self) -> bool | None:
        """Whether the process is running; None if this host cannot know."""
        process = {"host": self.host, "boot": self.boot, "pid": self.pid, "started": self.started}
        return is_alive(process if self.uid is None else {**process, "uid": self.uid})


@dataclass(eq=False)
class SnapshotInfo:
    """The snapshot of a run's source."""

    id: str
    files: int | None = None
    size_bytes: int | None = None


@dataclass(eq=False)
class InputInfo:
    """An input, as it was when the run was submitted."""

    sha256: str
    path: str | None = None
    mode: str | None = None
    size_bytes: int | None = None


@dataclass(eq=False)
class RunInfo:
    """run.json: what was known when the run was submitted, or started by a script."""

    id: str
    experiment: str
    created: Moment
    parent: str | None = None
    script: str | None = None
    module: str | None = None
    source_directory: str | None = None
    working_folder: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    arguments: list[str] | None = None  # what the script was called with
    overrides: list[str] = field(default_factory=list)
    environment: str | None = None  # its name
    compute: str | None = None  # the kind of its target
    snapshot: SnapshotInfo | None = None  # None for a run that a script started by itself
    inputs: dict[str, InputInfo] = field(default_factory=dict)
    git: dict[str, Any] | None = None
    versions: dict[str, Any] | None = None
    user: str | None = None
    sweep: dict[str, Any] | None = None
    trial: int | None = None
    document: dict[str, Any] = field(default_factory=dict)  # as it was written, for `aml show --json`

    @property
    def name(self) -> str | None:
        """What a script called the run that it started; people name a run by a mark."""
        name = self.document.get("name")
        return None if name is None else str(name)


@dataclass(eq=False)
class RunEnvironment:
    """environment.json: what the script ran in."""

    python: str  # the path of the interpreter
    python_version: str
    lock_sha256: str | None = None
    document: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class RecordedRequest:
    """The part of request.json that is read outside of the worker."""

    environment_variables: dict[str, str]
    inputs: dict[str, dict[str, Any]]


@dataclass(eq=False)
class QueueEntry:
    """queued.json: where the request was put for a worker."""

    path: str


@dataclass(eq=False)
class QueueSettings:
    """The part of a queue's worker.json that is read outside of its workers."""

    driver: ProcessIdentity


@dataclass(eq=False)
class CancelRequest:
    """cancel.json: why the run is to end."""

    reason: str | None = None
    pruned: bool = False  # by early termination
    with_sweep: bool = False  # the sweep of this trial ends


@dataclass(eq=False)
class Claim:
    """claim.json of an attempt: who runs it."""

    worker: ProcessIdentity
    script: ProcessIdentity
    at: float  # when the script started, in seconds since the epoch
    supervisor: ProcessIdentity | None = None  # if it is not the worker itself

    @property
    def processes(self) -> tuple[ProcessIdentity, ...]:
        return tuple(process for process in (self.worker, self.supervisor, self.script) if process is not None)


@dataclass(eq=False)
class DiscardedFile:
    """A file that the script wrote outside of outputs/ and logs/, so that it was not kept."""

    path: str
    size: int | None = None


@dataclass(eq=False)
class AttemptResult:
    """result.json of an attempt: how it ended."""

    reason: str | None  # why the worker ended it: its time limit, its memory limit, a cancellation
    message: str | None  # explains the reason, or why it could not start
    signal: int | None  # the signal that killed the script
    exit_status: int | None
    ended: float | None = None  # in seconds since the epoch
    strays: list[DiscardedFile] = field(default_factory=list)
    full: str | None = None  # the folder whose disk was full when it ended
    cpu_s: float | None = None
    max_rss_bytes: float | None = None


@dataclass(eq=False)
class AttemptError:
    """error.json of an attempt: the exception that ended the script."""

    type: str | None = None
    name: str | None = None  # of the module that could not be imported


@dataclass(eq=False)
class OutputFile:
    """An item of outputs.json: a file kept with the run."""

    path: str  # in the run's folder
    size: int  # in bytes
    sha256: str


@dataclass(eq=False)
class PrunedPart:
    """An entry of pruned.json, by the name of the part: outputs or checkpoints."""

    at: Moment
    user: str
    size_bytes: int


@dataclass(eq=False)
class Pruned:
    """pruned.json: what of the run was deleted to save space."""

    outputs: PrunedPart | None = None
    checkpoints: PrunedPart | None = None


@dataclass(eq=False)
class ModelSample:
    """sample.json: rows as the model takes them, see `run.log_sample`."""

    rows: list[Any]
