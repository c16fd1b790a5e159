"""From a lock to an interpreter, once for each content."""

import hashlib
import json
import os
import platform
import sys
import sysconfig
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

from amlcore.environment.cache_layout import CacheLayout, EnvironmentLayout, check_cache_folder
from amlcore.environment.guard import exclusive_lock, shared_interpreter_lock, shared_lock
from amlcore.environment.interpreter import Interpreter, PythonRequest, find_python
from amlcore.environment.lock import blocks, has_hashes, installed_lock, resolve
from amlcore.environment.resolver_options import (
    BEST_MATCH_NOTE,
    command_line_flags,
    external_state,
    file_lines,
    reason_to_resolve_again,
    uses_best_match,
)
from amlcore.environment.specification import Specification
from amlcore.environment.uv import UnsolvableError, run_uv, stream
from amlcore.errors import BuildError
from amlcore.log import Log, timed
from amlcore.worker.files import write_text

# uv compiles bytecode with a part of py_compile that Python 3.6 does not have.
_COMPILED_BY_UV = (3, 7)


@dataclass(frozen=True)
class BuiltEnvironment:
    """An interpreter that is ready to run scripts."""

    key: str
    python: Path
    python_version: str  # "3.11.7"
    lock: str = field(repr=False)
    notes: tuple[str, ...]
    folder: Path | None  # in the cache; None where nothing was built

    def shared_lock(self) -> BinaryIO:
        """A file that keeps `prune` away for as long as it is open, here or in a process that inherits its descriptor.

        Raises
        ------
        BuildError
            Where the environment was removed since it was built.
        """
        return shared_interpreter_lock(self.python)


