"""Why a line of a file is refused, and one message for all refused lines."""

from collections.abc import Sequence
from pathlib import Path

from amlcore.environment.location import SourceLocation
from amlcore.errors import EnvironmentSpecError

_SHOWN = 60  # lines; nobody reads a longer message


class LineError(EnvironmentSpecError):
    """A refused line; several that are refused for the same reason make one message.

    Parameters
    ----------
    why : str
        What is wrong, as a predicate of the line: "is a path on this machine, which a lock cannot record".
    advice : str
        What to write instead.
    """

    def __init__(self, text: str, *, location: SourceLocation, why: str, advice: str) -> None:
        super().__init__(f"{location}: '{text}' {why}; {advice}")
        self.text = text
        self.location = location
        self.why = why
        self.advice = advice


def combined(errors: Sequence[EnvironmentSpecError]) -> EnvironmentSpecError:
    """Combine errors into one: a reason that several lines share appears once."""
    if len(errors) == 1:
        return errors[0]
    kinds: dict[str, list[EnvironmentSpecError]] = {}
    for error in errors:
        kinds.setdefault(error.why if isinstance(error, LineError) else str(error), []).append(error)
    return EnvironmentSpecError("\n".join(_message(members) for members in kinds.values()))


def _message(members: Sequence[EnvironmentSpecError]) -> str:
    lines = [error for error in members if isinstance(error, LineError)]
    if len(lines) < 2:
        return str(members[0])
    shown = [f"  {line.location}: {line.text}" for line in lines[:_SHOWN]]
    rest = [f"  and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    advice = dict.fromkeys(line.advice for line in lines)
    return "\n".join([f"each of these lines {lines[0].why}:", *shown, *rest, *advice])


def no_python_package(text: str, *, location: SourceLocation) -> LineError:
    return LineError(
        text,
        location=location,
        why="is not a Python package, and amlcore installs only from the Python package index",
        advice="remove it if the script runs without it, or install it on the machine",
    )


def not_a_requirement(text: str, reason: str, *, location: SourceLocation) -> LineError:
    return LineError(
        text,
        location=location,
        why=f"is not a requirement: {reason}",
        advice="use a form such as 'scikit-learn==1.7.2'",
    )


def conda_list(text: str, *, location: SourceLocation) -> LineError:
    """The error for a line of `conda list --export`."""
    return LineError(
        text,
        location=location,
        why="is in conda's format, not the format of a requirements file",
        advice="run `conda env export > environment.yml` and use environment.file=environment.yml",
    )


def path_of_another_machine(text: str, *, location: SourceLocation) -> LineError:
    """The error for a line that `pip freeze` writes in a conda environment."""
    file = Path(location.name).name if location.name.endswith((".txt", ".in")) else "requirements.txt"
    return LineError(
        text,
        location=location,
        why="refers to a file on the machine that built the package, which does not exist here",
        advice=f"run `pip list --format=freeze > {file}` in that environment to write versions instead",
    )


def archive(text: str, path: str, *, location: SourceLocation) -> LineError:
    folder, _, file = path.rpartition("/")
    name, version, *_ = f"{file}--".split("-")
    pin = f"{name}=={version}" if version and version[0].isdigit() else name.partition(".")[0]
    return LineError(
        text,
        location=location,
        why="is a path on this machine, which a lock cannot record",
        advice=f"use two lines instead: `--find-links {folder or '.'}` and `{pin}`",
    )


def project(text: str, folder: Path, *, location: SourceLocation, root: Path) -> LineError:
    """The error for the installation of a project from its folder; its code may be part of the snapshot."""
    code = folder / "src" if (folder / "src").is_dir() else folder
    entry = code.relative_to(root).as_posix() if code.is_relative_to(root) else "src"
    requires = ""
    if (folder / "pyproject.toml").is_file() and (folder / "pyproject.toml").is_relative_to(root):
        file = (folder / "pyproject.toml").relative_to(root)
        requires = f", and environment.file={file} installs its dependencies"
    return LineError(
        text,
        location=location,
        why="is a path on this machine, which a lock cannot record",
        advice="remove it; if the project's code is in script.source_directory, "
        f"+script.environment_variables.PYTHONPATH={entry} lets the script import it{requires}",
    )
