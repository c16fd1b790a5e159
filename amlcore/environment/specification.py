"""The requirements of an environment, read from files and ready for the resolver; no network."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from amlcore.environment import line_errors
from amlcore.environment.interpreter import PythonRequest
from amlcore.environment.location import SourceLocation, decoded_text, location_of
from amlcore.errors import EnvironmentSpecError, suggest

_OPTION = re.compile(r"(?P<name>--[a-z][a-z0-9-]*|-[a-zA-Z])\s*=?\s*(?P<value>.*)")
_NESTED = {"-r": False, "--requirement": False, "-c": True, "--constraint": True}
_EDITABLE = {"-e", "--editable"}
_FIND_LINKS = {"-f": "--find-links", "--find-links": "--find-links"}
_INDEX = {"-i": "--index-url", "--index-url": "--index-url", "--extra-index-url": "--extra-index-url"}
_KEPT = {"--no-index", "--no-binary", "--only-binary", "--pre"}
# Options of uv's command line that its requirements files do not take: uv's own hints name them.
OF_COMMAND_LINE = {
    *("--index-strategy", "--prerelease", "--resolution", "--exclude-newer", "--allow-insecure-host", "--index"),
    *("--default-index", "--no-build-isolation", "--no-build", "--keyring-provider"),
}
_OF_PIP = {"--trusted-host": "--allow-insecure-host"}
# amlcore does so anyway, or they concern pip alone.
_NEEDLESS = {"--require-hashes", "--prefer-binary", "--use-feature", "--use-pep517", "--no-cache-dir"}
ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
"""How the files of packages end that pip and uv install."""

_OF_OTHER_SYSTEMS = {
    "pywin32": "Windows",
    "pywinpty": "Windows",
    "windows-curses": "Windows",
    "winkerberos": "Windows",
    "wincertstore": "Windows",
    "pyobjc": "macOS",
    "pyobjc-core": "macOS",
}


@dataclass(frozen=True)
class Specification:
    """An environment as it was requested, nested files included."""

    requirements: tuple[str, ...]
    constraints: tuple[str, ...]
    options: tuple[str, ...]  # of the resolver: where to look, and what it may choose
    python: PythonRequest | None
    notes: tuple[str, ...]


@dataclass
class Draft:
    """A specification while its files are being read."""

    root: Path
    requirements: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    python: PythonRequest | None = None
    refused: list[EnvironmentSpecError] = field(default_factory=list)
    _open: list[Path] = field(default_factory=list)

    def finished(self) -> Specification:
        """The specification.

        Raises
        ------
        EnvironmentSpecError
            Lines were refused; one error for all of them.
        """
        if self.refused:
            raise line_errors.combined(self.refused)
        return Specification(
            requirements=tuple(self.requirements),
            constraints=tuple(self.constraints),
            options=tuple(dict.fromkeys(self.options)),
            python=self.python,
            notes=tuple(dict.fromkeys(self.notes)),
        )

    def read_requirements(self, path: Path, *, location: SourceLocation, constraint: bool = False) -> None:
        """Add each line of a requirements file and of the files that it includes."""
        path = path.resolve()
        if path in self._open:
            raise EnvironmentSpecError(f"{location}: the file includes itself")
        self._open.append(path)
        for line, text in logical_lines(decoded_text(path, location=location)):
            self.take(text, location=location.at_line(line), folder=path.parent, constraint=constraint)
        self._open.pop()

    def take(self, text: str, *, location: SourceLocation, folder: Path, constraint: bool = False) -> None:
        """Add one line of a requirements file; `finished` reports a line that is refused."""
        try:
            if text.startswith("-"):
                for option in _options(text, location=location):
                    self._take_option(option, location=location, folder=folder, constraint=constraint)
            else:
                self._take_requirement(text, location=location, folder=folder, constraint=constraint)
        except EnvironmentSpecError as error:
            self.refused.append(error)

    def override(self, lines: Sequence[str], *, key: str, folder: Path) -> None:
        """Add the lines of a key; each replaces earlier requirements of the same name."""
        before, self.requirements = self.requirements, []
        for index, text in enumerate(lines):
            self.take(text, location=SourceLocation(f"{key}[{index}]"), folder=folder)
        names = {name_of(requirement) for requirement in self.requirements} - {""}
        replaced = [requirement for requirement in before if name_of(requirement) in names]
        if replaced:
            self.notes.append(f"{key} replaces {', '.join(replaced)}")
        self.requirements = [one for one in before if one not in replaced] + self.requirements

    def _take_requirement(self, text: str, *, location: SourceLocation, folder: Path, constraint: bool) -> None:
        name = check_requirement(text, location=location, folder=folder, root=self.root)
        system = _OF_OTHER_SYSTEMS.get(name)
        if name == "azureml" or name.startswith("azureml-"):
            self.notes.append(f"{name} ({location}) is ignored: amlcore replaces it")
        elif system is not None and ";" not in text:
            self.notes.append(f"{name} ({location}) is ignored: it is for {system} only")
        elif constraint:
            self.constraints.append(text)
        else:
            self.requirements.append(text)

    def _take_option(self, text: str, *, location: SourceLocation, folder: Path, constraint: bool) -> None:
        parsed = _OPTION.fullmatch(text)
        name, value = (parsed["name"], parsed["value"].strip()) if parsed else (text, "")
        if name in _NESTED:
            self._take_nested(value, location=location, folder=folder, constraint=constraint or _NESTED[name])
        elif name in _EDITABLE:
            self._take_editable(text, value, location=location, folder=folder, constraint=constraint)
        elif name in _INDEX:
            self.options.append(f"{_INDEX[name]} {value}")
            self.notes.append(f"{_INDEX[name]} ({location}) is used for the build and not recorded in the lock")
        elif name in _FIND_LINKS:
            self.options.append(f"--find-links {value if '://' in value else (folder / value).resolve()}")
            self.notes.append(f"--find-links ({location}) is used for the build and not recorded in the lock")
        elif name in OF_COMMAND_LINE or name in _OF_PIP:
            self.options.append(f"{_OF_PIP.get(name, name)} {value}".strip())
        elif name in _KEPT:
            self.options.append(f"{name} {value}".strip())
        elif name in _NEEDLESS:
            self.notes.append(f"{name} ({location}) is ignored: it applies only to pip")
        else:
            suggestion = suggest(name, {*_NESTED, *_INDEX, *_FIND_LINKS, *_KEPT, *OF_COMMAND_LINE, *_OF_PIP})
            raise EnvironmentSpecError(f"{location}: '{text}': unknown option '{name}'; {suggestion}")

    def _take_editable(
        self, text: str, value: str, *, location: SourceLocation, folder: Path, constraint: bool
    ) -> None:
        """Add the address of a repository without its `-e`; refuse a folder of this machine."""
        address = re.fullmatch(r"(?:(?P<name>[^@\s]+?)\s*@\s*)?(?P<url>\w+\+\w+://\S+)", value)
        if address is None:
            raise _local(text, value, location=location, folder=folder, root=self.root)
        url, fragments = _without_egg(address["url"])
        name = address["name"] or fragments
        self._take_requirement(
            f"{name} @ {url}" if name else url, location=location, folder=folder, constraint=constraint
        )
        self.notes.append(f"-e ({location}) is ignored: {name or 'the package'} is installed from its repository")

    def _take_nested(self, value: str, *, location: SourceLocation, folder: Path, constraint: bool) -> None:
        if not value or "://" in value:
            raise EnvironmentSpecError(f"{location}: '{value}' must be the path of a file on this machine")
        path = (folder / value).resolve()
        if not path.is_file():
            raise EnvironmentSpecError(f"{location}: the file '{value}' does not exist ({path})")
        self.read_requirements(path, location=location_of(path, root=self.root), constraint=constraint)


def logical_lines(text: str) -> list[tuple[int, str]]:
    """The lines of a requirements file with their numbers: continued lines joined, no comments, no empty lines."""
    lines: list[tuple[int, str]] = []
    pending = ""
    first = 0
    for number, raw in enumerate(text.splitlines(), start=1):
        first = first if pending else number
        line = re.sub(r"(^|\s+)#.*$", "", raw).rstrip()
        if line.endswith("\\"):
            pending += line[:-1].rstrip() + " "
            continue
        joined = (pending + line.strip()).strip()
        pending = ""
        if joined:
            lines.append((first, joined))
    if pending.strip():
        lines.append((first, pending.strip()))
    return lines


def _options(text: str, *, location: SourceLocation) -> list[str]:
    """The options of one line, each with its value and without quotes, as pip reads them."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise EnvironmentSpecError(f"{location}: '{text}': {str(error).lower()}") from None
    options: list[str] = []
    for word in words:
        if word.startswith("-"):
            options.append(word)
        else:
            options[-1] += f" {word}"
    return options


