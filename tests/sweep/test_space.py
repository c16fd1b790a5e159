"""The search space: Hydra's and Azure ML's terms, what they mean, and each mistake one message."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from amlcore.config import Search, compose_search
from amlcore.errors import ConfigError, RequestError
from amlcore.sweep import Dimension, Space, Sweep
from amlcore.sweep.azure import dimension_of_call, dimension_of_mapping
from amlcore.sweep.study import first_trials
from tests.support.aml import Write

C = "script.arguments.C"
BASE = ["script=s", "environment=current", "sweep=random"]


@pytest.fixture
def root(project: Path, write: Write) -> Path:
    write("src/train.py", "")
    write(
        "conf/script/s.yaml",
        "defaults: [/schema/script@_here_, _self_]\n"
        "source_directory: src\nscript: train.py\narguments: {C: 1.0, kernel: rbf, gamma: 0.1}\n",
    )
    return project


def search(root: Path, *overrides: str) -> Search:
    composed = compose_search([*BASE, *overrides], root=root)
    assert composed is not None
    return composed


# What the Optuna sweeper of Hydra documents, and what it makes of it.
@pytest.mark.parametrize(
    ("written", "distribution"),
    [
        ("interval(-5.5,5)", FloatDistribution(-5.5, 5.0)),
        ("interval(1,10)", FloatDistribution(1.0, 10.0)),
        ("int(interval(1,10))", IntDistribution(1, 10)),
        ("tag(log,interval(0.001,10))", FloatDistribution(0.001, 10.0, log=True)),
        ("tag(log,int(interval(1,100)))", IntDistribution(1, 100, log=True)),
        ("range(1,10)", IntDistribution(1, 10)),
        ("range(1,10,2)", IntDistribution(1, 9, step=2)),
        ("range(-0.5,0.5,step=0.25)", FloatDistribution(-0.5, 0.5, step=0.25)),
        ("choice(linear,rbf)", CategoricalDistribution(["linear", "rbf"])),
        ("linear,rbf", CategoricalDistribution(["linear", "rbf"])),
        ("'a b','c,d'", CategoricalDistribution(["a b", "c,d"])),
    ],
)
def test_an_override_means_what_hydras_optuna_sweeper_means_by_it(written: str, distribution: Any, root: Path) -> None:
    assert search(root, f"{C}={written}").space[C].distribution == distribution


def test_a_range_in_a_grid_ends_before_its_end_as_hydras_own_sweeper_has_it(root: Path) -> None:
    composed = compose_search(["script=s", f"{C}=range(1,4)", "compute.cores=1,2"], root=root)

    assert composed is not None
    assert composed.sweep.is_grid
    points = [tuple(values.values()) for values in composed.space.grid()]
    assert points == [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2)]


def test_values_keep_their_types_and_reach_the_script(root: Path) -> None:
    composed = compose_search(["script=s", f"{C}=1,2.5,true,null,[1,2],'3'"], root=root)

    assert composed is not None
    words = [composed.trial(values)[0].script.command_line() for values in composed.space.grid()]
    rest = ["--kernel", "rbf", "--gamma", "0.1"]
    assert words == [
        *(["--C", "1", *rest], ["--C", "2.5", *rest], ["--C", *rest], rest, ["--C", "1", "2", *rest]),
        ["--C", "3", *rest],
    ]


@pytest.mark.parametrize(
    ("mapping", "call", "distribution"),
    [
        ({"type": "choice", "values": ["a", "b"]}, None, CategoricalDistribution(["a", "b"])),
        ({"type": "randint", "upper": 10}, "randint(10)", IntDistribution(0, 9)),
        ({"type": "uniform", "min_value": 0.05, "max_value": 0.1}, "uniform(0.05, 0.1)", FloatDistribution(0.05, 0.1)),
        (
            {"type": "loguniform", "min_value": -6, "max_value": -1},
            "loguniform(min_value=-6, max_value=-1)",
            FloatDistribution(math.exp(-6), math.exp(-1), log=True),
        ),
    ],
)
def test_azures_terms_mean_what_azure_means_by_them(mapping: Any, call: str | None, distribution: Any) -> None:
    assert dimension_of_mapping(mapping).distribution == distribution
    assert call is None or dimension_of_call(call) == dimension_of_mapping(mapping)


@pytest.mark.parametrize(
    ("written", "drawn", "value"),
    [
        ("quniform(0, 100, 5)", 52.4, 50),
        ("quniform(0, 1, 0.1)", 0.32, 0.3),
        ("qloguniform(0, 5, 2)", 4.9, 4),
        ("normal(10, 3)", 0.5, 10.0),
        ("normal(10, 3)", 0.841344746, 13.0),
        ("qnormal(10, 3, 2)", 0.841344746, 12),
        ("lognormal(0, 1)", 0.5, 1.0),
        ("lognormal(0, 1)", 0.841344746, math.e),
        ("qlognormal(2, 1, 5)", 0.5, 5),
    ],
)
def test_azure_distributions_are_computed_from_optuna_draws(written: str, drawn: float, value: float) -> None:
    drawn_value = dimension_of_call(written).value(drawn)

    assert drawn_value == pytest.approx(value, rel=1e-6)
    assert type(drawn_value) is type(value)  # multiples of a whole number are whole


def test_azures_functions_may_stand_on_the_command_line_too(root: Path) -> None:
    composed = search(
        root, f"{C}=loguniform(-6, -1)", "+script.arguments.degree=randint(4)", "script.arguments.gamma=1,2"
    )

    assert composed.space.describe() == {
        "script.arguments.gamma": "one of 1, 2",
        C: "float from 0.00247875 to 0.367879, on a log scale",
        "script.arguments.degree": "int from 0 to 3",
    }
    job, overrides = composed.trial({C: 0.25, "script.arguments.degree": 3, "script.arguments.gamma": 2})
    assert job.script.command_line() == ["--C", "0.25", "--kernel", "rbf", "--gamma", "2", "--degree", "3"]
    assert overrides[-3:] == [f"{C}=0.25", "script.arguments.degree=3", "script.arguments.gamma=2"]


def test_a_grid_that_nobody_chose_takes_options_of_a_sweep(root: Path) -> None:
    words = ["script=s", "environment=current", f"{C}=1,2", "sweep/early_termination=median", "sweep.primary_metric=m"]

    composed = compose_search(words, root=root)

    assert composed is not None
    assert composed.sweep.is_grid
    assert composed.sweep.early_termination is not None
    assert composed.trial({C: 1})[1] == ["script=s", "environment=current", f"{C}=1"]


def test_normal_draws_are_normal() -> None:
    space = Space({"x": dimension_of_call("normal(10, 3)")})
    drawn = [trial.values["x"] for trial in first_trials(Sweep("random", seed=1, max_total_runs=2000), space, 2000)]

    assert sum(drawn) / 2000 == pytest.approx(10, abs=0.25)
    assert sum(1 for value in drawn if abs(value - 10) < 3) / 2000 == pytest.approx(0.683, abs=0.04)


def test_a_space_in_yaml_in_both_terms_nested_or_with_dots(root: Path, write: Write) -> None:
    write(
        "conf/sweep/mine.yaml",
        "defaults: [random, _self_]\n"
        "search_space:\n"
        "  script.arguments.C: tag(log, interval(0.1, 10))\n"
        "  script:\n    arguments:\n      kernel: [rbf, linear]\n"
        "      gamma: {type: uniform, min_value: 0, max_value: 1, when: {script.arguments.kernel: rbf}}\n"
        "  +script.arguments.degree: randint(4)\n",
    )

    composed = search(root, "sweep=mine")

    assert composed.space.describe() == {
        "script.arguments.C": "float from 0.1 to 10, on a log scale",
        "script.arguments.kernel": "one of rbf, linear",
        "script.arguments.degree": "int from 0 to 3",
        "script.arguments.gamma": "float from 0 to 1, if script.arguments.kernel is rbf",
    }
    drawn = [trial.values for trial in first_trials(composed.sweep, composed.space, 20)]
    assert {"script.arguments.gamma" in values for values in drawn} == {True, False}
    has_gamma = ["script.arguments.gamma" in values for values in drawn]
    assert has_gamma == [values["script.arguments.kernel"] == "rbf" for values in drawn]
    assert Search.from_json(composed.to_json()).space.describe() == composed.space.describe()


def test_a_mistake_in_yaml_has_its_line(root: Path, write: Write) -> None:
    write(
        "conf/sweep/mine.yaml",
        "defaults: [random, _self_]\nsearch_space:\n  script.arguments.C: [1, 2]\n"
        "  script:\n    arguments:\n      gamma: interval(2, 1)\n",
    )
    write("conf/sweep/dotted.yaml", "defaults: [random, _self_]\nsearch_space:\n  script.arguments.C: [1, 1]\n")

    with pytest.raises(
        ConfigError, match=r"gamma: the lower bound 2 is above the upper bound 1 \(conf/sweep/mine.yaml:6\)"
    ):
        search(root, "sweep=mine")
    with pytest.raises(ConfigError, match=r"C: the choice 1 is listed twice \(conf/sweep/dotted.yaml:3\)"):
        search(root, "sweep=dotted")


def test_a_conditional_grid_has_each_point_once() -> None:
    space = Space(
        {
            "gamma": Dimension.of([1, 2]).with_condition({"kernel": ("rbf",)}),
            "kernel": Dimension.of(["linear", "rbf"]),
        }
    )

    assert list(space.grid()) == [{"kernel": "linear"}, {"kernel": "rbf", "gamma": 1}, {"kernel": "rbf", "gamma": 2}]


def test_an_added_argument_is_there_only_where_its_condition_holds(root: Path, write: Write) -> None:
    write(
        "conf/sweep/mine.yaml",
        "defaults: [random, _self_]\n"
        "search_space:\n"
        "  script.arguments.kernel: [poly, linear]\n"
        "  +script.arguments.degree: {values: [2, 3], when: {script.arguments.kernel: poly}}\n"
        "  +script.arguments.tol: [0.1]\n",
    )

    composed = search(root, "sweep=mine")
    for again in (composed, Search.from_json(json.loads(json.dumps(composed.to_json())))):
        for values in again.space.grid():
            words = again.trial(values)[0].script.command_line()
            assert ("--degree" in words) == (values["script.arguments.kernel"] == "poly")
            assert "--tol" in words
    assert search(root, "sweep=mine", "+script.arguments.degree=5,6").space["script.arguments.degree"].choices == (5, 6)


def test_a_sweep_over_groups_has_a_job_for_each_choice(root: Path, write: Write) -> None:
    write("src/other.py", "")
    write(
        "conf/script/t.yaml",
        "defaults: [/schema/script@_here_, _self_]\nsource_directory: src\nscript: other.py\narguments: {C: 2}\n",
    )

    composed = compose_search(["script=s,t", "environment=current,sklearn"], root=root)

    assert composed is not None
    jobs = [composed.trial(values)[0] for values in composed.space.grid()]
    assert [(job.script.script, job.environment.name) for job in jobs] == [
        *(("train.py", "current"), ("train.py", "sklearn"), ("other.py", "current"), ("other.py", "sklearn")),
    ]


def test_names_of_the_workspaces_table_are_understood_in_a_sweep_too(root: Path) -> None:
    composed = compose_search(["script=s", "environment=AzureML-Tutorial", f"{C}=1,2"], root=root)

    assert composed is not None
    assert composed.job.environment.name == "sklearn"


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (
            ["script.arguments.c=1,2"],
            ["script.arguments.c:", "no such key", "(on the command line: script.arguments.c=1,2)"],
        ),
        ([f"{C}=1,2", "sweep.early_termination.policy_name=x"], ["policy_name=x", "sweep/early_termination=bandit or"]),
        ([f"{C}=1,2", "sweep.early_termination=bandit"], ["with sweep/early_termination=NAME; did you mean 'bandit'"]),
        ([f"{C}=1,2", "sweep.plots=maybe"], ["sweep.plots=maybe: must be true or false"]),
        (
            [f"{C}=1,2", "+sweep.sampler_options.foo=1"],
            ["sweep.sampler_options.foo", "such argument; available: seed"],
        ),
        (
            [
                f"{C}=1,2",
                "sweep.primary_metric=m",
                "sweep/early_termination=asha",
                "+sweep.early_termination.options.min_resources=3",
            ],
            ["sweep.early_termination.options.min_resources", "did you mean 'min_resource'"],
        ),
        ([f"{C}=interval(0)", "sweep=random"], [f"'{C}=interval(0)'", "cannot be read", "interval(0,1)"]),
        (["compute.slot=1,2"], ["compute.slot:", "did you mean 'slots'"]),
        (["compute.cores=1,0"], ["compute.cores=0", "at least 1"]),
        (["compute.cores=1,x"], ["compute.cores", "'x'", "Integer"]),
        (["compute.slots=1,2"], ["compute.slots", "one value for all trials"]),
        (["environment=current,curent"], ["environment=curent", "did you mean 'current'"]),
        ([f"{C}=interval(2,1)"], [f"{C}=interval(2,1)", "lower bound 2 is above the upper bound 1"]),
        ([f"{C}=range(1,5,-1)"], [f"{C}=range(1,5,-1)", "must go down, not from 1 to 5"]),
        ([f"{C}=tag(log,interval(0,1))"], ["log scale", "above 0"]),
        ([f"{C}=1,2,1"], [f"{C}=1,2,1", "1 is listed twice"]),
        ([f"{C}=interval(0,1)", "sweep=grid"], ["a grid", "sweep=random or sweep=tpe"]),
        ([f"{C}=interval(0,1)", "sweep=tpe"], ["sweep.primary_metric is not set"]),
        ([f"{C}=interval(0,1)", "sweep.sampler=tp"], ["sweep.sampler=tp", "did you mean 'tpe'"]),
        ([f"{C}=1,2", "sweep.goal=larger"], ["sweep.goal", "larger"]),
        ([f"{C}=1,2", "sweep.max_total_runs=0"], ["sweep.max_total_runs=0", "at least 1"]),
        ([f"{C}=1,2", "sweep.max_duration_minutes=0"], ["max_duration_minutes=0", "must be positive"]),
        ([f"{C}=1,2", "sweep.max_total=3"], ["sweep.max_total", "did you mean 'max_total_runs'"]),
        (["model=sklearn", "model.name=a,b"], ["model.name", "one value for all trials"]),
        ([], ["sweep.search_space is empty"]),
        ([f"{C}=uniform(0,1)", "sweep=grid"], [C, "a grid cannot try every value"]),
        ([f"{C}=uniform(1,0)"], [f"{C}=uniform(1,0)", "lower bound 1 is above the upper bound 0"]),
        ([f"{C}=normal(1)"], [f"{C}=normal(1)", "normal(mu, sigma)"]),
        ([f"{C}=1,2", "sweep.warm_start=latest"], ["sweep.warm_start: must be a list", "sweep.warm_start=[a,b]"]),
        (["+sweep.search_space.script.arguments.c=[1,2]"], ["script.arguments.c", "no such key"]),
        (["+sweep.search_space.compute.slots='uniform(1)'"], ["uniform(1)", "uniform(min_value, max_value)"]),
        (["+sweep.search_space.script.arguments.C={type: unifom}"], ["unifom", "did you mean 'uniform'"]),
        (["+sweep.search_space.script.arguments.C={type: uniform, min_value: 1}"], ["max_value is missing"]),
        (["+sweep.search_space.script.arguments.C={type: uniform, min: 1}"], ["uniform has no min"]),
        (["+sweep.search_space.script.arguments.C=5"], ["script.arguments.C", "not a range"]),
        (
            ["+sweep.search_space.script.arguments.C={values: [1,2], when: {kernel: rbf}}"],
            ["script.arguments.C", "when: kernel"],
        ),
    ],
)
def test_a_mistake_in_a_sweep_is_one_message(overrides: list[str], parts: list[str], root: Path) -> None:
    with pytest.raises(RequestError) as caught:
        search(root, *overrides)

    assert [part for part in parts if part not in str(caught.value)] == [], caught.value
    assert "\n" not in str(caught.value)


numbers = st.floats(-1e6, 1e6, allow_nan=False)


@given(low=numbers, high=numbers, step=st.none() | st.floats(1e-3, 1e6))
def test_a_range_is_kept_as_it_is_or_refused(low: float, high: float, step: float | None) -> None:
    try:
        dimension = Dimension.between(low, high, step=step)
    except ConfigError:
        assert low > high
        return
    assert low <= dimension.high <= high
    assert Space.from_json(Space({"x": dimension}).to_json())["x"] == dimension
    assert dimension.distribution is not None


def test_surplus_sampler_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="sampler_options"):
        list(
            first_trials(
                Sweep("random", max_total_runs=1, sampler_options={"colour": 1}),
                Space({"x": Dimension.between(0.0, 1.0)}),
                1,
            )
        )
