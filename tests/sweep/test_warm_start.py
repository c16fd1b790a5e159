"""Warm starts: a sampler learns from an earlier sweep, whose trials are neither run nor counted again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial

from amlcore.errors import ConfigError
from amlcore.sweep import Dimension, Space, Sweep
from amlcore.sweep.read_only_study import load_read_only, own_trials
from amlcore.sweep.sampler import NAMED
from amlcore.sweep.study import Study, TrialState
from amlcore.sweep.warm_start import warm_start_trials
from tests.support.aml import HERE, Aml, Write
from tests.support.sweeps import LOGS, SCRIPT, TORCH, sweep_and_trials

SPACE = Space(
    {
        "x": Dimension.between(0.0, 1.0),
        "n": Dimension.between(1, 9),
        "k": Dimension.of(["a", 2, None]),
        "g": Dimension.gaussian(0, 1).with_condition({"k": ("a",)}),
    }
)
SWEEP = Sweep("tpe", primary_metric="m", seed=1, max_total_runs=40)


@pytest.fixture
def earlier(tmp_path: Path) -> list[FrozenTrial]:
    """What a sweep of 30 trials left, two of which did not complete."""
    file = tmp_path / "earlier.jsonl"
    study = Study(SWEEP, SPACE, file=file)
    for _ in range(30):
        trial = study.ask()
        if trial.number == 3:
            study.tell(trial.number, TrialState.FAIL)
        elif trial.number == 4:
            study.report(4, 1, 0.5)
            study.tell(trial.number, TrialState.PRUNED)
            assert study.trials()[4].reached == ()
        else:
            study.tell(trial.number, TrialState.COMPLETE, -((trial.values["x"] - 0.7) ** 2))
    study.close()
    return own_trials(file)


def warm(trials: list[FrozenTrial], sweep: Sweep = SWEEP, space: Space = SPACE, **fields: Any) -> list[FrozenTrial]:
    given = {"name": "old", "earlier": SWEEP, "earlier_space": SPACE, **fields}
    return warm_start_trials(sweep, space, trials=trials, **given)


@pytest.mark.parametrize(
    "name", [name for name, kind in NAMED.items() if kind.learns and (TORCH or kind.module is None)]
)
def test_a_sampler_begins_with_what_it_is_told_and_the_count_with_zero(
    name: str, earlier: list[FrozenTrial], tmp_path: Path
) -> None:
    file, sweep = tmp_path / "study.jsonl", replace(SWEEP, sampler=name)
    space = Space({key: dimension for key, dimension in SPACE.items() if key != "g"}) if name == "cmaes" else SPACE
    if name == "cmaes":  # it takes no parameter that depends on another
        for trial in earlier:
            trial.params = {key: value for key, value in trial.params.items() if key != "g"}
    told = {"sweep": sweep, "space": space, "earlier_space": space}
    for asked in (0, 6):  # a driver, and the next one
        study = Study(sweep, space, file=file, warm_start=lambda: warm(earlier, **told))
        assert study.remaining == 40 - asked
        for number in range(asked, asked + 6):
            trial = study.ask()
            assert trial.number == number
            study.tell(number, TrialState.COMPLETE, -((trial.values["x"] - 0.7) ** 2))
        recorded_trials = study.trials()
        study.close()

    assert [trial.number for trial in recorded_trials] == list(range(12))
    assert len({str(trial.values) for trial in recorded_trials}) == 12
    assert sum("warm_start" in line for line in file.read_text().splitlines()) == 28
    assert [trial.number for trial in own_trials(file)] == list(range(12))
    assert [trial.number for trial in load_read_only(file, space, ["m"]).trials] == list(range(12))
    if name == "tpe":  # without them its first ten points would be random
        assert sum(abs(trial.values["x"] - 0.7) < 0.2 for trial in recorded_trials) >= 9


def test_a_driver_that_was_killed_while_it_told_the_sampler_goes_on(earlier: list[FrozenTrial], tmp_path: Path) -> None:
    file = tmp_path / "study.jsonl"
    study = Study(SWEEP, SPACE, file=file, warm_start=lambda: warm(earlier))
    study.close()
    lines = file.read_bytes().splitlines(keepends=True)
    for kept in (2, 9, len(lines)):
        file.write_bytes(b"".join(lines[:kept]))
        again = Study(SWEEP, SPACE, file=file, warm_start=lambda: warm(earlier))
        assert again.ask().number == 0
        again.close()
        assert file.read_text().count('"warm_start"') == 28


def test_points_that_the_new_space_does_not_have_are_left_out(earlier: list[FrozenTrial]) -> None:
    narrow = Space({**SPACE, "x": Dimension.between(0.5, 0.9), "k": Dimension.of([None, "a", "new"])})

    points = warm(earlier, space=narrow)

    assert 0 < len(points) < 28
    for trial in points:
        assert 0.5 <= trial.params["x"] <= 0.9
        assert narrow["k"].value(trial.params["k"]) in (None, "a")
    every_number = warm(earlier, space=Space({**SPACE, "n": Dimension.between(1, 99)}))
    assert len(every_number) == 28


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"earlier": replace(SWEEP, primary_metric="loss")}, "that sweep had the primary metric loss, not m"),
        ({"space": Space({"x": SPACE["x"]})}, "it also searched g, k, n"),
        ({"space": Space({**SPACE, "z": SPACE["x"]})}, "it did not search z"),
        (
            {"space": Space({**SPACE, "n": SPACE["x"]})},
            "n was int from 1 to 9 in that sweep, and is float from 0 to 1",
        ),
        ({"space": Space({**SPACE, "x": Dimension.between(5.0, 6.0)})}, "none of its 28 completed trials is a point"),
    ],
)
def test_a_sweep_that_does_not_fit_is_named_with_the_reason(
    fields: dict[str, Any], said: str, earlier: list[FrozenTrial]
) -> None:
    with pytest.raises(ConfigError, match=f"sweep.warm_start=old: .*{said}"):
        warm(earlier, **fields)


def test_a_new_sweep_starts_from_earlier_ones(project: Path, aml: Aml, write: Write) -> None:
    write("src/train.py", LOGS)
    write("conf/script/toy.yaml", SCRIPT)
    command = ["run", "-m", "script=toy", HERE, "sweep=tpe", "sweep.primary_metric=score", "compute.slots=2"]
    space = ["script.arguments.x=interval(-10,10)", "sweep.seed=1"]
    aml(*command, *space, "sweep.max_total_runs=8")
    first = sweep_and_trials(aml)[0]["id"]

    planned = aml(*command, *space, "sweep.warm_start=[latest]", "--dry-run")
    aml(*command, *space, "sweep.warm_start=[latest]", "sweep.max_total_runs=2")
    second, trials = sweep_and_trials(aml)
    aml(*command, *space, "sweep.warm_start=[latest]", "sweep.max_total_runs=3", "sweep.resume=true")

    assert [run["id"] for run in trials] == [f"{second['id']}_0", f"{second['id']}_1"]
    assert first in planned.out
    assert aml("show", second["id"], "--json").json["sweep"]["warm_start"] == [first]
    again, trials = sweep_and_trials(aml)
    assert (again["id"], len(trials)) == (second["id"], 3)
    for words, said in (
        ([f"sweep.warm_start=[{first}_0]"], f"run {first}_0 is not a sweep"),
        ([f"sweep.warm_start=[{first}]", "sweep=random"], "sweep.sampler=random does not learn from earlier trials"),
        ([f"sweep.warm_start=[{first}]", "script.arguments.sleep=0,0.1"], "it did not search script.arguments.sleep"),
    ):
        assert said in aml(*command, *space, *words, status=2).err
    assert len(aml("runs", "--json").json) == 2
