"""The metrics of a run: one file of JSON lines a writing process, read together in the order of time."""

import json
import os
import time

from amlcore.worker.files import append_line
from amlcore.worker.layout import METRIC_KINDS
from amlcore.worker.process_identity import identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

_writers = {}  # type: dict[int, str]

SHOWN_VALUES = 10000
"""So many values of one series are shown of a run; the others are in its record."""

READ_WHOLE_BYTES = 5 << 20
SKIMMED = 100

_SHAPES = {"list": list, "row": dict, "table": dict}


def write_record(folder, kind, name, *, value, step=None, description="", attempt=None):
    # type: (...) -> None
    """Append one record to this process's file in a run's folder of metrics; the first attempt is not named in it."""
    record = {"kind": kind, "name": name, "value": value, "step": step, "at": time.time()}
    if description:
        record["description"] = description
    if attempt is not None and attempt > 1:
        record["attempt"] = attempt
    path = os.path.join(folder, _own_file())
    try:
        append_line(path, record)
    except FileNotFoundError:
        os.makedirs(folder, exist_ok=True)
        append_line(path, record)


def _own_file():
    pid = os.getpid()  # asked each time, since a fork is another writer
    name = _writers.get(pid)
    if name is None:
        me = identity()
        name = _writers[pid] = "{}-{}-{}.jsonl".format(me["host"], pid, me["started"])
    return name


class MetricsTail(object):
    """Reads what is new in a folder of metrics, as often as it is asked; a later attempt comes after an earlier one."""

    def __init__(self, folder):
        # type: (str | os.PathLike[str]) -> None
        self._folder = str(folder)
        self._offsets = {}  # type: dict[str, int]

    def read_new(self):
        # type: () -> list[dict[str, typing.Any]]
        """The records since the last call in the order of time; a line that is not whole yet waits for the next."""
        records = [record for name in _files(self._folder) for record in self._read(name)]
        return sorted(records, key=_order)

    def _read(self, name):
        # type: (str) -> list[dict[str, typing.Any]]
        path = os.path.join(self._folder, name)
        offset = self._offsets.get(name, 0)
        if os.path.getsize(path) <= offset:
            return []
        with open(path, "rb") as stream:
            stream.seek(offset)
            data = stream.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offsets[name] = offset + len(whole)
        return [record for record in map(_parsed, whole.splitlines()) if record is not None]


def _files(folder):
    # type: (str) -> list[str]
    try:
        return sorted(name for name in os.listdir(folder) if name.endswith(".jsonl"))
    except FileNotFoundError:
        return []


def _parsed(line):
    """A record; None for what a full disk left of one, or what is none."""
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
    """Which attempt at the run logged a record."""
    return record.get("attempt", 1)  # type: ignore[no-any-return]


def _order(record):
    # type: (dict[str, typing.Any]) -> tuple[int, float]
    """Attempts one after the other: the clocks of their nodes may differ."""
    return attempt_of(record), record["at"]


def read_metrics(folder):
    # type: (str | os.PathLike[str]) -> list[dict[str, typing.Any]]
    """All records in a run's folder of metrics, in the order of time."""
    return MetricsTail(folder).read_new()


def summary(records):
    # type: (list[dict[str, typing.Any]]) -> dict[str, typing.Any]
    """The metrics by name as Azure ML gives them: the value, or a list of them where it was logged more than once."""
    series = {}  # type: dict[str, list[dict[str, typing.Any]]]
    for record in records:
        if record["kind"] not in ("tag", "property"):
            series.setdefault(record["name"], []).append(record)
    return {name: _together(found) for name, found in series.items()}


def _together(records):
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


def thinned(folder, at_most=SHOWN_VALUES):
    # type: (str | os.PathLike[str], int) -> tuple[list[dict[str, typing.Any]], dict[str, int]]
    """The records in the order of time, with at most about so many of each name; the last of each is among them.

    Returns them, and how many there are of each name of which some were left out. Read as a stream: a run may log
    millions.
    """
    found = []  # type: list[dict[str, typing.Any]]
    counts = {}  # type: dict[str, int]
    for name in _files(str(folder)):
        with open(os.path.join(str(folder), name), "rb") as lines:
            for series in _every_so_often(lines, at_most):
                kept = [record for record in map(_parsed, series.lines()) if record is not None]
                found += kept
                for record in kept[-1:]:
                    counts[record["name"]] = counts.get(record["name"], 0) + series.count
    shown = {}  # type: dict[str, int]
    for record in found:
        shown[record["name"]] = shown.get(record["name"], 0) + 1
    left_out = {name: count for name, count in counts.items() if count > shown[name]}
    return sorted(found, key=_order), left_out


class _Series(object):
    """The lines of one kind and name: each of the first ones, then every second, every fourth, and so on."""

    def __init__(self, at_most):
        # type: (int) -> None
        self.count = 0
        self._at_most = at_most
        self._stride = 1
        self._kept = []  # type: list[bytes]
        self._last = b""

    def add(self, line):
        # type: (bytes) -> None
        if self.count % self._stride == 0:
            self._kept.append(line)
            if len(self._kept) > self._at_most:
                self._kept = self._kept[::2]
                self._stride *= 2
        self.count += 1
        self._last = line

    def lines(self):
        # type: () -> list[bytes]
        is_in = (self.count - 1) % self._stride == 0
        return self._kept if is_in else self._kept + [self._last]


def _every_so_often(lines, at_most):
    # type: (typing.Iterable[bytes], int) -> list[_Series]
    """The series of one file; what stands before the value is the same in all lines of one."""
    found = {}  # type: dict[bytes, _Series]
    for line in lines:
        start = line.partition(b', "value": ')[0]
        if start not in found:
            if _parsed(line) is None:
                continue
            found[start] = _Series(at_most)
        if line.endswith(b"}\n"):
            found[start].add(line)
    return list(found.values())


def find_damage(path):
    # type: (str) -> int | None
    """The number of the first line in a file of metrics that is none; None where all are. Long files are skimmed."""
    is_long = os.path.getsize(path) > READ_WHOLE_BYTES
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, 1):
            if is_long and number % SKIMMED:
                if not (line.startswith(b'{"kind": "') and line.endswith(b"}\n")):
                    return number
            elif not line.endswith(b"\n") or _parsed(line) is None:
                return number
    return None


def last_by_name(records, kind):
    # type: (list[dict[str, typing.Any]], str) -> dict[str, typing.Any]
    """The last value of each name among the records of one kind."""
    return {record["name"]: record["value"] for record in records if record["kind"] == kind}


def last_values(folder, kind):
    # type: (str | os.PathLike[str], str) -> dict[str, typing.Any]
    """The last value of each name among the records of one kind, at a fraction of the cost of reading them all."""
    records = [_parsed(line) for name in _files(str(folder)) for line in _last_lines(os.path.join(str(folder), name))]
    known = [record for record in records if record is not None]
    if len(known) < len(records):  # a line that is no record hides the one before it
        return last_by_name(read_metrics(folder), kind)
    return last_by_name(sorted(known, key=_order), kind)


def _last_lines(path):
    """The last line of each kind and name: what stands before the value is the same in all of them."""
    with open(path, "rb") as lines:  # one by one: there may be millions
        return {line.partition(b', "value": ')[0]: line for line in lines if line.endswith(b"}\n")}.values()
