"""The registered models of a workspace, and those that a script asks to have registered after its run."""

import datetime
import os
import re

from amlcore.worker import model_log
from amlcore.worker.files import read_json
from amlcore.worker.layout import RunLayout
from amlcore.worker.mlflow import journal
from amlcore.worker.mlflow.uris import uri_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing

    Entry = dict[str, typing.Any]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}$")


class VersionFacts(object):
    """A version of a model, registered or asked for."""

    def __init__(self, name, version, created_ms, source, run=None, description="", tags=None, user=""):
        # type: (str, int, int, str, str | None, str, dict[str, str] | None, str) -> None
        self.name = name
        self.version = version
        self.created_ms = created_ms
        self.source = source
        self.run = run
        self.description = description
        self.tags = tags or {}
        self.user = user
        self.path = ""  # where its run left it, if it is only asked for
        self.model_id = None  # type: str | None
        self.aliases = []  # type: list[str]


def registered(models):
    # type: (str) -> dict[str, list[VersionFacts]]
    """The versions in the folder `models` of a workspace, by name; each list in the order of the versions."""
    by_name = {name: _with_aliases(os.path.join(models, name), name) for name in _names(models)}
    return {name: versions for name, versions in by_name.items() if versions}


def _names(folder):
    # type: (str) -> list[str]
    try:
        return sorted(name for name in os.listdir(folder) if NAME.match(name))
    except OSError:
        return []


def _with_aliases(folder, name):
    # type: (str, str) -> list[VersionFacts]
    """The versions of a model that nobody has removed, each with the aliases that mean it."""
    try:
        entry = model_log.last_entry(folder)
    except (OSError, ValueError):
        entry = None  # damaged: `aml models log` says so
    aliases, removed = ({}, []) if entry is None else (entry["aliases"], entry["removed_versions"])
    versions = [version for version in _versions(folder, name) if version.version not in removed]
    for version in versions:
        version.aliases = sorted(alias for alias, number in aliases.items() if number == version.version)
    return versions


def _versions(folder, name):
    # type: (str, str) -> list[VersionFacts]
    numbers = sorted(int(entry) for entry in _names(folder) if entry.isdigit())
    versions = [_version(os.path.join(folder, str(number)), name, number) for number in numbers]
    return [version for version in versions if version is not None]


def _version(folder, name, number):
    # type: (str, str, int) -> VersionFacts | None
    try:
        record = read_json(os.path.join(folder, "model.json"))
        if record is None:
            return None
        tags = dict(record["tags"])
        tags.update({"amlcore.class": record["class"], "amlcore.framework_version": str(record["framework_version"])})
        return VersionFacts(
            name,
            number,
            _ms(record["created"]),
            uri_of(os.path.join(folder, "files")),
            run=record["run"],
            description=record["description"],
            tags=tags,
        )
    except (OSError, ValueError, TypeError, LookupError):
        return None  # damaged: `aml models` names it


def _ms(created):
    # type: (str) -> int
    moment = datetime.datetime.strptime(created[:26], "%Y-%m-%dT%H:%M:%S.%f").replace(tzinfo=datetime.timezone.utc)
    return int(moment.timestamp() * 1000)


class Requests(object):
    """What the script of a run asks of the registry: it is carried out after the run has completed."""

    def __init__(self, folder):
        # type: (str | None) -> None
        """Parameters: `folder` is that of the run; None outside of any, where nothing is asked for."""
        self.versions = []  # type: list[VersionFacts]
        self.names = {}  # type: dict[str, dict[str, str]]
        for entry in [] if folder is None else journal.read_entries(RunLayout(folder).mlflow):
            if entry["kind"] == "registered_model":
                self.names.setdefault(entry["name"], {}).update(entry["tags"])
            elif entry["kind"] == "registration":
                self.versions.append(_requested(entry))
            elif entry["kind"] == "registration_change":
                self._change(entry)

    def _change(self, entry):
        # type: (Entry) -> None
        for version in self.versions:
            is_it = (version.name, version.version) == (entry["name"], entry["version"])
            if "alias" in entry and version.name == entry["name"] and entry["alias"] in version.aliases:
                version.aliases.remove(entry["alias"])  # an alias means one version
            if is_it and "alias" in entry:
                version.aliases.append(entry["alias"])
            if is_it:
                version.description = entry.get("description", version.description)
                version.tags.update(entry.get("tags") or {})


def _requested(entry):
    # type: (Entry) -> VersionFacts
    version = VersionFacts(
        entry["name"],
        entry["version"],
        int(entry["at"] * 1000),
        entry["source"],
        run=entry["run"],
        description=entry["description"],
        tags=dict(entry["tags"]),
    )
    version.path = entry["path"]
    version.model_id = entry["model_id"]
    return version
