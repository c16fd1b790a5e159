"""The ComputeTarget: where runs execute; it opens slots for them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, replace
from typing import IO, Any, Protocol

from amlcore.compute.request import RunRequest, WorkerKind
from amlcore.errors import ConfigError
from amlcore.record.record import Record
from amlcore.record.status import RunState
from amlcore.worker.values import to_json_scalar
from amlcore.workspace import Workspace

LOST_PREFIX = "lost: "


@dataclass(frozen=True)
class Outcome:
    """How a run without a result ends."""

    state: RunState
    reason: str

    @classmethod
    def lost(cls, why: str) -> Outcome:
        """The outcome of a run whose processes ended without a result, through no fault of its script."""
        return cls(RunState.Failed, f"{LOST_PREFIX}{why}")

    @property
    def is_lost(self) -> bool:
        return self.reason.startswith(LOST_PREFIX)


@dataclass(frozen=True)
class BackendStatus:
    """What a target knows about a run besides its files."""

    wait_reason: str | None = None  # why it does not run; None if nothing keeps it waiting
    outcome: Outcome | None = None  # None while a result may still come


class Slots(Protocol):
    """Room for runs, open while their driver lives; the run's folder shows what happens to it."""

    def submit(self, request: RunRequest, kind: WorkerKind, *, keep_open: tuple[IO[bytes], ...] = ()) -> None:
        """Queue `request` for a worker of `kind`.

        Parameters
        ----------
        keep_open : tuple of files
            Stay open until the slots are closed, and in every worker of `kind` while it lives.
        """

    def poll(self) -> dict[str, Outcome]:
        """Start workers for waiting requests where there is room.

        Returns
        -------
        dict
            How runs end that will leave no result, by run id.
        """

    def wait_reason(self, run: str) -> str | None:
        """Why `run` has not started, or not started again; None if nothing keeps it waiting."""

    def withdraw(self, run: str) -> bool:
        """Withdraw the request of `run`; False if a worker has it already."""

    def end(self, run: str) -> None:
        """End the job of `run` at once, if its processes are not on this host."""

    def close(self) -> None:
        """Accept no further requests: idle workers end, busy ones finish."""


@dataclass
class ComputeTarget(ABC):
    """The fields and methods that all targets share."""

    kind: str = "???"  # which backend this is; set by the group's option
    slots: int = 1  # concurrent runs on this target in this workspace; further ones are Queued
    cores: int | None = None  # cores a run may use; null: all
    mem_gb: float | None = None  # GB of memory for a run and its children; null: no limit
    timeout_min: float | None = None  # minutes until a run is stopped; null: none
    warm: bool = True  # false: the worker imports nothing before it starts the script
    kill_wait_s: float = 5.0  # seconds from SIGTERM to SIGKILL, at the time limit and on cancel

    def __post_init__(self) -> None:
        for key in ("slots", "cores"):
            value = self._number(key)
            if (value is not None or key == "slots") and not isinstance(value, int):
                raise ConfigError(f"compute.{key}={value!r}: must be a whole number")
            if value is not None and value < 1:
                raise ConfigError(f"compute.{key}={value}: must be at least 1")
        for key in ("mem_gb", "timeout_min", "kill_wait_s"):
            value = self._number(key)
            if value is not None and not (isinstance(value, int | float) and 0 < value < float("inf")):
                raise ConfigError(f"compute.{key}={value!r}: must be a positive number, or null for no limit")
        if self.kind != type(self).__name__.lower():
            raise ConfigError(f"compute.kind={self.kind}: set by the option; use compute={self.kind} instead")

    def _number(self, key: str) -> int | float | str | None:
        """The value of `key`; a number of NumPy's is replaced by one of Python's."""
        value = getattr(self, key)
        value = value if value is None else to_json_scalar(value)
        setattr(self, key, value)
        return str(value) if isinstance(value, bool) else value

    @abstractmethod
    def open(self, workspace: Workspace) -> Slots:
        """Open the slots of this target for the runs of one driver."""

    @abstractmethod
    def check(self) -> None:
        """Check that this target can take a run, before anything starts.

        Raises
        ------
        ConfigError
            The target cannot; the message says what would fit.
        """

    def describe(self) -> dict[str, Any]:
        """The request of a run to this target, as plain values."""
        return asdict(self)

    @staticmethod
    @abstractmethod
    def observe(record: Record) -> BackendStatus:
        """The status of a run that has no result and whose driver has exited."""

    @property
    @abstractmethod
    def resumable(self) -> bool:
        """Whether another attempt may follow one that was interrupted."""

    @property
    def slots_key(self) -> str:
        """Runs of one driver with the same key share its slots."""
        return repr(replace(self, timeout_min=None))

    @property
    def timeout_s(self) -> float | None:
        return None if self.timeout_min is None else self.timeout_min * 60

    @property
    def mem_bytes(self) -> int | None:
        return None if self.mem_gb is None else int(self.mem_gb * 1e9)
