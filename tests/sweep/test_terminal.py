"""What a sweep shows: a table that lives on a real terminal, plain lines in a pipe."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from amlcore.sweep import Goal, Sweep
from amlcore.sweep.pareto import ParetoFront
from amlcore.sweep.progress import SweepProgress
from amlcore.sweep.study import Trial, TrialState
from amlcore.terminal.attached import Attached
from amlcore.terminal.progress import Progress, _duration
from tests.support.aml import HERE, Write
from tests.support.pseudo_terminal import ESCAPES, on_terminal
from tests.support.sweeps import LOGS, SCRIPT

COLUMNS = 60


def test_the_table_lives_on_a_terminal_and_each_trial_has_one_line(project: Path, write: Write) -> None:
    write("src/train.py", LOGS)
    write("conf/script/toy.yaml", SCRIPT)
    words = [
        "script=toy",
        HERE,
        "sweep.primary_metric=score",
        "script.arguments.x=1,3",
        "script.arguments.sleep=0.5,0.6",
    ]
    words += ["script.arguments.kind=a,fails"]

    shown = on_terminal([sys.executable, "-m", "amlcore", "run", "-m", *words], folder=project)

    assert "\x1b[" in shown
    lines = [ESCAPES.sub("", line).rstrip("\r") for line in re.split(r"[\r\n]+", shown)]
    counts = [line for line in lines if re.match(r"\d+ running, \d+ done, \d+ pruned, \d+ failed, of 8", line)]
    assert len(counts) >= 3
    assert any("s left" in line for line in counts)
    assert any(line.startswith("best is trial 4: score=-0") for line in lines)
    failed = [line for line in lines if line.startswith("trial 1: fail:")]
    assert failed
    assert [line for line in failed if not line.rstrip().endswith("…") or len(line) > COLUMNS] == []
    assert lines[-2].startswith("aml: best: trial 4, score=") or lines[-1].startswith("aml: best: trial 4")


def test_plain_lines_say_how_far_a_sweep_is() -> None:
    said: list[str] = []
    kept: list[str] = []
    sweep = Sweep("random", primary_metric=["a", "b"], goal=[Goal.maximize, Goal.minimize], max_total_runs=9)
    totals = SweepProgress(ParetoFront(sweep.goals))
    first = Trial(0, {"script.arguments.x": 1}, TrialState.COMPLETE, 0.5, None, (2.0,))
    second = Trial(1, {"script.arguments.x": 2}, TrialState.FAIL, reason="it fell")
    progress = Progress(sweep, total=9, terminal=Attached("", log=said.append), file_log=kept.append)

    for trial in (first, second):
        totals.counts[trial.state] += 1
        if trial is first:
            totals.front.add(trial)
        progress.step(totals, [trial])

    assert kept == said
    assert said == [
        "trial 0: a=0.5, b=2  x=1  [1 of 9, 1 on the Pareto front]",
        "trial 1: fail: it fell  x=2  [2 of 9, 1 on the Pareto front]",
    ]
    assert [_duration(seconds) for seconds in (3.4, 99, 130, 3600 * 2.5)] == ["3 s", "99 s", "2 min", "2 h 30 min"]
