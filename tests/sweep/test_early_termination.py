"""Early termination: Azure ML's three rules against hand-computed tables, and Optuna's pruners in the loop."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import amlcore
from amlcore.config import Job, compose
from amlcore.errors import ConfigError
from amlcore.sweep import Dimension, EarlyTermination, Goal, Space, Sweep
from amlcore.sweep.loop import Loop, MetricReported, TrialEnded
from amlcore.sweep.study import Study, Trial, TrialState
from tests.support.aml import HERE, Aml, Write
from tests.support.sweeps import sweep_and_trials

OPTIONS = sorted(path.stem for path in (Path(amlcore.__file__).parent / "conf/sweep/early_termination").glob("*.yaml"))
SPACE = Space({"x": Dimension.between(0, 8)})


@pytest.mark.parametrize(
    ("slack", "goal", "best", "own", "stops"),
    [
        # Azure ML's own example: the best is 0.8, slack_factor 0.2, so the limit is 0.8 / 1.2 = 0.6667.
        ({"slack_factor": 0.2}, Goal.maximize, 0.8, 0.66, True),
        ({"slack_factor": 0.2}, Goal.maximize, 0.8, 0.67, False),
        # Its other one: slack_amount 0.2, so the limit is 0.6.
        ({"slack_amount": 0.2}, Goal.maximize, 0.8, 0.59, True),
        ({"slack_amount": 0.2}, Goal.maximize, 0.8, 0.61, False),
        # Minimized: 0.5 * 1.2 = 0.6, and 0.5 + 0.2 = 0.7.
        ({"slack_factor": 0.2}, Goal.minimize, 0.5, 0.61, True),
        ({"slack_factor": 0.2}, Goal.minimize, 0.5, 0.59, False),
        ({"slack_amount": 0.2}, Goal.minimize, 0.5, 0.71, True),
        ({"slack_amount": 0.2}, Goal.minimize, 0.5, 0.69, False),
        # Below zero the slack goes away from the best as well: -0.5 * 1.2 = -0.6, and minimized -0.6 / 1.2 = -0.5.
        ({"slack_factor": 0.2}, Goal.maximize, -0.5, -0.61, True),
        ({"slack_factor": 0.2}, Goal.maximize, -0.5, -0.59, False),
        ({"slack_factor": 0.2}, Goal.minimize, -0.6, -0.49, True),
        ({"slack_factor": 0.2}, Goal.minimize, -0.6, -0.51, False),
    ],
)
def test_bandit_by_hand(slack: dict[str, float], goal: Goal, best: float, own: float, stops: bool) -> None:
    policy = EarlyTermination("bandit", **slack)  # type: ignore[arg-type]

    assert (policy.verdict(1, {0: [best], 1: [own]}, goal) is not None) is stops
    assert policy.verdict(0, {0: [best], 1: [own]}, goal) is None


def test_bandit_compares_the_best_so_far_at_the_same_interval() -> None:
    policy = EarlyTermination("bandit", slack_amount=0.1)

    # Trial 0 reached 0.9 only at its third log; at the second its best was 0.6.
    histories = {0: [0.5, 0.6, 0.9], 1: [0.55, 0.3]}
    assert policy.verdict(1, histories, Goal.maximize) is None
    assert policy.verdict(1, {0: [0.5, 0.6, 0.9], 1: [0.55, 0.3, 0.2]}, Goal.maximize) == (
        "bandit: 0.55 at interval 3, the best is 0.9 and the limit 0.8"
    )


def test_median_by_hand() -> None:
    policy = EarlyTermination("median")
    # Averages up to interval 2: 0.5, 0.7, 0.3, and 0.35 of trial 3; their median is (0.35 + 0.5) / 2 = 0.425.
    histories = {0: [0.4, 0.6], 1: [0.6, 0.8], 2: [0.2, 0.4], 3: [0.3, 0.4]}

    assert policy.verdict(3, histories, Goal.maximize) == (
        "median: 0.4 at interval 2, the median of the averages is 0.425"
    )
    assert policy.verdict(0, histories, Goal.maximize) is None
    assert policy.verdict(1, histories, Goal.minimize) is not None  # its best is 0.6, above 0.425
    assert policy.verdict(3, histories, Goal.minimize) is None
    # With 0.45 its own average is 0.375, the median 0.4375, and its best above it.
    assert policy.verdict(3, {**histories, 3: [0.3, 0.45]}, Goal.maximize) is None


def test_median_leaves_out_trials_that_did_not_come_so_far() -> None:
    histories = {0: [0.9], 1: [0.2, 0.2], 2: [0.3, 0.3]}

    assert EarlyTermination("median").verdict(2, histories, Goal.maximize) is None


def test_truncation_by_hand() -> None:
    policy = EarlyTermination("truncation", truncation_percentage=40)
    histories = {0: [0.1], 1: [0.2], 2: [0.3], 3: [0.4], 4: [0.5]}  # 40 % of five: the lowest two

    stopped = [number for number in histories if policy.verdict(number, histories, Goal.maximize)]
    assert stopped == [0, 1]
    stopped = [number for number in histories if policy.verdict(number, histories, Goal.minimize)]
    assert stopped == [3, 4]
    # 40 % of two is less than one.
    assert policy.verdict(0, {0: [0.1], 1: [0.2]}, Goal.maximize) is None


@pytest.mark.parametrize(
    ("interval", "delay", "judged"),
    [(1, 0, [1, 2, 3, 4, 5, 6]), (2, 0, [2, 4, 6]), (1, 5, [5, 6]), (2, 5, [6]), (3, 3, [3, 6])],
)
def test_evaluation_interval_and_delay_decide_when_a_trial_is_judged(
    interval: int, delay: int, judged: list[int]
) -> None:
    policy = EarlyTermination("bandit", slack_amount=0.0, evaluation_interval=interval, delay_evaluation=delay)

    judged_at = [n for n in range(1, 7) if policy.verdict(1, {0: [1.0] * n, 1: [0.0] * n}, Goal.maximize)]

    assert judged_at == judged


@pytest.mark.parametrize(
    ("policy", "fields", "said"),
    [
        ("bandt", {}, "did you mean 'bandit'"),
        ("bandit", {}, "slack_factor or slack_amount"),
        ("bandit", {"slack_factor": 0.1, "slack_amount": 0.1}, "slack_factor or slack_amount"),
        ("bandit", {"slack_factor": -0.1}, "must be at least 0, not -0.1"),
        ("truncation", {}, "from 1 to 99"),
        ("truncation", {"truncation_percentage": 100}, "from 1 to 99"),
        ("median", {"evaluation_interval": 0}, "at least 1"),
        ("median", {"delay_evaluation": -1}, "at least 0"),
        ("asha", {"options": {"colour": 1}}, "colour"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(policy: str, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        EarlyTermination(policy, **fields).pruner()


@pytest.mark.parametrize("option", OPTIONS)
def test_every_shipped_policy_composes_and_survives_its_record(option: str, project: Path) -> None:
    words = ["script=train_iris", "sweep=random", f"sweep/early_termination={option}", "sweep.primary_metric=m"]

    job = compose(words, root=project)

    assert job.sweep is not None
    assert (job.sweep.early_termination is None) == (option == "none")
    assert Job.from_yaml(job.to_yaml()).to_yaml() == job.to_yaml()


class Logging:
    """Trials that log their x again and again, ten times, and end by themselves after it."""

    def __init__(self) -> None:
        self.logged: dict[int, list[float]] = {}
        self.running: dict[int, Trial] = {}
        self.stopped: dict[int, str] = {}

    def start(self, trial: Trial) -> None:
        self.running[trial.number] = trial
        self.logged.setdefault(trial.number, [])

    def poll(self) -> Iterator[TrialEnded | MetricReported]:
        for number, trial in list(self.running.items()):
            if number in self.stopped:
                del self.running[number]
                yield TrialEnded(number, TrialState.PRUNED, reason=self.stopped[number])
            elif len(self.logged[number]) == 10:
                del self.running[number]
                yield TrialEnded(number, TrialState.COMPLETE, float(trial.values["x"]))
            else:
                self.logged[number].append(float(trial.values["x"]))
                yield MetricReported(number, float(trial.values["x"]))

    def stop(self, number: int, reason: str, *, pruned: bool = False) -> None:
        assert pruned
        self.stopped[number] = reason

    def history(self, number: int) -> list[float]:
        return self.logged[number]


@pytest.mark.parametrize(
    "policy",
    [
        EarlyTermination("bandit", slack_factor=0.1),
        EarlyTermination("median", delay_evaluation=2),
        EarlyTermination("truncation", truncation_percentage=50),
        EarlyTermination("asha", options={"min_resource": 1, "reduction_factor": 2}),
        EarlyTermination("hyperband", options={"min_resource": 1, "max_resource": 9}),
        EarlyTermination("percentile", options={"percentile": 25.0, "n_startup_trials": 2}),
        EarlyTermination("threshold", options={"lower": 4.0}),
    ],
    ids=lambda policy: policy.policy,
)
def test_the_loop_stops_what_falls_behind_and_finds_the_best_all_the_same(
    policy: EarlyTermination, tmp_path: Path
) -> None:
    sweep = Sweep("random", primary_metric="m", seed=5, max_total_runs=24, early_termination=policy)
    trials = Logging()
    for steps in (40, 10_000):  # a driver that dies, and one that goes on
        study = Study(sweep, SPACE, file=tmp_path / "study.jsonl")
        trials.running.clear()
        loop = Loop(study, trials, sweep=sweep, slots=3, clock=lambda: 0.0)
        for _ in range(steps):
            if loop.is_over:
                break
            loop.step()
        recorded_trials = study.trials()
        study.close()

    states = [trial.state for trial in recorded_trials]
    assert len(recorded_trials) == 24
    assert states.count(TrialState.PRUNED) >= 4
    assert loop.progress.best is not None
    assert loop.progress.best.value == 8
    assert sum(map(len, trials.logged.values())) < 0.8 * 240
    pruned = next(trial for trial in recorded_trials if trial.state is TrialState.PRUNED)
    assert str(pruned.reason).startswith(f"early termination by {policy.policy}: ")


@pytest.mark.parametrize("goal", Goal)
@pytest.mark.parametrize(
    "policy",
    [
        EarlyTermination("bandit", slack_factor=0.1),
        EarlyTermination("bandit", slack_amount=0.1),
        EarlyTermination("median"),
        EarlyTermination("truncation", truncation_percentage=40),
        EarlyTermination("asha", options={"min_resource": 1, "reduction_factor": 2}),
        EarlyTermination("wilcoxon", options={"n_startup_steps": 0}),
    ],
    ids=lambda policy: policy.policy,
)
def test_infinite_values_stop_nobody_else(policy: EarlyTermination, goal: Goal) -> None:
    def logged(trial: int, interval: int) -> float:
        return (1.0, 1.0, math.inf, -math.inf if interval % 2 else math.inf)[trial]

    class Diverging(Logging):
        def poll(self) -> Iterator[TrialEnded | MetricReported]:
            for event in super().poll():
                if isinstance(event, MetricReported):
                    history = self.logged[event.number]
                    history[-1] = logged(event.number, len(history))
                    yield MetricReported(event.number, history[-1])
                else:
                    yield event

    sweep = Sweep("random", primary_metric="m", goal=goal, seed=5, max_total_runs=4, early_termination=policy)
    trials = Diverging()
    loop = Loop(Study(sweep, SPACE), trials, sweep=sweep, slots=4, clock=lambda: 0.0)
    while not loop.is_over:
        loop.step()

    if policy.is_azures:
        assert trials.stopped.keys() <= {2, 3}
    if policy.policy in ("bandit", "median"):
        assert 2 in trials.stopped


FOLDS = """
import sys, time
from amlcore import Run
quality = float(sys.argv[2])
for fold in range(40):
    Run.get_context().log_fold("score", quality + (fold % 2) / 100)
    if fold >= 2:
        time.sleep(0.1)
