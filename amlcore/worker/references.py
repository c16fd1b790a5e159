"""References to environment variables, ${oc.env:NAME}: kept in every record, and resolved when a script starts."""

import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

REFERENCE = re.compile(r"\$\{oc\.env:\s*([^\s,{}]+)\s*(?:,\s*([^{}]*?)\s*)?\}")
"""The name of the variable, and its default, if any."""


def missing(text, variables=None):
    # type: (str, typing.Any) -> list[str]
    """The variables that `text` refers to that are neither set nor have a default."""
    variables = os.environ if variables is None else variables
    return [name for name, default in _references(text) if name not in variables and default is None]


def not_set(name):
    # type: (str) -> str
    """The message for a reference to a variable that is not set, without the key that it is at."""
    return "the environment variable {0} is not set here; set it, or give a default: ${{oc.env:{0},default}}".format(
        name
    )


def resolved(text, variables=None):
    # type: (str, typing.Any) -> str
    """`text` with each reference replaced by the variable's value.

    Raises LookupError, with the name of the variable but no value.
    """
    if "${oc.env:" not in text:
        return text
    variables = os.environ if variables is None else variables
    for name in missing(text, variables):
        raise LookupError("the environment variable {} is not set where the script runs".format(name))
    return REFERENCE.sub(lambda match: variables.get(match.group(1), _default(match)), text)


def _references(text):
    for match in REFERENCE.finditer(text):
        yield match.group(1), _default(match)


def _default(match):
    default = match.group(2)
    if default is None or default == "null":
        return None
    is_quoted = len(default) > 1 and default[0] == default[-1] and default[0] in "'\""
    return default[1:-1] if is_quoted else default