@dataclass(frozen=True)
class EnvironmentBuild:
    """One build: for whom, on which interpreter, into which cache."""

    name: str | None
    interpreter: Interpreter
    notes: tuple[str, ...]
    options: tuple[str, ...]  # where the installer looks, beyond the machine's own settings
    cache: CacheLayout
    log: Log
    resolved_at: float | None = None  # epoch seconds, of a resolution that is used again

    @property
    def label(self) -> str:
        return "environment of the lock" if self.name is None else f"environment '{self.name}'"

    def say_waiting(self) -> None:
        self.log(f"{self.label}: another process is building it; waiting for that one")

    def install(self, lock: str) -> BuiltEnvironment:
        """The environment of a lock from the cache, else built into it."""
        version = self.interpreter.version
        key = _digest(lock, version, _platform())
        layout = self.cache.environment(key)
        if self._is_found(layout):
            self.log(f"{self.label}: ready, built before{self._age}; its build log is {layout.log}")
        else:
            with exclusive_lock(layout.guard, waiting=self.say_waiting) as guard:
                if not layout.is_ready():
                    self._fill(layout, lock=lock, guard=guard)
                layout.mark_used(self.name)
        return BuiltEnvironment(key, layout.python, version, lock, self.notes, layout.folder)

    @property
    def _age(self) -> str:
        return "" if self.resolved_at is None else f", resolved {ago(time.time() - self.resolved_at)}"

    def _is_found(self, layout: EnvironmentLayout) -> bool:
        """Whether it was built before; its use is noted while nobody can remove it."""
        if not layout.is_ready():
            return False
        with shared_lock(layout.guard):
            if layout.is_ready():
                layout.mark_used(self.name)
                return True
        return False

    def _fill(self, layout: EnvironmentLayout, *, lock: str, guard: int) -> None:
        """Builds in place, since a venv cannot be moved; the ready marker comes last."""
        began = time.monotonic()
        layout.remove()
        layout.folder.mkdir(parents=True)
        layout.lock.write_text(lock, encoding="utf-8")
        try:
            with layout.log.open("w", encoding="utf-8", buffering=1) as file:

                def tell(line: str) -> None:
                    self.log(line)
                    file.write(line + "\n")

                version, path = self.interpreter.version, self.interpreter.path
                tell(f"{self.label}{self._age}: building for Python {version} ({path})")
                self._install_into(layout, lock=lock, guard=guard, tell=tell)
                tell(f"{self.label}: ready after {time.monotonic() - began:.1f} s in {layout.folder}")
            layout.publish(python_version=self.interpreter.version)
        except BaseException:
            layout.remove()
            raise

    def _install_into(self, layout: EnvironmentLayout, *, lock: str, guard: int, tell: Log) -> None:
        run = partial(run_uv, folder=layout.folder, guard=guard, log=tell)
        run(["venv", "--quiet", "--no-project", "--python", str(self.interpreter.path), "venv"]).require(
            f"{self.label}: no virtual environment could be made with {self.interpreter.path}"
        )
        if not blocks(lock):
            return
        by_uv = tuple(map(int, self.interpreter.version.split(".")[:2])) >= _COMPILED_BY_UV
        files = ["lock.txt"]
        if lines := file_lines(self.options):
            (layout.folder / "options.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            files.append("options.txt")
        checks = ["--require-hashes"] if has_hashes(lock) else []
        compiling = ["--compile-bytecode"] if by_uv else []
        run(
            [
                "pip",
                "sync",
                "--python",
                str(layout.python),
                *checks,
                *compiling,
                *command_line_flags(self.options, installing=True),
                *files,
            ]
        ).require(f"{self.label} does not install for Python {self.interpreter.version}")
        (layout.folder / "options.txt").unlink(missing_ok=True)
        if not by_uv:
            # Its status says only that some package carries a file for another Python.
            compileall = [str(layout.python), "-m", "compileall", "-qq", "-j0", str(layout.venv / "lib")]
            stream(compileall, folder=layout.folder, guard=guard, log=tell)


@timed
def build_specification(
    specification: Specification, *, name: str, cache: Path, log: Log, upgrade: bool = False
) -> BuiltEnvironment:
    """The interpreter for what an environment asks for, as it was resolved the first time, for as long as that is true.

    Parameters
    ----------
    upgrade : bool
        Whether it is resolved anew in any case.
    """
    check_cache_folder(cache)
    began = time.time()
    interpreter, note = find_python(specification.python)
    best = [f"packages of several indexes: {BEST_MATCH_NOTE}"] if uses_best_match(specification.options) else []
    notes = (*specification.notes, *best, *([note] if note else []))
    _tell_notes(notes, log)
    build = EnvironmentBuild(name, interpreter, notes, specification.options, CacheLayout(cache), log)
    resolved = build.cache.resolved(_definition(specification, interpreter))
    reason = "as was asked for" if upgrade else reason_to_resolve_again(specification)
    if reason is None and (lock := _read(resolved)) is not None:
        return _reused(build, resolved).install(lock)
    # Installed under the resolver's guard too, so that whoever waits for it waits once.
    with exclusive_lock(resolved.with_suffix(".guard"), waiting=build.say_waiting, passing=True) as guard:
        lock = _read(resolved)
        if lock is not None and (reason is None or resolved.stat().st_mtime >= began):
            return _reused(build, resolved).install(lock)
        again = "" if lock is None or reason is None else f" anew ({reason})"
        log(f"{build.label}: resolving{again} for Python {interpreter.version} ({interpreter.path})")
        try:
            lock = resolve(
                specification, name=name, interpreter=interpreter, guard=guard, log=log, refresh=reason is not None
            )
        except BuildError as error:
            if lock is None or upgrade or isinstance(error, UnsolvableError):
                raise
            age = ago(time.time() - resolved.stat().st_mtime)
            log(f"warning: {build.label}: it could not be resolved anew, and stays as it was resolved {age}")
            return _reused(build, resolved).install(lock)
        write_text(str(resolved), lock, for_group=True)
        return build.install(lock)


def _reused(build: EnvironmentBuild, resolved: Path) -> EnvironmentBuild:
    """The build with the age of its resolution, whose use is noted in the time of its last access."""
    with suppress(PermissionError, FileNotFoundError):
        stat = resolved.stat()
        os.utime(resolved, ns=(time.time_ns(), stat.st_mtime_ns))
        return replace(build, resolved_at=stat.st_mtime)
    return build


def ago(seconds: float) -> str:
    """How long ago that is, as people say it."""
    for unit, length in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return "just now" if seconds < 60 else "a minute ago"


@timed
def build_lock(lock: str, *, python_version: str, cache: Path, log: Log, name: str | None = None) -> BuiltEnvironment:
    """The interpreter for an existing lock, on the Python that it was made with or the same minor.

    Raises
    ------
    EnvironmentSpecError
        Where this machine has no such Python.
    BuildError
        Where a package of the lock cannot be installed, with the installer's own words.
    """
    check_cache_folder(cache)
    wanted = PythonRequest.version(python_version, text=f"python {python_version}", where="the lock")
    interpreter, note = find_python(wanted)
    notes = (note,) if note else ()
    _tell_notes(notes, log)
    return EnvironmentBuild(name, interpreter, notes, (), CacheLayout(cache), log).install(lock)


def build_current(*, log: Log) -> BuiltEnvironment:
    """The interpreter that runs amlcore, as it is."""
    lock, notes = installed_lock()
    _tell_notes(notes, log)
    version = platform.python_version()
    log(f"environment 'current': Python {version} ({sys.executable})")
    key = _digest("current", lock, version, _platform())
    return BuiltEnvironment(key, Path(sys.executable), version, lock, notes, None)


def _definition(specification: Specification, interpreter: Interpreter) -> str:
    """What names a resolution: all that was asked for, nested files included, and for which interpreter."""
    asked = (specification.requirements, specification.constraints, specification.options)
    return _digest(*asked, *external_state(specification.options), interpreter.version, _platform())


def _platform() -> str:
    """Wheels are chosen by the machine and its C library."""
    return f"{sysconfig.get_platform()} {'-'.join(platform.libc_ver())}"


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _tell_notes(notes: tuple[str, ...], log: Log) -> None:
    for line in notes:
        log(f"note: {line}")


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError, PermissionError):  # what cannot be written is said where it is
        return None
