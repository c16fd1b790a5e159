"""The file next to a script that lists its packages, used if no environment was chosen."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amlcore.environment.location import SourceLocation, decoded_text, location_of
from amlcore.environment.metadata import dynamic_files
from amlcore.environment.specification import logical_lines
from amlcore.errors import EnvironmentSpecError
from amlcore.record.reading import SAFE_LOADER

FILE_NAMES = (
    *("requirements.txt", "pyproject.toml", "environment.yml", "environment.yaml", "conda.yml", "conda.yaml"),
    *("conda_dependencies.yml", "conda_dependencies.yaml", "conda_env.yml", "conda_env.yaml"),
)
"""The names to look for; the first file that lists packages is used."""


def discover_file(source: Path, start: Path, *, root: Path) -> tuple[Path | None, list[str]]:
    """The file in `start`, or above it up to `source`, that lists the packages of a script there; None if none does.

    Returns notes for the user as well: which file is used, which are not, and why.
    """
    notes: list[str] = []
    for path in candidate_files(start, source):
        location = location_of(path, root=root)
        skip_reason = _skip_reason(path, location=location)
        if skip_reason is None:
            return path, [*notes, f"using {location}, which is next to the script", *_unread_files_note(path)]
        notes += [f"{location} is not read: {skip_reason}"] if skip_reason else []
    return None, notes or _outside_file_note(source, root)


def candidate_files(start: Path, source: Path) -> Iterator[Path]:
    """The files with known names in the script's folder, then in those above it, up to the source folder."""
    folders = [start, *start.parents] if start.is_relative_to(source) else [start]
    for folder in folders:
        yield from (path for name in FILE_NAMES if (path := folder / name).is_file())
        if folder == source:
            return


def _unread_files_note(used: Path) -> list[str]:
    """A note on other files in that folder that list packages and are not read."""
    others = [path for name in FILE_NAMES if (path := used.parent / name).is_file() and path != used]
    names = [path.name for path in others if _skip_reason(path, location=SourceLocation(path.name)) is None]
    return [f"{' and '.join(names)} next to it {'is' if len(names) == 1 else 'are'} not read"] if names else []


def _outside_file_note(source: Path, root: Path) -> list[str]:
    """A note on a file above the source folder, in the workspace: perhaps it was meant.

    The pyproject.toml of a checkout of amlcore never is: what it lists is for amlcore, not for scripts.
    """
    if not source.is_relative_to(root):
        return []
    for folder in source.parents:
        for name in FILE_NAMES:
            path = folder / name
            if folder.is_relative_to(root) and path.is_file() and _skip_reason(path) is None and not _is_own(path):
                location = location_of(path, root=root)
                unread = f"{location} is outside script.source_directory and is not read"
                return [f"{unread}; use it with environment.file={location}"]
    return []


def _is_own(path: Path) -> bool:
    """Whether the file is amlcore's own pyproject.toml."""
    try:
        project = tomllib.loads(decoded_text(path, location=SourceLocation(path.name))).get("project")
    except (EnvironmentSpecError, ValueError):
        return False
    return isinstance(project, dict) and project.get("name") == "amlcore"


def _skip_reason(path: Path, *, location: SourceLocation | None = None) -> str | None:
    """Why the file does not list packages: "" if it serves another purpose, None if it does list some."""
    try:
        text = decoded_text(path, location=location or SourceLocation(path.name))
        match path.suffix:
            case ".txt":
                return None if logical_lines(text) else "it does not list any packages"
            case ".toml":
                return _project_skip_reason(tomllib.loads(text))
            case _:
                return _conda_skip_reason(text)
    except (EnvironmentSpecError, ValueError):
        return None  # whoever reads the whole file reports what is wrong


def _project_skip_reason(document: dict[str, Any]) -> str | None:
    project, tool = document.get("project"), document.get("tool")
    poetry = tool.get("poetry") if isinstance(tool, dict) else None
    is_listed = isinstance(project, dict) and project.get("dependencies")
    if isinstance(poetry, dict) and "dependencies" in poetry and not is_listed:
        return "it lists dependencies for Poetry only; amlcore reads [project].dependencies"
    if not isinstance(project, dict):
        return ""
    dynamic = project.get("dynamic")
    if isinstance(dynamic, list) and "dependencies" in dynamic:
        return (
            None if dynamic_files(document) else "its dependencies are dynamic, and only its build backend knows them"
        )
    return None if project.get("dependencies") else "it does not list any dependencies"


def _conda_skip_reason(text: str) -> str | None:
    import yaml

    try:
        document = yaml.load(text, Loader=SAFE_LOADER)
    except yaml.YAMLError:
        return None
    is_conda = isinstance(document, dict) and "dependencies" in document
    return (
        None if is_conda and document["dependencies"] else "" if not is_conda else "it does not list any dependencies"
    )
