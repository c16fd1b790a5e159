"""Models whose files are not those that were registered: named in lists, and looked for by the doctor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from amlcore.errors import ModelError
from amlcore.model.folders import named, versions
from amlcore.model.model import Model


@dataclass(frozen=True)
class DamagedModel:
    """A version that cannot be used, and why."""

    name: str
    version: int
    folder: Path
    words: str

    def to_json(self) -> dict[str, Any]:
        """A row of `aml models --json`, with what can still be told."""
        unknown = dict.fromkeys(("framework", "framework_version", "run", "sha256"))
        moment = datetime.fromtimestamp(self.folder.stat().st_mtime, UTC).isoformat()
        told = {"name": self.name, "version": self.version, "metrics": {}, "created": moment, "damaged": self.words}
        return {**unknown, **told}


def damaged_models(models: Path, *, thorough: bool = False) -> Iterator[DamagedModel]:
    """The versions whose record cannot be read; a thorough look hashes all of their files too."""
    for own in sorted(named(models)):
        for version in versions(own):
            folder = own / str(version)
            try:
                model = Model.load_record(folder)
                if thorough:
                    model.verify()
                    _ = model.lock
            except ModelError as error:
                yield DamagedModel(own.name, version, folder, str(error))
