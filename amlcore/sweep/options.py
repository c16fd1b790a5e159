"""Options: what is given to Optuna's samplers and pruners as it is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable

from amlcore.errors import ConfigError, suggest


def check_options(key: str, made: Callable[..., object], options: Iterable[str]) -> None:
    """Make sure that what is made takes each of the `options` that stand under `key`.

    Raises
    ------
    ConfigError
        It does not take one.
    """
    known = inspect.signature(made).parameters.keys()
    for name in options:
        if name not in known:
            raise ConfigError(f"{key}.{name}: {made.__name__} takes no such argument; {suggest(name, known)}")
