"""The history of a model: its registrations, the moves of its aliases and its removed versions, in one order."""

from __future__ import annotations

import heapq
from datetime import datetime
from pathlib import Path
from typing import Any

from amlcore.errors import ModelError, NotFoundError, suggest
from amlcore.log import Log
from amlcore.model.aliases import LogEntry, log_entries
from amlcore.model.folders import named, versions
from amlcore.model.removal import registration

EVENTS = {"set": "alias set", "unset": "alias removed", "remove": "version removed"}
"""What the history calls the events of a model's log; a registration has no entry there."""


def logs(models: Path, *, log: Log) -> list[dict[str, Any]]:
    """The histories of all models, oldest first; a damaged one is left out with a warning."""
    histories = []
    for folder in sorted(named(models)):
        try:
            histories.append(_history(folder))
        except ModelError as error:
            log(f"warning: the log of model '{folder.name}' is left out: {error}")
    # By time, but never against the order within a model, whatever the clocks of its hosts said.
    return list(heapq.merge(*histories, key=lambda event: datetime.fromisoformat(event["at"])))


def log_of(models: Path, name: str) -> list[dict[str, Any]]:
    """The history of one model, oldest first.

    Raises
    ------
    NotFoundError
        There has never been a model `name`.
    ModelError
        An entry of its log is damaged.
    """
    histories = {folder.name: folder for folder in named(models)}
    if name not in histories or not (events := _history(histories[name])):
        existing = [folder.name for folder in histories.values() if versions(folder)]
        raise NotFoundError(f"there is no model '{name}'; {suggest(name, existing)}")
    return events


def _history(model: Path) -> list[dict[str, Any]]:
    """The events in the order of the entries; a registration is before all that came later or needed the version."""
    entries = log_entries(model)
    removed = {entry.version: entry.registered or {"at": str(entry.at)} for entry in entries if entry.event == "remove"}
    registered = {version: registration(model, version) for version in versions(model)}
    waiting = sorted({**removed, **registered}.items())
    events: list[dict[str, Any]] = []
    for entry in entries:
        while waiting and (waiting[0][0] <= entry.version or _is_before(waiting[0][1], entry)):
            events.append(_registered(model.name, *waiting.pop(0)))
        events.append(_event(model.name, entry))
    return [*events, *(_registered(model.name, *one) for one in waiting)]


def _is_before(facts: dict[str, Any], entry: LogEntry) -> bool:
    return datetime.fromisoformat(facts["at"]) <= entry.at.datetime


def _registered(name: str, version: int, facts: dict[str, Any]) -> dict[str, Any]:
    return {
        **{"model": name, "event": "registered", "version": version, "alias": None, "previous": None},
        **{"at": facts.get("at"), "by": facts.get("by"), "run": facts.get("run")},
        **{"why": None, "how": None, "condition": None, "number": None},
    }


def _event(name: str, entry: LogEntry) -> dict[str, Any]:
    return {
        **{"model": name, "event": EVENTS.get(entry.event, entry.event), "version": entry.version},
        **{"alias": entry.alias, "previous": entry.previous, "at": str(entry.at), "by": entry.by, "run": None},
        **{"why": entry.why, "how": entry.how, "condition": entry.condition, "number": entry.number},
    }
