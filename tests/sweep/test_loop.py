"""The loop of a sweep without processes: a fake clock, and fake trials that end in any order or never."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amlcore.errors import RunError
from amlcore.sweep import Dimension, EarlyTermination, Goal, Space, Sweep
from amlcore.sweep.loop import Loop, MetricReported, TrialEnded
from amlcore.sweep.study import Study, Trial, TrialState
from tests.support.sweep_loop import Clock, ScriptedTrials, run

SPACE = Space({"x": Dimension.between(0.0, 1.0), "kind": Dimension.of(["a", "b"])})
GRID = Space({"a": Dimension.of([1, 2]), "b": Dimension.of(["x", "y", "z"])})


def sweep_of(total: int | None, **fields: object) -> Sweep:
    return replace(Sweep("random", primary_metric="m", seed=1, max_total_runs=total), **fields)  # type: ignore[arg-type]


def canceled(trials: list[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.state is TrialState.CANCELED]


def greedy(durations: list[float], slots: int) -> float:
    """The wall time of a schedule in which the slot that frees first gets the next trial."""
    free = [0.0] * slots
    for duration in durations:
        free[free.index(min(free))] += duration
    return max(free)


lengths = st.lists(st.integers(1, 100).map(float), min_size=1, max_size=30)


@given(durations=lengths, slots=st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_a_slot_that_frees_gets_the_next_trial_at_once(durations: list[float], slots: int) -> None:
    clock = Clock()
    trials = ScriptedTrials(clock, durations)
    sweep = sweep_of(len(durations))
    loop = Loop(Study(sweep, SPACE), trials, sweep=sweep, slots=slots, clock=clock)

    run(loop, trials, clock)

    assert clock.now == greedy(durations, slots)
    assert trials.most == min(slots, len(durations))


@given(
    durations=lengths,
    states=st.lists(st.sampled_from([TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED]), min_size=1, max_size=7),
    total=st.integers(1, 25),
    slots=st.integers(1, 4),
    restarts=st.lists(st.integers(1, 6), max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_killed_drivers_lose_and_repeat_no_trial(
    durations: list[float],
    states: list[TrialState],
    total: int,
    slots: int,
    restarts: list[int],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    file = tmp_path_factory.mktemp("study") / "study.jsonl"
    clock, sweep = Clock(), sweep_of(total)
    trials = ScriptedTrials(clock, durations, states)
    for steps in [*restarts, None]:
        study = Study(sweep, SPACE, file=file)
        running = dict(trials.running)  # they run on while there is no driver
        trials.running.clear()
        loop = Loop(study, trials, sweep=sweep, slots=slots, clock=clock)
        assert {number: trial.values for number, trial in running.items()} == {
            number: trial.values for number, trial in trials.running.items()
        }
        if steps is None:
            run(loop, trials, clock)
        else:
            for _ in range(steps):
                loop.step()
                clock.now = max(clock.now, trials.next() if trials.running else clock.now)
        recorded_trials = study.trials()
        study.close()

    assert [trial.number for trial in recorded_trials] == list(range(total))
    assert [trial.state for trial in recorded_trials] == [states[number % len(states)] for number in range(total)]
    assert [trial.values for trial in recorded_trials] == [trials.values[number] for number in range(total)]
    assert len({trial.values["x"] for trial in recorded_trials}) == total  # a seeded sampler draws no point again
    assert sum(loop.progress.counts.values()) == total


@given(
    durations=lengths,
    states=st.lists(st.sampled_from([TrialState.COMPLETE, TrialState.FAIL]), min_size=1, max_size=7),
    total=st.integers(1, 15),
    slots=st.integers(1, 4),
    sampler=st.sampled_from(["random", "grid"]),
    ends=st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=5),
)
@settings(max_examples=40, deadline=None)
def test_trials_canceled_with_their_sweep_are_retried_and_not_counted(
    durations: list[float],
    states: list[TrialState],
    total: int,
    slots: int,
    sampler: str,
    ends: list[tuple[int, bool]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The sweep is canceled again and again; some of its drivers die before they have told what came of that."""
    file = tmp_path_factory.mktemp("study") / "study.jsonl"
    clock, sweep = Clock(), sweep_of(total, sampler=sampler, max_failures=total)
    space = SPACE if sampler == "random" else Space({"x": Dimension.of(range(100))})
    trials = ScriptedTrials(clock, durations, states)
    for steps, told in [*ends, (0, False)]:
        study = Study(sweep, space, file=file)
        trials.running.clear()
        loop = Loop(study, trials, sweep=sweep, slots=slots, clock=clock)
        for _ in range(steps):
            loop.step()
            clock.now = max(clock.now, trials.next() if trials.running else clock.now)
        if steps:
            loop.stop("canceled")
        else:
            run(loop, trials, clock)
        if told:
            loop.step()
            assert loop.is_over
        study.close()

    grid_study = Study(sweep, space, file=file)
    tried, again = grid_study.trials(), canceled(grid_study.trials())
    grid_study.close()
    assert [trial.number for trial in tried] == list(range(len(tried)))
    assert [trial.values for trial in tried] == [trials.values[trial.number] for trial in tried]
    assert {trial.number for trial in again} == trials.stopped.keys()
    counted = [trial for trial in tried if trial not in again]
    assert [trial.state for trial in counted] == [states[trial.number % len(states)] for trial in counted]
    points = [trial.values["x"] for trial in counted]
    assert len(points) == len(set(points)) == total
    assert {trial.values["x"] for trial in again} <= set(points)
    assert sampler == "random" or sorted(points) == list(range(total))
    assert loop.progress.ended == total
    assert not loop.failed_too_often


