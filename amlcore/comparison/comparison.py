"""The Comparison: what differs between two runs or more, each beside the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from amlcore.comparison.code import CodeComparison, compare_code
from amlcore.comparison.facts import SECTIONS, RunFacts, canonical, facts_of
from amlcore.errors import RequestError
from amlcore.runs.run import Run

MAX_RUNS = 20
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NUMBERS = ("metrics", "time")
"""The sections whose numbers are subtracted, and in which 1 and 1.0 are the same."""


@dataclass(frozen=True)
class Row:
    """A key and its value in each run that has it, by label."""

    key: str
    values: dict[str, Any]
    is_same: bool
    differences: dict[str, float]  # from the first run, of numbers

    def change(self, first: str, label: str) -> str:
        """What became of it since the first run: added, removed, changed, or nothing."""
        if first not in self.values:
            return "added" if label in self.values else ""
        if label not in self.values:
            return "removed"
        return "" if canonical(self.values[label]) == canonical(self.values[first]) else "changed"


@dataclass(frozen=True)
class Section:
    name: str
    rows: list[Row]

    @property
    def is_same(self) -> bool:
        return all(row.is_same for row in self.rows)

    def shown(self, *, everything: bool) -> list[Row]:
        return [row for row in self.rows if everything or not row.is_same]


@dataclass(frozen=True)
class Comparison:
    """Runs, and what differs between them."""

    runs: list[RunFacts]
    sections: list[Section]
    code: list[CodeComparison]  # of each run but the first

    @property
    def is_code_same(self) -> bool | None:
        """Whether all have the same code; None if that is not known."""
        answers = [one.is_same for one in self.code]
        return False if False in answers else None if None in answers else True

    @property
    def labels(self) -> list[str]:
        return [facts.label for facts in self.runs]

    def to_json(self, *, everything: bool) -> dict[str, Any]:
        """What `aml compare --json` prints: the rows that differ, or all of them."""
        sections = {
            section.name: {
                "same": section.is_same,
                "rows": [
                    {"key": row.key, "same": row.is_same, "values": row.values, "differences": row.differences}
                    for row in section.shown(everything=everything)
                ],
            }
            for section in self.sections
        }
        return {
            "runs": [facts.to_json() for facts in self.runs],
            "sections": sections,
            "code": {"same": self.is_code_same, "runs": [asdict(one) for one in self.code]},
        }


def compare(runs: Sequence[Run]) -> Comparison:
    """Compare runs, each with the first.

    Raises
    ------
    RequestError
        There are fewer than two, too many, or the same one twice.
    """
    if not 2 <= len(runs) <= MAX_RUNS:
        raise RequestError(f"compare takes 2 to {MAX_RUNS} runs, not {len(runs)}")
    folders = [run.record.folder.resolve() for run in runs]
    for index, folder in enumerate(folders):
        if folder in folders[:index]:
            raise RequestError(f"run {runs[index].id} was given twice; compare it with another one")
    facts = [facts_of(run, label=label) for run, label in zip(runs, _LETTERS, strict=False)]
    sections = [Section(name, _rows(name, facts)) for name in SECTIONS]
    return Comparison(facts, sections, [compare_code(facts[0], other) for other in facts[1:]])


def _rows(section: str, facts: Sequence[RunFacts]) -> list[Row]:
    by_label = {one.label: one.sections[section] for one in facts}
    keys = dict.fromkeys(key for values in by_label.values() for key in values)
    return [_row(section, key, {label: of[key] for label, of in by_label.items() if key in of}, facts) for key in keys]


def _row(section: str, key: str, values: dict[str, Any], facts: Sequence[RunFacts]) -> Row:
    first = facts[0].label
    is_numeric = section in _NUMBERS
    texts = {canonical(_number(value) if is_numeric else value) for value in values.values()}
    start = _number(values.get(first)) if is_numeric else None
    differences = {}
    for label, value in values.items():
        number = _number(value)
        if label != first and isinstance(start, float) and isinstance(number, float):
            differences[label] = number - start
    return Row(key, values, len(values) == len(facts) and len(texts) == 1, differences)


def _number(value: Any) -> Any:
    """A number as a float, so that 1 and 1.0 are the same; any other value, also one that is too large, as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    try:
        return float(value)
    except OverflowError:
        return value
