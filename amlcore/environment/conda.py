"""A conda environment file, whose packages are installed from the Python package index."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amlcore.environment import line_errors
from amlcore.environment.conda_names import index_name, is_bundled
from amlcore.environment.interpreter import PythonRequest
from amlcore.environment.location import SourceLocation, decoded_text
from amlcore.environment.specification import Draft
from amlcore.errors import EnvironmentSpecError, suggest

if TYPE_CHECKING:
    import yaml

_KEYS = ("channels", "dependencies", "name", "platforms", "prefix", "variables")
_NO_NAMES = {f"tag:yaml.org,2002:{name}" for name in ("null", "int", "float")}
_SPEC = re.compile(r"(?P<name>[A-Za-z0-9_][A-Za-z0-9._-]*)\s*(?P<version>.*)")
_WITH_BUILD = re.compile(r"(?P<version>={0,2}\s*[^=<>!~\s,|]+)(?:=|\s+)[^=<>!~\s,|]+")
_PIECE = re.compile(r"(?P<operator>===|==|>=|<=|!=|~=|=|>|<)?\s*(?P<number>[0-9][A-Za-z0-9.*+!_]*)")


def read_conda(path: Path, *, location: SourceLocation, draft: Draft) -> None:
    """Add the dependencies of the conda file at `path` to `draft`, its `pip:` section included."""
    document = _compose(decoded_text(path, location=location), location=location)
    sections = _sections(document, location=location)
    if "variables" in sections:
        draft.notes.append(f"variables ({location}) are ignored: set them in script.environment_variables")
    bundled: list[str] = []
    for line, text, by_pip in _dependencies(sections.get("dependencies"), location=location):
        if by_pip:
            draft.take(text, location=location.at_line(line), folder=path.parent)
            continue
        try:
            _add_dependency(text, location=location.at_line(line), folder=path.parent, draft=draft, bundled=bundled)
        except EnvironmentSpecError as error:
            draft.refused.append(error)
    if bundled:
        names = ", ".join(dict.fromkeys(bundled))
        draft.notes.append(
            f"conda's native libraries ({location}) are ignored because wheels bundle what they need: {names}"
        )


def _add_dependency(text: str, *, location: SourceLocation, folder: Path, draft: Draft, bundled: list[str]) -> None:
    """Add one conda dependency to `draft`; the name of a library that wheels bundle goes to `bundled`."""
    parsed = _SPEC.fullmatch(re.sub(r"^[^\s=<>!]+::", "", text))
    if parsed is None:
        raise _unreadable(text, location=location)
    name = parsed["name"].lower()
    version = re.sub(r"^\[version=['\"]?(.*?)['\"]?\]$", r"\1", parsed["version"].strip())
    exported = _WITH_BUILD.fullmatch(version)
    if is_bundled(name, exported=exported is not None):
        bundled.append(name)
        return
    renamed = name if name == "python" else index_name(name)
    if renamed is None:
        raise line_errors.no_python_package(text, location=location)
    if exported is not None:
        draft.notes.append(f"conda's build strings ({location.name}) are ignored: the Python package index has none")
        version = re.sub(r"^=(?!=)", "==", exported["version"])  # with a build, one `=` is exact too
    if renamed == "tzdata":  # 2024b is 2024.2 there, and the newest will do
        version = ""
    specifier = _specifier(version, text=text, location=location)
    if name == "python":
        draft.python = _python(specifier, text=text, location=location)
        return
    if renamed != name.replace("_", "-"):
        draft.notes.append(f"conda's {name} ({location}) is {renamed} on the Python package index")
    draft.take(f"{renamed}{specifier}", location=location, folder=folder)


def _specifier(version: str, *, text: str, location: SourceLocation) -> str:
    """PEP 440 for conda's `=1.2`, `==1.2`, `>=1.2,<2` and `1.2.*`.

    https://docs.conda.io/projects/conda-build/en/stable/resources/package-spec.html#package-match-specifications
    """
    if version in ("", "*", "=*"):
        return ""
    return ",".join(_piece(piece.strip(), text=text, location=location) for piece in version.split(","))


def _piece(piece: str, *, text: str, location: SourceLocation) -> str:
    parsed = _PIECE.fullmatch(piece)
    if parsed is None:
        raise _unreadable(text, location=location)
    operator, number = parsed["operator"] or "==", parsed["number"]
    if operator in (">", ">=", "<", "<="):  # conda ignores a `.*` after these
        return operator + re.sub(r"[.]?[*]$", "", number)
    if operator != "=":
        return f"{operator}{re.sub(r'[.]?[*]$', '.*', number)}"
    # A single `=` matches every version with this prefix; PEP 440 allows `.*` only after plain numbers.
    stem = re.sub(r"[.]?[*]$", "", number)
    return f"=={stem}.*" if re.fullmatch(r"[0-9.]+", stem) else f"=={stem}"


def _python(specifier: str, *, text: str, location: SourceLocation) -> PythonRequest | None:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    if not specifier:
        return None
    one = re.fullmatch(r"==(\d+(?:\.\d+){0,2})(?:\.\*)?", specifier)
    if one is not None:
        return PythonRequest.version(one[1], text=text, where=str(location))
    try:
        SpecifierSet(specifier)
    except InvalidSpecifier:
        raise _unreadable(text, location=location) from None
    return PythonRequest(text, str(location), specifier)


def _unreadable(text: str, *, location: SourceLocation) -> EnvironmentSpecError:
    return line_errors.LineError(
        text,
        location=location,
        why="cannot be read",
        advice="write it as in 'numpy', 'numpy=1.23', 'numpy=1.23.5=py311_0' or 'numpy>=1.23,<2'",
    )


def _compose(text: str, *, location: SourceLocation) -> "yaml.Node":
    import yaml

    try:
        # The node tree has the line of each entry.
        document = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise EnvironmentSpecError(f"{location.at_line(line)}: not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise EnvironmentSpecError(f"{location}: not YAML: {error}") from None
    if not isinstance(document, yaml.MappingNode):
        raise EnvironmentSpecError(f"{location}: a conda file must be a mapping with the key 'dependencies'")
    return document


def _sections(document: Any, *, location: SourceLocation) -> dict[str, Any]:
    sections: dict[str, Any] = {}
    for key, value in document.value:
        if key.value not in _KEYS:
            where = location.at_line(key.start_mark.line + 1)
            raise EnvironmentSpecError(f"{where}: unknown key '{key.value}': {suggest(str(key.value), _KEYS)}")
        if key.value in sections:
            where = location.at_line(key.start_mark.line + 1)
            raise EnvironmentSpecError(f"{where}: the key '{key.value}' is there twice; put both into one")
        sections[key.value] = value
    return sections


def _dependencies(node: Any, *, location: SourceLocation) -> Iterator[tuple[int, str, bool]]:
    """Each dependency with its line, and whether it is in the `pip:` section."""
    import yaml

    if not isinstance(node, yaml.SequenceNode):
        line = 1 if node is None else node.start_mark.line + 1
        raise EnvironmentSpecError(f"{location.at_line(line)}: 'dependencies' must be a list")
    for item in node.value:
        if isinstance(item, yaml.ScalarNode) and item.tag not in _NO_NAMES:
            yield item.start_mark.line + 1, item.value.strip(), False
        else:
            yield from _pip_section(item, location=location)


def _pip_section(item: Any, *, location: SourceLocation) -> Iterator[tuple[int, str, bool]]:
    import yaml

    where = location.at_line(item.start_mark.line + 1)
    named = [key.value for key, _ in item.value] if isinstance(item, yaml.MappingNode) else []
    if named != ["pip"] or not isinstance(item.value[0][1], yaml.SequenceNode):
        raise EnvironmentSpecError(f"{where}: a dependency must be a name with a version, or 'pip:' with a list")
    for entry in item.value[0][1].value:
        line = entry.start_mark.line + 1
        if not isinstance(entry, yaml.ScalarNode):
            raise EnvironmentSpecError(
                f"{location.at_line(line)}: an entry under 'pip:' must be a requirement, such as 'joblib==1.4.2'"
            )
        yield line, entry.value.strip(), True
