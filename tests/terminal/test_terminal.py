"""Users' text reaches the terminal as text, never as markup or control codes; in a pipe, one line per row."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from amlcore.terminal import tables
from amlcore.terminal.output import print_json, printable, printable_line
from tests.support.aml import Aml, Write
from tests.support.pseudo_terminal import ESCAPES, on_terminal

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
WIDE = 400
ODD_NAME = "auc [/test] :warning: [bold]x[/]"
ODD_SCRIPT = f"""
import sys
import joblib
from sklearn.dummy import DummyClassifier
from amlcore import Run

run = Run.get_context()
run.log({ODD_NAME!r}, 0.5)
run.log("score", 0.25)
run.tag("odd [/tag]", "\\x1b]0;owned\\x07 \\u202e [red]text")
joblib.dump(DummyClassifier().fit([[0], [1]], [0, 1]), "outputs/model.joblib")
print("[/done] \\x1b[31mred", file=sys.stderr)
if "fail" in sys.argv:
    raise SystemExit(3)
"""


@given(st.text())
def test_control_codes_are_escaped(text: str) -> None:
    assert not CONTROLS.search(printable(text))
    line = printable_line(text)
    assert not CONTROLS.search(line)
    assert len(line.splitlines()) <= 1
    assert printable_line(line) == line


@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"])))
def test_other_text_stays_as_it_is(text: str) -> None:
    assert printable_line(text) == printable(text) == text


@given(st.text())
def test_json_on_a_terminal_has_no_control_codes_and_the_same_value(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        written: list[str] = []
        patch.setattr("builtins.print", written.append)
        print_json({"text": text})

    assert not CONTROLS.search(written[0])
    assert json.loads(written[0]) == {"text": text}


@pytest.mark.parametrize("width", [1, 240, 100_000])
def test_a_table_in_a_pipe_has_one_line_a_row(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    keys = ["id", "experiment", "state", "reason", "created", "duration_s", "model"]
    run = dict(zip(keys, ["a_0", "e", "Completed", None, "2026-01-01T00:00:00+00:00", 1.5, None], strict=True))
    parameters = [{"long": "x" * width}, {"lines": "1\n2\r3\u20284"}, {"wide": "日本語"}]

    marks: dict[str, object] = {"name": None, "tags": {}}

    tables.runs([{**run, **marks, "parameters": each, "metrics": {"score": 0.25}} for each in parameters])

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(parameters)
    assert "x" * width in lines[1]
    assert ["score=0.25" in line for line in lines[1:]] == [True] * len(parameters)
    column = {cell_len(line[: line.index("score=")]) for line in lines[2:]}
    assert len(column) == 1


def test_markup_and_escapes_in_a_run_are_shown_as_they_are(project: Path, write: Write, aml: Aml) -> None:
    write("train.py", ODD_SCRIPT)
    aml("run", "train.py", "environment=current", "--", "--data", "[/data/a.csv,[b]", "--note", "\x1b[2Jx")

    listed = aml("runs").out
    shown = aml("show", "latest").out
    verbs = (["runs"], ["show", "latest"])
    drawn = [on_terminal([sys.executable, "-m", "amlcore", *verb], folder=project, columns=WIDE) for verb in verbs]

    for text in (listed, shown, *(ESCAPES.sub("", each) for each in drawn)):
        assert not CONTROLS.search(text.replace("\r\n", "\n"))
        assert "[/data/a.csv,[b]" in text
        assert ODD_NAME in text
        assert r"\x1b[2Jx" in text
    assert "odd [/tag]" in shown


def test_a_failure_quotes_the_log_without_its_escapes(write: Write, aml: Aml) -> None:
    write("train.py", ODD_SCRIPT)

    failed = aml("run", "train.py", "environment=current", "--detach", "--", "fail")
    waited = aml("wait", "latest", status=3)

    assert failed.status == 0
    assert r"  | [/done] \x1b[31mred" in waited.err


def test_a_sweep_over_odd_texts_ends_with_its_best_registered(project: Path, write: Write, aml: Aml) -> None:
    write("train.py", ODD_SCRIPT)
    words = ["run", "-m", "train.py", "environment=current", "model=sklearn", "model.name=odd", "sweep.plots=false"]
    words += ["sweep.primary_metric=score", "+script.arguments.data='[/a.csv','[bold]b'"]

    shown = on_terminal([sys.executable, "-m", "amlcore", *words], folder=project, columns=WIDE)

    plain = ESCAPES.sub("", shown)
    assert "[/a.csv" in plain
    assert "[bold]b" in plain
    assert "registered odd:1" in plain
    assert "[/a.csv" in aml("runs", "--children").out
