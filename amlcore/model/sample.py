"""The sample of a model: the first rows of its data, in the form that run.log_sample writes."""

import csv
import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from amlcore.errors import ModelError
from amlcore.worker.script import samples

ROWS = 5
FORMATS = (".csv", ".json", ".npy")

WHOLE = re.compile(r"[+-]?(0|[1-9][0-9]*)")
DECIMAL = re.compile(r"[+-]?(([0]|[1-9][0-9]*)?\.[0-9]+|(0|[1-9][0-9]*)\.?)([eE][+-]?[0-9]+)?")
MISSING = frozenset(("", "#N/A", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"))
"""What pandas reads as missing."""


@dataclass(frozen=True)
class Sample:
    """A sample as amlcore.worker.script.samples takes it of data, or as a file holds it."""

    columns: list[str] | None
    dtypes: list[str] | None
    rows: list[list[Any]]
    form: str | None = None
    labels: list[Any] | None = None
    details: list[dict[str, Any] | None] | None = None
    records: list[dict[str, Any]] | None = None
    texts: list[list[str]] | None = None
    """The cells of a CSV as they are written, since a CSV keeps no types."""

    def to_json(self) -> dict[str, Any]:
        always = ("columns", "dtypes", "rows")
        return {key: value for key, value in asdict(self).items() if key in always or value is not None}


LOGGED = [field.name for field in fields(Sample)]


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
        raise ModelError(f"the sample {path} must be a file of one of these formats: {', '.join(FORMATS)}")
    try:
        sample = readers[path.suffix.lower()](path)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ModelError(f"the sample {path} cannot be read as rows of data: {error}") from None
    rows = [[_null_unless_finite(value) for value in row] for row in sample.rows[:ROWS]]
    widths = {len(part) for part in (*rows, sample.columns, sample.dtypes) if part is not None}
    is_table = sample.form != "lists"
    if (is_table and (len(widths) != 1 or 0 in widths)) or not rows:
        raise ModelError(
            f"the sample {path} is not a table: it needs at least one row, and the same number of values in each"
        )
    texts = sample.texts and sample.texts[:ROWS]
    return replace(sample, rows=rows, texts=texts, records=sample.records and sample.records[:ROWS])


def _from_csv(path: Path) -> Sample:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        lines = [line for _, line in zip(range(ROWS + 1), csv.reader(stream), strict=False) if line]
    if all(isinstance(_value(text), int | float) for text in lines[0]):
        return Sample(None, None, [[_value(text) for text in line] for line in lines])
    columns, texts = lines[0], lines[1:]
    if not columns[0]:  # the index, which pandas writes by default
        columns, texts = columns[1:], [line[1:] for line in texts]
    rows = [[_value(text) for text in line] for line in texts]
    are_texts = [_dtype([row[place] for row in rows]) == "object" for place in range(len(columns))]
    rows = [
        [
            (text or None) if is_text and not isinstance(value, bool) else value
            for value, text, is_text in zip(row, line, are_texts, strict=True)
        ]
        for row, line in zip(rows, texts, strict=True)
    ]
    dtypes = [_dtype([row[place] for row in rows]) for place in range(len(columns))]
    return Sample(columns, dtypes, rows, texts=texts)


def _from_json(path: Path) -> Sample:
    value = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(value, dict) and "rows" in value:
        logged: dict[str, Any] = {key: value.get(key) for key in LOGGED}
        return Sample(**logged)
    names = value.get("columns") if isinstance(value, dict) else None
    rows = value["data"] if isinstance(value, dict) else value
    if isinstance(rows[0], dict):
        sampled = samples.sample(rows)
        return Sample(sampled["columns"], None, sampled["rows"], form="records", records=sampled["records"])
    if all(isinstance(row, str) for row in rows):
        return Sample(names, None, [[row] for row in rows], form="texts")
    return Sample(names, None, [list(row) for row in rows])


def _from_npy(path: Path) -> Sample:
    import numpy

    array = numpy.load(path, allow_pickle=False)
    if array.ndim != 2:
        raise ValueError(f"it has {array.ndim} dimensions, and rows of data have 2")
    return Sample(None, [str(array.dtype)] * array.shape[1], array[:ROWS].tolist())


def _value(text: str) -> Any:
    """What pandas would read, except that a number with leading zeros stays text: it is a code."""
    if text in MISSING:
        return None
    if text in ("True", "False"):
        return text == "True"
    if WHOLE.fullmatch(text):
        return int(text)
    return float(text) if DECIMAL.fullmatch(text) else text


def _dtype(values: Sequence[Any]) -> str:
    present = [value for value in values if value is not None]
    if not present or any(isinstance(value, str) for value in present):
        return "object"
    if any(isinstance(value, bool) for value in present):
        return "bool" if len(present) == len(values) and all(isinstance(value, bool) for value in present) else "object"
    whole = all(isinstance(value, int) for value in present) and len(present) == len(values)
    return "int64" if whole else "float64"


def _null_unless_finite(value: Any) -> Any:
    """`value` as strict JSON allows it."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
