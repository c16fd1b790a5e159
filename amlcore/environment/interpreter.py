"""The Pythons of this machine, and which of them an environment uses.

`uv python list` does not replace this: it misses the Pythons of pyenv that are not active, runs each shim on PATH, and
takes seconds where this takes less than a millisecond.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from amlcore.errors import EnvironmentSpecError

OLDEST = (3, 6)
"""The first Python that amlcore's worker runs on."""

_NEWEST_MINOR = 30
_QUESTION = """
import os, platform, sys
print(platform.python_version())
print(sys.implementation.name)
print(getattr(sys, "_base_executable", None) or os.path.realpath(sys.executable))
"""


@dataclass(frozen=True)
class Interpreter:
    """A CPython outside of any virtual environment."""

    path: Path
    version: str  # "3.11.7"


@dataclass(frozen=True)
class PythonRequest:
    """Which Python is requested, and where."""

    text: str  # as the user wrote it
    where: str  # the file and line, or the key
    specifier: str  # PEP 440
    fallback: str | None = None  # PEP 440; the same minor where an exact patch is requested

    @staticmethod
    def version(version: str, *, text: str, where: str) -> "PythonRequest":
        """The request for `3`, `3.11` or `3.6.2`."""
        numbers = version.split(".")
        if len(numbers) < 3:
            return PythonRequest(text, where, f"=={version}.*")
        return PythonRequest(text, where, f"=={version}", f"=={numbers[0]}.{numbers[1]}.*")

    def can_be(self, supported: str) -> bool:
        """Whether any Python that it accepts is in `supported`, a specifier of PEP 440."""
        from packaging.specifiers import SpecifierSet

        both = SpecifierSet(self.fallback or self.specifier) & SpecifierSet(supported)
        return any(f"3.{minor}.{patch}" in both for minor in range(_NEWEST_MINOR) for patch in (0, 99))


def find_python(request: PythonRequest | None) -> tuple[Interpreter, str | None]:
    """The interpreter that fits best, and a note if it is not exactly the requested one.

    Raises
    ------
    EnvironmentSpecError
        No interpreter has the requested minor version.
    """
    if request is None:
        return running(), None
    exact = _best(_cheap(), request.specifier) or _best(_all(), request.specifier)
    if exact is not None:
        return exact, None
    near = _best(_all(), request.fallback) if request.fallback is not None else None
    if near is None:
        raise EnvironmentSpecError(_missing(request))
    return near, f"{request.text} was requested ({request.where}); using {near.version}"


def running() -> Interpreter:
    """The interpreter that runs amlcore, outside of its virtual environment."""
    numbers = sys.version_info
    suffix = {"alpha": "a", "beta": "b", "candidate": "rc", "final": ""}[numbers.releaselevel]
    version = f"{numbers.major}.{numbers.minor}.{numbers.micro}" + (f"{suffix}{numbers.serial}" if suffix else "")
    base = getattr(sys, "_base_executable", None) or sys.executable
    return Interpreter(Path(base), version)


def _best(interpreters: list[Interpreter], specifier: str) -> Interpreter | None:
    """The one that runs amlcore if it fits, else the newest that fits."""
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    versions = SpecifierSet(specifier)
    fitting = [one for one in interpreters if versions.contains(one.version, prereleases=True)]
    here = running()
    if here in fitting:
        return here
    return max(fitting, key=lambda one: Version(one.version), default=None)


def _missing(request: PythonRequest) -> str:
    from packaging.version import Version

    versions = sorted({one.version for one in _all()}, key=Version)
    major, minor = sys.version_info[:2]
    return (
        f"{request.where}: {request.text} is not installed on this machine, which has {', '.join(versions)}; "
        f"use environment.python={major}.{minor} on the command line, "
        f'or Environment(..., python="{major}.{minor}") in Python'
    )


def _cheap() -> list[Interpreter]:
    """Those whose version is known without starting them."""
    return [running(), *_pyenv()]


def _all() -> list[Interpreter]:
    by_path = {one.path: one for one in _cheap()}
    for path in _on_path():
        answer = _ask(path.resolve())
        if answer is not None:
            by_path.setdefault(answer.path, answer)
    return [one for one in by_path.values() if _numbers(one.version) >= OLDEST]


def _pyenv() -> Iterator[Interpreter]:
    root = Path(os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv"))
    for path in sorted(root.glob("versions/*/bin/python3")):
        version = path.parent.parent.name
        # Other names are PyPy, free-threaded builds or virtual environments.
        if re.fullmatch(r"3\.\d+\.\d+", version) and _numbers(version) >= OLDEST:
            yield Interpreter(path, version)


def _on_path() -> Iterator[Path]:
    names = ["python3", *(f"python3.{minor}" for minor in range(OLDEST[1], _NEWEST_MINOR))]
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        # A shim runs whichever Python its version manager selects for the working folder.
        if folder and Path(folder).name != "shims":
            yield from (path for name in names if os.access(path := Path(folder) / name, os.X_OK))


@lru_cache(maxsize=64)
def _ask(path: Path) -> Interpreter | None:
    """The interpreter at `path`; None if it is not a working CPython."""
    try:
        answer = subprocess.run(
            [path, "-I", "-c", _QUESTION], capture_output=True, text=True, timeout=20, check=True, cwd="/"
        )
    except (OSError, subprocess.SubprocessError):
        return None
    version, implementation, base = answer.stdout.splitlines()
    return Interpreter(Path(base), version) if implementation == "cpython" else None


def _numbers(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)
