"""Build an interpreter from a lock, once for each content."""

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
        """A file that keeps `prune` away while it is open, here or in a process that inherits its descriptor.

        Raises
        ------
        BuildError
            The environment was removed after it was built.
        """
        return shared_interpreter_lock(self.python)


@dataclass(frozen=True)
class EnvironmentBuild:
    """One build: its name, its interpreter, its cache."""

    name: str | None
    interpreter: Interpreter
    notes: tuple[str, ...]
    options: tuple[str, ...]  # where the installer looks, besides the machine's own settings
    cache: CacheLayout
    log: Log
    resolved_at: float | None = None  # epoch seconds; None for a new resolution

    @property
    def label(self) -> str:
        return "environment of the lock" if self.name is None else f"environment '{self.name}'"

    def log_wait(self) -> None:
        self.log(f"{self.label}: waiting for another process that is building it")

    def install(self, lock: str) -> BuiltEnvironment:
        """Take the environment of a lock from the cache, or build it there."""
        version = self.interpreter.version
        key = _digest(lock, version, _platform())
        layout = self.cache.environment(key)
        if self._is_cached(layout):
            self.log(f"{self.label}: already built{self._age}; build log: {layout.log}")
        else:
            with exclusive_lock(layout.guard, on_wait=self.log_wait) as guard:
                if not layout.is_ready():
                    self._fill(layout, lock=lock, guard=guard)
                layout.mark_used(self.name)
        return BuiltEnvironment(key, layout.python, version, lock, self.notes, layout.folder)

    @property
    def _age(self) -> str:
        return "" if self.resolved_at is None else f", resolved {ago(time.time() - self.resolved_at)}"

    def _is_cached(self, layout: EnvironmentLayout) -> bool:
        """Whether it is built; if so, its use is recorded while nobody can remove it."""
        if not layout.is_ready():
            return False
        with shared_lock(layout.guard):
            if layout.is_ready():
                layout.mark_used(self.name)
                return True
        return False

    def _fill(self, layout: EnvironmentLayout, *, lock: str, guard: int) -> None:
        """Build in place, since a venv cannot be moved; write the ready marker last."""
        began = time.monotonic()
        layout.remove()
        layout.folder.mkdir(parents=True)
        layout.lock.write_text(lock, encoding="utf-8")
        try:
            with layout.log.open("w", encoding="utf-8", buffering=1) as file:

                def log_both(line: str) -> None:
                    self.log(line)
                    file.write(line + "\n")

                version, path = self.interpreter.version, self.interpreter.path
                log_both(f"{self.label}{self._age}: building for Python {version} ({path})")
                self._install_into(layout, lock=lock, guard=guard, log=log_both)
                log_both(f"{self.label}: ready after {time.monotonic() - began:.1f} s in {layout.folder}")
            layout.publish(python_version=self.interpreter.version)
        except BaseException:
            layout.remove()
            raise

    def _install_into(self, layout: EnvironmentLayout, *, lock: str, guard: int, log: Log) -> None:
        run = partial(run_uv, folder=layout.folder, guard=guard, log=log)
        run(["venv", "--quiet", "--no-project", "--python", str(self.interpreter.path), "venv"]).require(
            f"{self.label}: cannot create a virtual environment with {self.interpreter.path}"
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
        ).require(f"{self.label} cannot be installed for Python {self.interpreter.version}")
        (layout.folder / "options.txt").unlink(missing_ok=True)
        if not by_uv:
            # Its exit status is ignored: it only says that some package carries a file for another Python.
            compileall = [str(layout.python), "-m", "compileall", "-qq", "-j0", str(layout.venv / "lib")]
            stream(compileall, folder=layout.folder, guard=guard, log=log)


