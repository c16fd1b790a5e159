"""The RunWriter: what MLflow logs, written into the record of a run as amlcore's own calls write it."""

from amlcore.worker.layout import RunLayout
from amlcore.worker.metrics import MetricsTail, new_record
from amlcore.worker.mlflow import journal
from amlcore.worker.script.context import ScriptRun
from amlcore.worker.script.folder_lock import locked

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

    Number = tuple[str, float, int, int]


class ParameterChangedError(ValueError):
    """A parameter was logged before, with another value."""

    def __init__(self, name, before, value):
        # type: (str, str, str) -> None
        message = (
            "parameter '{}' is '{}' and cannot become '{}': a parameter is logged once; use a tag for what changes"
        )
        ValueError.__init__(self, message.format(name, before, value))


class RunWriter(ScriptRun):
    """A run, with what MLflow adds: parameters, tags that can be deleted, and a journal of models and datasets."""

    def __init__(self, folder):
        # type: (str) -> None
        ScriptRun.__init__(self, folder)
        self._parameters = {}  # type: dict[str, str]
        self._new_parameters = MetricsTail(self.layout.metrics, "parameter")
        self._metrics_before = set()  # type: set[Number]
        self._new_metrics = MetricsTail(self.layout.metrics, "scalar")

    def log_numbers(self, numbers):
        # type: (typing.Iterable[Number]) -> None
        """Log values as (name, value, milliseconds, step), in the order of the calls."""
        records = [
            new_record("scalar", name, value, step, "", self._attempt(), timestamp=timestamp)
            for name, value, timestamp, step in numbers
        ]
        if records:
            self._write(self.layout.metrics, records)

    def has_number(self, number):
        # type: (Number) -> bool
        """Whether the same value was logged with the same step at the same time."""
        for record in self._new_metrics.read_new():
            if "timestamp" in record:
                self._metrics_before.add((record["name"], record["value"], record["timestamp"], record["step"]))
        return number in self._metrics_before

    def log_parameters(self, parameters):
        # type: (dict[str, str]) -> None
        """Log parameters, each of them once: again with the same value does nothing.

        Raises ParameterChangedError, and then logs none of them.
        """
        with locked(self._kept(self.layout.metrics)):
            for record in self._new_parameters.read_new():
                self._parameters.setdefault(record["name"], record["value"])
            for name, value in parameters.items():
                if self._parameters.get(name, value) != value:
                    raise ParameterChangedError(name, self._parameters[name], value)
            new = [
                new_record("parameter", name, value, None, "", self._attempt())
                for name, value in parameters.items()
                if name not in self._parameters
            ]
            if new:
                self._write(self.layout.metrics, new)

    def log_tags(self, tags):
        # type: (dict[str, str]) -> None
        records = [new_record("tag", name, value, None, "", self._attempt()) for name, value in tags.items()]
        if records:
            self._write(self.layout.metrics, records)

    def delete_tag(self, name):
        # type: (str) -> None
        self._write(self.layout.metrics, [new_record("tag", name, None, None, "", self._attempt(), deleted=True)])

    def note(self, kind, **fields):
        # type: (str, object) -> None
        """Add an entry to the journal of what only MLflow knows."""
        self._write(self.layout.mlflow, [journal.new_entry(kind, self._attempt(), **fields)])

    def entries(self):
        # type: () -> list[dict[str, typing.Any]]
        return journal.read_entries(RunLayout(self.folder).mlflow)

    def start_child(self, name, user):
        # type: (str | None, str) -> str
        """Start a child run; returns its folder."""
        return self._start_child(name, user=user).folder
