"""Usage: what still needs a run, so that it must not be removed."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from amlcore.errors import AmlcoreError, LeftOutWarning
from amlcore.model import Model, list_models
from amlcore.model.aliases import aliases_of
from amlcore.record.ownership import is_own, owner_of
from amlcore.record.record import Record
from amlcore.runs.reconcile import reconcile
from amlcore.serving.bento import list_bentos
from amlcore.serving.service import list_services
from amlcore.workspace import Workspace


@dataclass(frozen=True)
class Use:
    """Why a run must stay, and what to do about it."""

    run: str
    reason: str
    way_out: str

    def __str__(self) -> str:
        return f"run {self.run} {self.reason}; {self.way_out}"


class Usage:
    """What uses the runs of a workspace at this moment; the caller holds the usage lock alone."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.folders = sorted(workspace.run_folders)
        self._present = set(self.folders)

    def families(self, folders: Iterable[Path]) -> list[Path]:
        """These runs and all their children, such as the trials of sweeps, in order."""
        names = {folder.name for folder in folders}
        return [folder for folder in self.folders if not names.isdisjoint(lineage(folder.name))]

    def uses(self, folders: Sequence[Path]) -> list[Use]:
        """Why some of these runs, which are to be removed together, must stay; at most one reason for each."""
        ids = {folder.name for folder in folders}
        uses: dict[str, Use] = {}
        for use in self._all_uses(folders, ids):
            uses.setdefault(use.run, use)
        return list(uses.values())

    def uses_of_files(self, folders: Sequence[Path]) -> dict[str, Use]:
        """Why the outputs and checkpoints of some of these runs must stay, by the ids of the runs."""
        ids, uses = {folder.name for folder in folders}, dict[str, Use]()
        for folder in folders:
            if (use := self._own_use_of_files(folder)) is not None:
                uses[folder.name] = use
        for use in (*self.publications, *self._inputs(folders, ())):
            if use.run in ids:
                uses.setdefault(use.run, use)
        return uses

    def _own_use_of_files(self, folder: Path) -> Use | None:
        run = folder.name
        if not may_remove(folder):
            return Use(run, f"belongs to {owner_of(folder)}", "only they can delete its files")
        for relative in lineage(run):
            if (state := _live_state(folder.with_name(relative))) is not None:
                whose = "" if relative == run else f"belongs to run {relative}, which "
                return Use(run, f"{whose}is {state}", f"end it first with: aml cancel {relative}")
        return None

    def _all_uses(self, folders: Sequence[Path], ids: Collection[str]) -> Iterator[Use]:
        for folder in folders:
            yield from self._own_uses(folder, ids)
        yield from (use for use in self.publications if use.run in ids)
        yield from self._warm_starts(folders, ids)
        yield from self._inputs(folders, ids)

    def _own_uses(self, folder: Path, ids: Collection[str]) -> Iterator[Use]:
        """What the run's own folder says: whose it is, of which run it is a child, and whether it has ended."""
        run, parent = folder.name, folder.name.rpartition("_")[0]
        if not may_remove(folder):
            yield Use(run, f"belongs to {owner_of(folder)}", "only they can remove it")
        elif parent and parent not in ids and folder.with_name(parent) in self._present:
            kind = "a trial of sweep" if os.path.exists(folder.with_name(parent) / "sweep.json") else "a child of run"
            yield Use(
                run,
                f"is {kind} {parent}, which counts on it",
                f"remove both with: aml rm {parent}, hide it with: aml archive {run}, "
                f"or delete its files with: aml prune {run} --what outputs,checkpoints",
            )
        elif (state := _live_state(folder)) is not None:
            yield Use(run, f"is {state}", f"end it first with: aml cancel {run}")

    @cached_property
    def publications(self) -> list[Use]:
        """The uses of runs by models, with their aliases, and by services."""
        return [*self._models(), *self._services()]

    def _models(self) -> Iterator[Use]:
        with warnings.catch_warnings(action="ignore", category=LeftOutWarning):
            models = list_models(self._workspace.models_path, warn=lambda _: None)
        for model in models:
            if model.run is not None:
                yield self._used_by_model(model.run, model)
        registered = {model.id for model in models}
        for path in self._workspace.models_path.glob("*/*/model.json"):  # the damaged ones
            if (identifier := f"{path.parts[-3]}:{path.parts[-2]}") not in registered:
                yield from self._damaged(identifier)

    def _used_by_model(self, run: str, model: Model) -> Use:
        versions = aliases_of(model.folder.parent)
        aliases = [f"{model.name}@{alias}" for alias, version in versions.items() if version == model.version]
        called = f" ({', '.join(aliases)})" if aliases else ""
        return _model_use(run, model.id, called)

    def _damaged(self, model: str) -> Iterator[Use]:
        """The runs whose own record says that the damaged `model` was registered from them."""
        for folder in self.folders:
            path = Record(folder).layout.models
            if os.path.exists(path) and f'"{model}"' in Path(path).read_text(errors="replace"):
                yield _model_use(folder.name, model)

    def _services(self) -> Iterator[Use]:
        bentos = list_bentos()
        for bento in bentos:
            yield Use(
                bento.labels["run"],
                f"is used by service {bento.tag}, which serves model {bento.model}",
                f"delete the service first with: bentoml delete {bento.tag}",
            )
        with warnings.catch_warnings(action="ignore", category=LeftOutWarning):
            services = list_services(self._workspace.state_path / "services")
        runs = {bento.tag: bento.labels["run"] for bento in bentos}
        for service in services:
            if service.bento in runs:
                yield Use(
                    runs[service.bento],
                    f"is used by service {service.name}, which is running",
                    "stop the service first with its delete() in Python",
                )

    def _warm_starts(self, folders: Sequence[Path], ids: Collection[str]) -> Iterator[Use]:
        sweeps = {folder.name for folder in folders if os.path.exists(folder / "sweep.json")}
        if not sweeps:
            return
        for folder in self.folders:
            if folder.name in ids or not os.path.exists(folder / "sweep.json"):
                continue
            for past in sweeps & {*_warm_start(folder)}:
                yield Use(
                    past,
                    f"is the warm start of sweep {folder.name}, which needs it to be resumed",
                    f"remove that sweep too: aml rm {past} {folder.name}",
                )

    def _inputs(self, folders: Sequence[Path], ids: Collection[str]) -> Iterator[Use]:
        """The runs whose files a run that has not ended reads."""
        live = [folder for folder in self.folders if folder.name not in ids and os.path.exists(folder / "driver.json")]
        places = {os.path.realpath(folder): folder.name for folder in folders} if live else {}
        for reader in live:
            for path in _input_paths(reader):
                for run in (run for place, run in places.items() if _is_within(path, place) or _is_within(place, path)):
                    reason = f"is an input of run {reader.name}, which has not ended"
                    yield Use(run, reason, f"wait for that one with: aml wait {reader.name}")


