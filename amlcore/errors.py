"""What can go wrong, as one tree.

AmlcoreError                 exit status 1
├── RequestError             exit status 2: the request is wrong, nothing was started
│   ├── ConfigError          a key, a value or an option of the configuration
│   ├── NotFoundError        a run, model, environment or service that is not there
│   ├── SnapshotError        a source folder that cannot be taken as it is
│   ├── EnvironmentSpecError an environment that cannot be built from what was written
│   ├── ModelError           a model that cannot be registered or loaded
│   └── DeploymentError      a model that cannot be packaged or served
└── ExecutionError           exit status 1: the request was right and could not be carried out
    ├── BuildError           an environment did not resolve or install
    ├── RecordError          a file of a run's record is damaged
    │   └── UnreadableError  or may not be read by this user
    └── RunError             a run failed, was lost or was canceled
"""

from collections.abc import Iterable
from difflib import get_close_matches


class AmlcoreError(Exception):
    """Any error that amlcore explains by itself; its text is all that a user needs to read."""

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
    """The file may be whole, and is for others to read."""


class RunError(ExecutionError):
    pass


class LeftOutWarning(UserWarning):
    """Something in a list that cannot be read; the others are listed."""


def must_be(value: str, choices: Iterable[str]) -> str:
    """The end of a message about a value that is none of `choices`, with the nearest one if any is near."""
    names = sorted(choices)
    expected = f"must be {'one of ' if len(names) > 1 else ''}{', '.join(names)}"
    return _nearest_first(value, names, expected) if names else "there are none"


def suggest(name: str, choices: Iterable[str]) -> str:
    """The end of a message about something that does not exist: what does, with the nearest name if any is near."""
    names = sorted(choices)
    return _nearest_first(name, names, f"available: {', '.join(names)}") if names else "there are none"


def _nearest_first(name: str, names: list[str], sentence: str) -> str:
    near = get_close_matches(name, names, n=1)
    return f"did you mean '{near[0]}'? {sentence[0].upper()}{sentence[1:]}" if near else sentence


def how_to_install(extra: str) -> str:
    """What brings the packages of one of amlcore's extras, wherever amlcore itself came from."""
    from importlib.metadata import PackageNotFoundError, requires

    from packaging.requirements import Requirement

    checkout = f"pip install -e '.[{extra}]' in a checkout of amlcore"
    try:
        known = [Requirement(one) for one in requires("amlcore") or ()]
    except PackageNotFoundError:  # run from its folder without being installed
        return checkout
    asked = [one for one in known if one.marker is not None and one.marker.evaluate({"extra": extra})]
    return f"pip install {' '.join(repr(f'{one.name}{one.specifier}') for one in asked)}, or {checkout}"