def split_hashes(text: str) -> tuple[str, tuple[str, ...]]:
    """A requirement and the hashes after it, as `sha256:…`."""
    requirement, *hashes = re.split(r"\s+--hash(?:=|\s+)", text)
    return requirement.strip(), tuple(one.strip() for one in hashes)


def check_requirement(text: str, *, location: SourceLocation, folder: Path, root: Path) -> str:
    """The normalized name in a requirement line; empty for a bare URL, whose name only the resolver finds out.

    Parameters
    ----------
    folder : Path
        The folder to which paths in the line are relative.
    root : Path
        The workspace's root.
    """
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    requirement, _ = split_hashes(text)
    version_control = re.search(r"(?:^|@\s*)(?P<kind>hg|svn|bzr)\+\w+://", requirement)
    if version_control is not None or re.search(r"(?:^|@\s*)(git\+)?\w+@[\w.-]+:(?!//)", requirement):
        raise line_errors.LineError(
            text,
            location=location,
            why="is an address that the installer does not support",
            advice="use git+https://…, git+ssh://git@HOST/…, the https://… of an archive, or a package of an index",
        )
    if option := re.search(r"\s--?[a-z][a-z-]*", requirement):
        raise line_errors.LineError(
            text,
            location=location,
            why=f"has the option{option[0]}, which the installer does not take for one package",
            advice="remove it; --no-binary NAME and --only-binary NAME are lines of their own",
        )
    if re.match(r"(https?|git\+\w+)://", requirement):
        return ""
    if requirement.startswith((".", "/", "~", "file:", "\\")) or re.match(r"[A-Za-z]:[\\/]", requirement):
        raise _local(text, requirement, location=location, folder=folder, root=root)
    if requirement.endswith(ARCHIVES) and "@" not in requirement:
        raise _local(text, requirement, location=location, folder=folder, root=root)
    if re.fullmatch(r"[\w.-]+=[^=\s]+=[^=\s]+", requirement):
        raise line_errors.conda_list(text, location=location)
    try:
        parsed = Requirement(requirement)
    except InvalidRequirement as error:
        raise line_errors.not_a_requirement(requirement, str(error).splitlines()[0], location=location) from None
    if parsed.url is not None and parsed.url.startswith((".", "/", "file:")):
        raise _local(text, parsed.url, location=location, folder=folder, root=root)
    return canonicalize_name(parsed.name)


