"""Grids of any size: their points by number, none of which is listed before it is tried."""

from __future__ import annotations

import itertools
import json
import math
import os
import shlex
import tracemalloc
from pathlib import Path
from threading import Event, Timer
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amlcore.config import Search, compose_search
from amlcore.errors import ConfigError
from amlcore.sweep import Dimension, Space, Sweep
from amlcore.sweep.steps import Steps
from amlcore.sweep.study import Study, TrialState, first_trials
from tests.support.aml import Aml, Write

A, B = "+script.arguments.a", "+script.arguments.b"


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    """Up to four keys, each of which may depend on several that were drawn before it."""
    dimensions: dict[str, Dimension] = {}
    for key in "abcd"[: draw(st.integers(1, 4))]:
        choices = draw(st.sampled_from([(1,), (1, 2, 3), ("x", "y"), Steps(0, 1, 4), Steps(0.0, 0.5, 3)]))
        others = draw(st.lists(st.sampled_from(list(dimensions)), unique=True, max_size=2)) if dimensions else []
        when = {
            other: tuple(
                draw(st.lists(st.sampled_from(list(dimensions[other].choices)), min_size=1, max_size=2, unique=True))
            )
            for other in others
        }
        dimensions[key] = Dimension.of(choices).with_condition(when)
    names = draw(st.permutations(list(dimensions)))
    return Space({name: dimensions[name] for name in names})


def by_force(space: Space) -> list[dict[str, Any]]:
    """The points of nested loops, a key left out where its condition does not hold, each once."""
    points: dict[str, dict[str, Any]] = {}
    for combination in itertools.product(*(dimension.choices for dimension in space.values())):
        values: dict[str, Any] = {}
        for (key, dimension), value in zip(space.items(), combination, strict=True):
            if all(other in values and values[other] in allowed for other, allowed in dimension.when.items()):
                values[key] = value
        points.setdefault(json.dumps(values), values)
    return list(points.values())


@given(spaces())
@settings(max_examples=100, deadline=None)
def test_a_grid_is_that_of_nested_loops_each_point_once(space: Space) -> None:
    expected = by_force(space)

    assert list(space.grid()) == expected
    assert space.points == space.grid().size == len(expected)
    assert list(Space.from_json(json.loads(json.dumps(space.to_json()))).grid()) == expected


@given(st.integers(-20, 20), st.integers(-20, 20), st.integers(-5, 5).filter(bool), st.sampled_from([0, 1, 2]))
def test_steps_are_those_of_a_range_in_decimals(start: int, stop: int, step: int, decimals: int) -> None:
    scale = 10**decimals
    first, last, by = (number if not decimals else number / scale for number in (start, stop, step))

    steps = Steps.before(first, last, by)

    assert list(steps) == [number if not decimals else number / scale for number in range(start, stop, step)]
    assert [steps.index(value) for value in steps] == list(range(len(steps)))
    assert last not in steps
    assert {type(value) for value in steps} <= {float if decimals else int}


@pytest.mark.parametrize(
    ("overrides", "points", "third"),
    [
        ([f"{A}=range(0,1000000)"], 10**6, {"a": 2}),
        ([f"{A}=range(0,100000000)", f"{B}=range(0,1,0.001)"], 10**11, {"a": 0, "b": 0.002}),
        ([f"{A}=range(100000000,0,-1)"], 10**8, {"a": 99999998}),
        ([f"{A}=range(0,100)", *(f"+script.arguments.{key}=range(0,100)" for key in "bcdefghijk")], 10**22, None),
        (["sweep=wide"], 10**8 + 999, {"kind": "x", "deep": 2}),
    ],
)
def test_a_grid_of_any_size_starts_at_once(
    overrides: list[str], points: int, third: dict[str, Any] | None, project: Path, write: Write
) -> None:
    write("train.py", "")
    write(
        "conf/sweep/wide.yaml",
        "defaults: [grid, _self_]\nsearch_space:\n  +script.arguments.kind: [x, y]\n"
        "  +script.arguments.deep: {values: 'range(0,100000000)', when: {script.arguments.kind: x}}\n"
        "  +script.arguments.flat: {values: 'range(1,1000)', when: {script.arguments.kind: y}}\n",
    )
    compose_search(["script.script=train.py", f"{A}=1,2"], root=project)  # what is imported is not measured
    tracemalloc.start()

    search = compose_search(["script.script=train.py", "environment=current", *overrides], root=project)
    assert search is not None
    again = Search.from_json(json.loads(json.dumps(search.to_json())))
    trials = list(first_trials(again.sweep, again.space, 3))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert search.points == search.total == again.points == points
    if third is not None:
        assert trials[2].values == {f"script.arguments.{key}": value for key, value in third.items()}
    assert again.space.grid().point(points - 1) != again.space.grid().point(points - 2)
    assert peak < 50e6


@pytest.mark.parametrize("sampler", ["grid", "random"])
@pytest.mark.parametrize(
    ("written", "why"),
    [
        *((f"range({numbers})", "too many steps") for numbers in ("0,1e19", "0,1e30", "0,1,1e-40", "1e30,0,-1")),
        *((f"range({numbers})", "finite") for numbers in ("0,inf", "nan,1", "0,1,nan", "0,1,inf")),
    ],
)
def test_a_range_that_cannot_be_counted_is_refused(
    written: str, why: str, sampler: str, project: Path, write: Write
) -> None:
    write("train.py", "")
    with pytest.raises(ConfigError, match=why) as caught:
        compose_search(
            ["script.script=train.py", f"sweep={sampler}", "sweep.max_total_runs=3", f"{A}={written}"], root=project
        )
    assert str(caught.value).startswith(f"{A}={written}: ")


