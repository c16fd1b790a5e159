"""The ReadOnlyStudy: the study of a sweep for plots and the dashboard, with values as the user wrote them."""

from __future__ import annotations

import copy
from collections.abc import Container, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from amlcore.sweep.dimension import Dimension, Kind
from amlcore.sweep.space import Space
from amlcore.sweep.steps import Steps
from amlcore.sweep.study import STUDY_NAME, WARM_START

if TYPE_CHECKING:
    from optuna.study import Study as OptunaStudy
    from optuna.study._frozen import FrozenStudy

MAX_CATEGORIES = 100
"""Above this number of steps, plots show a range of numbers instead of choices."""
ARGUMENTS = "script.arguments."


class _ReadOnly(JournalFileBackend):
    """Only the driver of a sweep writes its study."""

    def append_logs(self, logs: list[dict[str, Any]]) -> None:  # noqa: ARG002  nothing is written
        raise PermissionError("this study is read-only")


class ReadOnlyStudy(JournalStorage):
    """The trials of a sweep as Optuna's plots and dashboard show them.

    Parameters
    ----------
    file : Path
        The study, which may still grow.
    title : str
        The name that is shown.
    """

    def __init__(self, file: Path, space: Space, metrics: Sequence[str], *, title: str = STUDY_NAME) -> None:
        super().__init__(_ReadOnly(str(file)))
        trials = super().get_all_trials(self.get_study_id_from_name(STUDY_NAME), deepcopy=False)
        self._warm_start_count = sum(WARM_START in trial.user_attrs for trial in trials)
        self._space = space
        self._distributions = {key: _distribution(dimension) for key, dimension in space.items()}
        self._metrics = list(metrics)
        self._title = title

    def get_all_studies(self) -> list[FrozenStudy]:
        studies = super().get_all_studies()
        for study in studies:
            study.study_name = self._title
        return studies

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return {**super().get_study_system_attrs(study_id), "study:metric_names": self._metrics}

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return self._shown(super().get_trial(trial_id))

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        trials = super().get_all_trials(study_id, deepcopy, states)
        return [self._shown(trial) for trial in trials if WARM_START not in trial.user_attrs]

    def _shown(self, trial: FrozenTrial) -> FrozenTrial:
        shown = copy.copy(trial)
        shown.number -= self._warm_start_count
        shown.params = {
            _short(key): _optuna_choice(self._space[key].value(drawn)) for key, drawn in trial.params.items()
        }
        shown.distributions = {_short(key): self._distributions[key] for key in trial.params}
        return shown


def load_read_only(file: Path, space: Space, metrics: Sequence[str]) -> OptunaStudy:
    """The study of a sweep, for Optuna's plots."""
    import optuna

    return optuna.load_study(study_name=STUDY_NAME, storage=ReadOnlyStudy(file, space, metrics))


def own_trials(file: Path) -> list[FrozenTrial]:
    """The trials of a sweep as Optuna stores them, without those of a warm start."""
    if not file.exists():
        return []
    storage = JournalStorage(_ReadOnly(str(file)))
    trials = storage.get_all_trials(storage.get_study_id_from_name(STUDY_NAME), deepcopy=False)
    warm_start_count = sum(WARM_START in trial.user_attrs for trial in trials)
    own = [copy.copy(trial) for trial in trials[warm_start_count:]]
    for trial in own:
        trial.number -= warm_start_count
    return own


def _short(key: str) -> str:
    return key.removeprefix(ARGUMENTS)


def _optuna_choice(value: Any) -> Any:
    """A choice as Optuna accepts it: a list or a mapping becomes text."""
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _distribution(dimension: Dimension) -> BaseDistribution:
    """The distribution of the values themselves, which may differ from what Optuna draws."""
    if isinstance(steps := dimension.choices, Steps) and len(steps) > MAX_CATEGORIES:
        distribution = IntDistribution if steps.whole else FloatDistribution
        return distribution(min(steps[0], steps[-1]), max(steps[0], steps[-1]))
    if dimension.kind is Kind.choice:
        return CategoricalDistribution([_optuna_choice(choice) for choice in dimension.choices])
    if dimension.normal is None and not dimension.exponential and dimension.quantum is None:
        return dimension.distribution
    low, high = (float(value) for value in dimension.ends)
    return FloatDistribution(low, high, log=(dimension.log or dimension.exponential) and low > 0)
