"""The Workspace: a folder that remembers its runs, models, environments and services."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from amlcore import redaction
from amlcore.errors import ConfigError, RequestError
from amlcore.worker.files import make_folder, read_json, write_json
from amlcore.worker.root import AZURE_MARKERS, MARKER, find_root

T = TypeVar("T")

MOVING = "moving"
"""The folder in the trash with the manifests of removals whose runs are being moved; see housekeeping/trash.py."""


@dataclass
class Workspace:
    """A folder and what amlcore keeps in it; as a config group, its limits and its table of names."""

    snapshot_max_mb: float = 300.0  # MB of a source folder; a larger one is refused
    snapshot_max_files: int = 2000  # files in a source folder; one with more is refused
    environments_folder: str | None = None  # where built environments are cached; null: the user's cache folder
    environment_names: dict[str, str] = field(default_factory=dict)  # names used elsewhere: the option for each
    compute_names: dict[str, str] = field(default_factory=dict)  # likewise, such as cpu-cluster: local
    secrets: list[str] = field(default_factory=list)  # environment variables whose values are never recorded

    # The folder itself is found, not configured.
    root: str = field(default=".", metadata={"omegaconf_ignore": True})

    def __post_init__(self) -> None:
        if not self.snapshot_max_mb > 0:
            raise ConfigError(f"workspace.snapshot_max_mb={self.snapshot_max_mb}: must be greater than 0")
        if self.snapshot_max_files <= 0:
            raise ConfigError(f"workspace.snapshot_max_files={self.snapshot_max_files}: must be greater than 0")
        self.root = str(Path(self.root).absolute())
        redaction.secret_names.update(self.secrets)

    @classmethod
    def at(cls, start: Path | None = None) -> Workspace:
        """The nearest workspace above `start`, otherwise `start` itself; its conf/ is not read."""
        try:
            start = (start or Path.cwd()).absolute()
        except FileNotFoundError:
            raise RequestError("the working folder no longer exists; change to another one") from None
        return cls(root=find_root(str(start)) or str(start))

    def mark(self, name: str | None = None) -> None:
        """Write the marker that makes this folder a workspace; an existing one is kept.

        Raises
        ------
        RequestError
            The folder cannot be written.
        """
        marker = self.path / MARKER
        try:
            if not marker.exists():
                make_folder(marker.parent)
                write_json(str(marker), {"workspace_name": name or self.path.name})
        except OSError as error:
            raise RequestError(f"cannot create a workspace at {self.path}: {marker.parent}: {error.strerror}") from None

    @property
    def path(self) -> Path:
        return Path(self.root)

    @property
    def name(self) -> str:
        for marker in (MARKER, *AZURE_MARKERS):
            try:
                config = read_json(str(self.path / marker))
            except (OSError, ValueError) as error:
                raise ConfigError(f"{self.path / marker}, which names the workspace, cannot be read: {error}") from None
            if isinstance(config, dict) and "workspace_name" in config:
                return str(config["workspace_name"])
        return self.path.name

    def redacted(self, text: str) -> str:
        """`text` with references in place of the values of secrets."""
        return redaction.redact(text, self.secrets)

    @property
    def outputs_path(self) -> Path:
        return self.path / "outputs"

    @property
    def models_path(self) -> Path:
        return self.path / "models"

    @property
    def state_path(self) -> Path:
        """amlcore's own files: snapshots, queues, slots, services."""
        return self.path / ".amlcore"

    @property
    def snapshots_path(self) -> Path:
        return self.state_path / "snapshots"

    @property
    def trash_path(self) -> Path:
        """Where removed runs are, on the filesystem of outputs/: to move a run is one step there."""
        with suppress(FileNotFoundError):
            if os.stat(self.outputs_path).st_dev != os.stat(self.state_path).st_dev:
                return self.outputs_path / ".trash"
        return self.state_path / "trash"

    @property
    def environments_path(self) -> Path:
        """Where built environments are cached, by content."""
        if self.environments_folder is not None:
            return self.path / _expanded("workspace.environments_folder", self.environments_folder)
        if cache := os.environ.get("AMLCORE_ENVIRONMENTS"):
            return _expanded("AMLCORE_ENVIRONMENTS", cache).absolute()
        caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        return _expanded("the folder of built environments", caches).absolute() / "amlcore" / "environments"

    @property
    def experiment_folders(self) -> Iterator[Path]:
        """The folders in outputs/, in no particular order."""
        return _folders(self.outputs_path)

    @property
    def run_folders(self) -> Iterator[Path]:
        """The folders of all runs, in no particular order, unreadable ones included: reading one reports it.

        Runs that are removed or restored together, such as a sweep and its trials, are all in it or none.
        """
        folders, hidden = self.undisturbed(lambda: list(self._present_folders))
        yield from (folder for folder in folders if f"{folder.parent.name}/{folder.name}" not in hidden)

    def undisturbed(self, scan: Callable[[], T]) -> tuple[T, set[str]]:
        """What a scan of outputs/ comes to while no runs are removed or restored.

        Returns
        -------
        tuple
            The result of `scan`, and the runs, as EXPERIMENT/RUN, that it may have met and that are removed.
        """
        moving = self.trash_path / MOVING
        while True:
            stamp = _modified_ns(moving)
            result, hidden = scan(), _moving_runs(moving)
            if _modified_ns(moving) == stamp:
                return result, hidden

    @property
    def _present_folders(self) -> Iterator[Path]:
        for experiment in self.experiment_folders:
            if not os.access(experiment, os.R_OK | os.X_OK):
                yield experiment
                continue
            for run in _folders(experiment):
                if not os.access(run, os.X_OK) or os.path.exists(f"{run}/run.json"):
                    yield run

    def writable(self) -> None:
        """Check that runs can be recorded here.

        Raises
        ------
        RequestError
            `outputs/` cannot be written.
        """
        try:
            make_folder(self.outputs_path)
            make_folder(self.state_path)
        except OSError as error:
            raise RequestError(f"{error.filename}: {error.strerror}; runs are recorded there") from None
        for folder in (self.outputs_path, self.state_path):
            if not os.access(folder, os.W_OK | os.X_OK):
                raise RequestError(f"{folder} is not writable; runs are recorded there")


def _expanded(key: str, folder: str) -> Path:
    if not folder:
        raise ConfigError(f"{key}='': must be a folder, or null for the user's cache folder")
    try:
        return Path(folder).expanduser()
    except RuntimeError:
        raise ConfigError(
            f"{key}={folder}: there is no home folder (HOME is not set); "
            "set AMLCORE_ENVIRONMENTS or workspace.environments_folder to a folder"
        ) from None


def _moving_runs(folder: Path) -> set[str]:
    """The runs, as EXPERIMENT/RUN, that are removed although their folders may still be in outputs/."""
    runs: set[str] = set()
    for path in folder.glob("*.json"):
        removal = read_json(str(path))
        runs.update(() if removal is None else removal["runs"])
    return runs


def _modified_ns(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # there is none, or it is another user's
        return None


def _folders(path: Path) -> Iterator[Path]:
    if path.is_dir():
        with os.scandir(path) as entries:
            yield from (Path(entry.path) for entry in entries if entry.is_dir() and not entry.name.startswith("."))
