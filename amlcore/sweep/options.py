"""Options: keyword arguments for Optuna's samplers and pruners."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable

from amlcore.errors import ConfigError, suggest


def check_options(key: str, target: Callable[..., object], options: Iterable[str]) -> None:
    """Make sure that `target` takes each of the `options` set under `key`.

    Raises
    ------
    ConfigError
        It does not take one of them.
    """
    arguments = inspect.signature(target).parameters.keys()
    for name in options:
        if name not in arguments:
            raise ConfigError(f"{key}.{name}: {target.__name__} has no such argument; {suggest(name, arguments)}")
