"""How many points a search space has, and what a sampler does with few of them."""

from __future__ import annotations

from collections.abc import Collection

from amlcore.sweep.dimension import Dimension, Kind
from amlcore.sweep.space import Space
from amlcore.sweep.steps import Steps
from amlcore.sweep.sweep import Sweep


def describe_points(sweep: Sweep, space: Space) -> str:
    """The number of points, for the first line of a sweep; empty if they cannot be counted."""
    count, limit = space.points, sweep.max_total_runs
    if count is None:
        return ""
    points = _counted(count)
    if limit is None or (sweep.is_grid and limit >= count):
        return points
    return f"{points}, {limit} tried" if sweep.is_grid else f"{points}, {limit} trials"


def repetition_note(sweep: Sweep, space: Space, *, added: Collection[str]) -> str | None:
    """A note that a sampler will try some points more than once; None if it has enough of them.

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
        ranges = " (in a grid, a range excludes its end)"
    else:
        ranges = "".join(f" '{'+' * (key in added)}{key}={_range(dimension)}'" for key, dimension in numbers.items())
    if limit > count:
        outcome = f"will try points more than once: at least {limit - count} of the trials are repeats"
    else:
        outcome = "may try some points more than once and miss others"
    return (
        f"note: the search space has {_counted(count)}, and sweep.max_total_runs={limit}, so "
        f"sweep.sampler={sweep.sampler} {outcome}; to try each point once, use sweep=grid{ranges}"
    )


def _counted(count: int) -> str:
    return f"{count} point{'s' if count != 1 else ''}"


def _range(dimension: Dimension) -> str:
    """The range with the same numbers in a grid, which leaves out the end."""
    numbers = dimension.all_values
    assert numbers is not None
    if not isinstance(numbers, Steps):
        return f"choice({numbers[0]})"
    end = Steps(numbers.start, numbers.step, len(numbers) + 1)[-1]
    return f"range({numbers.start},{end},{numbers.step})" if numbers.step != 1 else f"range({numbers.start},{end})"
