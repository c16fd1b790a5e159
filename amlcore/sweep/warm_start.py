"""Warm starts: what earlier sweeps of a compatible space reached, as Optuna's trials of this one."""

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
    """Refuse earlier trials where nobody would learn from them."""
    if not SAMPLERS[sweep.sampler].learns:
        able = ", ".join(name for name in NAMED if NAMED[name].learns)
        raise ConfigError(
            f"sweep.warm_start: sweep.sampler={sweep.sampler} does not learn from earlier trials; those that do: {able}"
        )


def warm_start_trials(
    sweep: Sweep, space: Space, *, name: str, earlier: Sweep, earlier_space: Space, trials: list[FrozenTrial]
) -> list[FrozenTrial]:
    """The completed trials of the earlier sweep `name` that are points of `space`.

    Raises
    ------
    ConfigError
        The earlier sweep was of another metric or another space, or none of its trials can be used.
    """
    from optuna.trial import TrialState

    key = f"sweep.warm_start={name}"
    if earlier.metrics != sweep.metrics:
        theirs, own = (", ".join(metrics) or "none" for metrics in (earlier.metrics, sweep.metrics))
        raise ConfigError(f"{key}: its primary metric is {theirs}, and here it is {own}")
    _check_space(key, space, earlier_space)
    completed = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    found = [_warm(trial, sweep, space, earlier_space, name=name) for trial in completed]
    usable = [trial for trial in found if trial is not None]
    if not usable:
        raise ConfigError(f"{key}: none of its {len(found)} completed trials is a point of this space")
    return usable


def check_use(sweep: Sweep, space: Space, count: int) -> None:
    """Refuse earlier trials that CMA-ES cannot begin with."""
    least = SAMPLERS[sweep.sampler].min_warm_start
    if least == 1:
        return
    if any(dimension.when for dimension in space.values()):
        raise ConfigError(
            f"sweep.warm_start: sweep.sampler={sweep.sampler} takes none where a parameter depends on another"
        )
    if count < least:
        raise ConfigError(
            f"sweep.warm_start: sweep.sampler={sweep.sampler} needs at least {least} earlier trials, and has {count}"
        )


def _check_space(key: str, space: Space, earlier: Space) -> None:
    missing, more = sorted(space.keys() - earlier.keys()), sorted(earlier.keys() - space.keys())
    if missing or more:
        said = [f"it did not search {', '.join(missing)}"] if missing else []
        said += [f"it searched {', '.join(more)} too"] if more else []
        raise ConfigError(f"{key}: its space is another one: {' and '.join(said)}")
    for name, dimension in space.items():
        if _nature(dimension) != _nature(earlier[name]):
            raise ConfigError(
                f"{key}: its {name} is another one: {earlier[name].describe()} there, {dimension.describe()} here"
            )


def _nature(dimension: Dimension) -> tuple[Any, ...]:
    """What must be the same for a number drawn there to mean the same here."""
    return dimension.kind, dimension.normal, dimension.exponential, dimension.quantum


def _warm(trial: FrozenTrial, sweep: Sweep, space: Space, earlier: Space, *, name: str) -> FrozenTrial | None:
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
    except ValueError:  # a choice or a number that this space does not have
        return None


def _drawn(dimension: Dimension, value: Any, drawn: Any) -> Any:
    """What Optuna would have drawn here for `value`; a number is the same in both spaces."""
    return dimension.encoded[dimension.index(value)] if dimension.kind is Kind.choice else drawn
