"""The facts of a run that are compared with those of others, a group of them for each section."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amlcore.errors import RecordError
from amlcore.record.reading import read_yaml
from amlcore.record.record import Record
from amlcore.record.status import RunState
from amlcore.runs.run import Run
from amlcore.runs.view import RunView

SECTIONS = ("run", "metrics", "arguments", "config", "packages", "environment", "inputs", "outputs", "host", "time")
"""What is compared by key, in the order in which it is shown; the code comes last."""

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?\s*(?:==\s*([^\s;\\]+)|@\s*([^\s;\\]+))")
_SCRIPT_ARGUMENTS = "script.arguments"  # of the configuration; they are the section `arguments`
_MACHINE_KEYS = ("host", "user", "compute", "source_directory", "working_folder")


@dataclass(frozen=True)
class RunFacts:
    """What is compared of one run."""

    label: str  # A, B, …
    record: Record
    summary: dict[str, Any]
    kind: str  # run, sweep, trial or child run
    sections: dict[str, dict[str, Any]]
    notes: list[str] = field(default_factory=list)  # what cannot be compared, or may still change

    def to_json(self) -> dict[str, Any]:
        keys = ("id", "name", "experiment", "parent", "state", "created", "duration_s", "folder")
        return {"label": self.label, "kind": self.kind, **{key: self.summary[key] for key in keys}, "notes": self.notes}


def facts_of(run: Run, *, label: str) -> RunFacts:
    """Read what is compared of a run; what is damaged or missing becomes a note."""
    return _Reader(run.record, label).read()


class _Reader:
    def __init__(self, record: Record, label: str) -> None:
        self._record = record
        self._label = label
        self._notes: list[str] = []

    def read(self) -> RunFacts:
        view = RunView(self._record)
        summary = view.summary()
        self._notes += view.damages
        if view.status is not None and not view.status.state.ended:
            self._notes.append(f"it is {view.status.state.value}, so its metrics, outputs and times may still change")
        document = {} if view.info is None else view.info.document
        configuration = self._or_empty(self._configuration)
        sections = {
            "run": self._run(summary, document),
            "metrics": summary["metrics"],
            "arguments": self._arguments(summary, document),
            "config": configuration,
            "packages": self._or_empty(self._packages),
            "environment": self._or_empty(lambda: self._environment(document)),
            "inputs": _flat(document.get("inputs") or {}),
            "outputs": self._or_empty(self._outputs),
            "host": {key: document[key] for key in _MACHINE_KEYS if document.get(key) is not None},
            "time": self._times(view, summary),
        }
        return RunFacts(self._label, self._record, summary, self._kind(view, summary), sections, self._notes)

    def _or_empty(self, read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What `read` returns; if a file is damaged, nothing and a note."""
        try:
            return read()
        except RecordError as error:
            if str(error) not in self._notes:
                self._notes.append(str(error))
            return {}

    def _kind(self, view: RunView, summary: Mapping[str, Any]) -> str:
        if view.is_sweep:
            return "sweep"
        if summary["parent"] is None:
            return "run"
        return "trial" if view.info is not None and view.info.trial is not None else "child run"

    def _run(self, summary: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
        keys = ("experiment", "parent", "state", "reason", "script", "model", "note")
        facts = {key: summary[key] for key in keys if summary[key] is not None}
        return {**facts, **_flat(summary["tags"], "tags"), **_flat(document.get("git") or {}, "git")}

    def _arguments(self, summary: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters; if the script has none by name, its command line."""
        parameters = dict(summary["parameters"])
        words = document.get("arguments")
        return parameters if parameters or not words else {"arguments": words}

    def _configuration(self) -> dict[str, Any]:
        document = read_yaml(self._record.layout.config, dict)
        if document is None:
            self._notes.append("it has no configuration: a script started it by itself")
            return {}
        flat = _flat(document)
        return {
            key: value
            for key, value in flat.items()
            if key != _SCRIPT_ARGUMENTS and not key.startswith(f"{_SCRIPT_ARGUMENTS}.")
        }

    def _packages(self) -> dict[str, Any]:
        lock = self._record.lock
        if lock is None:
            self._notes.append("it has no lock, so its packages cannot be compared")
            return {}
        pins = (_PIN.match(line) for line in lock.splitlines())
        return {_normal(pin[1]): pin[2] or f"@ {pin[3]}" for pin in pins if pin is not None}

    def _environment(self, document: Mapping[str, Any]) -> dict[str, Any]:
        environment = self._record.environment
        facts = {"name": document.get("environment"), **_flat(document.get("versions") or {}, "versions")}
        if environment is not None:
            facts |= {"python": environment.python_version, "interpreter": environment.python}
        return {key: value for key, value in facts.items() if value is not None and key != "versions.python"}

    def _outputs(self) -> dict[str, Any]:
        return {file.path: f"{file.sha256[:12]}, {file.size} bytes" for file in self._record.outputs}

    def _times(self, view: RunView, summary: Mapping[str, Any]) -> dict[str, Any]:
        status = view.status
        usage = {} if status is None else status.usage or {}
        queued = None if status is None else _between(status.times, RunState.Queued.value, RunState.Running.value)
        facts = {"duration_s": summary["duration_s"], "queued_s": queued, **usage}
        return {key: value for key, value in facts.items() if value is not None}


def _between(times: Mapping[str, float], first: str, last: str) -> float | None:
    return round(times[last] - times[first], 3) if first in times and last in times else None


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The leaves of nested mappings by their dotted keys; a list is a leaf."""
    flat: dict[str, Any] = {}
    for key, item in value.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        flat |= _flat(item, name) if isinstance(item, dict) and item else {name: item}
    return flat


def _normal(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def canonical(value: Any) -> str:
    """A text that is equal for equal values alone: 1 is not true, and not-a-number equals itself."""
    return json.dumps(value, sort_keys=True, default=str)


def snapshot_store(record: Record) -> Path:
    return record.workspace_path / ".amlcore" / "snapshots"
