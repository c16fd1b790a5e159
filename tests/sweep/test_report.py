"""What a sweep leaves in outputs/: the table of its trials, the importances, plots as PNG and as one HTML page."""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path

import pytest

from amlcore.sweep import Dimension, Goal, Space, Sweep, timeline
from amlcore.sweep import plots as plots_module
from amlcore.sweep.plots import draw, importances, plots_of
from amlcore.sweep.read_only_study import load_read_only
from amlcore.sweep.study import Study, TrialState
from amlcore.sweep.timeline import rows
from tests.support.aml import HERE, Aml, Write, until
from tests.support.sweeps import LOGS, SCRIPT, sweep_and_trials

PNG = b"\x89PNG\r\n\x1a\n"
SPACE = Space(
    {
        "script.arguments.x": Dimension.between(0.1, 10.0, log=True),
        "script.arguments.g": Dimension.gaussian(10, 3),
        "script.arguments.k": Dimension.of(["a", 2, None, [1, 2]]),
        "compute.cores": Dimension.between(1, 4),
    }
)
SPANS = {number: (1.8e9 + number // 2, 1.8e9 + number // 2 + 1) for number in range(23)}


def study_of(file: Path, sweep: Sweep, *, count: int = 24) -> None:
    study = Study(sweep, SPACE, file=file)
    for number in range(count):
        x = study.ask().values["script.arguments.x"]
        if number % 6 == 5:
            study.tell(number, TrialState.FAIL, reason="so it was")
        else:
            study.tell(number, TrialState.COMPLETE, -abs(math.log(x)), further=(x,) * (len(sweep.metrics) - 1))
    study.close()


def test_the_view_of_a_study_shows_values_as_the_script_got_them_and_writes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "study.jsonl"
    study_of(file, Sweep("random", primary_metric="m", seed=1, max_total_runs=24))
    before = file.read_bytes()

    seen = load_read_only(file, SPACE, ["m"])

    assert seen.trials
    for trial in seen.trials:
        assert set(trial.params) == {"x", "g", "k", "compute.cores"}
        assert trial.params["k"] in ("a", 2, None, "[1, 2]")
        for name, value in trial.params.items():  # the four above
            distribution = trial.distributions[name]
            assert distribution._contains(distribution.to_internal_repr(value))
    assert 4 < sum(trial.params["g"] for trial in seen.trials) / 24 < 16
    assert seen.metric_names == ["m"]
    with pytest.raises(PermissionError):
        seen.ask()
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("metrics", [["m"], ["m", "a/b"]])
def test_all_plots_are_drawn_and_the_page_needs_no_network(metrics: list[str], tmp_path: Path) -> None:
    file = tmp_path / "study.jsonl"
    study_of(file, Sweep("random", primary_metric=metrics, goal=Goal.maximize, seed=1, max_total_runs=24))
    said: list[str] = []

    goals = [Goal.maximize] * len(metrics)
    study = load_read_only(file, SPACE, metrics)
    draw(study, metrics, goals, spans=SPANS, title="<sweep>", folder=tmp_path / "plots", log=said.append)

    assert said == []
    names = [*(name for name, _, _ in plots_of(metrics, goals)), "timeline"]
    assert len(names) == (5 if len(metrics) == 1 else 10)
    for name in names:
        assert (tmp_path / f"plots/{name.replace('/', '_')}.png").read_bytes().startswith(PNG)
    page = (tmp_path / "plots/report.html").read_text()
    assert page.count('class="plotly-graph-div"') == len(names)
    assert re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=[^>]*>", page[: page.index("<script>")]) == []
    assert re.findall(r"<script[^>]*src=[^>]*>", page[page.index("<body>") :]) == []
    assert "<h1>&lt;sweep&gt;</h1>" in page
    importance = importances(load_read_only(file, SPACE, metrics), metrics, goals)
    assert list(importance) == metrics
    assert max(importance["m"], key=importance["m"].__getitem__) == "x"


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_the_timeline_has_a_row_for_each_slot(tmp_path: Path) -> None:
    file = tmp_path / "study.jsonl"
    study_of(file, Sweep("random", primary_metric="m", seed=1, max_total_runs=5), count=5)
    study = load_read_only(file, SPACE, ["m"])
    spans = {0: (100.0, 104.0), 1: (100.5, 101.0), 2: (101.0, 103.0), 4: (104.0, 105.0)}  # trial 3 never had one

    assert rows(spans) == {0: 1, 1: 2, 2: 2, 4: 1}
    (bars,) = timeline.figure(study, spans=spans).data
    assert list(bars.y) == [1, 2, 2, 1]
    assert list(bars.x) == [4000, 500, 2000, 1000]
    assert '"number": 4' in bars.text[3]
    drawn = [
        (round(bar.get_y() + bar.get_height() / 2), bar.get_width() * 86400)
        for bar in timeline.png(study, spans=spans).patches
    ]
    assert [(row, round(seconds, 3)) for row, seconds in drawn] == [(1, 4), (2, 0.5), (2, 2), (1, 1)]


def test_a_plot_that_cannot_be_drawn_is_said_and_the_others_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "study.jsonl"
    study_of(file, Sweep("random", primary_metric="m", seed=1, max_total_runs=24))
    wrong = [("history", "optimization_history", {"colour": 1})]
    monkeypatch.setattr(plots_module, "plots_of", lambda metrics, goals: wrong)
    said: list[str] = []

    study, folder = load_read_only(file, SPACE, ["m"]), tmp_path / "plots"
    draw(study, ["m"], [Goal.maximize], spans=SPANS, title="t", folder=folder, log=said.append)

    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == ["report.html", "timeline.png"]
    assert [line.split(" was")[0] for line in said] == ["warning: history.png", "warning: history"]
    assert "colour" in said[0]


def test_a_sweep_leaves_its_table_and_its_plots(aml: Aml, write: Write) -> None:
    write("src/train.py", LOGS)
    write("conf/script/toy.yaml", SCRIPT)
    command = ["run", "-m", "script=toy", HERE, "sweep.primary_metric=score", "compute.slots=2"]

    said = aml(*command, "script.arguments.x=1,2,3,4,5", "script.arguments.kind=a,fails")

    parent, trials = sweep_and_trials(aml)
    outputs = Path(parent["folder"], "outputs")
    assert f"plots will appear in {outputs}" in said.err
    rows = list(csv.DictReader((outputs / "trials.csv").read_text().splitlines()))
    assert [row["run"].rpartition("_")[2] for row in rows] == ["4", "2", "6", "0", "8", "1", "3", "5", "7", "9"]
    assert [row["score"] for row in rows[:2]] == ["-0.0", "-1.0"]
    assert rows[0]["script.arguments.x"] == "3"
    assert rows[-1]["state"] == "FAIL"
    assert "exit status 1" in rows[-1]["reason"]
    assert {run["id"] for run in trials} == {row["run"] for row in rows}
    until(lambda: len(json.loads(Path(parent["folder"], "outputs.json").read_text())) == 8 or None)
    assert set(json.loads((outputs / "importances.json").read_text())["score"]) == {"x", "kind"}
    listed = {item["path"] for item in aml("show", parent["id"], "--json").json["outputs"]}
    assert {"outputs/trials.csv", "outputs/plots/report.html", "outputs/plots/slice.png"} < listed
    assert Path(parent["folder"], "driver.log").read_text() == ""

    said = aml(*command, "script.arguments.x=range(0,6)", "sweep.plots=false")
    outputs = Path(sweep_and_trials(aml)[0]["folder"], "outputs")
    assert "plots follow" not in said.err
    assert [path.name for path in outputs.iterdir()] == ["trials.csv"]