"""


def test_a_trial_that_falls_behind_is_canceled_with_its_reason(aml: Aml, write: Write) -> None:
    write("train.py", FOLDS)

    said = aml(
        *("run", "-m", "train.py", HERE, "sweep=grid", "sweep/early_termination=bandit", "sweep.primary_metric=score"),
        *("+script.arguments.quality=0.5,0.9,0.2,0.3", "sweep.early_termination.delay_evaluation=2"),
    )

    parent, trials = sweep_and_trials(aml)
    assert [run["state"] for run in trials] == ["Completed", "Completed", "Canceled", "Canceled"]
    assert "early termination by bandit: 0.205 at interval 2" in trials[2]["reason"]
    assert "2 pruned" in said.err
    table = aml("runs", "--children").out
    assert [table.count(state) for state in ("Completed", "Pruned", "Canceled")] == [2, 2, 0]  # without the sweep's row
    assert re.search(rf"{parent['id']} .*Completed", aml("runs").out)
    assert f"run {trials[2]['id']} was pruned: early termination" in aml("wait", trials[2]["id"], status=None).err
    assert trials[1]["metrics"]["score"] == pytest.approx(0.905)
    series = aml("show", trials[1]["id"], "--json").json["series"]
    assert [item["value"] for item in series if item["name"] == "score"][:2] == pytest.approx([0.9, 0.905])
    assert parent["metrics"]["score"] == pytest.approx(0.905)


def test_wilcoxon_judges_by_folds_and_says_where_there_are_none(aml: Aml, write: Write) -> None:
    write("folds.py", FOLDS)
    write("plain.py", "from amlcore import Run\nRun.get_context().log('score', 1)\n")
    words = [HERE, "sweep=grid", "sweep/early_termination=wilcoxon", "sweep.primary_metric=score"]

    aml("run", "-m", "folds.py", *words, "+script.arguments.quality=0.9,0.3")
    said = aml("run", "-m", "plain.py", *words, "compute.cores=1,2").err

    trials = [run for run in aml("runs", "--json", "--children").json if run["script"] == "folds.py" and run["parent"]]
    assert [run["state"] for run in sorted(trials, key=lambda run: str(run["id"]))] == ["Completed", "Canceled"]
    assert any(str(run["reason"]).startswith("early termination by wilcoxon: 0.31 at interval 4") for run in trials)
    assert (
        said.count("sweep.early_termination.metric=score fold: the script did not log it, so no trial is stopped") == 1
    )
