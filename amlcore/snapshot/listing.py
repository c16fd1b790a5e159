"""A source folder: its files and links as its ignore file leaves them, and what weighs most in it."""

import math
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from amlcore.errors import SnapshotError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

GITIGNORE = ".gitignore"
IGNORE_FILES = (".amlignore", GITIGNORE)
NOISE = (
    ".git",
    ".hg",
    ".svn",
    "__pycache__/",
    "*.pyc",
    ".ipynb_checkpoints/",
    ".mypy_cache/",
    ".pytest_cache/",
    ".ruff_cache/",
    ".tox/",
    "node_modules/",
    ".DS_Store",
    ".amlcore/",
    "/outputs/",
)
DOTENV = ".env"
SECRETS = (DOTENV, ".env.*", ".envrc", "!.env.example", "!.env.sample", "!.env.template", "!.env.dist")
LOGS = "logs"
VENV_MARKS = ("pyvenv.cfg", "conda-meta")
CULPRITS = 5
BRACKETS = re.compile(r"\[([!^]?\]?(?:\[:[a-z]+:\]|[^\]])*\])")
CLASSES = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "xdigit": "0-9A-Fa-f",
    "blank": " \t",
}
CLASS = re.compile(rf"\[:({'|'.join(CLASSES)}):\]")


@dataclass(frozen=True)
class SourceFile:
    path: str
    """Relative to the source folder, with `/`."""
    stat: os.stat_result


@dataclass
class Listing:
    """What a source folder holds once the ignored files are left out."""

    folder: Path
    files: list[SourceFile] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    is_whole: bool = True  # not where it was given up because of too many files

    @property
    def size_bytes(self) -> int:
        return sum(file.stat.st_size for file in self.files)

    @property
    def heaviest(self) -> list[str]:
        """The folders and files that weigh most, each with its size."""
        weights = {file.path: file.stat.st_size for file in self.files}
        return [f"{path} ({megabytes(weight)})" for path, weight in _culprits(weights)]

    @property
    def fullest(self) -> list[str]:
        """The folders with most files, each with their number."""
        found = _culprits(dict.fromkeys((file.path for file in self.files), 1))
        return [f"{path} ({count} files)" for path, count in found if path.endswith("/")]


class IgnoreRules:
    """The rules of the ignore file at the root of `folder`, and the usual noise unless one of them brings it back."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.file, lines = _ignore_lines(folder)
        self._own = _Rules(lines)
        # `!*/` is how a list of what to keep begins: it names no noise, and shall not bring all of it back.
        brought_back = [line for line in lines if line.startswith("!") and line.strip("!*?/. \t")]
        self._noise = _Rules([*NOISE, *SECRETS, *brought_back])

    def leaves_out_file(self, path: str) -> bool:
        return self.hides_file(path) or bool(self._noise.file(path))

    def hides_file(self, path: str) -> bool:
        """Whether the ignore file leaves a file out; what git tracks is not ignored, whatever .gitignore says."""
        return bool(self._own.file(path)) and path not in self._tracked[0]

    def is_secret(self, path: str) -> bool:
        """Whether a file is left out for what it may hold, and by no rule of its folder."""
        return not self._own.file(path) and bool(self._noise.file(path))

    def leaves_out_folder(self, path: str, *, on_disk: Path) -> bool:
        return self.hides_folder(path) or self._is_noise(path, on_disk=on_disk)

    def hides_folder(self, path: str) -> bool:
        """The same of a folder: one that holds a file that git tracks is looked into."""
        return bool(self._own.folder(path)) and path not in self._tracked[1]

    def leaves_out_link(self, path: str, *, on_disk: Path) -> bool:
        """Git takes a link for a file; a link to a folder of noise is noise all the same."""
        return self.leaves_out_file(path) or (on_disk.is_dir() and self._is_noise(path, on_disk=on_disk))

    @cached_property
    def _tracked(self) -> tuple[frozenset[str], frozenset[str]]:
        """The files that git tracks, and their folders, where .gitignore is the file that is asked."""
        if self.file != GITIGNORE or shutil.which("git") is None:
            return frozenset(), frozenset()
        command = ["git", "-C", str(self._folder), "ls-files", "--cached", "-z"]
        environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
        listed = subprocess.run(command, capture_output=True, check=False, env=environment)
        files = frozenset(os.fsdecode(listed.stdout).split("\0")) if listed.returncode == 0 else frozenset()
        return files, frozenset(str(folder) for path in files for folder in PurePosixPath(path).parents)

    def _is_noise(self, path: str, *, on_disk: Path) -> bool:
        noise = self._noise.folder(path)
        return _is_venv(on_disk) or _is_mere_logs(path, on_disk=on_disk) if noise is None else noise


class _Rules:
    """Lines in the syntax of .gitignore: whether they leave a path out, None where they say nothing about it."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._files = _spec(lines)
        # Git asks a rule about the folder itself, pathspec also about its parents; asked as a file, it is asked alone.
        self._folders = _spec([_without_slash(line) for line in lines])

    def file(self, path: str) -> bool | None:
        return self._files.check_file(path).include

    def folder(self, path: str) -> bool | None:
        return self._folders.check_file(path).include


