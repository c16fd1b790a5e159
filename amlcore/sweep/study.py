"""The Study: the trials of a sweep and their results, kept by Optuna in a file that only its driver writes."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from amlcore.sweep import journal
from amlcore.sweep.journal import CANCELED, COMPLETED, REASON
from amlcore.sweep.sampler import SAMPLERS, make_sampler
from amlcore.sweep.space import Space, Values
from amlcore.sweep.sweep import Sweep

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

STUDY_NAME = "sweep"
WARM_START = "warm_start"
"""The attribute of a trial of an earlier sweep: its run."""
RETRIES = "again"
"""The attribute of a trial that repeats a canceled one: the number of that trial, as Optuna counts."""


class TrialState(StrEnum):
    """Optuna's states, and CANCELED for a trial that ended with its sweep, which is a failed one to Optuna."""

    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    PRUNED = "PRUNED"
    FAIL = "FAIL"
    CANCELED = "CANCELED"


@dataclass(frozen=True)
class Trial:
    """One point of the search space, and its result."""

    number: int
    values: Values
    state: TrialState = TrialState.RUNNING
    value: float | None = None  # of the primary metric, or the first of several
    reason: str | None = None
    further: tuple[float, ...] = ()  # of the metrics after the first

    @property
    def reached(self) -> tuple[float, ...]:
        """The value of each primary metric; empty if the trial did not complete."""
        return () if self.value is None else (self.value, *self.further)


