"""The errors of amlcore, as one tree.

AmlcoreError                 exit status 1
├── RequestError             exit status 2: the request is wrong, and nothing was started
│   ├── ConfigError          a key, a value or an option of the configuration
│   ├── NotFoundError        a run, model, environment or service that does not exist
│   ├── SnapshotError        a source folder that cannot be captured as it is
│   ├── EnvironmentSpecError an environment that cannot be built as it is described
│   ├── ModelError           a model that cannot be registered or loaded
│   └── DeploymentError      a model that cannot be packaged or served
└── ExecutionError           exit status 1: the request was right but could not be carried out
    ├── BuildError           an environment that did not resolve or install
    ├── RecordError          a damaged file in a run's record
    │   └── UnreadableError  a file that this user may not read
    └── RunError             a run that failed, was lost or was canceled
"""

from collections.abc import Iterable
from difflib import get_close_matches


class AmlcoreError(Exception):
    """An error that amlcore explains itself: its text is all that a user needs to read."""

    exit_status = 1


class RequestError(AmlcoreError):
    exit_status = 2


class ConfigError(RequestError):
    pass


class NotFoundError(RequestError):
    pass


class SnapshotError(RequestError):
    pass


class EnvironmentSpecError(RequestError):
    pass


class ModelError(RequestError):
    pass


class DeploymentError(RequestError):
    pass


class ExecutionError(AmlcoreError):
    pass


class BuildError(ExecutionError):
    pass


class RecordError(ExecutionError):
    pass


class UnreadableError(RecordError):
    """The file may be intact, but only others may read it."""


class RunError(ExecutionError):
    pass


class LeftOutWarning(UserWarning):
    """An item of a list cannot be read; the others are listed."""


def must_be(value: str, choices: Iterable[str]) -> str:
    """The end of a message about a wrong value: what it must be, and the nearest choice if one is near."""
    names = sorted(choices)
    expected = f"must be {'one of ' if len(names) > 1 else ''}{', '.join(names)}"
    return _nearest_first(value, names, expected) if names else "there are none"


def suggest(name: str, choices: Iterable[str]) -> str:
    """The end of a message about something that does not exist: what does, and the nearest name if one is near."""
    names = sorted(choices)
    return _nearest_first(name, names, f"available: {', '.join(names)}") if names else "there are none"


def _nearest_first(name: str, names: list[str], sentence: str) -> str:
    near = get_close_matches(name, names, n=1)
    return f"did you mean '{near[0]}'? {sentence[0].upper()}{sentence[1:]}" if near else sentence


def how_to_install(extra: str) -> str:
    """The command that installs the packages of one of amlcore's extras, however amlcore itself was installed."""
    from importlib.metadata import PackageNotFoundError, requires

    from packaging.requirements import Requirement

    checkout = f"pip install -e '.[{extra}]' in a checkout of amlcore"
    try:
        requirements = [Requirement(line) for line in requires("amlcore") or ()]
    except PackageNotFoundError:  # it runs from its folder, without being installed
        return checkout
    packages = [
        repr(f"{requirement.name}{requirement.specifier}")
        for requirement in requirements
        if requirement.marker is not None and requirement.marker.evaluate({"extra": extra})
    ]
    return f"pip install {' '.join(packages)}, or {checkout}"
