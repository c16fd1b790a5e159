"""Values: the script gets exactly what was typed, on the command line, in YAML, in sweeps and in Python."""

from __future__ import annotations

import argparse
import csv
import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState, create_trial

from amlcore.config import Job, Search, compose, compose_search
from amlcore.errors import ConfigError
from amlcore.script.run_config import ScriptRunConfig
from amlcore.sweep import Dimension, Space, Sweep
from amlcore.sweep.study import first_trials
from amlcore.sweep.warm_start import warm_start_trials
from tests.support.aml import Aml, Write

ONCE = settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SAID = [
    *("2025_11_03", "2.30", "77e4021", "1e5", "1E-4", "20_11", "007", "+5", "-0", ".5", "5.", "1_000", "0x1F", "0b11"),
    *("9:30", "017", "1:30.5", "yes", "Yes", "NO", "no", "on", "Off", "y", "nan", "NaN", "inf", "1.0", "3.10", "1e400"),
]
"""What YAML, Hydra or Python take for a number or a truth value, some of them for another than it says."""
NUMBER_LIKE = st.from_regex(r"[+-]?[0-9][0-9_]{0,6}(\.[0-9]{0,6})?([eE]\+?[0-9]{1,3})?", fullmatch=True).filter(
    lambda text: not (text.startswith("-") and "e" in text.lower())
)
E = "script.environment_variables"
A = "script.arguments"


@pytest.fixture
def root(project: Path, write: Write) -> Path:
    write("train.py", "")
    script = "defaults: [/schema/script@_here_, _self_]\nscript: train.py\n"
    write("conf/script/s.yaml", script + "arguments: {C: 1.0, model.depth: 3, -j: 1, my name: x}\n")
    return project


def job(root: Path, *overrides: str) -> Job:
    return compose(["script=s", "environment=current", *overrides], root=root)


def search(root: Path, *overrides: str) -> Search:
    composed = compose_search(["script=s", "environment=current", *overrides], root=root)
    assert composed is not None
    return composed


def options_of(composed: Job) -> dict[str, list[str]]:
    """The words behind each flag."""
    values: dict[str, list[str]] = {}
    for word in composed.script.command_line():
        if word.startswith("--"):
            values[word[2:]] = []
        else:
            values[list(values)[-1]].append(word)
    return values


def in_yaml(root: Path, texts: list[str]) -> Job:
    """The job of a file with each of `texts` unquoted wherever text or an argument may be."""
    lines = [f"  v{number}: {text}" for number, text in enumerate(texts)]
    body = "\n".join(["environment_variables:", *lines, "arguments:", *lines, f"  all: [{', '.join(texts)}]"])
    (root / "conf/script/y.yaml").write_text(f"defaults: [/schema/script@_here_, _self_]\nscript: train.py\n{body}\n")
    return compose(["script=y", "environment=current"], root=root)


def check_kept(composed: Job, texts: list[str]) -> None:
    assert list(composed.script.environment_variables.values()) == texts
    values = options_of(composed)
    assert values.pop("all") == texts
    assert list(values.values()) == [[text] for text in texts]


def typed(texts: list[str]) -> list[str]:
    each = [f"+{where}.v{number}={text}" for where in (E, A) for number, text in enumerate(texts)]
    return ["script.arguments=null", f"script.arguments={{all: [{','.join(texts)}]}}", *each]


def test_typed_text_is_kept_exactly(root: Path) -> None:
    check_kept(
        job(root, *typed([text for text in SAID if text not in ("on", "Off")])),
        [text for text in SAID if text not in ("on", "Off")],
    )
    check_kept(in_yaml(root, SAID), SAID)
    kept = Job.from_yaml(in_yaml(root, SAID).to_yaml())  # as a background driver reads it, and a rerun
    check_kept(kept, SAID)


@ONCE
@given(st.lists(NUMBER_LIKE, min_size=12, max_size=12))
def test_any_number_keeps_its_text(root: Path, texts: list[str]) -> None:
    check_kept(job(root, *typed(texts)), texts)
    check_kept(in_yaml(root, texts), texts)


