"""Keys: who may ask a service, read from a file that its owner alone can read."""

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
"""The environment variable that names the file; the keys themselves stand in no environment, Bento or log."""

LOOK_S = 0.5
"""How long a key that was replaced is still taken."""

log = logging.getLogger("bentoml.serve")


class KeyGuard:
    """The two keys of a service; a file that is replaced while it serves is read again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = self._stat()
        self._keys = self._read()
        self._look_at = 0.0

    @classmethod
    def of(cls, service: str, environment: Mapping[str, str]) -> KeyGuard:
        """The keys in the file that `environment` names.

        Raises
        ------
        KeysFault
            It names none, or one that holds no keys.
        """
        path = environment.get(VARIABLE)
        if not path:
            raise KeysFault(
                f"service '{service}' was packaged with deployment.auth=key and finds no keys: {VARIABLE} is not set. "
                f"`aml serve {service}` sets it, `aml keys {service}` tells the file that it must name."
            )
        try:
            return cls(Path(path))
        except OSError as error:
            raise KeysFault(f"{VARIABLE}={path}: {error.strerror}; `aml keys {service}` writes this file") from None
        except (ValueError, LookupError, TypeError, AttributeError):
            raise KeysFault(f"{VARIABLE}={path} holds no keys; `aml keys {service}` writes this file") from None

    def admit(self, authorization: bytes | None) -> bool:
        """Whether a request with this `Authorization` header may be answered; takes equally long for any wrong key."""
        if time.monotonic() >= self._look_at:
            self._look()
        given = (authorization or b"").strip()
        scheme, _, key = given.partition(b" ")
        primary, secondary = self._keys
        # both, whatever the first says: the time taken must not tell which one it was
        fits = hmac.compare_digest(key.strip(), primary) | hmac.compare_digest(key.strip(), secondary)
        return fits and scheme.lower() == b"bearer"

    def _look(self) -> None:
        """Read the file again where it is another one; keep the keys where it cannot be read."""
        self._look_at = time.monotonic() + LOOK_S
        try:
            stamp = self._stat()
            if stamp != self._stamp:
                self._keys = self._read()
                self._stamp = stamp
                log.info("the keys were replaced")
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            log.warning("the keys stay as they were: %s cannot be read (%s)", self._path, type(error).__name__)

    def _stat(self) -> tuple[int, int, int]:
        found = os.stat(self._path)
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _read(self) -> tuple[bytes, bytes]:
        keys = json.loads(self._path.read_text("utf-8"))
        primary, secondary = keys["primary"].encode(), keys["secondary"].encode()
        if min(len(primary), len(secondary)) < 16:
            raise ValueError("a key is too short to guard anything")
        return primary, secondary


def key_guard(settings: Mapping[str, Any]) -> KeyGuard | None:
    """The keys of a service that was packaged with some."""
    return KeyGuard.of(settings["name"], os.environ) if settings["auth"] == "key" else None
