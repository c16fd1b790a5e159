"""The FolderSource: what MLflow is told, read from the folders of the runs themselves."""

import datetime
import json
import os

from amlcore.worker.files import read_json
from amlcore.worker.layout import RunLayout
from amlcore.worker.metrics import last_by_name, last_records, metric_files
from amlcore.worker.mlflow import journal
from amlcore.worker.mlflow.facts import ExperimentFacts, RunFacts, RunSource
from amlcore.worker.run_names import is_experiment
from amlcore.worker.values import text

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

    Stamp = tuple[tuple[str, int, int], ...]

STATUSES = {
    "NotStarted": "SCHEDULED",
    "Preparing": "SCHEDULED",
    "Queued": "SCHEDULED",
    "Running": "RUNNING",
    "CancelRequested": "RUNNING",
    "Finalizing": "RUNNING",
    "Completed": "FINISHED",
    "Failed": "FAILED",
    "Canceled": "KILLED",
}


class FolderSource(RunSource):
    """Reads each run when it is asked for, and again once one of its files has changed."""

    def __init__(self, root):
        # type: (str) -> None
        self._outputs = os.path.join(root, "outputs")
        self._read = {}  # type: dict[str, tuple[Stamp, RunFacts | None]]
        self._places = {}  # type: dict[str, str]

    def experiments(self):
        # type: () -> list[ExperimentFacts]
        experiments = map(self.experiment, filter(is_experiment, _folders(self._outputs)))
        return [experiment for experiment in experiments if experiment is not None]

    def experiment(self, name):
        # type: (str) -> ExperimentFacts | None
        folder = os.path.join(self._outputs, name)
        if not is_experiment(name):  # a page asks for whatever is in its address
            return None
        try:
            changed_ms = int(os.stat(folder).st_mtime * 1000)
            first = min((entry for entry in os.listdir(folder) if entry[:8].isdigit()), default=None)
        except OSError:
            return None
        return ExperimentFacts(name, changed_ms if first is None else _ms_of_id(first), changed_ms)

    def runs(self, experiment):
        # type: (str) -> typing.Iterable[RunFacts]
        folder = os.path.join(self._outputs, experiment)
        for name in _folders(folder) if is_experiment(experiment) else ():
            facts = self._facts(os.path.join(folder, name))
            if facts is not None:
                yield facts

    def run(self, identifier):
        # type: (str) -> RunFacts | None
        folder = self._places.get(identifier) or self._place(identifier)
        return None if folder is None else self._facts(folder)

    def _place(self, identifier):
        # type: (str) -> str | None
        if os.path.basename(identifier) != identifier:
            return None
        for experiment in _folders(self._outputs):
            folder = os.path.join(self._outputs, experiment, identifier)
            if os.path.isfile(RunLayout(folder).run):
                self._places[identifier] = folder
                return folder
        return None

    def _facts(self, folder):
        # type: (str) -> RunFacts | None
        """The facts of the run in `folder`; None if there is none, or none that can be read."""
        stamp = _stamp(folder)
        known = self._read.get(folder)
        if known is None or known[0] != stamp:
            known = self._read[folder] = stamp, _read_run(folder)
        return known[1]


def _folders(folder):
    # type: (str) -> list[str]
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    except OSError:
        return []


def _stamp(folder):
    # type: (str) -> Stamp
    """What changes whenever a file changes that the facts are read from."""
    layout = RunLayout(folder)
    paths = [layout.run, layout.state, layout.models, layout.marks]
    for journals in (layout.metrics, layout.mlflow):
        paths += [os.path.join(journals, name) for name in metric_files(journals)]
    stamp = []
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            continue
        stamp.append((path, status.st_mtime_ns, status.st_size))
    return tuple(stamp)


def _read_run(folder):
    # type: (str) -> RunFacts | None
    layout = RunLayout(folder)
    try:
        run, state = read_json(layout.run), read_json(layout.state)
        if run is None:
            return None
        facts = _facts_of(run, state or {}, last_records(layout.metrics), folder)
        marks = read_json(layout.marks)
        return facts if marks is None else _marked(facts, marks)
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        return None  # it is being removed, or damaged: `aml runs` names those


def _facts_of(run, state, records, folder):
    # type: (dict[str, typing.Any], dict[str, typing.Any], list[dict[str, typing.Any]], str) -> RunFacts
    """The facts of a run by what run.json, state.json and the last records of its metrics hold."""
    entries = journal.read_entries(RunLayout(folder).mlflow)
    tags = dict(last_tags(records), **_own_tags(run, state, entries, RunLayout(folder)))
    times = state.get("times") or {}
    name = state.get("state", "NotStarted")
    ended = name in ("Completed", "Failed", "Canceled")
    return RunFacts(
        id=run["id"],
        experiment=run["experiment"],
        folder=folder,
        user=run.get("user") or "",
        name=tags.setdefault("mlflow.runName", _name_of(run)),
        status=STATUSES.get(name, "RUNNING"),
        is_deleted=is_deleted(entries),
        started_ms=int(times["Running"] * 1000) if "Running" in times else _ms(run["created"]),
        ended_ms=int(times.get("Finalizing", state["at"]) * 1000) if ended else None,
        parameters=parameters_of(run, records),
        metrics=last_metrics(records),
        tags=tags,
    )


