"""The metrics of a run: a file of JSON lines for each process that logs, read together in order of time."""

import json
import os
import time

from amlcore.worker.files import append_lines
from amlcore.worker.layout import METRIC_KINDS
from amlcore.worker.process_identity import identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

_writers = {}  # type: dict[int, str]

NOT_METRICS = ("tag", "property", "parameter")
"""The kinds of records that describe the run itself."""

_SHAPES = {"list": list, "row": dict, "table": dict}


def new_record(kind, name, value, step=None, description="", attempt=None, **more):
    # type: (str, str, object, int | None, str, int | None, object) -> dict[str, object]
    """What is written for a value that is logged now; the attempt is omitted if it is the first."""
    record = dict({"kind": kind, "name": name, "value": value, "step": step, "at": time.time()}, **more)
    if description:
        record["description"] = description
    if attempt is not None and attempt > 1:
        record["attempt"] = attempt
    return record


def write_record(folder, kind, name, *, value, step=None):
    # type: (...) -> None
    """Append a record to this process's file in a run's metrics folder."""
    write_records(folder, [new_record(kind, name, value, step)])


def write_records(folder, records):
    # type: (str, list[dict[str, object]]) -> None
    """Append lines to this process's file in a folder of a run, such as that of its metrics."""
    path = os.path.join(folder, process_file())
    try:
        append_lines(path, records, alone=True)
    except FileNotFoundError:
        os.makedirs(folder, exist_ok=True)
        append_lines(path, records, alone=True)


def process_file():
    # type: () -> str
    """The name of the file that this process alone writes to, wherever each process has its own."""
    pid = os.getpid()  # read each time, since a fork is another writer
    name = _writers.get(pid)
    if name is None:
        me = identity()
        name = _writers[pid] = "{}-{}-{}.jsonl".format(me["host"], pid, me["started"])
    return name


class MetricsTail(object):
    """Reads the new records of a metrics folder at each call; a later attempt comes after an earlier one.

    Parameters: with `kind`, or with some `names`, the other records are skipped, and not even parsed.
    """

    def __init__(self, folder, kind=None, names=()):
        # type: (str | os.PathLike[str], str | None, typing.Iterable[str]) -> None
        self._folder = str(folder)
        self._start = b"" if kind is None else '{{"kind": "{}"'.format(kind).encode("ascii")
        self._names = [' "name": {},'.format(json.dumps(name)).encode("ascii") for name in names] or [b""]
        self._offsets = {}  # type: dict[str, int]

    def read_new(self):
        # type: () -> list[dict[str, typing.Any]]
        """The records since the last call, in order of time; an incomplete line waits for the next call."""
        records = [record for name in metric_files(self._folder) for record in self._read(name)]
        return sorted(records, key=time_order)

    def _read(self, name):
        # type: (str) -> list[dict[str, typing.Any]]
        path = os.path.join(self._folder, name)
        offset = self._offsets.get(name, 0)
        try:
            if os.path.getsize(path) <= offset:
                return []
            with open(path, "rb") as stream:
                stream.seek(offset)
                data = stream.read()
        except FileNotFoundError:  # its first line met a full disk
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offsets[name] = offset + len(whole)
        return [
            record for record in map(parse_record, filter(self._is_wanted, whole.splitlines())) if record is not None
        ]

    def _is_wanted(self, line):
        # type: (bytes) -> bool
        return line.startswith(self._start) and any(name in line for name in self._names)


def metric_files(folder):
    # type: (str) -> list[str]
    """The names of the files of metrics in a folder, one of each process that logged."""
    try:
        return sorted(name for name in os.listdir(folder) if name.endswith(".jsonl"))
    except FileNotFoundError:
        return []


def parse_record(line):
    # type: (bytes) -> dict[str, typing.Any] | None
    """The record on a line; None for what a full disk left of one, or what is not a record."""
    try:
        record = json.loads(line.decode("utf-8"))
    except ValueError:
        return None
    return record if isinstance(record, dict) and _is_proper(record) else None


def _is_proper(record):
    # type: (dict[str, typing.Any]) -> bool
    kind, at = record.get("kind"), record.get("at")
    return (
        kind in METRIC_KINDS
        and isinstance(record.get("name"), str)
        and "value" in record
        and isinstance(record["value"], _SHAPES.get(kind, object))
        and isinstance(at, (int, float))
        and at == at  # noqa: PLR0124 - NaN would spoil the order
        and isinstance(attempt_of(record), int)
    )


def attempt_of(record):
    # type: (dict[str, typing.Any]) -> int
    """The attempt that logged a record."""
    return record.get("attempt", 1)  # type: ignore[no-any-return]


def time_order(record):
    # type: (dict[str, typing.Any]) -> tuple[int, float]
    """The sort key of records: attempts in order, since the clocks of their nodes may differ, then by time."""
    return attempt_of(record), record["at"]


def read_metrics(folder):
    # type: (str | os.PathLike[str]) -> list[dict[str, typing.Any]]
    """All records in a run's metrics folder, in order of time."""
    return MetricsTail(folder).read_new()


def summary(records):
    # type: (list[dict[str, typing.Any]]) -> dict[str, typing.Any]
    """The metrics by name as in Azure ML: the value, or a list if it was logged more than once."""
    series = {}  # type: dict[str, list[dict[str, typing.Any]]]
    for record in records:
        if record["kind"] not in NOT_METRICS:
            series.setdefault(record["name"], []).append(record)
    return {name: _merged(items) for name, items in series.items()}


def _merged(records):
    values = [record["value"] for record in records]
    if len(values) == 1:
        return values[0]
    kinds = {record["kind"] for record in records}
    if kinds == {"list"}:
        return [item for value in values for item in value]
    if kinds <= {"row", "table"}:
        columns = {}  # type: dict[str, list[typing.Any]]
        for value in values:
            for key, column in value.items():
                columns.setdefault(key, []).extend(column if isinstance(column, list) else [column])
        return columns
    return values


def last_by_name(records, kind):
    # type: (list[dict[str, typing.Any]], str) -> dict[str, typing.Any]
    """The last value of each name among the records of one kind, without the names that were deleted since."""
    last = {record["name"]: record for record in records if record["kind"] == kind}
    return {name: record["value"] for name, record in last.items() if not record.get("deleted")}


def last_values(folder, kind):
    # type: (str | os.PathLike[str], str) -> dict[str, typing.Any]
    """The same as `last_by_name` for a folder, at a fraction of the cost of reading all records."""
    return last_by_name(last_records(folder), kind)


def last_records(folder):
    # type: (str | os.PathLike[str]) -> list[dict[str, typing.Any]]
    """The last record of each kind and name that each process logged, in order of time."""
    records = [
        parse_record(line)
        for name in metric_files(str(folder))
        for line in _last_lines(os.path.join(str(folder), name))
    ]
    valid = [record for record in records if record is not None]
    if len(valid) < len(records):  # a damaged line hides the one before it
        return read_metrics(folder)
    return sorted(valid, key=time_order)


def _last_lines(path):
    """The last line of each kind and name; what precedes the value is the same in all lines of one."""
    try:
        lines = open(path, "rb")
    except FileNotFoundError:  # its first line met a full disk
        return []
    with lines:  # not all at once: there may be millions
        return {line.partition(b', "value": ')[0]: line for line in lines if line.endswith(b"}\n")}.values()