def test_every_key_that_is_text_by_the_schema_is_text(root: Path) -> None:
    composed = job(
        root,
        *("experiment_name=2025_11_03", "model.name=2025_11", "model.framework_version=2.30", "model.description=1e3"),
        *("+model.tags.commit=77e4021", "+model.properties.final=true", f"+{E}.DEBUG=true", f"+{E}.X=False"),
        *("model.tags.nested.name=1e1".replace("model", "+model"), "model.path=outputs/1e5", "script.script=1e5"),
        *("+script.inputs.rows=2025_11", "+script.inputs.more={path: 1e5, mode: copy}", "model.trusted_types=[1e5]"),
        *("workspace.environment_names.AzureML-sklearn-0.24=sklearn", "+workspace.compute_names={a-1.0: 2.50}"),
    )

    assert (composed.experiment_name, composed.model.name) == ("2025_11_03", "2025_11")
    assert (composed.model.framework_version, composed.model.description) == ("2.30", "1e3")
    assert composed.model.tags == {"commit": "77e4021", "nested.name": "1e1"}
    assert composed.model.properties == {"final": "true"}
    assert composed.script.environment_variables == {"DEBUG": "true", "X": "False"}
    assert composed.script.script == "1e5"
    assert [Path(value.path).name for value in composed.script.inputs.values()] == ["2025_11", "1e5"]
    assert composed.model.trusted_types == ["1e5"]
    assert composed.workspace.environment_names["AzureML-sklearn-0.24"] == "sklearn"
    assert composed.workspace.compute_names == {"a-1.0": "2.50"}


def test_the_name_of_an_option_may_look_like_a_number(root: Path, write: Write) -> None:
    write(
        "conf/experiment/2025_11.yaml",
        "# @package _global_\nexperiment_name: 007\ndefaults: [{override /model: 1e5}]\n",
    )
    write("conf/model/1e5.yaml", "defaults: [/schema/model@_here_, _self_]\nname: 2.30\ntags: {on: off, 1: 2}\n")
    composed = job(root, "experiment=2025_11")

    assert (composed.experiment_name, composed.model.name) == ("007", "2.30")
    assert composed.model.tags == {"on": "off", "1": "2"}


def test_numbers_of_the_schema_are_read_from_text_and_those_of_optuna_stay_numbers(root: Path) -> None:
    composed = job(
        root,
        *("sweep=tpe", "compute.timeout_min=1e1", "compute.warm=FALSE", "sweep.max_total_runs=1_0"),
        *("+sweep.sampler_options.n_startup_trials=5", "+sweep.sampler_options.prior_weight=1e0"),
    )

    assert (composed.compute.timeout_min, composed.compute.warm) == (10.0, False)
    assert composed.sweep is not None
    assert composed.sweep.max_total_runs == 10
    assert composed.sweep.sampler_options == {"n_startup_trials": 5, "prior_weight": 1.0}
    with pytest.raises(ConfigError, match=r"compute\.cores=1e3: must be a whole number"):
        job(root, "compute.cores=1e3")


def test_a_yaml_reading_that_differs_is_warned_about_once(
    root: Path, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    options = "{n_startup_trials: 017, multivariate: off, group: false, prior_weight: 1_0.5}"
    write("conf/sweep/t.yaml", f"defaults: [tpe, _self_]\nsampler_options: {options}\n")
    write("conf/script/n.yaml", "defaults: [s, _self_]\narguments:\n  far: .inf\n  C: 2\n")
    write("conf/sweep/far.yaml", "defaults: [tpe, _self_]\nsampler_options: {prior_weight: .inf}\n")
    for _ in range(2):
        composed = job(root, "script=n", "sweep=t")
    assert job(root, "sweep=far").sweep.sampler_options == {"prior_weight": math.inf}  # type: ignore[union-attr]
    lines = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]

    assert composed.sweep is not None
    assert composed.sweep.sampler_options["n_startup_trials"] == 15
    assert options_of(composed)["far"] == ["inf"]
    assert len(lines) == 3
    assert "sweep/t.yaml:2: sweep.sampler_options.n_startup_trials: YAML reads 017 as 15;" in "".join(lines)
    assert "script/n.yaml:3: script.arguments.far: YAML reads .inf as inf;" in "".join(lines)


