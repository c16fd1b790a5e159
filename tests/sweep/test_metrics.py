"""Samplers by name and by path, and sweeps for several metrics at once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import amlcore
from amlcore.config import Job, compose, compose_search
from amlcore.errors import ConfigError
from amlcore.sweep import Dimension, EarlyTermination, Goal, Space, Sweep
from amlcore.sweep.loop import Loop
from amlcore.sweep.pareto import ParetoFront
from amlcore.sweep.sampler import BY_PATH, NAMED
from amlcore.sweep.study import Study, Trial, TrialState, first_trials
from tests.support.aml import HERE, Aml, Write
from tests.support.sweep_loop import Clock, ScriptedTrials, run
from tests.support.sweeps import TORCH, sweep_and_trials

SWEEPS = sorted(path.stem for path in (Path(amlcore.__file__).parent / "conf/sweep").glob("[!_]*.yaml"))
SPACE = Space({"x": Dimension.between(0.0, 1.0), "n": Dimension.between(1, 9), "k": Dimension.of(["a", "b"])})


NAMES = [name for name in (*NAMED, "optuna.samplers.NSGAIIISampler") if TORCH or NAMED.get(name) != NAMED["gp"]]


@pytest.mark.parametrize("name", NAMES)
def test_every_sampler_goes_on_after_a_restart_and_repeats_no_point(name: str, tmp_path: Path) -> None:
    space = Space({"k": Dimension.of(list("abcdefghijklmnop"))}) if name == "grid" else SPACE
    sweep = Sweep(name, primary_metric="m", seed=1, max_total_runs=16)
    sweep.check()
    clock = Clock()
    trials = ScriptedTrials(clock, [3.0, 1.0, 2.0])
    for steps in (6, None):
        study = Study(sweep, space, file=tmp_path / "study.jsonl")
        trials.running.clear()
        loop = Loop(study, trials, sweep=sweep, slots=3, clock=clock)
        if steps is None:
            run(loop, trials, clock)
        else:
            for _ in range(steps):
                loop.step()
                clock.now = max(clock.now, trials.next())
        recorded_trials = study.trials()
        study.close()

    assert [trial.number for trial in recorded_trials] == list(range(16))
    assert {trial.state for trial in recorded_trials} == {TrialState.COMPLETE}
    assert len({json.dumps(trial.values) for trial in recorded_trials}) == 16


def test_a_point_tried_again_takes_none_of_sobols_sequence(tmp_path: Path) -> None:
    sweep, space = Sweep("sobol", seed=1, max_total_runs=8), Space({key: Dimension.between(0.0, 1.0) for key in "xy"})
    whole = [trial.values for trial in first_trials(sweep, space, 8)]

    counted = []
    for canceled in (True, True, False):  # each time the third point
        study = Study(sweep, space, file=tmp_path / "study.jsonl")
        while study.remaining:
            trial = study.ask()
            if canceled and trial.values == whole[2]:
                study.tell(trial.number, TrialState.CANCELED)
                break
            study.tell(trial.number, TrialState.COMPLETE, 1.0)
            counted.append(trial.values)
        study.close()

    assert counted == whole


def test_a_point_tried_again_stays_in_its_generation(tmp_path: Path) -> None:
    sweep = Sweep("nsga2", primary_metric="m", seed=1, max_total_runs=9, sampler_options={"population_size": 4})
    study = Study(sweep, SPACE, file=tmp_path / "study.jsonl")
    numbers = [study.ask().number for _ in range(3)]
    for number in numbers:
        study.tell(number, TrialState.CANCELED if number == 1 else TrialState.COMPLETE, 1.0)
    study.close()

    study = Study(sweep, SPACE, file=tmp_path / "study.jsonl")
    again = study.ask()
    study.tell(again.number, TrialState.COMPLETE, 2.0)
    first = study._study.sampler.get_population(study._study, 0)  # type: ignore[attr-defined]
    study.close()

    assert [trial.number for trial in first] == [0, 2, again.number]


def test_sobols_sequence_needs_no_trial_that_came_to_a_value(tmp_path: Path) -> None:
    sweep = Sweep("sobol", primary_metric="m", seed=1, max_total_runs=16)
    for state, value in ((TrialState.COMPLETE, 1.0), (TrialState.COMPLETE, None), (TrialState.FAIL, None)):
        file = tmp_path / f"{state}{value}.jsonl"
        points = []
        for until in (5, 16):
            study = Study(sweep, SPACE, file=file)
            while study.trial_count < until:
                trial = study.ask()
                study.tell(trial.number, state, value)
                points.append(trial.values)
            study.close()

        # One lies in each sixteenth: so the sequence is balanced, and random points hardly ever are.
        assert len({int(16 * point["x"]) for point in points}) == 16
        assert [point["k"] for point in points].count("a") == 8


@pytest.mark.parametrize("option", SWEEPS)
def test_every_shipped_sweep_composes_and_survives_its_record(option: str, project: Path) -> None:
    job = compose(["script=train_iris", f"sweep={option}"], root=project)

    assert (job.sweep is None) == (option == "none")
    assert Job.from_yaml(job.to_yaml()).to_yaml() == job.to_yaml()


def test_a_path_means_the_same_as_its_name() -> None:
    by_name = Sweep("tpe", primary_metric="m", seed=4, max_total_runs=5)
    by_path = replace(by_name, sampler="optuna.samplers.TPESampler")

    points = [[trial.values for trial in first_trials(sweep, SPACE, 5)] for sweep in (by_name, by_path)]

    assert points[0] == points[1]
    assert "optuna.samplers.NSGAIIISampler" in BY_PATH
    with pytest.raises(ConfigError, match=r"did you mean 'optuna.samplers.QMCSampler'\? Must be .*cmaes, .*nsga2"):
        Sweep("optuna.samplers.QMCSampIer")
    with pytest.raises(ConfigError, match=r"optuna.samplers.GridSampler: .*Must be one of"):
        Sweep("optuna.samplers.GridSampler")


@pytest.mark.skipif(TORCH, reason="torch is installed here")
def test_a_sampler_whose_library_is_missing_is_refused_before_anything_starts(project: Path, aml: Aml) -> None:
    (project / "a.py").write_text("")

    said = aml("run", "-m", "a.py", HERE, "sweep=gp", "sweep.primary_metric=m", "compute.cores=1,2", status=2)

    assert (
        said.err == "aml: error: sweep.sampler=gp needs torch, which is not installed here: "
        "pip install 'greenlet>=3' 'torch>=2.6', or pip install -e '.[gp]' in a checkout of amlcore\n"
    )
    assert not (project / "outputs").exists()


@pytest.mark.skipif(not TORCH, reason="torch is not installed here")
def test_a_gaussian_process_finds_a_good_point(aml: Aml, write: Write) -> None:
    write(
        "train.py", "import sys\nfrom amlcore import Run\nRun.get_context().log('m', (float(sys.argv[2]) - 3) ** 2)\n"
    )

    said = aml(
        *("run", "-m", "train.py", HERE, "sweep=gp", "sweep.primary_metric=m", "sweep.goal=minimize", "model=none"),
        *("sweep.max_total_runs=16", "sweep.seed=1", "compute.slots=2", "+script.arguments.x=interval(-10,10)"),
    )

    parent, trials = sweep_and_trials(aml)
    assert {run["state"] for run in trials} == {"Completed"}
    assert len(trials) == 16
    # Ten of them are random, and Optuna's Gaussian process needs few more.
    assert parent["metrics"]["m"] == min(run["metrics"]["m"] for run in trials) < 0.1
    assert [line for line in said.err.splitlines() if not line.startswith("aml: ")] == []


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (
            ["sweep.primary_metric=a,b"],
            ["must have one value for all trials of a sweep, or a list: sweep.primary_metric=[a,b]"],
        ),
        (["sweep.primary_metric=[a,a]"], ["[a,a]", "listed twice"]),
        (["sweep.primary_metric=[]"], ["primary_metric=[]", "or a list of names"]),
        (["sweep.primary_metric=[a,[b]]"], ["or a list of names"]),
        (["sweep.primary_metric=[a,b]", "sweep.goal=[maximize]"], ["[maximize]: 1 goals for 2 metrics"]),
        (["sweep.primary_metric=[a,b]", "sweep.goal=[maximize,up]"], ["[maximize,up]", "maximize, minimize"]),
        (
            ["sweep.primary_metric=[a,b]", "sweep/early_termination=bandit"],
            ["early_termination supports only one metric"],
        ),
        (["sweep.primary_metric=[a,b]", "sweep/early_termination=wilcoxon"], ["early_termination"]),
        (["sweep.primary_metric=[a,b]", "sweep.sampler=cmaes"], ["supports only one metric", "nsga2"]),
        (["sweep.primary_metric=a", "sweep.sampler=cmaes"], ["at least 2 numeric parameters"]),
        (["sweep.primary_metric=a", "+sweep.sampler_options.colour=1"], ["sampler_options", "colour"]),
        (["sweep/early_termination=patient", "sweep.early_termination.wrapped=median"], ["wrapped=median", "asha"]),
        (["sweep/early_termination=asha", "sweep.early_termination.wrapped=asha"], ["only policy=patient"]),
        (
            [
                *("sweep/early_termination=patient", "sweep.early_termination.wrapped=asha", "sweep.primary_metric=a"),
                "+sweep.early_termination.wrapped_options.colour=1",
            ],
            ["wrapped_options.colour: SuccessiveHalvingPruner has no such argument", "colour"],
        ),
    ],
)
def test_incompatible_sweep_settings_give_one_message(words: list[str], parts: list[str], project: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        compose_search(["environment=current", "sweep=random", "compute.cores=1,2", *words], root=project)

    assert [part for part in parts if part not in str(caught.value)] == [], caught.value
    assert "\n" not in str(caught.value)


def test_lists_of_metrics_and_goals_compose_from_yaml_and_the_command_line(project: Path, write: Write) -> None:
    write("conf/sweep/two.yaml", "defaults: [nsga2, _self_]\nprimary_metric: [a, b]\ngoal: [minimize, maximize]\n")
    for words in (
        ["sweep=two"],
        ["sweep=tpe", "sweep.primary_metric=[a,b]", "sweep.goal=[minimize,maximize]"],
    ):
        search = compose_search(["environment=current", "compute.cores=1,2", *words], root=project)
        assert search is not None
        again = type(search).from_json(json.loads(json.dumps(search.to_json())))
        for sweep in (search.sweep, again.sweep):
            assert (sweep.metrics, sweep.goals) == (("a", "b"), (Goal.minimize, Goal.maximize))
        assert again.is_same(search)
    assert Sweep("tpe", primary_metric=["a", "b"]).goals == (Goal.maximize, Goal.maximize)
    assert Sweep("tpe", primary_metric=["a"]).primary_metric == "a"


@given(
    reached=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=14),
    goals=st.tuples(*[st.sampled_from(Goal)] * 3),
    order=st.randoms(use_true_random=False),
)
def test_the_front_is_what_no_other_trial_beats_and_of_equals_the_earliest(
    reached: list[tuple[int, int, int]], goals: tuple[Goal, ...], order: Any
) -> None:
    trials = [
        Trial(n, {}, TrialState.COMPLETE, float(a), None, (float(b), float(c))) for n, (a, b, c) in enumerate(reached)
    ]
    front = ParetoFront(goals)
    shuffled = trials[:]
    order.shuffle(shuffled)
    for trial in shuffled:
        front.add(trial)

    gains = [tuple(goal.sign * value for goal, value in zip(goals, trial.reached, strict=True)) for trial in trials]

    def beaten(mine: int) -> bool:
        return any(
            all(theirs >= own for theirs, own in zip(gains[other], gains[mine], strict=True))
            and (gains[other] != gains[mine] or other < mine)
            for other in range(len(trials))
            if other != mine
        )

    expected = [number for number in range(len(trials)) if not beaten(number)]
    assert sorted(trial.number for trial in front.trials) == expected
    assert front.best is not None
    assert front.best.number == min(expected, key=lambda number: (-gains[number][0], number))


def test_optunas_pruners_that_compare_folds_and_wait() -> None:
    wilcoxon = EarlyTermination("wilcoxon", metric="m fold")
    sweep = Sweep("random", primary_metric="m", max_total_runs=4, early_termination=wilcoxon)
    assert sweep.judged_metric == "m fold"
    study = Study(sweep, SPACE)
    for number, folds in enumerate(([0.9, 0.8, 0.95, 0.85, 0.9, 0.8], [0.7, 0.6, 0.75, 0.65, 0.7, 0.6])):
        assert study.ask().number == number
        verdicts = [study.report(number, fold, value) for fold, value in enumerate(folds, 1)]
        study.tell(number, TrialState.COMPLETE, sum(folds) / 6)
    assert verdicts == [False, False, False, True, True, True]  # 1/2^4 is the first p below 0.1

    sweep = replace(sweep, early_termination=EarlyTermination("patient", options={"patience": 2}))
    study = Study(sweep, SPACE)
    study.ask()
    rising = [study.report(0, step, value) for step, value in enumerate([1.0, 2.0, 3.0, 4.0, 5.0], 1)]
    falling = [study.report(0, step, 1.0) for step in (6, 7, 8)]
    assert (rising, falling) == ([False] * 5, [False, False, True])
    held = EarlyTermination("patient", options={"patience": 2}, wrapped="threshold", wrapped_options={"lower": 0.5})
    study = Study(replace(sweep, early_termination=held), SPACE)
    study.ask()
    assert [study.report(0, step, value) for step, value in enumerate([5.0, 1.0, 1.0, 1.0, 0.1], 1)] == [False] * 4 + [
        True
    ]


TWO = """
import sys
import joblib
from sklearn.dummy import DummyClassifier
from amlcore import Run
x = float(sys.argv[2])
run = Run.get_context()
run.log("score", min(x, 6))
run.log("cost", x * x)
joblib.dump(DummyClassifier().fit([[0], [1]], [0, 1]), "outputs/model.joblib")
"""


def test_several_metrics_end_in_a_front_and_the_best_of_the_first_is_registered(aml: Aml, write: Write) -> None:
    write("train.py", TWO)

    said = aml(
        *("run", "-m", "train.py", HERE, "sweep=nsga2", "sweep.sampler_options={population_size: 4}", "sweep.seed=1"),
        *("sweep.primary_metric=[score,cost]", "sweep.goal=[maximize,minimize]", "sweep.max_total_runs=8"),
        *("+script.arguments.x=1,2,6,7", "model=sklearn", "model.name=two", "compute.slots=2"),
    )

    parent, trials = sweep_and_trials(aml)
    points = {(run["metrics"]["score"], run["metrics"]["cost"]): run["id"] for run in reversed(trials)}
    on_front = {
        point for point in points if not any(x >= point[0] and y <= point[1] for x, y in points.keys() - {point})
    }
    best = points[max(on_front)]
    shown = aml("show", parent["id"], "--json").json
    front = next(item for item in shown["series"] if item["name"] == "pareto_front")["value"]
    assert set(zip(front["score"], front["cost"], strict=True)) == on_front
    assert [points[point] for point in zip(front["score"], front["cost"], strict=True)] == front["run"]
    assert front["run"][0] == best == shown["tags"]["best"] == aml("models", "--json").json[0]["run"]
    assert front["script.arguments.x"] == [int(cost**0.5) for cost in front["cost"]]
    assert parent["metrics"] == {"score": front["score"][0], "cost": front["cost"][0]}
    assert f"{len(front['run'])} on the Pareto front" in said.err
    assert f"best in score: trial {best.rpartition('_')[2]}, score=" in said.err
    assert said.out.splitlines()[0].split() == ["trial", "score", "cost", "x", "state", "front"]
    assert said.out.count("yes") == len(front["run"])
    assert shown["sweep"]["goal"] == ["maximize", "minimize"]


def test_a_driver_that_goes_on_knows_the_front_of_the_one_before(tmp_path: Path) -> None:
    sweep = Sweep("nsga2", primary_metric=["a", "b"], goal=["maximize", "minimize"], seed=1, max_total_runs=9)
    study = Study(sweep, SPACE, file=tmp_path / "study.jsonl")
    for number, (a, b) in enumerate([(1.0, 1.0), (2.0, 3.0), (1.0, 1.0), (0.5, 2.0), (3.0, 9.0)]):
        study.ask()
        study.tell(number, TrialState.COMPLETE, a, further=(b,))
    study.close()

    again = Study(sweep, SPACE, file=tmp_path / "study.jsonl")
    loop = Loop(again, ScriptedTrials(Clock(), [1.0]), sweep=sweep, slots=1, clock=Clock())

    assert [trial.number for trial in loop.progress.front.trials] == [4, 1, 0]
    assert [trial.reached for trial in again.trials()][:2] == [(1.0, 1.0), (2.0, 3.0)]
    assert sorted(again.trials(), key=loop.progress.front.order)[-1].number == 3
    again.close()
