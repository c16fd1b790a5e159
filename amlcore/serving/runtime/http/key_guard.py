"""KeyGuard: admits requests with one of the service's keys, read from a file that only its owner can read."""

from __future__ import annotations

import hmac
import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import KeysFault

VARIABLE = "AMLCORE_SERVICE_KEYS"
"""The environment variable with the path of the file; the keys themselves are in no environment, Bento or log."""

RELOAD_S = 0.5
"""Seconds for which a replaced key is still accepted."""

log = logging.getLogger("bentoml.serve")


class KeyGuard:
    """The two keys of a service; the file is read again when it is replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = self._stat()
        self._keys = self._read()
        self._reload_at = 0.0

    @classmethod
    def of(cls, service: str, environment: Mapping[str, str]) -> KeyGuard:
        """The guard with the keys in the file that `environment` names.

        Raises
        ------
        KeysFault
            The variable is not set, or its file does not contain keys.
        """
        path = environment.get(VARIABLE)
        if not path:
            raise KeysFault(
                f"service '{service}' was packaged with deployment.auth=key, but {VARIABLE} is not set. Start it with "
                f"`aml serve {service}`, or set the variable to the file that `aml keys {service}` prints."
            )
        try:
            return cls(Path(path))
        except OSError as error:
            raise KeysFault(f"{VARIABLE}={path}: {error.strerror}; create the file with `aml keys {service}`") from None
        except (ValueError, LookupError, TypeError, AttributeError):
            raise KeysFault(
                f"{VARIABLE}={path} does not contain keys; create the file with `aml keys {service}`"
            ) from None

    def admit(self, authorization: bytes | None) -> bool:
        """Whether a request with this `Authorization` header is admitted; takes equally long for any wrong key."""
        if time.monotonic() >= self._reload_at:
            self._reload()
        scheme, _, key = (authorization or b"").strip().partition(b" ")
        primary, secondary = self._keys
        # both comparisons always run: the time must not reveal which key matched
        fits = hmac.compare_digest(key.strip(), primary) | hmac.compare_digest(key.strip(), secondary)
        return fits and scheme.lower() == b"bearer"

    def _reload(self) -> None:
        """Read the file if it has been replaced; keep the keys if it cannot be read."""
        self._reload_at = time.monotonic() + RELOAD_S
        try:
            stamp = self._stat()
            if stamp != self._stamp:
                self._keys = self._read()
                self._stamp = stamp
                log.info("the keys were replaced")
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            log.warning("the keys are unchanged: %s cannot be read (%s)", self._path, type(error).__name__)

    def _stat(self) -> tuple[int, int, int]:
        status = os.stat(self._path)
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _read(self) -> tuple[bytes, bytes]:
        keys = json.loads(self._path.read_text("utf-8"))
        primary, secondary = keys["primary"].encode(), keys["secondary"].encode()
        if min(len(primary), len(secondary)) < 16:
            raise ValueError("a key is too short")
        return primary, secondary


def key_guard(settings: Mapping[str, Any]) -> KeyGuard | None:
    """The guard of a service that was packaged with deployment.auth=key."""
    return KeyGuard.of(settings["name"], os.environ) if settings["auth"] == "key" else None