def listing(source: Path, *, exclude: Sequence[Path] = (), at_most: float = math.inf) -> Listing:
    """List `source` without its ignored files, and without the folders `exclude`, which no rule brings back.

    It is given up past `at_most` files.

    Raises
    ------
    SnapshotError
        `source` is no folder, cannot be read, or holds a link or a name that cannot be kept.
    """
    if not source.is_dir():
        raise SnapshotError(f"the source folder {source} {'is a file' if source.exists() else 'does not exist'}")
    found = Listing(source)
    rules = IgnoreRules(source)
    hidden = {path.resolve() for path in exclude}
    real = source.resolve()
    pending = [""]
    while pending:
        prefix = pending.pop()
        for entry in _entries(source / prefix):
            if len(found.files) > at_most:
                found.is_whole = False
                pending.clear()
                break
            path = prefix + _readable(entry.name, folder=source / prefix)
            if entry.is_symlink():
                here = Path(entry.path)
                if Path(os.path.realpath(here)) not in hidden and not rules.leaves_out_link(path, on_disk=here):
                    found.links.append((path, _target(source, path)))
            elif entry.is_dir():
                if real / path not in hidden and not rules.leaves_out_folder(path, on_disk=Path(entry.path)):
                    pending.append(path + "/")
            elif entry.is_file() and not rules.leaves_out_file(path):
                # Sockets, pipes and devices hold nothing that a copy could keep: they are passed over.
                found.files.append(SourceFile(path, _stat(entry)))
    found.files.sort(key=lambda file: file.path)
    found.links.sort()
    return found


def megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _ignore_lines(folder: Path) -> tuple[str | None, list[str]]:
    """The name of the ignore file, and its rules."""
    for name in IGNORE_FILES:
        try:
            text = (folder / name).read_bytes().decode("utf-8-sig")
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise SnapshotError(f"{folder / name} cannot be read: {error}") from None
        lines = [_as_git_reads(line.removesuffix("\r")) for line in text.split("\n")]
        return name, [line for line in lines if _matches_anything(line)]
    return None, []


def _as_git_reads(line: str) -> str:
    """The line as pathspec must be given it: POSIX classes as ranges, and a tab at its end as a part of the name."""
    line = BRACKETS.sub(lambda found: "[" + CLASS.sub(lambda name: CLASSES[name[1]], found[1]), line)
    name = line.rstrip(" ")
    return f"{name[:-1]}[\t]" if name.endswith("\t") else line


def _matches_anything(line: str) -> bool:
    """Whether a line is one that git could match: a lone `!` or a backslash at the end is none."""
    from pathspec.patterns.gitignore import GitIgnorePatternError
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

    try:
        GitIgnoreSpecPattern(line)
    except GitIgnorePatternError:
        return False
    return True


def _spec(lines: Sequence[str]) -> "GitIgnoreSpec":
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(lines, backend="simple")


def _without_slash(line: str) -> str:
    bare = line.rstrip()
    if not bare.endswith("/") or bare.strip("!") == "/":
        return line
    bare = bare[:-1]
    # A space before the slash belongs to the name, and would be cut off at the end of a line.
    return f"{bare[:-1]}\\ " if bare.endswith(" ") else bare


def _is_venv(folder: Path) -> bool:
    return any((folder / mark).exists() for mark in VENV_MARKS)


def _is_mere_logs(path: str, *, on_disk: Path) -> bool:
    """What a script wrote before it was ever run here; a package of that name is part of the source."""
    return path == LOGS and not any(on_disk.glob("*.py"))


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        raise unreadable(folder, error) from None


def _stat(entry: os.DirEntry[str]) -> os.stat_result:
    try:
        return entry.stat(follow_symlinks=False)
    except OSError as error:
        raise unreadable(Path(entry.path), error) from None


def unreadable(path: Path, error: OSError) -> SnapshotError:
    return SnapshotError(f"{path} cannot be read ({error.strerror}); make it readable, or name it in .amlignore")


def _readable(name: str, *, folder: Path) -> str:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise SnapshotError(
            f"{os.fsencode(name)!r} in {folder} is not a name in UTF-8; rename it, or name its folder in .amlignore"
        ) from None
    return name


def _target(source: Path, path: str) -> str:
    """Where the link at `path` leads, relative to its folder, once it is sure that it stays inside `source`."""
    link = source / path
    target = link.readlink()
    lexical = os.path.normpath(Path(path).parent / target)
    leaves = target.is_absolute() or lexical.split("/")[0] == ".."
    if leaves or not Path(os.path.realpath(link)).is_relative_to(source.resolve()):
        raise SnapshotError(
            f"the link {path} leads to {target}, outside the source folder {source} or by an absolute path; "
            "copy what it leads to, declare it as an input (script.inputs), or name the link in .amlignore"
        )
    return str(target)


def _culprits(weights: dict[str, int]) -> list[tuple[str, int]]:
    """The heaviest paths; a folder is replaced by what is in it where one thing in it makes up most of it."""
    totals: Counter[str] = Counter(weights)
    children: dict[str, set[str]] = {}
    for path, weight in weights.items():
        child = path
        while child:
            parent = child.rstrip("/").rpartition("/")[0]
            parent = parent + "/" if parent else ""
            children.setdefault(parent, set()).add(child)
            if parent:
                totals[parent] += weight
            child = parent
    return sorted(
        (_narrowed(path, totals=totals, children=children) for path in children.get("", ())),
        key=lambda found: (-found[1], found[0]),
    )[:CULPRITS]


def _narrowed(path: str, *, totals: Counter[str], children: dict[str, set[str]]) -> tuple[str, int]:
    while path in children:
        largest = max(children[path], key=lambda child: totals[child])
        if totals[largest] < 0.8 * totals[path]:
            break
        path = largest
    return path, totals[path]