def name_of(requirement: str) -> str:
    """The normalized name at the start of a requirement; empty for a bare address."""
    from packaging.utils import canonicalize_name

    match = re.match(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*($|[^A-Za-z0-9._:+/-])", requirement)
    return canonicalize_name(match[1]) if match else ""


def _local(text: str, address: str, *, location: SourceLocation, folder: Path, root: Path) -> EnvironmentSpecError:
    """The error for a path of this machine, or of another one."""
    path = re.sub(r"[#\[].*$", "", re.sub(r"^file:(//(localhost)?(?=/))?", "", address))
    target = folder / unquote(path)
    if address.startswith("file:") and not target.exists():
        return line_errors.path_of_another_machine(text, location=location)
    if path.endswith(ARCHIVES):
        return line_errors.archive(text, path, location=location)
    return line_errors.project(text, target.resolve(), location=location, root=root)


def _without_egg(url: str) -> tuple[str, str]:
    """The address without pip's `#egg=NAME`, and that name."""
    base, _, fragment = url.partition("#")
    pieces = [piece.partition("=") for piece in fragment.split("&") if piece]
    kept = "&".join("".join(piece) for piece in pieces if piece[0] != "egg")
    name = next((piece[2] for piece in pieces if piece[0] == "egg"), "")
    return (f"{base}#{kept}" if kept else base), name
