"""The RunCache: rows of ended runs in a SQLite file of the user's cache; without it everything works, only slower."""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar

from amlcore.index.row import FIELDS, RunRow, facts_of, row_from_json, to_json

T = TypeVar("T")
Texts = tuple[str, str, str, str]
"""The facts, parameters, metrics and tags of a row, as JSON."""

logger = logging.getLogger(__name__)

_CREATE = """
CREATE TABLE runs (
    place TEXT PRIMARY KEY, fingerprint INTEGER, watched TEXT, checksum INTEGER,
    facts TEXT, parameters TEXT, metrics TEXT, tags TEXT
)
"""
_SELECT = "SELECT place, fingerprint, watched, checksum, facts, parameters, metrics, tags FROM runs"
_INSERT = "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_REVISION = 1  # raise it when a field means something else than before

VERSION = zlib.crc32(f"{_REVISION} {_CREATE} {FIELDS}".encode()) & 0x7FFF_FFFF
"""Of the file; one of another version is replaced."""

_LOCK_WAIT_S = 2.0
"""How long to wait for another process that is writing."""

_UNUSED_S = 60 * 86400.0
"""After this time the file of a workspace that nobody lists any more is removed."""

_DO_WITHOUT = {
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
}
"""The errors after which the file is left as it is: it may be whole. After any other one it is replaced."""


class CachedRun:
    """The row of an ended run, and the fingerprint that its folder had when the row was read."""

    __slots__ = ("_row", "fingerprint", "place", "texts", "watched")

    def __init__(self, place: str, fingerprint: int, watched: str, texts: Texts, row: RunRow | None = None) -> None:
        self.place = place
        self.fingerprint = fingerprint
        self.watched = watched
        self.texts = texts
        self._row = row

    @classmethod
    def of(cls, row: RunRow, fingerprint: int, watched: str) -> CachedRun:
        texts = (to_json(facts_of(row)), row.parameters_json, row.metrics_json, row.tags_json)
        return cls(row.place, fingerprint, watched, texts, row)

    @property
    def row(self) -> RunRow:
        """The row; many are loaded and few may be needed, so it is parsed when it is."""
        if self._row is None:
            self._row = row_from_json(self.place, *self.texts)
        return self._row


class RunCache:
    """The cached rows of one workspace. Any failure of SQLite or of its disk means that nothing is cached."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    @classmethod
    def of(cls, root: Path) -> RunCache:
        """The cache of the workspace at `root`, by whichever path it is reached."""
        caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        try:
            folder = Path(caches).expanduser().absolute() / "amlcore" / "index"
        except (RuntimeError, OSError):  # there is no home folder
            return cls(None)
        identity = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:32]
        return cls(folder / f"{identity}.sqlite")

    def load(self) -> dict[str, CachedRun]:
        """All rows by their places."""
        if self.path is None or not os.path.exists(self.path):
            return {}
        runs = self._attempt(_select) or {}
        with suppress(OSError):
            os.utime(self.path)  # says that it is still used
        return runs

    def store(self, runs: Iterable[CachedRun], *, removed: Iterable[str] = ()) -> None:
        """Keep `runs`, and drop those whose places are in `removed`."""
        values = [
            (run.place, run.fingerprint, run.watched, _checksum(run.place, run.watched, *run.texts), *run.texts)
            for run in runs
            if run.place.isprintable()  # SQLite takes no name that is not text
        ]
        places = [(place,) for place in removed]

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("DELETE FROM runs WHERE place = ?", places)
            connection.executemany(_INSERT, values)
            connection.execute("COMMIT")

        if values or places:
            self._attempt(write)

    def _attempt(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """What `work` makes of the file; a damaged or foreign file is replaced once."""
        if self.path is None:
            return None
        try:
            try:
                return self._work(self.path, work)
            except sqlite3.Error as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DO_WITHOUT:
                    raise
                logger.debug("the index %s is rebuilt: %s", self.path, error)
                _remove(self.path)
                return self._work(self.path, work)
        except (sqlite3.Error, OSError) as error:
            logger.debug("the index %s is not used: %s", self.path, error)
            return None

    def _work(self, path: Path, work: Callable[[sqlite3.Connection], T]) -> T:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _remove_unused(path.parent)
            with suppress(FileExistsError):  # names of runs and what they logged are nobody else's business
                os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
        with closing(sqlite3.connect(path, timeout=_LOCK_WAIT_S, isolation_level=None)) as connection:
            if _version(connection) != VERSION:
                connection.execute("BEGIN IMMEDIATE")
                if _version(connection) != VERSION:
                    connection.execute(_CREATE)
                    connection.execute(f"PRAGMA user_version = {VERSION}")
                connection.execute("COMMIT")
            return work(connection)


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, VERSION):
        raise sqlite3.DatabaseError(f"it is of version {version}, not {VERSION}")
    return version


def _select(connection: sqlite3.Connection) -> dict[str, CachedRun]:
    runs = {}
    try:
        for place, fingerprint, watched, checksum, *texts in connection.execute(_SELECT):
            if _checksum(place, watched, *texts) != checksum:
                raise sqlite3.DatabaseError(f"the row of {place} is damaged")
            runs[place] = CachedRun(place, fingerprint, watched, tuple(texts))
    except (UnicodeDecodeError, TypeError) as error:
        raise sqlite3.DatabaseError(f"a row is damaged: {error}") from None
    return runs


def _checksum(*texts: str) -> int:
    """SQLite itself does not notice when a disk has scrambled a text."""
    return zlib.crc32("".join(texts).encode())


def _remove(path: Path) -> None:
    for name in (path, f"{path}-journal"):
        with suppress(FileNotFoundError):
            os.unlink(name)


def _remove_unused(folder: Path) -> None:
    """Remove the files of workspaces that nobody has listed for long; most were temporary folders."""
    for path in folder.glob("*.sqlite"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _UNUSED_S:
                _remove(path)
