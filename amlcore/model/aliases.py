"""Aliases: names such as `champion` that each mean one version of a model, and can be moved to another.

The moves lie in the log of the model, see `amlcore/worker/model_log.py`; their order is the order of their numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from socket import gethostname
from typing import Any

from amlcore.errors import AmlcoreError, ModelError, NotFoundError, suggest
from amlcore.model.folders import find_folder, state_of
from amlcore.model.model import Model
from amlcore.model.reference import check_alias
from amlcore.record.forms import Moment
from amlcore.record.reading import read_document
from amlcore.worker import model_log
from amlcore.worker.process_identity import current_user


@dataclass(eq=False)
class LogEntry:
    """An entry of a model's log: what was done, and the aliases after it."""

    number: int
    event: str  # set, unset, or remove: a version was removed
    version: int  # that the alias means now, or meant; or that was removed
    at: Moment
    by: str
    aliases: dict[str, int]
    removed_versions: list[int]
    alias: str | None = None  # None: a version was removed
    previous: int | None = None  # the version that the alias meant before
    host: str | None = None
    why: str | None = None
    how: str | None = None  # alias, promote or registration
    condition: dict[str, Any] | None = None  # what `aml promote` compared
    registered: dict[str, Any] | None = None  # of a removed version: when and by whom it was registered, its run
    document: dict[str, Any] = field(default_factory=dict)  # as it was written


def log_entries(model: Path) -> list[LogEntry]:
    """The entries in the log of the model in the folder `model`, in order.

    Raises
    ------
    ModelError
        One cannot be read.
    """
    paths = (model_log.entry_path(model, number) for number in model_log.entry_numbers(model))
    entries = (read_document(path, LogEntry, error=ModelError) for path in paths)
    return [entry for entry in entries if entry is not None]


def damaged_entries(model: Path) -> Iterator[ModelError]:
    """Why entries in the log of the model in the folder `model` cannot be read."""
    for number in model_log.entry_numbers(model):
        try:
            read_document(model_log.entry_path(model, number), LogEntry, error=ModelError)
        except ModelError as error:
            yield error


def aliases_of(model: Path) -> dict[str, int]:
    """The aliases of the model in the folder `model`, by name, and the versions that they mean."""
    return dict(sorted(state_of(model).aliases.items()))


def set_alias(
    models: Path,
    name: str,
    alias: str,
    version: int,
    *,
    why: str | None = None,
    how: str = "alias",
    condition: Mapping[str, Any] | None = None,
    after: int | None = None,
) -> LogEntry | None:
    """Let `alias` mean a version of the model; None if it does already.

    Parameters
    ----------
    condition : mapping, optional
        What was compared before.
    after : int, optional
        The number of the last entry that the decision rests on; the alias is only moved if it is still the last.

    Raises
    ------
    NotFoundError
        There is no such version.
    RequestError
        No alias may be called so, or another one differs only in case.
    StaleError
        There is an entry after `after`.
    """
    check_alias(alias, key=f"{name}@{alias}")
    model = models / name
    while True:
        state = state_of(model)
        if after is not None and state.number != after:
            raise StaleError(f"the aliases of '{name}' have been moved in the meantime")
        find_folder(models, f"{name}:{version}")
        check_case(model, alias)
        previous = state.aliases.get(alias)
        if previous == version:
            return None
        entry = {
            "event": "set",
            "alias": alias,
            "version": version,
            "previous": previous,
            "why": why,
            "how": how,
            "condition": None if condition is None else dict(condition),
            "aliases": {**state.aliases, alias: version},
            "removed_versions": state.removed,
        }
        if (created := append(model, state.number + 1, entry)) is not None:
            return created


def move_to(model: Model, alias: str) -> None:
    """Let an alias mean a version that has just been registered.

    Raises
    ------
    ModelError
        It cannot be moved; the version is registered all the same.
    """
    try:
        set_alias(model.folder.parent.parent, model.name, alias, model.version, how="registration")
    except AmlcoreError as error:
        raise ModelError(f"{model.id} was registered, but {model.name}@{alias} does not mean it: {error}") from None


def unset_alias(models: Path, name: str, alias: str, *, why: str | None = None) -> LogEntry:
    """Remove an alias; the version stays.

    Raises
    ------
    NotFoundError
        The model has no such alias.
    """
    model = models / name
    while True:
        find_folder(models, name)
        state = state_of(model)
        if alias not in state.aliases:
            raise NotFoundError(f"model '{name}' has no alias '{alias}'; {suggest(alias, state.aliases)}")
        version = state.aliases[alias]
        entry = {
            "event": "unset",
            "alias": alias,
            "version": version,
            "previous": version,
            "why": why,
            "how": "alias",
            "aliases": {other: number for other, number in state.aliases.items() if other != alias},
            "removed_versions": state.removed,
        }
        if (created := append(model, state.number + 1, entry)) is not None:
            return created


class StaleError(ModelError):
    """Somebody else has written to the log of the model since it was read."""


def append(model: Path, number: int, entry: Mapping[str, Any]) -> LogEntry | None:
    """Append an entry to the log of the model; None if another process has just created one of this number."""
    moment = datetime.now(UTC).isoformat(timespec="microseconds")
    document = {"number": number, **entry, "at": moment, "by": current_user(), "host": gethostname()}
    try:
        is_new = model_log.create_entry(model, document)
    except OSError as error:
        raise ModelError(
            f"the log of model '{model.name}' is in {model / model_log.FOLDER}, which cannot be written: "
            f"{error.strerror}"
        ) from None
    if not is_new:
        return None
    return read_document(model_log.entry_path(model, number), LogEntry, error=ModelError)


def check_case(model: Path, alias: str) -> None:
    """Raise ModelError if the model in the folder `model` has an alias that differs only in case."""
    name = model.name
    for other in state_of(model).aliases:
        if other != alias and other.lower() == alias.lower():
            raise ModelError(f"{name}@{alias}: model '{name}' has the alias '{other}', which differs only in case")
