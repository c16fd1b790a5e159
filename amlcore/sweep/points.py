"""How many points a space has, in words, and what that means for its sampler."""

from __future__ import annotations

from collections.abc import Collection

from amlcore.sweep.dimension import Dimension, Kind
from amlcore.sweep.space import Space
from amlcore.sweep.steps import Steps
from amlcore.sweep.sweep import Sweep


def describe_points(sweep: Sweep, space: Space) -> str:
    """The number of points for the first line of a sweep; empty where they cannot be counted."""
    count, limit = space.points, sweep.max_total_runs
    if count is None:
        return ""
    said = _counted(count)
    if limit is None or (sweep.is_grid and limit >= count):
        return said
    return f"{said}, {limit} tried" if sweep.is_grid else f"{said}, {limit} trials"


def repetition_note(sweep: Sweep, space: Space, *, added: Collection[str]) -> str | None:
    """What to say where a sampler has so few points that it tries some of them again.

    Parameters
    ----------
    added : collection
        The keys that are written with a `+`.
    """
    count, limit = space.points, sweep.max_total_runs
    if sweep.is_grid or count is None or limit is None or count > limit:
        return None
    numbers = {key: dimension for key, dimension in space.items() if dimension.kind is not Kind.choice}
    if any(dimension.when for dimension in numbers.values()):
        how = " (its ranges leave their end out)"
    else:
        how = "".join(f" '{'+' * (key in added)}{key}={_range(dimension)}'" for key, dimension in numbers.items())
    return (
        f"note: this space has {_counted(count)}, so that sweep.sampler={sweep.sampler} tries some of them again "
        f"within sweep.max_total_runs={limit}; sweep=grid{how} tries each once"
    )


def _counted(count: int) -> str:
    return f"{count} point{'s' if count != 1 else ''}"


def _range(dimension: Dimension) -> str:
    """The range that has the same numbers in a grid, where its end is left out."""
    numbers = dimension.listed
    assert numbers is not None
    if not isinstance(numbers, Steps):
        return f"choice({numbers[0]})"
    end = Steps(numbers.start, numbers.step, len(numbers) + 1)[-1]
    return f"range({numbers.start},{end},{numbers.step})" if numbers.step != 1 else f"range({numbers.start},{end})"