class Study:
    """The trials of one sweep.

    Parameters
    ----------
    file : Path, optional
        Where the study is kept; default: in memory.
    warm_start : callable
        The trials of earlier sweeps, for the sampler; called only while this study has no trial of its own.

    Raises
    ------
    RunError
        Another process drives the sweep.
    """

    def __init__(
        self,
        sweep: Sweep,
        space: Space,
        *,
        file: Path | None = None,
        warm_start: Callable[[], Sequence[FrozenTrial]] = list,
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._sweep = sweep
        self._space = space
        self._file = file
        self._lock = None if file is None else journal.lock(file)
        self._background_sync = None if self._lock is None else journal.BackgroundSync(self._lock)
        self._study = optuna.create_study(
            study_name=STUDY_NAME,
            storage=optuna.storages.InMemoryStorage() if file is None else journal.open_storage(file),
            directions=[goal.value for goal in sweep.goals],
            load_if_exists=True,
            sampler=optuna.samplers.RandomSampler(),
            pruner=None if sweep.early_termination is None else sweep.early_termination.pruner(),
        )
        warm_start_trials = self._add_warm_start(warm_start)
        self._warm_start_count = len(warm_start_trials)
        self.trial_count = len(self._study.get_trials(deepcopy=False)) - self._warm_start_count
        self._study.sampler = make_sampler(
            sweep.sampler,
            seed=sweep.seed,
            trial_count=self.trial_count,
            options=sweep.sampler_options,
            warm_start=warm_start_trials,
            space=None
            if sweep.is_grid
            else {key: dimension.distribution for key, dimension in space.items() if not dimension.when},
        )
        own = self._study.get_trials(deepcopy=False)[self._warm_start_count :]
        tried_again = {trial.user_attrs[RETRIES] for trial in own if RETRIES in trial.user_attrs}
        self._points = len(own) - len(tried_again)
        self._to_retry = [t for t in own if _is_canceled(t) and t.number not in tried_again]
        self._grid = space.grid() if sweep.is_grid else None
        self._by_place = self._grid is not None and not any(map(_keeps_choices, own))
        self._ids: dict[int, int] = {}

    @property
    def remaining(self) -> int:
        """How many more trials may be asked for; those that were canceled with the sweep do not count."""
        limits = [self._sweep.max_total_runs, None if self._grid is None else self._grid.size]
        return min(limit for limit in limits if limit is not None) - self._points + len(self._to_retry)

    def _add_warm_start(self, warm_start: Callable[[], Sequence[FrozenTrial]]) -> list[FrozenTrial]:
        """Add the trials of earlier sweeps, also those that a killed driver did not get to; returns all of them."""
        trials = self._study.get_trials(deepcopy=False)
        added = [trial for trial in trials if WARM_START in trial.user_attrs]
        if len(added) == len(trials):
            names = {trial.user_attrs[WARM_START] for trial in added}
            self._study.add_trials(trial for trial in warm_start() if trial.user_attrs[WARM_START] not in names)
            added = self._study.get_trials(deepcopy=False)
        return added

    def ask(self) -> Trial:
        """The next trial: first those that were canceled with the sweep, each with a new number."""
        canceled = self._to_retry.pop(0) if self._to_retry else None
        if canceled is not None:
            self._study.enqueue_trial(canceled.params, user_attrs={RETRIES: canceled.number})
        else:
            if self._grid is not None:
                places = self._grid.places(self._points)
                if not self._by_place:
                    places = {key: self._space[key].encoded[place] for key, place in places.items()}
                self._study.enqueue_trial(places)
            self._points += 1
        trial = self._study.ask()
        number = trial.number - self._warm_start_count
        self._ids[number] = trial._trial_id
        self.trial_count += 1
        generation = SAMPLERS[self._sweep.sampler].generation
        if canceled is not None and generation in canceled.system_attrs:
            # Optuna sets it only when it draws; without it the trial would never become a parent.
            self._study._storage.set_trial_system_attr(trial._trial_id, generation, canceled.system_attrs[generation])
        with _unwarned():
            return Trial(number, self._space.draw(trial, by_place=self._by_place))

    def unfinished(self) -> list[Trial]:
        """The trials that were asked for but not told; one whose values were not all stored draws the rest now."""
        import optuna

        trials = []
        for frozen in self._study.get_trials(deepcopy=False):
            if not frozen.state.is_finished():
                number = frozen.number - self._warm_start_count
                self._ids[number] = frozen._trial_id
                if frozen.state is optuna.trial.TrialState.WAITING:
                    self._study._storage.set_trial_state_values(frozen._trial_id, optuna.trial.TrialState.RUNNING)
                with _unwarned():
                    values = self._space.draw(
                        optuna.trial.Trial(self._study, frozen._trial_id), by_place=self._by_place
                    )
                trials.append(Trial(number, values))
        return trials

    def tell(
        self,
        number: int,
        state: TrialState,
        value: float | None = None,
        reason: str | None = None,
        *,
        further: tuple[float, ...] = (),
    ) -> None:
        """Record how a trial ended."""
        import optuna

        storage, trial_id = self._study._storage, self._ids.pop(number)
        # A finished trial is read-only, so its attributes are set first.
        if reason is not None:
            storage.set_trial_user_attr(trial_id, REASON, reason)
        if value is None and state is TrialState.COMPLETE:
            # Optuna cannot complete a trial without a value.
            storage.set_trial_user_attr(trial_id, COMPLETED, True)
            state = TrialState.FAIL
        if state is TrialState.CANCELED:
            storage.set_trial_user_attr(trial_id, CANCELED, True)
            state = TrialState.FAIL
        values = [value, *further] if value is not None and state is TrialState.COMPLETE else None
        with _unwarned():
            finished = self._study.tell(
                number + self._warm_start_count, values, state=optuna.trial.TrialState[state.value]
            )
        if _is_canceled(finished):
            self._to_retry.append(finished)

    def report(self, number: int, interval: int, value: float) -> bool:
        """Store what a running trial has logged.

        Returns
        -------
        bool
            Whether Optuna's pruner would stop the trial.
        """
        storage, trial_id = self._study._storage, self._ids[number]
        storage.set_trial_intermediate_value(trial_id, interval, value)
        judged = copy(storage.get_trial(trial_id))
        # Later intervals belong to an earlier attempt and no longer count, but a journal cannot delete them.
        values = judged.intermediate_values.items()
        judged.intermediate_values = {key: value for key, value in values if key <= interval}
        with _unwarned():
            return self._study.pruner.prune(self._study, judged)

    def sync_soon(self) -> None:
        """Sync the study to the disk soon, so that no trial survives a power cut that its study does not know."""
        if self._background_sync is not None:
            self._background_sync.request()

    def trials(self) -> list[Trial]:
        """All trials of this sweep, by number."""
        return [self._trial(frozen) for frozen in self._study.get_trials(deepcopy=False)[self._warm_start_count :]]

    def reopen(self, numbers: Collection[int]) -> None:
        """Forget how these trials ended, and close the study: opened again, it has them as unfinished."""
        assert self._file is not None
        journal.reopen_trials(self._file, {number + self._warm_start_count for number in numbers})
        self.close()

    def close(self) -> None:
        if self._lock is not None and self._background_sync is not None:
            self._background_sync.close()
            os.close(self._lock)
            self._lock = self._background_sync = None

    def _trial(self, frozen: FrozenTrial) -> Trial:
        values = {key: self._space[key].value(frozen.params[key]) for key in self._space if key in frozen.params}
        # A waiting trial was enqueued by a driver that was killed before it asked for it.
        state = TrialState(frozen.state.name) if frozen.state.is_finished() else TrialState.RUNNING
        if state is TrialState.FAIL and frozen.user_attrs.get(COMPLETED, False):
            state = TrialState.COMPLETE
        elif _is_canceled(frozen):
            state = TrialState.CANCELED
        # Optuna gives a pruned trial its last logged value.
        value, *further = (frozen.values if state is TrialState.COMPLETE else None) or [None]
        number = frozen.number - self._warm_start_count
        return Trial(number, values, state, value, frozen.user_attrs.get(REASON), tuple(further))


def _keeps_choices(frozen: FrozenTrial) -> bool:
    """Whether a grid trial was stored with its choices, as earlier versions did, and not with their indices."""
    enqueued = frozen.system_attrs.get("fixed_params", {})
    return any(isinstance(value, str) for value in (*frozen.params.values(), *enqueued.values()))


def _is_canceled(frozen: FrozenTrial) -> bool:
    return frozen.state.is_finished() and CANCELED in frozen.user_attrs


@contextmanager
def _unwarned() -> Iterator[None]:
    # Optuna warns of what is intended here, such as a dimension that only some trials have.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def first_trials(
    sweep: Sweep, space: Space, count: int, *, warm_start: Callable[[], Sequence[FrozenTrial]] = list
) -> Iterator[Trial]:
    """The trials that a sweep would start with."""
    study = Study(sweep, space, warm_start=warm_start)
    for _ in range(min(count, study.remaining)):
        yield study.ask()
