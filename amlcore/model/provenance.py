"""Where a model comes from: the run that wrote its files, and the environment and source of that run."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amlcore.errors import ModelError
from amlcore.model.inspection import TrainingContext
from amlcore.model.model_files import find_written


@dataclass(frozen=True)
class Provenance:
    """Where a model comes from: a run that has ended, with its environment and source."""

    run: str | None
    experiment: str
    folder: Path
    interpreter: Path
    lock: str
    objects: Path | None = None
    manifest: Path | None = None
    script: str | None = None
    python_path: tuple[str, ...] = ()
    metrics: dict[str, Any] = field(default_factory=dict)
    strays: tuple[str, ...] = ()
    hashes: dict[str, str] | None = None  # sha256 of each file that the run wrote, by its path; None: not recorded

    @property
    def training(self) -> TrainingContext:
        return TrainingContext(self.interpreter, self.manifest, self.objects, self.script, self.python_path)

    def written(self, path: str, *, key: str) -> Path:
        """The file or folder `path` of the run, which must be in its `outputs/`."""
        run = f"run {self.run}" if self.run else str(self.folder)
        return find_written(path, folder=self.folder, strays=self.strays, key=key, run=run)

    def check(self, files: Mapping[Path, str], *, key: str, folder: Path | None = None) -> None:
        """Check that `files`, by sha256, are as the run wrote them, and that they are all it wrote to `folder`.

        Raises
        ------
        ModelError
            A file was changed, added or removed after the run had ended.
        """
        if self.hashes is None:
            return
        current = {self._name(path): sha256 for path, sha256 in files.items()}
        inside = f"{self._name(folder)}/" if folder else None
        expected = {name for name in self.hashes if inside and name.startswith(inside)}
        for name in sorted(current.keys() | expected):
            written, now = self.hashes.get(name), current.get(name)
            if written != now:
                how = "was put there" if written is None else "was removed" if now is None else "was changed"
                raise ModelError(
                    f"{key}: {name} {how} after run {self.run} had ended (sha256 {written} then, {now} now), so the "
                    "run's metrics may not describe it"
                )

    def _name(self, path: Path) -> str:
        return os.path.relpath(os.path.abspath(path), self.folder)