def _is_within(path: str, folder: str) -> bool:
    return f"{path}/".startswith(f"{folder}/")


def _model_use(run: str, model: str, called: str = "") -> Use:
    return Use(run, f"is used by model {model}{called}", f"remove the model first with: aml models rm {model}")


def may_remove(folder: Path) -> bool:
    """Whether this user may remove the run in `folder`: only its owner and root may."""
    return os.geteuid() == 0 or is_own(folder)


def lineage(name: str) -> Iterator[str]:
    """The id of a run, of its parent, and so on."""
    yield name
    while "_" in name:
        name = name.rpartition("_")[0]
        yield name


def _live_state(folder: Path) -> str | None:
    """The state of a run that has not ended, or whose driver is still at work; None for one that is damaged."""
    record = Record(folder)
    try:
        reconcile(record)
        status = record.status
        if status.state.ended and record.is_driven:
            return f"{status.state}, but its driver is still at work"
        return None if status.state.ended else str(status.state)
    except AmlcoreError:
        return None


def _warm_start(folder: Path) -> list[str]:
    try:
        return list((Record(folder).info.sweep or {}).get("warm_start", ()))
    except AmlcoreError:
        return []


def _input_paths(folder: Path) -> list[str]:
    try:
        inputs = Record(folder).info.inputs.values()
    except AmlcoreError:
        return []
    return [os.path.realpath(item.path) for item in inputs if item.path is not None]