class DiesError(Exception):
    """The driver is killed at this point of its step."""


class Dying(ScriptedTrials):
    """Trials that log, and a driver that dies at its so-many-th dealing with them, before or after it."""

    left: int | None = None
    after = False

    def start(self, trial: Trial) -> None:
        self._die(after=False)
        assert self.values.setdefault(trial.number, trial.values) == trial.values
        super().start(trial)
        self._die(after=True)

    def poll(self) -> Iterator[TrialEnded | MetricReported]:  # type: ignore[override]
        for number in sorted(self.running):
            yield MetricReported(number, float(number % 5))
        for ended in super().poll():
            self._die(after=False)
            pruned = ended.number in self.stopped
            yield replace(ended, state=TrialState.PRUNED) if pruned else ended
            self._die(after=True)

    def stop(self, number: int, reason: str, *, pruned: bool = False) -> None:
        self._die(after=False)
        assert pruned
        super().stop(number, reason)
        self._die(after=True)

    def history(self, number: int) -> list[float]:
        return [float(number % 5)]

    def _die(self, *, after: bool) -> None:
        if self.left is not None and after == self.after:
            self.left -= 1
            if self.left < 0:
                raise DiesError


@given(
    durations=lengths,
    states=st.lists(st.sampled_from([TrialState.COMPLETE, TrialState.FAIL]), min_size=1, max_size=7),
    total=st.integers(1, 20),
    slots=st.integers(1, 4),
    sampler=st.sampled_from(["random", "grid"]),
    policy=st.sampled_from([None, EarlyTermination("bandit", slack_amount=2.5), EarlyTermination("asha")]),
    deaths=st.lists(st.tuples(st.integers(0, 30), st.booleans(), st.integers(0, 200)), max_size=5),
)
@settings(max_examples=80, deadline=None)
def test_a_driver_may_die_in_the_middle_of_a_step_with_its_last_line_half_written(
    durations: list[float],
    states: list[TrialState],
    total: int,
    slots: int,
    sampler: str,
    policy: EarlyTermination | None,
    deaths: list[tuple[int, bool, int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    file = tmp_path_factory.mktemp("study") / "study.jsonl"
    clock, sweep = Clock(), sweep_of(total, sampler=sampler, early_termination=policy)
    space = SPACE if sampler == "random" else Space({"x": Dimension.of(range(100))})
    trials = Dying(clock, durations, states)
    for death in [*deaths, None]:
        study = Study(sweep, space, file=file)
        trials.left, trials.after, torn = death or (None, False, 0)
        trials.running.clear()
        try:
            run(Loop(study, trials, sweep=sweep, slots=slots, clock=clock), trials, clock)
        except DiesError:
            with file.open("ab") as stream:
                stream.write(b'{"op_code":6,"worker_id":"w","trial_id":0,"state":2,'[:torn])
        recorded_trials = study.trials()
        study.close()

    assert [trial.number for trial in recorded_trials] == list(range(total))
    assert [trial.values for trial in recorded_trials] == [trials.values[number] for number in range(total)]
    assert len({trial.values["x"] for trial in recorded_trials}) == total
    assert trials.most <= slots
    for trial in recorded_trials:
        pruned = trial.number in trials.stopped
        assert trial.state is (TrialState.PRUNED if pruned else states[trial.number % len(states)])


@given(
    reached=st.lists(st.tuples(st.sampled_from(list(TrialState)[1:4]), st.integers(0, 3)), min_size=1, max_size=12),
    goal=st.sampled_from(Goal),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_the_best_is_the_earliest_of_the_best_completed(
    reached: list[tuple[TrialState, int]], goal: Goal, order: object
) -> None:
    clock, sweep = Clock(), sweep_of(len(reached), goal=goal)
    shuffled = list(range(len(reached)))
    order.shuffle(shuffled)  # type: ignore[attr-defined]

    class AsTold(ScriptedTrials):
        def poll(self) -> Iterator[TrialEnded]:
            for number in shuffled:
                if number in self.running:
                    del self.running[number]
                    state, value = reached[number]
                    yield TrialEnded(number, state, float(value) if state is TrialState.COMPLETE else None)

    loop = Loop(Study(sweep, SPACE), AsTold(clock, [1.0]), sweep=sweep, slots=20, clock=clock)
    while not loop.is_over:
        loop.step()

    completed = [(value, number) for number, (state, value) in enumerate(reached) if state is TrialState.COMPLETE]
    sign = 1 if goal is Goal.minimize else -1
    expected = min(completed, key=lambda pair: (sign * pair[0], pair[1]))[1] if completed else None
    assert (loop.progress.best.number if loop.progress.best else None) == expected


@given(
    reached=st.lists(st.sampled_from([0.0, 1.0, 2.0, math.nan, math.inf, -math.inf]), min_size=1, max_size=12),
    goal=st.sampled_from(Goal),
    most=st.integers(0, 12),
)
@settings(max_examples=60, deadline=None)
def test_a_metric_that_is_not_finite_fails_the_trial(reached: list[float], goal: Goal, most: int) -> None:
    sweep = sweep_of(len(reached), goal=goal, max_failures=most)

    class AsTold(ScriptedTrials):
        def poll(self) -> Iterator[TrialEnded]:
            for number in list(self.running):
                del self.running[number]
                yield TrialEnded(number, TrialState.COMPLETE, reached[number])

    study = Study(sweep, SPACE)
    loop = Loop(study, AsTold(Clock(), [1.0]), sweep=sweep, slots=1, clock=Clock())
    while not loop.is_over:
        loop.step()

    tried = study.trials()
    failed = [trial for trial in tried if not math.isfinite(reached[trial.number])]
    assert [trial for trial in tried if trial.state is TrialState.FAIL] == failed
    reasons = [f"m is {reached[trial.number]}, which is not a finite number" for trial in failed]
    assert [trial.reason for trial in failed] == reasons
    assert loop.failed_too_often == (len(failed) > most)
    finite = [reached[trial.number] for trial in tried if trial not in failed]
    assert (loop.progress.best.value if loop.progress.best else None) == (goal.best(finite) if finite else None)


def test_a_grid_tries_every_point_once_in_the_order_of_nested_loops() -> None:
    clock, sweep = Clock(), Sweep("grid")
    trials = ScriptedTrials(clock, [1.0])
    loop = Loop(Study(sweep, GRID), trials, sweep=sweep, slots=2, clock=clock)

    run(loop, trials, clock)

    assert list(trials.values.values()) == list(GRID.grid())


def test_too_many_failures_end_the_sweep() -> None:
    clock, sweep = Clock(), sweep_of(50, max_failures=2)
    trials = ScriptedTrials(clock, [1.0], [TrialState.FAIL])
    loop = Loop(Study(sweep, SPACE), trials, sweep=sweep, slots=1, clock=clock)

    run(loop, trials, clock)

    assert loop.failed_too_often
    assert loop.progress.counts[TrialState.FAIL] == 3
    assert loop.stopped == "more trials failed than sweep.max_failures=2"


def test_the_time_of_a_sweep_ends_it_with_its_running_trials() -> None:
    clock, sweep = Clock(), sweep_of(50, max_duration_minutes=1.0)
    trials = ScriptedTrials(clock, [25.0, 1000.0])
    loop = Loop(Study(sweep, SPACE), trials, sweep=sweep, slots=2, clock=clock)

    for clock.now in range(0, 70, 5):
        loop.step()

    assert loop.is_over
    assert trials.stopped == dict.fromkeys(trials.stopped, "the sweep reached sweep.max_duration_minutes=1")
    assert trials.stopped
    assert loop.progress.best is not None


def test_max_concurrent_runs_limits_the_trials_below_the_slots() -> None:
    clock, sweep = Clock(), sweep_of(10, max_concurrent_runs=2)
    trials = ScriptedTrials(clock, [3.0, 1.0, 2.0])
    loop = Loop(Study(sweep, SPACE), trials, sweep=sweep, slots=8, clock=clock)

    run(loop, trials, clock)

    assert trials.most == 2


def test_a_study_has_one_writer_and_mends_a_line_that_a_killed_one_left(tmp_path: Path) -> None:
    file, sweep = tmp_path / "study.jsonl", sweep_of(9)
    study = Study(sweep, SPACE, file=file)
    with pytest.raises(RunError, match="another process drives this sweep"):
        Study(sweep, SPACE, file=file)
    first = study.ask()
    study.close()
    with file.open("ab") as stream:
        stream.write(b'{"op_code":5,"worker_id":"x","tri')

    again = Study(sweep, SPACE, file=file)

    assert again.unfinished() == [first]
    assert again.ask().number == 1
    again.close()


def test_a_trial_that_was_killed_while_it_was_drawn_is_drawn_to_its_end(tmp_path: Path) -> None:
    file, sweep = tmp_path / "study.jsonl", sweep_of(9)
    study = Study(sweep, SPACE, file=file)
    study.ask()
    study.close()
    lines = file.read_bytes().splitlines(keepends=True)
    for kept in range(2, len(lines)):
        file.write_bytes(b"".join(lines[:kept]))
        again = Study(sweep, SPACE, file=file)
        (trial,) = again.unfinished()
        assert trial.number == 0
        assert set(trial.values) == {"x", "kind"}
        again.close()


def test_a_grid_point_that_was_killed_while_it_was_asked_for_is_not_lost(tmp_path: Path) -> None:
    file, sweep = tmp_path / "study.jsonl", Sweep("grid")
    study = Study(sweep, GRID, file=file)
    study.ask()
    study.close()
    lines = file.read_bytes().splitlines(keepends=True)
    for kept in range(2, len(lines)):
        file.write_bytes(b"".join(lines[:kept]))
        again = Study(sweep, GRID, file=file)
        assert [trial.state for trial in again.trials()] == [TrialState.RUNNING]
        assert [trial.values for trial in again.unfinished()] == [GRID.grid().point(0)]
        assert again.ask().values == GRID.grid().point(1)
        again.close()


def estimates(durations: list[float], *, slots: int, step_s: float = 1.0) -> list[tuple[int, float | None]]:
    """After each step of a sweep: how many trials have ended, and how long it is expected to take."""
    clock = Clock()
    trials = ScriptedTrials(clock, durations)
    sweep = sweep_of(len(durations))
    loop = Loop(Study(sweep, SPACE), trials, sweep=sweep, slots=slots, clock=clock)
    seen = []
    while not loop.is_over:
        loop.step()
        seen.append((loop.progress.ended, loop.progress.remaining_s(len(durations), now=clock.now)))
        clock.now += step_s
    return seen


@given(durations=lengths, slots=st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_the_time_left_only_falls_while_no_trial_ends(durations: list[float], slots: int) -> None:
    seen = estimates(durations, slots=slots)

    for (ended, before), (ended_then, after) in pairwise(seen):
        if ended == ended_then:
            assert after is None if before is None else after is not None and after <= before
    assert seen[-1] == (len(durations), 0)


def test_the_time_left_of_equal_trials_is_exact() -> None:
    seen = estimates([10.0] * 6, slots=2)

    assert [remaining for ended, remaining in seen if ended] == [*range(20, -1, -1)]


def test_a_trial_that_takes_longer_than_the_others_holds_the_time_left_still() -> None:
    seen = estimates([4.0, 40.0, 4.0, 4.0], slots=1)

    assert [remaining for ended, remaining in seen if ended == 1] == [12, 11, 10, 9, *[8] * 36]
