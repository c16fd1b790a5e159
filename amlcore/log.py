"""Log, the type of a function that takes amlcore's own messages; and timings for `aml -v`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

Log = Callable[[str], None]
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def is_debugging() -> bool:
    """Whether the debug log is on: by `aml -v`, by AMLCORE_DEBUG, or by the configuration of `logging`."""
    if "logging" not in sys.modules:  # nobody configured it, and importing it costs time
        return False
    import logging

    return logging.getLogger("amlcore").isEnabledFor(logging.DEBUG)


def log_traceback(error: BaseException) -> None:
    """Write the traceback of an error to the debug log; the user otherwise gets its message alone."""
    if is_debugging():
        import logging

        logging.getLogger("amlcore").debug("traceback:", exc_info=error)


def timed(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Log how long each call took to the logger of the function's module, if the debug log is on."""

    @wraps(function)
    def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        if not is_debugging():
            return function(*args, **kwargs)
        import logging

        started = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            seconds = time.perf_counter() - started
            logging.getLogger(function.__module__).debug("%s took %.3f s", function.__qualname__, seconds)

    return call
