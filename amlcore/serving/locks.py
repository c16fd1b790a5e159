"""Serving lock: the packages that a model was trained with, plus those that serve it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from amlcore.environment import extend_lock
from amlcore.environment.cache_layout import CacheLayout
from amlcore.environment.lock import blocks, installed_lock, pins
from amlcore.errors import BuildError
from amlcore.log import Log
from amlcore.model import Model
from amlcore.worker.files import make_folder, write_text

# BentoML imports a name that older versions of pyparsing lack, but does not require a newer one.
UNDECLARED_REQUIREMENTS = ("pyparsing>=3.1",)


def serving_lock(model: Model, wishes: list[str], *, cache: Path, python: Callable[[], Path], log: Log) -> str:
    """The training lock of `model` with bentoml added, and each of `wishes` that does not conflict.

    A resolution is cached for each training lock, so a model can be packaged again without a network.

    Parameters
    ----------
    cache : Path
        The folder of built environments, which also caches resolutions.
    python : callable
        Gives the interpreter that the model was trained with; called only to resolve something.

    Raises
    ------
    BuildError
        bentoml conflicts with the training lock.
    """
    needed = [f"bentoml=={metadata.version('bentoml')}", *UNDECLARED_REQUIREMENTS]
    wished = [_pinned(name) for name in wishes]
    kept = CacheLayout(cache).resolved(f"serving-{_key(model, [*needed, *wished])}")
    lock = _read(kept)
    if lock is None:
        lock, left_out = _resolve(model.lock, needed, wished, python=python)
        for wish in left_out:
            log(f"skipping {wish}: it conflicts with the packages that {model.id} was trained with")
        _keep(kept, lock)
    return lock


def _resolve(lock: str, needed: list[str], wished: list[str], *, python: Callable[[], Path]) -> tuple[str, list[str]]:
    """The lock with all of `needed`, and the wishes that conflict with it."""
    if _holds(lock, [*needed, *wished]):
        try:
            return _extend(lock, [*needed, *wished], python=python(), offline=True), []  # for the hashes
        except BuildError:
            return "".join(f"{block}\n" for _, block in sorted(blocks(lock).items())), []
    interpreter = python()
    with suppress(BuildError):
        return _extend(lock, [*needed, *wished], python=interpreter), []
    try:
        extended = _extend(lock, needed, python=interpreter)
    except BuildError:
        with suppress(BuildError):  # without an index, uv's own cache may be enough
            return _extend(lock, [*needed, *wished], python=interpreter, offline=True), []
        raise
    left_out = []
    for wish in wished:
        try:
            extended = _extend(lock, [*needed, wish], python=interpreter)
        except BuildError:
            left_out.append(wish)
        else:
            needed = [*needed, wish]
    return extended, left_out


def _extend(lock: str, requirements: list[str], *, python: Path, offline: bool = False) -> str:
    return extend_lock(lock, requirements, python=python, offline=offline, log=_silent)


def _holds(lock: str, requirements: list[str]) -> bool:
    """Whether a lock has all of `requirements`; locks are complete, so it then has what they require, too."""
    from packaging.requirements import Requirement

    versions = pins(lock)
    return all(
        requirement.name in versions and requirement.specifier.contains(versions[requirement.name], prereleases=True)
        for requirement in map(Requirement, requirements)
    )


def _pinned(name: str) -> str:
    """`name` pinned to the version installed here, if any."""
    try:
        return f"{name}=={metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return name


def _key(model: Model, requirements: list[str]) -> str:
    """The cache key of a resolution; uv prefers the versions installed here, so they are part of it."""
    parts = [model.lock, model.python, requirements, installed_lock()[0]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _read(path: Path) -> str | None:
    """A cached lock, if it is undamaged; its first line is the sha256 of the rest."""
    try:
        first, _, lock = path.read_text(encoding="utf-8").partition("\n")
    except (OSError, UnicodeDecodeError):
        return None
    if first != _seal(lock):
        return None
    with suppress(OSError):  # another user's cache
        os.utime(path)  # `aml env prune` removes the unused
    return lock


def _keep(path: Path, lock: str) -> None:
    with suppress(OSError):  # it will be resolved again
        make_folder(path.parent)
        write_text(str(path), f"{_seal(lock)}\n{lock}", for_group=True)


def _seal(lock: str) -> str:
    return f"# sha256:{hashlib.sha256(lock.encode()).hexdigest()}"


def _silent(_: str) -> None:
    """Discards the resolver's output about optional packages."""
