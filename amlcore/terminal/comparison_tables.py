"""A comparison of runs on a terminal."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.text import Text

from amlcore.comparison.comparison import Comparison, Section
from amlcore.comparison.wording import code_title, difference, section_title, value_text
from amlcore.terminal.tables import local_time
from amlcore.terminal.text_table import TextTable, cell, encodable

SHOWN_DIFF_LINES = 60  # of each file; --all shows the whole diff
_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def comparison(comparison: Comparison, *, everything: bool) -> None:
    """Print what differs, or everything; a section in which nothing differs takes one line."""
    _runs(comparison)
    for section in comparison.sections:
        _section(comparison, section, everything=everything)
    _code(comparison, everything=everything)


def _runs(comparison: Comparison) -> None:
    table = TextTable(("", "run", "experiment", "state", "created"))
    for facts in comparison.runs:
        about = facts.summary
        name = f" {about['name']}" if about["name"] else ""
        kind = "" if facts.kind == "run" else f" ({facts.kind})"
        created = local_time(about["created"])
        table.add_row(facts.label, f"{about['id']}{name}{kind}", about["experiment"], about["state"], created)
    table.print()
    _print([cell(f"{facts.label}: {note}", "yellow") for facts in comparison.runs for note in facts.notes])


def _section(comparison: Comparison, section: Section, *, everything: bool) -> None:
    rows = section.shown(everything=everything)
    if not rows:
        _print([Text.assemble((section.name, "bold"), f": {section_title(section)}")])
        return
    _print([Text(""), cell(section.name, "bold")])
    first = comparison.labels[0]
    has_changes = section.name in ("packages", "outputs") and len(comparison.runs) == 2
    table = TextTable(("", *comparison.labels, *([""] if has_changes else [])))
    for row in rows:
        values = [value_text(row, label) + difference(row, label, first=first) for label in comparison.labels]
        table.add_row(f"  {row.key}", *values, *([row.change(first, comparison.labels[1])] if has_changes else []))
    table.print()


def _code(comparison: Comparison, *, everything: bool) -> None:
    first = comparison.labels[0]
    if comparison.is_code_same:
        _print([Text.assemble(("code", "bold"), ": the same")])
        return
    lines = [Text(""), cell("code", "bold")]
    for one in comparison.code:
        lines.append(cell(f"  {code_title(one, first=first)}"))
        for file in one.files:
            before = f"{file.before} → " if file.before else ""
            lines.append(cell(f"  {file.change} {before}{file.path}" + (f": {file.note}" if file.note else ""), "bold"))
            shown = file.diff if everything else file.diff[:SHOWN_DIFF_LINES]
            lines += [cell(f"    {line}", _STYLES.get(line[:1], "")) for line in shown]
            if len(shown) < len(file.diff):
                lines.append(cell(f"    … {len(file.diff) - len(shown)} more lines; --all shows them"))
    _print(lines)


def _print(lines: list[Text]) -> None:
    console = Console() if sys.stdout.isatty() else None
    for line in (encodable(line, sys.stdout) for line in lines):
        if console is None:
            print(line.plain)
        else:
            console.print(line, soft_wrap=True)
