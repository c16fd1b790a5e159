"""The ignore rules of a source folder: its .amlignore or .gitignore, noise that nobody needs, and secrets."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
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


class IgnoreRules:
    """The rules of the ignore file at the root of `folder`, plus the usual noise unless a rule includes it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.file, lines = _ignore_lines(folder)
        self._own = _Rules(lines)
        # `!*/` often begins an allow list; it names no noise, and must not include all of it.
        included = [line for line in lines if line.startswith("!") and line.strip("!*?/. \t")]
        self._noise = _Rules([*NOISE, *SECRETS, *included])

    def leaves_out_file(self, path: str) -> bool:
        return self.hides_file(path) or bool(self._noise.file(path))

    def hides_file(self, path: str) -> bool:
        """Whether the ignore file leaves a file out; what git tracks is kept, whatever .gitignore says."""
        return bool(self._own.file(path)) and path not in self._tracked[0]

    def is_secret(self, path: str) -> bool:
        """Whether a file is left out because it may hold secrets, and not by a rule of its folder."""
        return not self._own.file(path) and bool(self._noise.file(path))

    def leaves_out_folder(self, path: str, *, on_disk: Path) -> bool:
        return self.hides_folder(path) or self._is_noise(path, on_disk=on_disk)

    def hides_folder(self, path: str) -> bool:
        """The same for a folder; one with a file that git tracks is kept."""
        return bool(self._own.folder(path)) and path not in self._tracked[1]

    def leaves_out_link(self, path: str, *, on_disk: Path) -> bool:
        """Git treats a link as a file; a link to a noise folder is noise too."""
        return self.leaves_out_file(path) or (on_disk.is_dir() and self._is_noise(path, on_disk=on_disk))

    @cached_property
    def _tracked(self) -> tuple[frozenset[str], frozenset[str]]:
        """The files that git tracks, and their folders, if .gitignore is the ignore file."""
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
    """Lines in the syntax of .gitignore: whether they leave a path out, None if no line matches it."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._files = _spec(lines)
        # Git matches a folder itself, pathspec its parents too; as a file, it is matched alone.
        self._folders = _spec([_without_slash(line) for line in lines])

    def file(self, path: str) -> bool | None:
        return self._files.check_file(path).include

    def folder(self, path: str) -> bool | None:
        return self._folders.check_file(path).include


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
    """The line in pathspec's syntax: POSIX classes as ranges, and a tab at its end as part of the name."""
    line = BRACKETS.sub(lambda match: "[" + CLASS.sub(lambda name: CLASSES[name[1]], match[1]), line)
    name = line.rstrip(" ")
    return f"{name[:-1]}[\t]" if name.endswith("\t") else line


def _matches_anything(line: str) -> bool:
    """Whether git can match a line: not a lone `!`, or one that ends with a backslash."""
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
    # A space before the slash belongs to the name, but would be stripped at the end of a line.
    return f"{bare[:-1]}\\ " if bare.endswith(" ") else bare


def _is_venv(folder: Path) -> bool:
    return any((folder / mark).exists() for mark in VENV_MARKS)


def _is_mere_logs(path: str, *, on_disk: Path) -> bool:
    """Whether this is a folder of logs, rather than a package named logs, which is part of the source."""
    return path == LOGS and not any(on_disk.glob("*.py"))
