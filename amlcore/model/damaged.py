"""Models whose files were changed after they were registered: shown in lists, and searched for by `aml doctor`."""

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
    reason: str

    def to_json(self) -> dict[str, Any]:
        """A row of `aml models --json`, with what is still readable."""
        unknown = dict.fromkeys(("framework", "framework_version", "run", "sha256"))
        moment = datetime.fromtimestamp(self.folder.stat().st_mtime, UTC).isoformat()
        row = {"name": self.name, "version": self.version, "metrics": {}, "created": moment, "damaged": self.reason}
        return {**unknown, **row, "tags": {}, "note": None}


def damaged_models(models: Path, *, thorough: bool = False) -> Iterator[DamagedModel]:
    """The versions whose record cannot be read; `thorough` hashes all of their files too."""
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
