"""ServiceKeys: the two keys of a service, in a file of the workspace that only its owner can read."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from amlcore.errors import DeploymentError, suggest
from amlcore.record.ownership import owner_of
from amlcore.worker import durable
from amlcore.worker.files import create_json, make_folder, read_json, write_json

VARIABLE = "AMLCORE_SERVICE_KEYS"
"""The environment variable with the path of the file for a service; serving/runtime/http/key_guard.py reads it."""


class KeyName(StrEnum):
    primary = "primary"
    secondary = "secondary"


@dataclass(frozen=True)
class ServiceKeys:
    """The keys of all services of one name; there are two so that clients can switch while one is replaced."""

    path: Path

    @classmethod
    def of(cls, state: Path, service: str) -> ServiceKeys:
        """The keys of `service` in a workspace whose `.amlcore` is `state`, created if there are none."""
        keys = cls((state / "keys" / f"{service}.json").absolute())
        if not os.path.exists(keys.path):
            try:
                _make_folder(keys.path.parent)
                keys._write({which.value: _new() for which in KeyName}, replace=False)
            except PermissionError:
                raise DeploymentError(f"{keys.path.parent}, the folder of the keys, is not writable") from None
        return keys

    def read(self) -> dict[str, str]:
        """The keys by name."""
        try:
            value = read_json(str(self.path))
        except PermissionError:
            owner = owner_of(self.path)
            raise DeploymentError(
                f"{self.path} belongs to {owner}, and only they may read the service's keys"
            ) from None
        except (OSError, ValueError, RecursionError):
            value = None
        if not isinstance(value, dict) or not all(isinstance(value.get(which), str) for which in KeyName):
            raise DeploymentError(f"{self.path} does not contain keys; remove it to create new ones")
        return {which.value: value[which] for which in KeyName}

    def regenerate(self, which: str) -> None:
        """Replace one of the keys; a running service accepts the new one within a second."""
        if which.lower() not in list(KeyName):
            raise DeploymentError(f"there is no key '{which}'; {suggest(which, list(KeyName))}")
        with self._locked():  # else a process that replaces the other key would restore this one
            self._write({**self.read(), which.lower(): _new()}, replace=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep others from replacing a key; the lock ends with the process."""
        path = self.path.with_name(f".{self.path.name}.lock")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise DeploymentError(f"{path} cannot be written: {error.strerror}") from None
        with os.fdopen(descriptor):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield

    def _write(self, keys: dict[str, str], *, replace: bool) -> None:
        write = write_json if replace else create_json  # another process may create some at the same moment
        write(str(self.path), keys, sync=True, mode=0o600)
        durable.sync_parents(self.path, self.path.parent.parent)


def _make_folder(folder: Path) -> None:
    """A folder for the files of all users of the workspace, each readable and replaceable by its owner alone."""
    make_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        if folder.parent.stat().st_mode & stat.S_IWGRP:
            folder.chmod(0o3770)


def _new() -> str:
    return secrets.token_urlsafe(32)