def test_true_false_and_null_alone_are_flags_and_in_a_list_words(root: Path) -> None:
    options = options_of(
        job(root, f"+{A}.a=true", f"+{A}.b=False", f"+{A}.c=null", f"+{A}.d=[true,FALSE]", f"+{A}.e='true'")
    )

    assert options["a"] == []
    assert "b" not in options
    assert "c" not in options
    assert options["d"] == ["true", "FALSE"]
    assert options["e"] == ["true"]
    with pytest.raises(ConfigError, match=r"script\.arguments\.d: None in a list"):
        job(root, f"+{A}.d=[1,null]")


# Names that are no identifiers


@pytest.mark.parametrize("name", ["model.depth", "-j", "my name"])
def test_an_argument_of_any_name_is_changed_swept_and_removed(name: str, root: Path) -> None:
    assert job(root, f"{A}.{name}=7").script.parameters[name] == 7
    assert job(root, f"++{A}.{name}=7").script.parameters[name] == 7
    assert name not in job(root, f"~{A}.{name}").script.parameters
    swept = search(root, f"{A}.{name}=7,8")
    jobs = [swept.trial(values)[0].script.parameters for values in swept.space.grid()]
    assert [parameters[name] for parameters in jobs] == [7, 8]
    assert [parameters.keys() for parameters in jobs] == [job(root).script.parameters.keys()] * 2
    spaced = search(root, "sweep=grid", f"+sweep.search_space.{A}.{name}=[7,8]")
    assert list(spaced.space.grid()) == list(swept.space.grid())