@timed
def build_specification(
    specification: Specification, *, name: str, cache: Path, log: Log, upgrade: bool = False
) -> BuiltEnvironment:
    """Build the interpreter for a specification; its first resolution is used for as long as it stays valid.

    Parameters
    ----------
    upgrade : bool
        Resolve again in any case.
    """
    check_cache_folder(cache)
    began = time.time()
    interpreter, note = find_python(specification.python)
    best = [f"packages of several indexes: {BEST_MATCH_NOTE}"] if uses_best_match(specification.options) else []
    notes = (*specification.notes, *best, *([note] if note else []))
    _log_notes(notes, log)
    build = EnvironmentBuild(name, interpreter, notes, specification.options, CacheLayout(cache), log)
    resolved = build.cache.resolved(_definition(specification, interpreter))
    reason = "--upgrade" if upgrade else reason_to_resolve_again(specification)
    if reason is None and (lock := _read(resolved)) is not None:
        return _reused(build, resolved).install(lock)
    # Install under the resolver's guard as well, so that another process waits only once.
    with exclusive_lock(resolved.with_suffix(".guard"), on_wait=build.log_wait, remove=True) as guard:
        lock = _read(resolved)
        if lock is not None and (reason is None or resolved.stat().st_mtime >= began):
            return _reused(build, resolved).install(lock)
        again = "" if lock is None or reason is None else f" again ({reason})"
        log(f"{build.label}: resolving{again} for Python {interpreter.version} ({interpreter.path})")
        try:
            lock = resolve(
                specification, name=name, interpreter=interpreter, guard=guard, log=log, refresh=reason is not None
            )
        except BuildError as error:
            if lock is None or upgrade or isinstance(error, UnsolvableError):
                raise
            age = ago(time.time() - resolved.stat().st_mtime)
            log(f"warning: {build.label}: cannot be resolved again; using the resolution of {age}")
            return _reused(build, resolved).install(lock)
        write_text(str(resolved), lock, for_group=True)
        return build.install(lock)


def _reused(build: EnvironmentBuild, resolved: Path) -> EnvironmentBuild:
    """The build with the age of its resolution; this use is recorded as the access time."""
    with suppress(PermissionError, FileNotFoundError):
        stat = resolved.stat()
        os.utime(resolved, ns=(time.time_ns(), stat.st_mtime_ns))
        return replace(build, resolved_at=stat.st_mtime)
    return build


def ago(seconds: float) -> str:
    """A duration as people say it: "3 h ago"."""
    for unit, length in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return "just now" if seconds < 60 else "a minute ago"


@timed
def build_lock(lock: str, *, python_version: str, cache: Path, log: Log, name: str | None = None) -> BuiltEnvironment:
    """Build the interpreter for an existing lock, on the same Python version or the same minor.

    Raises
    ------
    EnvironmentSpecError
        This machine has no such Python.
    BuildError
        A package of the lock cannot be installed; the message quotes the installer.
    """
    check_cache_folder(cache)
    request = PythonRequest.version(python_version, text=f"python {python_version}", where="the lock")
    interpreter, note = find_python(request)
    notes = (note,) if note else ()
    _log_notes(notes, log)
    return EnvironmentBuild(name, interpreter, notes, (), CacheLayout(cache), log).install(lock)


def build_current(*, log: Log) -> BuiltEnvironment:
    """The interpreter that runs amlcore, as it is."""
    lock, notes = installed_lock()
    _log_notes(notes, log)
    version = platform.python_version()
    log(f"environment 'current': Python {version} ({sys.executable})")
    key = _digest("current", lock, version, _platform())
    return BuiltEnvironment(key, Path(sys.executable), version, lock, notes, None)


def _definition(specification: Specification, interpreter: Interpreter) -> str:
    """The key of a resolution: everything requested, nested files included, and the interpreter."""
    requested = (specification.requirements, specification.constraints, specification.options)
    return _digest(*requested, *external_state(specification.options), interpreter.version, _platform())


def _platform() -> str:
    """What wheels are chosen by: the machine and its C library."""
    return f"{sysconfig.get_platform()} {'-'.join(platform.libc_ver())}"


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _log_notes(notes: tuple[str, ...], log: Log) -> None:
    for line in notes:
        log(f"note: {line}")


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError, PermissionError):  # whoever writes there next gets the error
        return None
