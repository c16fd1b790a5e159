"""The serving lock: the packages that a model was trained with, and what serves it beside them."""

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

# BentoML imports a name from pyparsing that older ones lack, and does not say so in its requirements.
UNSAID_REQUIREMENTS = ("pyparsing>=3.1",)


def serving_lock(model: Model, wishes: list[str], *, cache: Path, python: Callable[[], Path], log: Log) -> str:
    """The training lock of `model` with bentoml added, and of `wishes` each that fits beside it.

    It is resolved once for each training lock, so what was packaged once is packaged again without a network.

    Parameters
    ----------
    cache : Path
        The folder of built environments, where resolutions are kept.
    python : callable
        The interpreter that the model was trained with; asked for only where something has to be resolved.

    Raises
    ------
    BuildError
        bentoml does not fit.
    """
    needed = [f"bentoml=={metadata.version('bentoml')}", *UNSAID_REQUIREMENTS]
    wished = [_pinned(name) for name in wishes]
    kept = CacheLayout(cache).resolved(f"serving-{_key(model, [*needed, *wished])}")
    lock = _read(kept)
    if lock is None:
        lock, left_out = _resolve(model.lock, needed, wished, python=python)
        for wish in left_out:
            log(f"{wish} does not fit beside the packages that {model.id} was trained with: without it")
        _keep(kept, lock)
    return lock


def _resolve(lock: str, needed: list[str], wished: list[str], *, python: Callable[[], Path]) -> tuple[str, list[str]]:
    """The lock with all of `needed`, and the wishes that could not be added to it."""
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
        with suppress(BuildError):  # what uv has seen before is enough where no index is reached
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
    """Whether a lock, which is complete in itself, has all of `requirements`, and so all that they need."""
    from packaging.requirements import Requirement

    held = pins(lock)
    asked = map(Requirement, requirements)
    return all(one.name in held and one.specifier.contains(held[one.name], prereleases=True) for one in asked)


def _pinned(name: str) -> str:
    """`name` as it is installed here; what is optional here may be any."""
    try:
        return f"{name}=={metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return name


def _key(model: Model, requirements: list[str]) -> str:
    """What a resolution follows from; what is installed here is preferred, and so belongs to it."""
    parts = [model.lock, model.python, requirements, installed_lock()[0]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _read(path: Path) -> str | None:
    """What was kept, if it is whole; its first line is the sha256 of the rest."""
    try:
        first, _, lock = path.read_text(encoding="utf-8").partition("\n")
    except (OSError, UnicodeDecodeError):
        return None
    if first != _seal(lock):
        return None
    with suppress(OSError):  # another user's cache
        os.utime(path)  # `aml env prune` removes those that nobody used
    return lock


def _keep(path: Path, lock: str) -> None:
    with suppress(OSError):  # it is resolved again then
        make_folder(path.parent)
        write_text(str(path), f"{_seal(lock)}\n{lock}", for_group=True)


def _seal(lock: str) -> str:
    return f"# sha256:{hashlib.sha256(lock.encode()).hexdigest()}"


def _silent(_: str) -> None:
    """Words of a resolver about what is only wished for."""