def _marked(facts, marks):
    # type: (RunFacts, dict[str, typing.Any]) -> RunFacts
    """The facts with what people have added to the run; it counts more than what the script said."""
    for name in marks.get("removed_tags") or ():
        facts.tags.pop(name, None)
    facts.tags.update(marks.get("tags") or {})
    if marks.get("note"):
        facts.tags["mlflow.note.content"] = marks["note"]
    if marks.get("name"):
        facts.name = facts.tags["mlflow.runName"] = marks["name"]
    facts.is_deleted = facts.is_deleted or bool(marks.get("archived"))
    return facts


def _name_of(run):
    # type: (dict[str, typing.Any]) -> str
    trial = run.get("trial")
    return str(run.get("name") or (run["id"] if trial is None else "trial {}".format(trial)))


def parameters_of(run, records):
    # type: (dict[str, typing.Any], list[dict[str, typing.Any]]) -> dict[str, str]
    """The arguments of a run and what its script logged, which counts where both have a name."""
    arguments = {str(key): text(value) for key, value in (run.get("parameters") or {}).items()}
    return dict(arguments, **{name: text(value) for name, value in last_by_name(records, "parameter").items()})


def last_tags(records):
    # type: (list[dict[str, typing.Any]]) -> dict[str, str]
    """The tags of a run, and what it logged that is no number: MLflow has no other place for it."""
    words = {}
    for record in records:
        if record["kind"] == "scalar" and not _is_number(record["value"]):
            words[record["name"]] = text(record["value"])
    return dict(words, **{name: _tag_text(value) for name, value in last_by_name(records, "tag").items()})


def _tag_text(value):
    # type: (typing.Any) -> str
    return "" if value is None else text(value)


def last_metrics(records):
    # type: (list[dict[str, typing.Any]]) -> dict[str, tuple[float, int, int]]
    """The last number of each name: a list counts by its last one, a row of a table by its columns."""
    metrics = {}
    for record in records:
        for name, value in numbers_of(record):
            metrics[name] = value, record["step"] or 0, milliseconds(record)
    return metrics


def numbers_of(record):
    # type: (dict[str, typing.Any]) -> list[tuple[str, float]]
    """The numbers that a record holds, with the names that MLflow shows them by."""
    name, value = record["name"], record["value"]
    if record["kind"] == "scalar":
        pairs = [(name, value)]
    elif record["kind"] == "list":
        pairs = [(name, item) for item in value]
    elif record["kind"] == "row":
        pairs = [("{}/{}".format(name, column), cell) for column, cell in value.items()]
    else:
        pairs = []
    return [(name, float(value)) for name, value in pairs if _is_number(value)]


def _is_number(value):
    # type: (object) -> bool
    return isinstance(value, (int, float))


def milliseconds(record):
    # type: (dict[str, typing.Any]) -> int
    """When a record was logged: what its script said, or else when it was written."""
    timestamp = record.get("timestamp")
    return timestamp if isinstance(timestamp, int) else int(record["at"] * 1000)


def is_deleted(entries):
    # type: (list[dict[str, typing.Any]]) -> bool
    stages = [entry["deleted"] for entry in entries if entry["kind"] == "lifecycle"]
    return bool(stages and stages[-1])


def _own_tags(run, state, entries, layout):
    # type: (dict[str, typing.Any], dict[str, typing.Any], list[dict[str, typing.Any]], RunLayout) -> dict[str, str]
    """What amlcore knows by itself, under the names that MLflow's pages look for."""
    tags = {
        "mlflow.user": run.get("user"),
        "mlflow.parentRunId": run.get("parent"),
        "mlflow.source.name": run.get("module") or run.get("script"),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": (run.get("git") or {}).get("commit"),
        "amlcore.reason": state.get("reason"),
        "amlcore.model": _last_model(layout.models),
    }
    models = [entry["tags"] for entry in entries if entry["kind"] == "logged_model"]
    if models:
        tags["mlflow.log-model.history"] = json.dumps(models)
    return {name: str(value) for name, value in tags.items() if value}


def _last_model(path):
    # type: (str) -> str | None
    try:
        with open(path, "rb") as lines:
            return str(json.loads(lines.read().rstrip(b"\0").splitlines()[-1].decode("utf-8"))["model"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _ms(created):
    # type: (str) -> int
    moment = datetime.datetime.strptime(created[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.timezone.utc)
    fraction = created[20:26] if created[19:20] == "." else ""
    return int(moment.timestamp() * 1000) + int(fraction.ljust(6, "0")[:3] if fraction.isdigit() else 0)


def _ms_of_id(identifier):
    # type: (str) -> int
    try:
        moment = datetime.datetime.strptime(identifier[:15], "%Y%m%d-%H%M%S")
    except ValueError:
        return 0
    return int(moment.replace(tzinfo=datetime.timezone.utc).timestamp() * 1000)
