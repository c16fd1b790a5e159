"""The Run: one execution of a script."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from amlcore.errors import NotFoundError, RequestError, RunError, suggest
from amlcore.record.documents import RunInfo
from amlcore.record.log_stream import LogStream, binary, last_lines
from amlcore.record.marks import read_marks
from amlcore.record.ownership import may_reconcile, owner_of
from amlcore.record.record import Record
from amlcore.record.status import RunState, RunStatus
from amlcore.runs.cancellation import request_cancel, was_pruned
from amlcore.runs.marking import set_name, set_note, set_tags
from amlcore.runs.models import last_model
from amlcore.runs.reconcile import reconcile
from amlcore.runs.view import RunView, duration_s
from amlcore.worker.layout import NAME_TAG, RUN_VARIABLE
from amlcore.worker.script.context import ScriptRun
from amlcore.worker.values import mapping, text, to_json_scalar
from amlcore.workspace import Workspace

POLL_S = 0.05


class Run(ScriptRun):
    """A run: its script logs with it; elsewhere it can be followed and canceled, and its model registered."""

    @cached_property
    def record(self) -> Record:
        return Record(Path(self.folder))

    @property
    def info(self) -> RunInfo:
        """What was known when the run was submitted."""
        return self.record.info

    @property
    def created(self) -> str:
        return self.info.created

    @property
    def status(self) -> RunStatus:
        """The state of the run; a run whose driver has exited is reconciled first."""
        reconcile(self.record)
        return self.record.status

    def has_ended(self) -> bool:
        return self.status.state.ended

    @property
    def exit_status(self) -> int:
        """What `aml run` exits with: the script's own exit status, or amlcore's."""
        return self.status.exit_status or 0

    def get_status(self) -> str:
        if self._is_recorded:
            reconcile(self.record)
        return super().get_status()

    @property
    def display_name(self) -> str | None:
        """The name of the run: what people call it, else what its script does."""
        return read_marks(self.folder).name or super().display_name

    @display_name.setter
    def display_name(self, name: str | None) -> None:
        if self._is_of_script:
            self.tag(NAME_TAG, name)
        else:
            set_name(self.record, name, folders=Workspace(root=str(self.workspace_path)).run_folders)

    @property
    def description(self) -> str | None:
        """The note on the run."""
        return read_marks(self.folder).note

    @description.setter
    def description(self, note: str | None) -> None:
        set_note(self.record, note)

    def tag(self, key: str, value: object = None) -> None:
        """Set a tag; outside of the run's script it is a mark, which wins over what the script logs."""
        self.set_tags({key: value})

    def set_tags(self, tags: dict[str, object]) -> None:
        """Set several tags."""
        values = mapping("set_tags", tags)
        if self._is_of_script:
            for key, value in values.items():
                super().tag(key, value)
        else:
            set_tags(
                self.record,
                {key: "" if value is None else text(to_json_scalar(value)) for key, value in values.items()},
            )

    def remove_tags(self, tags: Iterable[str]) -> None:
        """Remove tags, whether people set them or the script did."""
        set_tags(self.record, {}, remove=tags)

    def get_tags(self) -> dict[str, Any]:
        logged = super().get_tags()
        return read_marks(self.folder).over(logged) if self._is_recorded else logged

    @property
    def _is_of_script(self) -> bool:
        """Whether this process is the run's script, or that of its parent or child."""
        folder = os.environ.get(RUN_VARIABLE)
        if folder is None or not self._is_recorded:
            return not self._is_recorded
        return f"{folder}_".startswith(f"{self.folder}_") or f"{self.folder}_".startswith(f"{folder}_")

    def summary(self) -> dict[str, Any]:
        """The run as one row of a list; its keys are a contract."""
        return RunView(self.record).summary()

    def get_details(self) -> dict[str, Any]:
        """Everything that is recorded of the run, as `aml show --json` prints it; `metrics` has the last values.

        A very long series is thinned evenly; `thinned` says how many values it has.
        """
        return RunView(self.record, thorough=True).details(children=[child.id for child in self.get_children()])

    @property
    def duration_s(self) -> float | None:
        """Seconds from the script's start to its end, or until now; None before it started."""
        return duration_s(self.record.status)

    @property
    def model(self) -> str | None:
        """The last model registered from this run, as NAME:VERSION."""
        return last_model(self.record)

    def wait_for_completion(
        self,
        show_output: bool = False,
        wait_post_processing: bool = False,  # noqa: ARG002  v1's; a run ends once its outputs are kept
        raise_on_error: bool = True,
    ) -> dict[str, Any]:
        """Wait until the run has ended.

        Parameters
        ----------
        show_output : bool
            Print what the build of the environment and then the script print, as it appears.

        Returns
        -------
        dict
            `get_details()`.

        Raises
        ------
        RunError
            The run failed or was canceled, and `raise_on_error` is true.
        """
        for _ in self.follow(show_output=show_output):
            time.sleep(POLL_S)
        status = self.record.status
        if raise_on_error and status.state is not RunState.Completed:
            raise RunError(self.explanation)
        return self.get_details()

    def follow(self, *, show_output: bool) -> Iterator[RunStatus]:
        """Yield the run's status until it has ended, and copy what its script prints meanwhile."""
        layout, errors = self.record.layout, binary(sys.stderr)
        build_log = LogStream([(Path(layout.build_log), errors)])
        script_log = LogStream.of_run(layout, stdout=binary(sys.stdout), stderr=errors)
        while not (status := self.status).state.ended or self.record.is_driven:
            if show_output:
                build_log.pump()
                script_log.pump()
            yield status
        if show_output:
            build_log.drain()
            script_log.drain()

    @property
    def explanation(self) -> str:
        """Why the run did not complete: the reason, the last lines of its log, and where the whole log is."""
        status = self.record.status
        if status.state is RunState.Canceled:
            ended = "pruned" if was_pruned(self.record) else "canceled"
            return f"run {self.id} was {ended}" + ("" if status.reason == "canceled" else f": {status.reason}")
        lines = "".join(f"\n  | {line}" for line in last_lines(self.layout)) if self.record.attempt else ""
        from amlcore.runs.missing_files import missing_file

        missing = missing_file(self.record)
        hint = f"\n  hint: {missing}" if missing else ""
        return f"run {self.id} {status.state}: {status.reason}{lines}\n  full log: {self.layout.logs}{hint}"

    def cancel(self) -> None:
        """Ask the run to end; a run that has ended stays as it is.

        Raises
        ------
        RequestError
            A script started the run by itself, so only that script can end it. Or the run belongs to another user, and
            this one may not write to its folder, or its driver has exited.
        """
        if self.has_ended():
            return
        self._check_may_cancel()
        if not Path(self.record.layout.config).exists():
            raise RequestError(f"run {self.id} {self._how_to_end()}")
        request_cancel(self.record)

    def _check_may_cancel(self) -> None:
        owner = owner_of(self.folder)
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise RequestError(f"run {self.id} belongs to {owner}, and you may not write to {self.folder}")
        if not self.record.is_driven and not may_reconcile(Path(self.folder)):
            raise RequestError(
                f"run {self.id} belongs to {owner}, and its driver has exited: only they can cancel it now"
            )

    def _how_to_end(self) -> str:
        """What ends a run that was not submitted."""
        if (parent := self.info.parent) is not None:
            return f"was started by the script of run {parent} and ends with it"
        script = self.record.driver
        process = "unknown on an unknown host" if script is None else f"{script.pid} on {script.host}"
        return f"was started by hand: end it where it was started (process {process})"

    @property
    def workspace_path(self) -> Path:
        """The root of the workspace that the run belongs to."""
        return self.record.workspace_path

    def get_file_names(self) -> list[str]:
        """The files kept with the run, as paths in its folder: its outputs, its logs and its images."""
        outputs = [file.path for file in self.record.outputs]
        logged = [path for folder in (self.layout.logs, self.layout.images) for path in _files_below(Path(folder))]
        names = [*outputs, *(path.relative_to(self.folder).as_posix() for path in logged)]
        return [name for name in names if ".." not in Path(name).parts and not Path(name).is_absolute()]

    def download_file(self, name: str, output_file_path: str | os.PathLike[str] | None = None) -> None:
        """Copy a file that was kept with the run.

        Parameters
        ----------
        output_file_path : path, optional
            A file, or an existing folder; default: the working folder.

        Raises
        ------
        NotFoundError
            The run has no such file.
        """
        if name.startswith("outputs/") and self.record.pruned.outputs is not None:
            raise NotFoundError(f"run {self.id} no longer has {name}: its outputs were deleted with `aml prune`")
        if name not in self.get_file_names():
            raise NotFoundError(f"run {self.id} has no file {name}; {suggest(name, self.get_file_names())}")
        target = Path(output_file_path or ".")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(self.folder, name), target / Path(name).name if target.is_dir() else target)

    def download_files(self, prefix: str = "", output_directory: str | os.PathLike[str] = ".") -> None:
        """Copy the files kept with the run whose path begins with `prefix` to the same paths in `output_directory`."""
        for name in self.get_file_names():
            if name.startswith(prefix):
                self.download_file(name, Path(output_directory, name))


def _files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
