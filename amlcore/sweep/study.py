"""The Study: what has been tried and reached, kept by Optuna in a file that only the driver of its sweep writes."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from amlcore.sweep import journal
from amlcore.sweep.sampler import SAMPLERS, make_sampler
from amlcore.sweep.space import Space, Values
from amlcore.sweep.sweep import Sweep

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

NAME = "sweep"
WARM_START = "warm_start"
"""The attribute of a trial that an earlier sweep made: its run."""
CANCELED = "canceled"
"""The attribute of a trial that ended because its sweep did."""
RETRIES = "again"
"""The attribute of a trial that tries such a point again: the number of the one before, as Optuna counts."""


class TrialState(StrEnum):
    """How far a trial is, by Optuna's names; to Optuna one that ended because its sweep did has failed."""

    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    PRUNED = "PRUNED"
    FAIL = "FAIL"
    CANCELED = "CANCELED"


@dataclass(frozen=True)
class Trial:
    """One point of the search space, and what came of it."""

    number: int
    values: Values
    state: TrialState = TrialState.RUNNING
    value: float | None = None  # of the primary metric, or the first of several
    reason: str | None = None
    further: tuple[float, ...] = ()  # of the further ones, in their order

    @property
    def reached(self) -> tuple[float, ...]:
        """What it reached in each of the primary metrics; nothing where it did not complete."""
        return () if self.value is None else (self.value, *self.further)


class Study:
    """The trials of one sweep.

    Parameters
    ----------
    file : Path, optional
        Where the study is kept; without it, in memory.
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
        self._lock = None if file is None else journal.lock(file)
        self._background_sync = None if self._lock is None else journal.BackgroundSync(self._lock)
        self._study = optuna.create_study(
            study_name=NAME,
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
        """How many further trials may be asked for; those that an earlier end of the sweep canceled do not count."""
        limits = [self._sweep.max_total_runs, None if self._grid is None else self._grid.size]
        return min(limit for limit in limits if limit is not None) - self._points + len(self._to_retry)

    def _add_warm_start(self, warm_start: Callable[[], Sequence[FrozenTrial]]) -> list[FrozenTrial]:
        """The trials of earlier sweeps; a driver that was killed while it added them goes on."""
        trials = self._study.get_trials(deepcopy=False)
        added = [trial for trial in trials if WARM_START in trial.user_attrs]
        if len(added) == len(trials):
            names = {trial.user_attrs[WARM_START] for trial in added}
            self._study.add_trials(trial for trial in warm_start() if trial.user_attrs[WARM_START] not in names)
            added = self._study.get_trials(deepcopy=False)
        return added

    def ask(self) -> Trial:
        """The next trial: first the points again whose trials were canceled with the sweep, each by a new number."""
        before = self._to_retry.pop(0) if self._to_retry else None
        if before is not None:
            self._study.enqueue_trial(before.params, user_attrs={RETRIES: before.number})
        else:
            if self._grid is not None:
                places = self._grid.places(self._points)
                if not self._by_place:
                    places = {key: self._space[key].encoded[place] for key, place in places.items()}
                self._study.enqueue_trial(places)
            self._points += 1
        asked = self._study.ask()
        number = asked.number - self._warm_start_count
        self._ids[number] = asked._trial_id
        self.trial_count += 1
        generation = SAMPLERS[self._sweep.sampler].generation
        if before is not None and generation in before.system_attrs:
            # Optuna sets it only where it draws; without it the trial would be no parent of any other.
            self._study._storage.set_trial_system_attr(asked._trial_id, generation, before.system_attrs[generation])
        with _unwarned():
            return Trial(number, self._space.draw(asked, by_place=self._by_place))

    def unfinished(self) -> list[Trial]:
        """The trials that were asked for and never told; one whose values were not all kept draws the rest now."""
        import optuna

        found = []
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
                found.append(Trial(number, values))
        return found

    def tell(
        self,
        number: int,
        state: TrialState,
        value: float | None = None,
        reason: str | None = None,
        *,
        further: tuple[float, ...] = (),
    ) -> None:
        """Write how a trial ended."""
        import optuna

        storage, trial_id = self._study._storage, self._ids.pop(number)
        # A finished trial cannot be written to, so what is to be kept with it comes first.
        if reason is not None:
            storage.set_trial_user_attr(trial_id, "reason", reason)
        if value is None and state is TrialState.COMPLETE:
            # Without a primary metric there is nothing to tell Optuna but that the trial is over.
            storage.set_trial_user_attr(trial_id, "completed", True)
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
        """Keep what a running trial has logged.

        Returns
        -------
        bool
            Whether Optuna's pruner would stop it.
        """
        storage, trial_id = self._study._storage, self._ids[number]
        storage.set_trial_intermediate_value(trial_id, interval, value)
        judged = copy(storage.get_trial(trial_id))
        # What an earlier attempt reached at later intervals counts no more, and a journal takes nothing back.
        known = judged.intermediate_values.items()
        judged.intermediate_values = {key: reached for key, reached in known if key <= interval}
        with _unwarned():
            return self._study.pruner.prune(self._study, judged)

    def sync_soon(self) -> None:
        """Have what was asked for brought to the disk: a trial should not be there that its study knows nothing of."""
        if self._background_sync is not None:
            self._background_sync.request()

    def trials(self) -> list[Trial]:
        """All trials of this sweep, by number."""
        return [self._trial(frozen) for frozen in self._study.get_trials(deepcopy=False)[self._warm_start_count :]]

    def close(self) -> None:
        if self._lock is not None and self._background_sync is not None:
            self._background_sync.close()
            os.close(self._lock)
            self._lock = self._background_sync = None

    def _trial(self, frozen: FrozenTrial) -> Trial:
        values = {key: self._space[key].value(frozen.params[key]) for key in self._space if key in frozen.params}
        # One that waits was laid down for a driver that was killed before it took it up.
        state = TrialState(frozen.state.name) if frozen.state.is_finished() else TrialState.RUNNING
        if state is TrialState.FAIL and frozen.user_attrs.get("completed", False):
            state = TrialState.COMPLETE
        elif _is_canceled(frozen):
            state = TrialState.CANCELED
        # Of one that was pruned, Optuna keeps what it had logged last.
        value, *further = (frozen.values if state is TrialState.COMPLETE else None) or [None]
        number = frozen.number - self._warm_start_count
        return Trial(number, values, state, value, frozen.user_attrs.get("reason"), tuple(further))


def _keeps_choices(frozen: FrozenTrial) -> bool:
    """Whether a trial of a grid was kept with all choices, as they once were, and not by their places."""
    laid = frozen.system_attrs.get("fixed_params", {})
    return any(isinstance(value, str) for value in (*frozen.params.values(), *laid.values()))


def _is_canceled(frozen: FrozenTrial) -> bool:
    return frozen.state.is_finished() and CANCELED in frozen.user_attrs


@contextmanager
def _unwarned() -> Iterator[None]:
    # Optuna warns of what is meant here, such as a dimension that only some trials have.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def first_trials(
    sweep: Sweep, space: Space, count: int, *, warm_start: Callable[[], Sequence[FrozenTrial]] = list
) -> Iterator[Trial]:
    """The trials that a sweep would begin with."""
    study = Study(sweep, space, warm_start=warm_start)
    for _ in range(min(count, study.remaining)):
        yield study.ask()
