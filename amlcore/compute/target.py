"""The ComputeTarget: a declared place for runs, which opens slots for them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, replace
from typing import IO, Any, Protocol

from amlcore.compute.request import RunRequest, WorkerKind
from amlcore.errors import ConfigError
from amlcore.record.record import Record
from amlcore.record.status import RunState
from amlcore.worker.values import plain
from amlcore.workspace import Workspace

LOST_PREFIX = "lost: "


@dataclass(frozen=True)
class Outcome:
    """How a run ends that left no result."""

    state: RunState
    reason: str

    @classmethod
    def lost(cls, why: str) -> Outcome:
        """The end of a run whose processes are gone without a result, which is no fault of its script."""
        return cls(RunState.Failed, f"{LOST_PREFIX}{why}")

    @property
    def is_lost(self) -> bool:
        return self.reason.startswith(LOST_PREFIX)


@dataclass(frozen=True)
class BackendStatus:
    """What a target knows of a run besides its files."""

    wait_reason: str | None = None  # why it does not run; None where nothing holds it
    outcome: Outcome | None = None  # None as long as a result may come


class Slots(Protocol):
    """Room for runs, open for as long as their driver lives; what happens to a run is read in its folder."""

    def submit(self, request: RunRequest, kind: WorkerKind, *, keep_open: tuple[IO[bytes], ...] = ()) -> None:
        """Lay `request` where a worker of `kind` claims it.

        Parameters
        ----------
        keep_open : tuple of files
            Stay open until the slots are closed, and in every worker of `kind` for as long as it lives.
        """

    def poll(self) -> dict[str, Outcome]:
        """Start workers where requests wait and there is room.

        Returns
        -------
        dict
            The runs that will leave no result, by id, and how they end.
        """

    def wait_reason(self, run: str) -> str | None:
        """Why `run` has not started yet, or not again; None where nothing holds it."""

    def withdraw(self, run: str) -> bool:
        """Take back the request of `run`; False where a worker has it already."""

    def end(self, run: str) -> None:
        """End whatever `run` is in at once, where its processes are not on this host."""

    def close(self) -> None:
        """No request comes any more: idle workers end, running ones finish."""


@dataclass
class ComputeTarget(ABC):
    """What all targets have in common."""

    kind: str = "???"  # which backend this is; set by the group's option
    slots: int = 1  # runs at once on this target, in this workspace; a further one is Queued
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
                raise ConfigError(f"compute.{key}={value!r}: must be a number above 0, or null for none")
        if self.kind != type(self).__name__.lower():
            raise ConfigError(f"compute.kind={self.kind}: is set by the option; choose compute={self.kind} instead")

    def _number(self, key: str) -> int | float | str | None:
        """The value of `key`, from now on a number of Python's own where it was one of NumPy's."""
        given = getattr(self, key)
        value = given if given is None else plain(given)
        setattr(self, key, value)
        return str(value) if isinstance(value, bool) else value

    @abstractmethod
    def open(self, workspace: Workspace) -> Slots:
        """Open the slots of this target for the runs of one driver."""

    @abstractmethod
    def check(self) -> None:
        """Find out before anything starts whether this target can take a run.

        Raises
        ------
        ConfigError
            It cannot; the message says what would fit.
        """

    def describe(self) -> dict[str, Any]:
        """What a run asks of this target, in plain values."""
        return asdict(self)

    @staticmethod
    @abstractmethod
    def observe(record: Record) -> BackendStatus:
        """How a run stands that has no result and whose driver is gone."""

    @property
    @abstractmethod
    def resumable(self) -> bool:
        """Whether an attempt that was told to end may be followed by another."""

    @property
    def slots_key(self) -> str:
        """What must be the same for the runs of one driver to share its slots."""
        return repr(replace(self, timeout_min=None))

    @property
    def timeout_s(self) -> float | None:
        return None if self.timeout_min is None else self.timeout_min * 60

    @property
    def mem_bytes(self) -> int | None:
        return None if self.mem_gb is None else int(self.mem_gb * 1e9)
