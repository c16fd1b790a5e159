"""A table loses no text: at every width, in every encoding, on every kind of terminal."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from amlcore.sweep import Sweep
from amlcore.sweep.loop import SweepProgress
from amlcore.sweep.pareto import ParetoFront
from amlcore.sweep.study import Trial, TrialState
from amlcore.terminal.attached import Attached
from amlcore.terminal.progress import Progress
from amlcore.terminal.text_table import TextTable, cell, encodable
from tests.conftest import Aml
from tests.support.pseudo_terminal import ESCAPES, on_terminal

ENCODINGS = ("utf-8", "ascii", "latin-1", "cp1252")
CELLS = st.text(max_size=30).map(lambda text: text.strip())


class Terminal(io.TextIOWrapper):
    """A terminal of some encoding, which is as strict as Python's own streams are."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, write_through=True)

    def isatty(self) -> bool:
        return True

    @property
    def shown(self) -> str:
        assert isinstance(self.buffer, io.BytesIO)
        return ESCAPES.sub("", self.buffer.getvalue().decode(self.encoding))


@given(
    rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=4),
    columns=st.integers(1, 120),
    encoding=st.sampled_from(ENCODINGS),
)
def test_every_cell_is_shown_whole(rows: list[list[str]], columns: int, encoding: str) -> None:
    heads = ("first", "второй", "third")
    grid = TextTable(heads)
    for row in rows:
        grid.add_row(*row)

    with pytest.MonkeyPatch.context() as patch:
        terminal = Terminal(encoding)
        patch.setattr(sys, "stdout", terminal)
        patch.setenv("COLUMNS", str(columns))
        patch.setenv("TERM", "xterm-256color")
        grid.print()

        texts = [encodable(cell(text), terminal).plain for row in [heads, *rows] for text in row]
    lines = terminal.shown.splitlines()
    filled = [text for column in range(3) if any(texts[3 + column :: 3]) for text in texts[column::3]]
    assert [text for text in filled if not any(text.rstrip() in line for line in lines)] == []
    assert filled or not any("".join(row) for row in rows)
    natural = [max(cell_len(text) for text in texts[start::3]) for start in range(3)]
    if sum(natural) + 2 * len("  ") <= columns:
        assert len(lines) == 1 + len(rows)


@pytest.mark.parametrize(
    "variables",
    [
        {"COLUMNS": "20"},
        {"COLUMNS": "1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"NO_COLOR": "1"},
        {"TERM": "dumb"},
    ],
    ids=str,
)
def test_runs_and_their_details_are_shown_on_every_terminal(
    variables: dict[str, str], project: Path, aml: Aml, write: Callable[[str, str], Path]
) -> None:
    write("train.py", "from amlcore import Run\nRun.get_context().log('grüße', 0.5)\n")
    aml("run", "train.py", "environment=current", "--", "--words", "日本語 and more", "--path", "/a/b" * 20)
    run = aml("runs", "--json").json[0]

    for verb in (["runs"], ["show", "latest"], ["models"], ["env", "list"]):
        words = [sys.executable, "-m", "amlcore", *verb]
        shown = on_terminal(words, folder=project, columns=30, **variables)
        assert "Traceback" not in shown
        if variables.get("TERM") == "dumb" or "NO_COLOR" in variables:
            assert not ESCAPES.search(shown.replace("\x1b[1m", "").replace("\x1b[0m", ""))
        if verb[0] in ("runs", "show"):
            plain = ESCAPES.sub("", shown)
            assert run["id"] in plain
            assert "/a/b" * 20 in plain
            assert "日本語 and more" in plain or r"\u65e5\u672c\u8a9e and more" in plain


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("columns", [10, 20, 60])
def test_each_trial_of_a_live_sweep_stays_on_one_line(
    columns: int, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal(encoding)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm-256color")
    sweep = Sweep("random", primary_metric="score", max_total_runs=9)
    totals = SweepProgress(ParetoFront(sweep.goals))
    trial = Trial(0, {"script.arguments.words": "日本語 " * 20}, TrialState.COMPLETE, 0.5, None, (0.5,))
    progress = Progress(sweep, total=9, terminal=Attached("", log=print), file_log=lambda _: None)

    progress.step(totals, [trial])
    width = Console(stderr=True).width
    line = progress._line(progress._describe(trial), style="bold")

    assert line.cell_len <= width
    assert encodable(Text(line.plain), terminal).plain == line.plain
    assert line.plain.endswith("…" if encoding == "utf-8" else "...")


def test_a_dumb_terminal_gets_lines_in_place_of_a_live_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal("utf-8"))
    monkeypatch.setenv("TERM", "dumb")
    lines: list[str] = []
    sweep = Sweep("random", primary_metric="score", max_total_runs=9)
    with Progress(sweep, total=9, terminal=Attached("", log=lines.append), file_log=lambda _: None) as progress:
        progress.step(SweepProgress(ParetoFront(sweep.goals)), [Trial(0, {}, TrialState.FAIL, reason="it fell")])

    assert [line.partition("  ")[0] for line in lines] == ["trial 0: fail: it fell"]
