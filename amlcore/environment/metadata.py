"""Requirements in TOML: a pyproject.toml, or the PEP 723 block of a script."""

import re
import tomllib
from pathlib import Path
from typing import Any

from amlcore.environment.interpreter import PythonRequest
from amlcore.environment.location import SourceLocation, content, decoded_text, location_of
from amlcore.environment.specification import Draft
from amlcore.errors import EnvironmentSpecError

# https://peps.python.org/pep-0723/#reference-implementation, but it may be empty, as for uv
_BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)*)^# ///$")
_OPENING = re.compile(r"(?m)^# /// script[ \t]*$")
_OF_RESOLUTION = {
    *("index", "index-url", "extra-index-url", "no-index", "find-links", "index-strategy", "exclude-newer"),
    *("constraint-dependencies", "override-dependencies", "prerelease", "resolution", "no-binary", "no-build"),
}
"""Settings of uv that change which packages are chosen."""
_EXAMPLE = """
# /// script
# requires-python = ">=3.11"
# dependencies = ["scikit-learn"]
# ///"""


def read_pyproject(path: Path, *, location: SourceLocation, draft: Draft) -> None:
    """Add [project].dependencies and requires-python to `draft`."""
    text = decoded_text(path, location=location)
    document = _load(text, location=location, first=1)
    project = document.get("project")
    if not isinstance(project, dict):
        raise EnvironmentSpecError(f"{location}: must have a table [project]; amlcore reads [project].dependencies")
    dynamic = project.get("dynamic", [])
    if not isinstance(dynamic, list):
        raise EnvironmentSpecError(f"{_line_of('dynamic', text, location=location)}: 'dynamic' must be a list of names")
    files = dynamic_files(document) if "dependencies" in dynamic else []
    for file in files:
        draft.read_requirements(
            path.parent / file, location=location_of((path.parent / file).resolve(), root=draft.root)
        )
    if "dependencies" in dynamic and not files:
        where = _line_of("dynamic", text, location=location)
        raise EnvironmentSpecError(
            f"{where}: dependencies are dynamic, and only the build backend knows them; "
            "list them in [project].dependencies, or set environment.file to a requirements file"
        )
    _note_settings_of_uv(document, location=location, draft=draft)
    _take_table(project, text=text, location=location, folder=path.parent, draft=draft)


def dynamic_files(document: dict[str, Any]) -> list[str]:
    """The requirements files from which setuptools takes a project's dependencies."""
    files = _inner(document, "tool", "setuptools", "dynamic", "dependencies").get("file", [])
    listed = [files] if isinstance(files, str) else files
    return [file for file in listed if isinstance(file, str)] if isinstance(listed, list) else []


def read_script(path: Path, *, location: SourceLocation, draft: Draft) -> None:
    """Add dependencies and requires-python of the script's PEP 723 block to `draft`."""
    text = decoded_text(path, location=location).replace("\r\n", "\n")
    blocks = _blocks(text)
    opening = _OPENING.search(text)
    if not blocks and opening is not None:
        line = text.count("\n", 0, opening.start()) + 1
        raise EnvironmentSpecError(
            f"{location.at_line(line)}: the block `# /// script` is incomplete: its first line must be just that, "
            f"each further one must start with `# `, and the last one must be `# ///`, as in:{_EXAMPLE}"
        )
    if len(blocks) != 1:
        count = "no" if not blocks else "more than one"
        raise EnvironmentSpecError(
            f"{location}: has {count} block that lists the script's packages (PEP 723); write one as below, "
            f"or use another environment, such as environment=sklearn:{_EXAMPLE}"
        )
    first = text.count("\n", 0, blocks[0].start("content")) + 1
    content = "".join(line[2:] if line.startswith("# ") else line[1:] for line in blocks[0]["content"].splitlines(True))
    table = _load(content, location=location, first=first)
    _note_settings_of_uv(table, location=location, draft=draft)
    _take_table(table, text=text, location=location, folder=path.parent, draft=draft)


def has_block(path: Path) -> bool:
    """Whether the script has a PEP 723 block, even an incomplete one; False if there is no such file."""
    try:
        text = content(path).decode("utf-8-sig", errors="replace")
        return _OPENING.search(text.replace("\r\n", "\n")) is not None
    except OSError:  # whoever runs it reports the error
        return False


def _blocks(text: str) -> list[re.Match[str]]:
    return [block for block in _BLOCK.finditer(text) if block["type"] == "script"]


def _load(text: str, *, location: SourceLocation, first: int) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"at line (\d+)", str(error))
        where = location.at_line(first + int(at[1]) - 1) if at else location
        raise EnvironmentSpecError(f"{where}: must be TOML: {re.sub(r' [(]at .*[)]$', '', str(error))}") from None


def _inner(table: dict[str, Any], *keys: str) -> dict[str, Any]:
    """The table at `keys`; empty if there is none."""
    for key in keys:
        inner = table.get(key)
        table = inner if isinstance(inner, dict) else {}
    return table


def _note_settings_of_uv(document: dict[str, Any], *, location: SourceLocation, draft: Draft) -> None:
    """Say what uv itself would take from elsewhere, or would choose by other rules."""
    settings = _inner(document, "tool", "uv")
    if sources := _inner(settings, "sources"):
        draft.notes.append(f"[tool.uv.sources] ({location}) is ignored: {', '.join(sources)} from the index")
    if others := [key for key in settings if key in _OF_RESOLUTION]:
        draft.notes.append(
            f"{' and '.join(others)} in [tool.uv] ({location}) {'is' if len(others) == 1 else 'are'} ignored; "
            "environment.add takes indexes and requirements, such as '--extra-index-url URL' and 'NAME<2'"
        )


def _take_table(table: dict[str, Any], *, text: str, location: SourceLocation, folder: Path, draft: Draft) -> None:
    dependencies = table.get("dependencies", [])
    where = _line_of("dependencies", text, location=location)
    if not isinstance(dependencies, list) or not all(isinstance(one, str) for one in dependencies):
        raise EnvironmentSpecError(f"{where}: 'dependencies' must be a list of requirements")
    for requirement in dependencies:
        at = _line_of(requirement, text, location=location)
        draft.take(requirement.strip(), location=at if at.line is not None else where, folder=folder)
    if "requires-python" in table:
        where = _line_of("requires-python", text, location=location)
        draft.python = _python(table["requires-python"], location=where)


def _python(specifier: object, *, location: SourceLocation) -> PythonRequest:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        SpecifierSet(str(specifier))
    except InvalidSpecifier:
        raise EnvironmentSpecError(
            f"{location}: requires-python={specifier}: must be a specifier such as '>=3.11'"
        ) from None
    return PythonRequest(f"requires-python {specifier}", str(location), str(specifier))


def _line_of(piece: str, text: str, *, location: SourceLocation) -> SourceLocation:
    """The line where `piece` first appears; the TOML parser does not say."""
    at = text.find(piece)
    return location if at < 0 else location.at_line(text.count("\n", 0, at) + 1)
