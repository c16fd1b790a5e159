"""Warm starts: trials of earlier sweeps over a compatible space, as trials of this one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amlcore.errors import ConfigError
from amlcore.sweep.dimension import Dimension, Kind
from amlcore.sweep.sampler import NAMED, SAMPLERS
from amlcore.sweep.space import Space
from amlcore.sweep.study import WARM_START
from amlcore.sweep.sweep import Sweep

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


def check_sampler_learns(sweep: Sweep) -> None:
    """Refuse a warm start of a sampler that does not learn."""
    if not SAMPLERS[sweep.sampler].learns:
        samplers = ", ".join(name for name in NAMED if NAMED[name].learns)
        raise ConfigError(
            f"sweep.warm_start: sweep.sampler={sweep.sampler} does not learn from earlier trials; "
            f"samplers that do: {samplers}"
        )


def warm_start_trials(
    sweep: Sweep, space: Space, *, name: str, earlier: Sweep, earlier_space: Space, trials: list[FrozenTrial]
) -> list[FrozenTrial]:
    """The completed trials of the earlier sweep `name` that are points of `space`.

    Raises
    ------
    ConfigError
        The earlier sweep had another metric or another space, or none of its trials can be used.
    """
    from optuna.trial import TrialState

    key = f"sweep.warm_start={name}"
    if earlier.metrics != sweep.metrics:
        theirs, own = (", ".join(metrics) or "none" for metrics in (earlier.metrics, sweep.metrics))
        raise ConfigError(f"{key}: that sweep had the primary metric {theirs}, not {own}")
    _check_space(key, space, earlier_space)
    completed = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    points = [_as_point(trial, sweep, space, earlier_space, name=name) for trial in completed]
    usable = [trial for trial in points if trial is not None]
    if not usable:
        raise ConfigError(f"{key}: none of its {len(points)} completed trials is a point of this search space")
    return usable


def check_use(sweep: Sweep, space: Space, count: int) -> None:
    """Refuse earlier trials that CMA-ES cannot use."""
    least = SAMPLERS[sweep.sampler].min_warm_start
    if least == 1:
        return
    if any(dimension.when for dimension in space.values()):
        raise ConfigError(
            f"sweep.warm_start: sweep.sampler={sweep.sampler} cannot use earlier trials if a parameter "
            "depends on another (when)"
        )
    if count < least:
        raise ConfigError(
            f"sweep.warm_start: sweep.sampler={sweep.sampler} needs at least {least} earlier trials, not {count}"
        )


def _check_space(key: str, space: Space, earlier: Space) -> None:
    missing, more = sorted(space.keys() - earlier.keys()), sorted(earlier.keys() - space.keys())
    if missing or more:
        differences = [f"it did not search {', '.join(missing)}"] if missing else []
        differences += [f"it also searched {', '.join(more)}"] if more else []
        raise ConfigError(f"{key}: that sweep had another search space: {' and '.join(differences)}")
    for name, dimension in space.items():
        if _nature(dimension) != _nature(earlier[name]):
            raise ConfigError(
                f"{key}: {name} was {earlier[name].describe()} in that sweep, and is {dimension.describe()} here"
            )


def _nature(dimension: Dimension) -> tuple[Any, ...]:
    """What must be equal for a number drawn there to mean the same here."""
    return dimension.kind, dimension.normal, dimension.exponential, dimension.quantum


def _as_point(trial: FrozenTrial, sweep: Sweep, space: Space, earlier: Space, *, name: str) -> FrozenTrial | None:
    from optuna.trial import create_trial

    values = {key: earlier[key].value(drawn) for key, drawn in trial.params.items()}
    generation = SAMPLERS[sweep.sampler].generation
    try:
        if not space.holds(values):
            return None
        return create_trial(
            values=trial.values,
            params={key: _drawn(space[key], values[key], drawn) for key, drawn in trial.params.items()},
            distributions={key: space[key].distribution for key in trial.params},
            user_attrs={WARM_START: f"{name}_{trial.number}"},
            system_attrs={} if generation is None else {generation: 0},
        )
    except ValueError:  # a choice or a number outside this space
        return None


def _drawn(dimension: Dimension, value: Any, drawn: Any) -> Any:
    """What Optuna would draw here for `value`; a number is the same in both spaces."""
    return dimension.encoded[dimension.index(value)] if dimension.kind is Kind.choice else drawn
