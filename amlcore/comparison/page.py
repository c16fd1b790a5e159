"""The Comparison as one HTML page, which needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from amlcore.comparison.code import CodeComparison
from amlcore.comparison.comparison import Comparison, Section
from amlcore.comparison.wording import code_title, difference, section_title, value_text

_STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem; color: #1b1f24; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; }
th, td { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #d8dee4; }
td { overflow-wrap: anywhere; max-width: 40rem; white-space: pre-wrap; }
pre { background: #f6f8fa; padding: .8rem; overflow-x: auto; }
.same { color: #59636e; } .differs td { background: #fff8e6; } .note { color: #9a6700; }
.plus { color: #116329; } .minus { color: #a40e26; } .place { color: #0550ae; }
"""


def page(comparison: Comparison, *, everything: bool) -> str:
    """The page, with the rows that differ, or all of them."""
    names = ", ".join(facts.summary["id"] for facts in comparison.runs)
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            f"<title>Comparison of {escape(names)}</title><style>{_STYLE}</style></head><body>",
            "<h1>Comparison of runs</h1>",
            *_runs(comparison),
            *(line for section in comparison.sections for line in _section(comparison, section, everything)),
            *_code(comparison),
            "</body></html>\n",
        ]
    )


def _runs(comparison: Comparison) -> Iterator[str]:
    yield "<table>" + _head("", "run", "kind", "experiment", "state", "created")
    for facts in comparison.runs:
        about = facts.summary
        name = f" ({about['name']})" if about["name"] else ""
        cells = (facts.label, f"{about['id']}{name}", facts.kind, about["experiment"], about["state"], about["created"])
        yield _cells(*map(str, cells))
    yield "</table>"
    for facts in comparison.runs:
        for note in facts.notes:
            yield f'<p class="note">{facts.label}: {escape(note)}</p>'


def _section(comparison: Comparison, section: Section, everything: bool) -> Iterator[str]:
    yield f"<h2>{escape(section.name)}</h2>"
    rows = section.shown(everything=everything)
    if not rows:
        yield f'<p class="same">{escape(section_title(section))}</p>'
        return
    yield "<table>" + _head("", *comparison.labels)
    first = comparison.labels[0]
    for row in rows:
        texts = [value_text(row, label) + difference(row, label, first=first) for label in comparison.labels]
        yield _cells(row.key, *texts, kind="" if row.is_same else "differs")
    yield "</table>"


def _code(comparison: Comparison) -> Iterator[str]:
    yield "<h2>code</h2>"
    for one in comparison.code:
        yield f"<p{_class_of(one)}>{escape(code_title(one, first=comparison.labels[0]))}</p>"
        for file in one.files:
            before = f"{file.before} → " if file.before else ""
            note = f" ({file.note})" if file.note else ""
            yield f"<h3>{escape(f'{file.change} {before}{file.path}{note}')}</h3>"
            if file.diff:
                yield "<pre>" + "\n".join(map(_diff_line, file.diff)) + "</pre>"


def _class_of(one: CodeComparison) -> str:
    return ' class="same"' if one.is_same else ""


def _diff_line(line: str) -> str:
    kind = {"+": "plus", "-": "minus", "@": "place"}.get(line[:1])
    return f'<span class="{kind}">{escape(line)}</span>' if kind else escape(line)


def _head(*names: str) -> str:
    return "<tr>" + "".join(f"<th>{escape(name)}</th>" for name in names) + "</tr>"


def _cells(*texts: str, kind: str = "") -> str:
    cells = "".join(f"<td>{escape(text)}</td>" for text in texts)
    return f'<tr class="{kind}">{cells}</tr>' if kind else f"<tr>{cells}</tr>"
