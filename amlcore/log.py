"""Log, the way of amlcore's own messages to the user; redaction of secrets; and timings for `aml -v`."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterable
from functools import wraps
from typing import ParamSpec, TypeVar

Log = Callable[[str], None]
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

LEAST_SECRET = 4  # characters; a shorter value would be found in words by chance
secret_names: set[str] = set()
"""The variables that this process's workspaces declare secret; the debug log never shows their values."""


def redact(text: str, names: Iterable[str]) -> str:
    """`text` with the values of the environment variables `names` as references to them."""
    names_by_form: dict[str, str] = {}
    for name in sorted(names):
        value = os.environ.get(name, "")
        if len(value) >= LEAST_SECRET:
            # As it is, as in the repr of a list, and as in a command line.
            names_by_form.update(dict.fromkeys((value, repr(value)[1:-1], value.replace("'", "'\"'\"'")), name))
    if not names_by_form:
        return text
    # In one pass, the longest first: a secret may hold another, and so may the name of one.
    pattern = "|".join(map(re.escape, sorted(names_by_form, key=len, reverse=True)))
    return re.sub(pattern, lambda match: f"${{oc.env:{names_by_form[match[0]]}}}", text)


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
