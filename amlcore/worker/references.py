"""References to environment variables, ${oc.env:NAME}: kept in every record, resolved where a script begins."""

import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

REFERENCE = re.compile(r"\$\{oc\.env:\s*([^\s,{}]+)\s*(?:,\s*([^{}]*?)\s*)?\}")
"""The name of the variable, and what stands for it where it is not set, if anything."""


def missing(text, variables=None):
    # type: (str, typing.Any) -> list[str]
    """The variables that `text` refers to, and that are neither set nor have a default."""
    variables = os.environ if variables is None else variables
    return [name for name, default in _found(text) if name not in variables and default is None]


def resolved(text, variables=None):
    # type: (str, typing.Any) -> str
    """`text` with each reference replaced by the variable's value.

    Raises LookupError, which names the variable and not its value.
    """
    if "${oc.env:" not in text:
        return text
    variables = os.environ if variables is None else variables
    for name in missing(text, variables):
        raise LookupError("the environment variable {} is not set where the script runs".format(name))
    return REFERENCE.sub(lambda match: variables.get(match.group(1), _default(match)), text)


def _found(text):
    for match in REFERENCE.finditer(text):
        yield match.group(1), _default(match)


def _default(match):
    said = match.group(2)
    if said is None or said == "null":
        return None
    is_quoted = len(said) > 1 and said[0] == said[-1] and said[0] in "'\""
    return said[1:-1] if is_quoted else said
