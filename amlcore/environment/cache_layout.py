"""The paths of the folder of built environments."""

import os
import re
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from amlcore.errors import BuildError, EnvironmentSpecError
from amlcore.record.ownership import open_tree_to_group, owner_of
from amlcore.worker import durable
from amlcore.worker.files import write_json

_KEY = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class CacheLayout:
    """All paths inside the cache."""

    folder: Path

    @property
    def locks(self) -> Path:
        return self.folder / "locks"  # the resolution of each definition

    def resolved(self, definition: str) -> Path:
        return self.locks / f"{definition}.txt"

    def environment(self, key: str) -> "EnvironmentLayout":
        return EnvironmentLayout(self.folder / key)

    def environments(self) -> list["EnvironmentLayout"]:
        """The environments, and the remains of failed builds; anything else in the folder is not ours."""
        names = {path.name.removesuffix(".guard") for path in self.folder.glob("*")}
        return [EnvironmentLayout(self.folder / name) for name in sorted(names) if _KEY.fullmatch(name)]


@dataclass(frozen=True)
class EnvironmentLayout:
    """All paths of one environment."""

    folder: Path

    @property
    def guard(self) -> Path:
        return self.folder.with_suffix(".guard")  # exclusive lock of its builder, shared lock of its users

    @property
    def venv(self) -> Path:
        return self.folder / "venv"

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def lock(self) -> Path:
        return self.folder / "lock.txt"

    @property
    def log(self) -> Path:
        return self.folder / "build.log"

    @property
    def names(self) -> Path:
        return self.folder / "names"  # an empty file for each name that it was built under

    @property
    def ready(self) -> Path:
        return self.folder / "ready.json"  # written last; its mtime is the last use

    def is_ready(self) -> bool:
        """Whether the build was completed, and the Python that it is based on is still installed."""
        try:
            return self.ready.exists() and self.python.exists()
        except PermissionError as error:
            raise BuildError(
                f"cannot read {error.filename}: {owner_of(self.folder)} built the environment in {self.folder}; "
                "ask for access, or set AMLCORE_ENVIRONMENTS to another folder"
            ) from None

    @property
    def is_named_by_key(self) -> bool:
        """Whether the folder is named as an environment of a cache is."""
        return _KEY.fullmatch(self.folder.name) is not None

    def publish(self, *, python_version: str) -> None:
        open_tree_to_group(self.folder)
        size = sum(path.lstat().st_size for path in self.folder.rglob("*"))
        record = {"python": python_version, "created": time.time(), "size_bytes": size}
        durable.sync_tree(self.folder)  # otherwise what a power cut leaves of it would count as ready for ever
        write_json(str(self.ready), record, sync=True)

    def mark_used(self, name: str | None) -> None:
        """Record a use; the caller holds the guard, so the environment cannot be removed meanwhile."""
        # Another user's cache may be read-only.
        with suppress(PermissionError):
            os.utime(self.ready)
            if name is not None:
                self.names.mkdir(exist_ok=True)
                (self.names / name).touch()

    def remove(self) -> None:
        """Remove it; nobody ever sees a part of it as ready."""
        self.ready.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def check_cache_folder(cache: Path) -> None:
    """Check that environments work in the folder `cache`.

    Raises
    ------
    EnvironmentSpecError
        The path has a character that splits `PATH`, so that a script's children would find another Python, or one
        that breaks the text files in which a venv stores its own path.
    """
    character = next(iter(re.findall(f"[{os.pathsep}\\x00-\\x1f\\x7f\\ud800-\\udfff]", str(cache))), None)
    if character is not None:
        raise EnvironmentSpecError(
            f"cannot build environments in {str(cache)!r}: its path must not contain {character!a}"
            + (", which separates the entries of PATH" if character == os.pathsep else "")
            + "; set AMLCORE_ENVIRONMENTS or workspace.environments_folder to another folder"
        )
