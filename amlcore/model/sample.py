"""The sample of a model: the first rows of its data, in the form that run.log_sample writes."""

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from amlcore.errors import ModelError

ROWS = 5
FORMATS = (".csv", ".json", ".npy")


@dataclass(frozen=True)
class Sample:
    columns: list[str] | None
    dtypes: list[str] | None
    rows: list[list[Any]]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def read_sample(path: Path) -> Sample:
    """Read the first rows of a CSV, JSON or NPY file.

    JSON is rows as lists or as records, on their own or under `data`, or what run.log_sample writes.

    Raises
    ------
    ModelError
        The file is of another format, or not what its name says.
    """
    readers = {".csv": _from_csv, ".json": _from_json, ".npy": _from_npy}
    if path.suffix.lower() not in readers:
        raise ModelError(f"the sample {path} is not of a known format; legal: {', '.join(FORMATS)}")
    try:
        sample = readers[path.suffix.lower()](path)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ModelError(f"the sample {path} cannot be read as rows of data: {error}") from None
    rows = [[_plain(value) for value in row] for row in sample.rows[:ROWS]]
    widths = {len(part) for part in (*rows, sample.columns, sample.dtypes) if part is not None}
    if len(widths) != 1 or 0 in widths or not rows:
        raise ModelError(f"the sample {path} is no table: it needs at least one row, and as many values in each")
    return Sample(sample.columns, sample.dtypes, rows)


def _from_csv(path: Path) -> Sample:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        lines = [line for _, line in zip(range(ROWS + 1), csv.reader(stream), strict=False)]
    rows = [[_number(text) for text in line] for line in lines if line]
    if all(isinstance(value, int | float) for value in rows[0]):
        return Sample(None, None, rows)
    columns, rows = lines[0], rows[1:]
    if not columns[0]:  # the index, which pandas writes unless it is told not to
        columns, rows = columns[1:], [row[1:] for row in rows]
    return Sample(columns, [_dtype([row[index] for row in rows]) for index in range(len(columns))], rows)


def _from_json(path: Path) -> Sample:
    value = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(value, dict) and "rows" in value:
        return Sample(value.get("columns"), value.get("dtypes"), value["rows"])
    names = value.get("columns") if isinstance(value, dict) else None
    rows = value["data"] if isinstance(value, dict) else value
    if isinstance(rows[0], dict):
        names = list(rows[0])
        rows = [[row[name] for name in names] for row in rows]
    return Sample(names, None, [list(row) for row in rows])


def _from_npy(path: Path) -> Sample:
    import numpy

    array = numpy.load(path, allow_pickle=False)
    if array.ndim != 2:
        raise ValueError(f"it has {array.ndim} dimensions, and rows of data have 2")
    return Sample(None, [str(array.dtype)] * array.shape[1], array[:ROWS].tolist())


def _number(text: str) -> Any:
    if text == "":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _dtype(values: Sequence[Any]) -> str:
    given = [value for value in values if value is not None]
    if not given or any(isinstance(value, str) for value in given):
        return "object"
    whole = all(isinstance(value, int) for value in given) and len(given) == len(values)
    return "int64" if whole else "float64"


def _plain(value: Any) -> Any:
    """`value` as strict JSON has it."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