def test_a_condition_outside_of_a_range_is_refused() -> None:
    for outside in (math.inf, -math.inf, math.nan, 10**400, 4.5, "x"):
        with pytest.raises(ConfigError, match=r"when: a="):
            Space({"a": Dimension.spaced(0, 4, 0.5), "b": Dimension.of([1]).with_condition({"a": (outside,)})})


def test_a_study_is_on_the_disk_when_it_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what was written while the disk was still busy with the lines before."""
    file, busy, free, kept = tmp_path / "study.jsonl", Event(), Event(), []

    def sync(handle: int) -> None:
        size = os.fstat(handle).st_size  # what is written from here on may be missed
        if not busy.is_set():
            busy.set()
            free.wait(10)
        kept.append(size)

    monkeypatch.setattr(os, "fdatasync", sync)
    study = Study(Sweep("grid"), Space({"a": Dimension.of([1, 2])}), file=file)
    study.ask()
    study.sync_soon()
    assert busy.wait(10)
    study.ask()
    Timer(0.2, free.set).start()
    study.close()

    assert kept[-1] == file.stat().st_size


def test_the_first_line_and_the_dry_run_say_how_many_points_there_are(aml: Aml, write: Write) -> None:
    write("train.py", "import sys; print(sys.argv[1:])")
    words = ["run", "-m", "train.py", "environment=current", f"{A}=range(0,1000)", f"{B}=range(0,1000)"]

    said = aml(*words, "sweep.max_total_runs=2")

    first = said.err.splitlines()[0]
    assert first.endswith(" (1000000 points, 2 tried)")
    assert "2 trials: 2 done" in said.err
    assert "points: 1000000\n" in aml(*words, "--dry-run").out


def test_a_study_grows_with_its_points_and_not_with_its_choices(tmp_path: Path) -> None:
    def size(count: int) -> int:
        space = Space({"a": Dimension.of([f"text {number}" for number in range(count)]), "b": Dimension.of([1, 2])})
        file = tmp_path / f"{count}.jsonl"
        study = Study(Sweep("grid"), space, file=file)
        for _ in range(20):
            trial = study.ask()
            study.tell(trial.number, TrialState.COMPLETE, 1.0)
        assert [trial.values for trial in study.trials()] == [space.grid().point(number) for number in range(20)]
        study.close()
        return file.stat().st_size

    assert size(5000) < 1.1 * size(10)


def test_a_grid_that_was_begun_with_choices_in_its_study_goes_on(tmp_path: Path) -> None:
    space = Space({"a": Dimension.of([1, 1.0, True]), "b": Dimension.of(["x", "y"])})
    study = Study(Sweep("grid"), space, file=tmp_path / "study.jsonl")
    study._by_place = False  # as it was kept once
    study.ask()
    study.close()

    again = Study(Sweep("grid"), space, file=tmp_path / "study.jsonl")

    assert [again.unfinished()[0].values, again.ask().values] == [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}]
    assert [trial.values for trial in again.trials()] == [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}]


@pytest.mark.parametrize(
    ("words", "points"),
    [
        ([f"{A}=1,2", f"{B}=range(1,10)"], 20),
        (["script.arguments.c=range(0,1,0.25)", f"{A}=x,y"], 10),
        ([f"{A}=int(interval(2,4))", f"{B}=range(5,1,-2)"], 9),
        (["script.arguments.c=tag(log,int(interval(1,8)))"], 8),
        ([f"{A}=x,y,z"], 3),
        ([f"{A}=x,y,z", f"{B}=interval(1,1)"], 3),
        ([f"{B}=interval(1,1)"], 1),
        ([f"{A}=int(interval(0,1e19))"], None),
        ([f"{A}=interval(0,1)"], None),
        ([f"{A}=range(1,101)"], None),
        (["sweep=quantum"], None),
    ],
)
def test_a_sampler_over_few_points_says_how_to_try_each_once(
    words: list[str], points: int | None, project: Path, write: Write
) -> None:
    """The way that is said leads to a grid of just these points."""
    write("train.py", "")
    base = "defaults: [/schema/script@_here_, _self_]\nscript: train.py\narguments: {c: 1}\n"
    write("conf/script/s.yaml", base)
    write(
        "conf/sweep/quantum.yaml",
        "defaults: [random, _self_]\nsearch_space:\n"
        "  +script.arguments.q: {type: quniform, min_value: 0, max_value: 1, q: 0.5}\n",
    )
    overrides = ["script=s", "sweep=random", "sweep.max_total_runs=100", *words]
    if words[0].startswith("sweep="):
        overrides.remove("sweep=random")
    search = compose_search(overrides, root=project)
    assert search is not None

    note = search.repetition_note(overrides)

    if points is None:
        assert note is None
        return
    assert note is not None
    assert f"the search space has {points} point{'s' * (points > 1)}, and sweep.max_total_runs=100, " in note
    assert f"at least {100 - points} of the trials are repeats" in note
    grid, *ranges = shlex.split(note.partition("to try each point once, use ")[2])
    replaced = {item.partition("=")[0] for item in ranges}
    kept = [item for item in overrides if item.partition("=")[0] not in replaced | {"sweep"}]
    again = compose_search([*kept, grid, *ranges], root=project)
    assert again is not None
    assert again.points == again.total == points
