"""How the values of a comparison are written, on a terminal and on a page."""

from __future__ import annotations

import json
from typing import Any

from amlcore.comparison.code import CodeComparison
from amlcore.comparison.comparison import Row, Section
from amlcore.record.record import strict

ABSENT = "-"


def value_text(row: Row, label: str) -> str:
    """The value in one run; a run without it has a dash."""
    return _text(row.values[label]) if label in row.values else ABSENT


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:.6g}"
    return json.dumps(strict(value), ensure_ascii=False)


def difference(row: Row, label: str, *, first: str) -> str:
    """The difference from the first run in brackets, or nothing."""
    if label == first or not row.differences.get(label):
        return ""
    return f" ({row.differences[label]:+.6g})"


def section_title(section: Section) -> str:
    """What is said of a section without rows to show."""
    return "the same" if section.rows else "none"


def code_title(one: CodeComparison, *, first: str) -> str:
    """What is said of the code of one run beside that of the first."""
    if one.is_same:
        return f"{one.label} and {first}: the same"
    if one.note is not None:
        return f"{one.label} and {first}: {'differ; ' if one.is_same is False else ''}{one.note}"
    if not one.files:
        return f"{one.label} and {first}: the same files, with other links"
    return f"{one.label} and {first}: {len(one.files)} file{'s differ' if len(one.files) > 1 else ' differs'}"
