"""The folder of built environments: what lies where in it."""

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
    """All names inside the cache."""

    folder: Path

    @property
    def locks(self) -> Path:
        return self.folder / "locks"  # what each definition was first resolved to

    def resolved(self, definition: str) -> Path:
        return self.locks / f"{definition}.txt"

    def environment(self, key: str) -> "EnvironmentLayout":
        return EnvironmentLayout(self.folder / key)

    def environments(self) -> list["EnvironmentLayout"]:
        """Those that are there, and what a failed build left; whatever else lies in the folder is not ours."""
        names = {one.name.removesuffix(".guard") for one in self.folder.glob("*")}
        return [EnvironmentLayout(self.folder / name) for name in sorted(names) if _KEY.fullmatch(name)]


@dataclass(frozen=True)
class EnvironmentLayout:
    """All names of one environment."""

    folder: Path

    @property
    def guard(self) -> Path:
        return self.folder.with_suffix(".guard")  # locked alone by its builder, together by its users

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
        return self.folder / "names"  # an empty file a name that asked for it

    @property
    def ready(self) -> Path:
        return self.folder / "ready.json"  # written last; its age is that of the last use

    def is_ready(self) -> bool:
        """Whether it was built to its end, and the interpreter below it is still installed."""
        try:
            return self.ready.exists() and self.python.exists()
        except PermissionError as error:
            raise BuildError(
                f"the environment in {self.folder} was built by {owner_of(self.folder)}, and you may not read "
                f"{error.filename}; it can be opened to the group, or AMLCORE_ENVIRONMENTS can name another folder"
            ) from None

    @property
    def is_named_by_key(self) -> bool:
        """Whether the folder is named as an environment of a cache is."""
        return _KEY.fullmatch(self.folder.name) is not None

    def publish(self, *, python_version: str) -> None:
        open_tree_to_group(self.folder)
        size = sum(path.lstat().st_size for path in self.folder.rglob("*"))
        record = {"python": python_version, "created": time.time(), "size_bytes": size}
        durable.sync_tree(self.folder)  # or what a power cut left of it would count as ready for ever
        write_json(str(self.ready), record, sync=True)

    def mark_used(self, name: str | None) -> None:
        """Notes a use; whoever calls it holds the guard, so that it is there."""
        # Another user's cache can be used without leaving a trace in it.
        with suppress(PermissionError):
            os.utime(self.ready)
            if name is not None:
                self.names.mkdir(exist_ok=True)
                (self.names / name).touch()

    def remove(self) -> None:
        """Removes it so that no one ever sees a part of it as ready."""
        self.ready.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def check_cache_folder(cache: Path) -> None:
    """Make sure that environments work below `cache`.

    Raises
    ------
    EnvironmentSpecError
        `PATH` would be split within it, so that a script's children got another Python; or it would break the files
        that say where an environment lies.
    """
    wrong = next(iter(re.findall(f"[{os.pathsep}\\x00-\\x1f\\x7f\\ud800-\\udfff]", str(cache))), None)
    if wrong is not None:
        named = ascii(wrong)
        raise EnvironmentSpecError(
            f"environments cannot lie in {str(cache)!r}, since {named} stands in its name"
            + (", where PATH is split" if wrong == os.pathsep else "")
            + "; the variable AMLCORE_ENVIRONMENTS or workspace.environments_folder names another folder"
        )