@pytest.mark.parametrize("name", ["new.one", "-n", "a b", "ü", "a@b", "--x.y", "[0"])
def test_an_argument_of_any_name_is_added_and_each_hint_is_true(name: str, root: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        job(root, f"{A}.{name}=7")
    assert f"`+{A}.{name}=VALUE` adds it to script.arguments" in str(caught.value)
    assert job(root, f"+{A}.{name}=7").script.parameters[name] == 7
    with pytest.raises(ConfigError) as caught:
        job(root, f"+{A}.{name}=7", f"+{A}.{name}=8")
    assert f"to change it use {A}.{name}=VALUE" in str(caught.value)
    assert job(root, f"+{A}.{name}=7", f"{A}.{name}=8").script.parameters[name] == 8


def test_a_name_that_cannot_be_typed_or_is_not_there_is_one_message(root: Path) -> None:
    for override, message in [
        (f"+{A}.=5", "the name is missing"),
        (f"+{A}.a]b=5", "can only be set in a file"),
        (f"~{A}.new.one", f"{A}.new.one: no such key to remove"),
        (f"~{A}.new", f"{A}.new: no such key to remove"),
    ]:
        with pytest.raises(ConfigError, match=message):
            job(root, override)


def test_a_place_of_a_list_is_swept_and_a_key_in_nothing_is_one_message(root: Path, write: Write) -> None:
    write("conf/script/l.yaml", "defaults: [/schema/script@_here_, _self_]\nscript: train.py\narguments: [--x, 1e5]\n")
    swept = compose_search(["script=l", "environment=current", f"{A}.1=2.50,3"], root=root)
    assert swept is not None
    command_lines = [swept.trial(values)[0].script.command_line() for values in swept.space.grid()]
    assert command_lines == [["--x", "2.50"], ["--x", "3"]]
    write("conf/sweep/g.yaml", f"defaults: [grid, _self_]\nsearch_space: {{{A}.x: [1, 2]}}\n")
    with pytest.raises(ConfigError, match=r"script\.arguments\.x: no such key; `\+script\.arguments\.x` adds it"):
        compose_search(["script=script", "script.script=train.py", "sweep=g"], root=root)


# Choices


EQUAL = ["1", "1.0", "true", "'1'", "1.00", "1e0", "'true'"]


def test_equal_values_are_choices_of_their_own_everywhere(root: Path, write: Write) -> None:
    listed = ", ".join(EQUAL)
    write("conf/sweep/g.yaml", f"defaults: [grid, _self_]\nsearch_space:\n  +{A}.x: [{listed}]\n")
    for composed in (search(root, f"+{A}.x={listed}"), search(root, "sweep=g")):
        points = composed.space.grid()
        arguments = [composed.trial(values)[0].script.command_line()[-2:] for values in points]
        assert [argument[-1] for argument in arguments] == ["1", "1.0", "--x", "1", "1.00", "1e0", "true"]
        again = Search.from_json(json.loads(json.dumps(composed.to_json())))
        proposed = [trial.values for trial in first_trials(again.sweep, again.space, len(EQUAL))]
        assert [repr(values) for values in proposed] == [repr(values) for values in points]
        tried = first_trials(Sweep("tpe", seed=1, max_total_runs=40), composed.space, 40)
        assert len({repr(trial.values) for trial in tried}) == len(EQUAL)


def test_a_condition_means_the_choice_that_was_written(root: Path, write: Write) -> None:
    space = f"  +{A}.x: [1, 1.0, true, 0, false]\n  +{A}.y: {{values: [5], when: {{{A}.x: [1.0, false]}}}}\n"
    write("conf/sweep/g.yaml", f"defaults: [grid, _self_]\nsearch_space:\n{space}")
    points = search(root, "sweep=g").space.grid()

    assert [repr(values[f"{A}.x"]) for values in points if f"{A}.y" in values] == ["1.0", "False"]
    write("conf/sweep/g.yaml", f"defaults: [grid, _self_]\nsearch_space:\n{space.replace('[1.0, false]', '2')}")
    with pytest.raises(ConfigError, match=r"[Mm]ust be one of 0, 1, 1\.0, false, true"):
        search(root, "sweep=g")


def test_a_search_of_equal_choices_is_another_search(root: Path) -> None:
    first, other = search(root, f"+{A}.x=1,2"), search(root, f"+{A}.x=1.0,2")

    assert first.is_same(Search.from_json(json.loads(json.dumps(first.to_json()))))
    assert not first.is_same(other)


def test_an_earlier_trial_is_a_point_of_the_choice_that_it_tried() -> None:
    sweep = Sweep("tpe", primary_metric="m", max_total_runs=9)
    earlier, space = Space({"x": Dimension.of([True, 1, 1.0])}), Space({"x": Dimension.of([1.0, 1, "a"])})
    trials = [
        create_trial(
            state=TrialState.COMPLETE,
            value=0.5,
            params={"x": drawn},
            distributions={"x": earlier["x"].distribution},
        )
        for drawn in earlier["x"].encoded
    ]
    for number, trial in enumerate(trials):
        trial.number = number
    past_trials = warm_start_trials(sweep, space, name="old", earlier=sweep, earlier_space=earlier, trials=trials)

    assert [repr(space["x"].value(trial.params["x"])) for trial in past_trials] == ["1", "1.0"]


# Numbers


@given(st.floats(allow_nan=False, allow_infinity=False) | st.floats(-1e-3, 1e-3) | st.sampled_from([-3e-05, -1e22]))
def test_a_number_reaches_argparse_as_a_value(number: float) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tilt", type=float, nargs="+")
    for arguments in ({"tilt": number}, {"tilt": [number, number]}, ["--tilt", number]):
        assert set(parser.parse_args(ScriptRunConfig(arguments=arguments).command_line()).tilt) == {number}


def test_numbers_of_python_have_the_digits_that_they_show() -> None:
    arguments: dict[str, Any] = {
        "single": np.float32(0.1),
        "double": np.float64(0.1),
        "row": np.array([0.1, 0.2], dtype="float32"),
        "exact": Decimal("2.30"),
        "least": float("-inf"),
        "whole": np.int64(3),
    }
    command_line = ScriptRunConfig(arguments=arguments).command_line()

    assert command_line[:9] == ["--single", "0.1", "--double", "0.1", "--row", "0.1", "0.2", "--exact", "2.30"]
    assert command_line[9:] == ["--least=-inf", "--whole", "3"]


@pytest.mark.parametrize(
    ("typed", "expected"), [("-0.00003", "-0.00003"), ("-3e-05", "-0.00003"), ("-3.0E-5", "-0.000030")]
)
def test_a_small_negative_number_is_written_without_an_exponent(
    typed: str, expected: str, root: Path, write: Write
) -> None:
    write("conf/script/n.yaml", f"defaults: [s, _self_]\narguments: {{x: {typed}}}\n")

    assert options_of(job(root, f"+{A}.x={typed}"))["x"] == [expected]
    assert options_of(job(root, "script=n"))["x"] == [expected]


@pytest.mark.parametrize("written", ["range(-0.3,0.4,0.1)", "range(0.3,-0.4,-0.1)"])
def test_steps_of_a_tenth_are_tenths_in_grids_and_samplers(written: str, root: Path) -> None:
    for overrides in ([], ["sweep=random", "sweep.seed=1", "sweep.max_total_runs=60"]):
        composed = search(root, f"{A}.C={written}", *overrides)
        values = {str(trial.values[f"{A}.C"]) for trial in first_trials(composed.sweep, composed.space, 60)}
        assert values <= {"-0.3", "-0.2", "-0.1", "0.0", "0.1", "0.2", "0.3", "0.4", "-0.4"}
        assert len(values) >= 7


def test_a_tag_counts_or_is_refused(root: Path) -> None:
    for written in ("tag(log,range(1,100))", "int(tag(log,range(1,100)))", "tag(log,range(100,1,-1))"):
        assert search(root, "sweep=tpe", "sweep.primary_metric=m", f"{A}.C={written}").space[f"{A}.C"].log
    dimension = search(root, f"{A}.C=sort(2.50,1e1,1,reverse=true)").space[f"{A}.C"]
    assert dimension.choices == ("1e1", "2.50", 1)
    for overrides, message in [
        ([f"{A}.C=sort(3,1,2,reverse=1)"], "reverse"),
        (["sweep=random", f"{A}.C=tag(log,range(0.1,9))"], "interval"),
        (["sweep=random", f"{A}.C=tag(log,range(1,9,2))"], "cannot have steps"),
        (["sweep=random", f"{A}.C=tag(log,choice(1,2))"], "choices have no scale"),
        ([f"{A}.C=tag(log,range(1,9))"], "remove the tag"),
        ([f"{A}.C=range(1,9,0)"], "step"),
    ]:
        with pytest.raises(ConfigError, match=message):
            search(root, *overrides)


# The whole way


def test_every_place_tells_a_value_as_the_script_got_it(aml: Aml, write: Write) -> None:
    write("tell.py", "import sys\nfrom amlcore import Run\nRun.get_context().log('m', 1.0)\nprint(sys.argv[-1])\n")
    result = aml(
        *("run", "-m", "tell.py", "environment=current", "sweep.primary_metric=m"),
        *("+script.arguments.x=1,1.0,1.00,-0.00003,-3e-4,1e-4,true,2025_11", "sweep.plots=false"),
    )
    expected = ["1", "1.0", "1.00", "-0.00003", "-0.0003", "1e-4", "true", "2025_11"]

    rows = [line.split() for line in result.out.splitlines()[1:]]
    assert [row[2] for row in sorted(rows, key=lambda row: int(row[0]))] == expected
    sweep = aml("show", "latest", "--json").json
    runs = [
        aml("show", child, "--json").json
        for child in sorted(sweep["children"], key=lambda run: int(run.rpartition("_")[2]))
    ]
    values = [run["arguments"][-1] for run in runs]
    assert [word.replace("--x", "true") for word in values] == expected
    assert [Path(run["folder"], "logs/stdout.txt").read_text().strip() for run in runs] == values
    parameters = [run["parameters"]["x"] for run in runs]
    assert parameters == [1, 1.0, "1.00", -0.00003, -0.0003, "1e-4", True, "2025_11"]
    with Path(sweep["folder"], "outputs/trials.csv").open() as stream:
        assert [row["script.arguments.x"] for row in csv.DictReader(stream)] == expected
