"""Snapshots: a source folder as it is now, stored once by content and never changed."""

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

from amlcore.errors import SnapshotError
from amlcore.log import timed
from amlcore.snapshot.listing import SourceFile, SourceListing, list_source, megabytes, unreadable_source
from amlcore.worker import durable
from amlcore.worker.files import make_folder, read_json, write_json
from amlcore.worker.hashes import stream_sha256
from amlcore.worker.layout import SnapshotLayout
from amlcore.worker.objects import DamagedError, copy_object, object_path

GIVEN_UP_AT = 5  # times the limit
SMALL_BYTES = 8 << 20
LONG_S = 600.0  # by then the kernel has written everything
# A file can change twice within one tick of its clock, so one that changed this recently is read again next time.
RACY_NS = 2_000_000_000
# Stored objects get this time (2000-01-01), so that a later write, which leaves another, is noticed.
STORED_NS = 946_684_800_000_000_000


@dataclass(frozen=True)
class SnapshotLimits:
    max_mb: float = 300
    max_files: int = 2000

    def check(self, source: SourceListing) -> None:
        """Raise SnapshotError, naming the largest parts, if a limit is exceeded."""
        if source.is_whole and source.size_bytes > self.max_mb * 1e6:
            raise SnapshotError(
                f"the source folder {source.folder} holds {megabytes(source.size_bytes)}; the limit is "
                f"{self.max_mb:g} MB; largest: {', '.join(source.heaviest)}. Add what the script does not need to "
                f".amlignore, or raise workspace.snapshot_max_mb={-(-source.size_bytes // 1_000_000)}"
            )
        if len(source.files) > self.max_files:
            most = ", ".join(source.fullest) or "the folder itself"
            count, enough = (len(source.files), f"={len(source.files)}") if source.is_whole else (self.given_up_at, "")
            raise SnapshotError(
                f"the source folder {source.folder} holds {'' if source.is_whole else 'more than '}{count} files, and "
                f"the limit is {self.max_files}; most are in: {most}. Add what the script does "
                f"not need to .amlignore, or raise workspace.snapshot_max_files{enough}"
            )

    @property
    def given_up_at(self) -> int:
        """The number of files after which counting stops."""
        return GIVEN_UP_AT * self.max_files


@dataclass(frozen=True)
class Snapshot:
    """A stored source folder; its id is the sha256 of its manifest."""

    id: str
    manifest: Path
    objects: Path
    files: int
    size_bytes: int


@dataclass(frozen=True)
class StoredFile:
    path: str
    sha256: str
    mode: int
    size: int


@timed
def take(source: Path, *, store: Path, limits: SnapshotLimits, exclude: Sequence[Path] = ()) -> Snapshot:
    """Store `source` in `store`, without its ignored files and without the folders `exclude`.

    Raises
    ------
    SnapshotError
        The folder exceeds a limit, has a link that leaves it, or a file that cannot be read.
    """
    listing = _checked(source, store=store, limits=limits, exclude=exclude)
    objects = Path(SnapshotLayout(store).objects)
    make_folder(objects)
    cache = StatCache.load(store, source)
    cache.drop_unless(partial(_is_kept, objects))
    files = [_stored(file, listing.folder, cache=cache, read=partial(_keep, objects)) for file in listing.files]
    cache.save()
    snapshot, manifest = _snapshot(files, listing.links, store=store)
    if _create(snapshot.manifest, manifest):
        _sync(snapshot, files)
    return snapshot


def digest(source: Path, *, store: Path, limits: SnapshotLimits, exclude: Sequence[Path] = ()) -> Snapshot:
    """What `take` would return, with nothing written."""
    listing = _checked(source, store=store, limits=limits, exclude=exclude)
    cache = StatCache.load(store, source)
    files = [_stored(file, listing.folder, cache=cache, read=stream_sha256) for file in listing.files]
    return _snapshot(files, listing.links, store=store)[0]


def load(identifier: str, *, store: Path) -> Snapshot:
    """Find a snapshot that was taken before.

    Raises
    ------
    SnapshotError
        It is not in the store, or its manifest has changed.
    """
    layout = SnapshotLayout(store)
    path = Path(layout.manifest(identifier))
    if not path.exists():
        raise SnapshotError(f"there is no snapshot {identifier} in {store}")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != identifier:
        raise SnapshotError(f"{path} has changed since it was stored: its sha256 is not its name")
    files = json.loads(content)["files"]
    return Snapshot(identifier, path, Path(layout.objects), len(files), sum(size for *_, size in files))


def stored_files(manifest: Path) -> list[StoredFile]:
    return [StoredFile(*row) for row in json.loads(manifest.read_bytes())["files"]]


def materialize(manifest: Path, *, objects: Path, into: Path, selects: Callable[[str], bool]) -> None:
    """Copy the files of a snapshot whose path is `wanted` to the folder `into`.

    Raises
    ------
    SnapshotError
        The object of a file is missing or has changed.
    """
    for file in stored_files(manifest):
        if selects(file.path):
            target = into / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                copy_object(objects, file.sha256, target, name=file.path)
            except DamagedError as error:
                raise SnapshotError(str(error)) from None
            target.chmod(file.mode)


@dataclass
class StatCache:
    """The sha256 of files that have not changed since they were last read, by size, times and inode."""

    path: Path
    entries: dict[str, list[Any]] = field(default_factory=dict)
    used: dict[str, list[Any]] = field(default_factory=dict)

    @classmethod
    def load(cls, store: Path, source: Path) -> "StatCache":
        name = hashlib.sha256(os.fsencode(os.path.realpath(source))).hexdigest()[:32]
        path = store / "stat" / f"{name}.json"
        try:
            entries = read_json(str(path)) or {}
            return cls(path, {name: entry for name, entry in entries.items() if _is_entry(entry)})
        except (OSError, ValueError, AttributeError):  # only a cache: a damaged one is rebuilt
            return cls(path)

    def find(self, path: str, stat: os.stat_result) -> str | None:
        entry = self.entries.get(path)
        if entry is None or entry[1:] != _stamp(stat):
            return None
        self.used[path] = entry
        return str(entry[0])

    def add(self, path: str, sha256: str, *, before: os.stat_result, after: os.stat_result, read_ns: int) -> None:
        """Remember a file, unless it changed while it was read, or too recently for its times to tell."""
        if _stamp(before) == _stamp(after) and max(after.st_mtime_ns, after.st_ctime_ns) < read_ns - RACY_NS:
            self.used[path] = [sha256, *_stamp(after)]

    def drop_unless(self, is_kept: Callable[[str, int], bool]) -> None:
        self.entries = {path: entry for path, entry in self.entries.items() if is_kept(entry[0], entry[1])}

    def save(self) -> None:
        if self.used != self.entries:
            make_folder(self.path.parent)
            write_json(str(self.path), self.used)


def _is_entry(entry: Any) -> bool:
    """Whether this is a hash and a stamp."""
    return isinstance(entry, list) and len(entry) == 5 and re.fullmatch("[0-9a-f]{64}", str(entry[0])) is not None


def _checked(source: Path, *, store: Path, limits: SnapshotLimits, exclude: Sequence[Path]) -> SourceListing:
    listing = list_source(source, exclude=[store, *exclude], at_most=limits.given_up_at)
    limits.check(listing)
    return listing


def _stored(
    file: SourceFile, folder: Path, *, cache: StatCache, read: Callable[[IO[bytes]], tuple[str, int]]
) -> StoredFile:
    sha256 = cache.find(file.path, file.stat)
    if sha256 is not None:
        return StoredFile(file.path, sha256, _mode(file.stat), file.stat.st_size)
    path = folder / file.path
    read_ns = time.time_ns()
    with _opened(path) as stream:
        before = os.fstat(stream.fileno())
        sha256, size = read(stream)
        after = os.fstat(stream.fileno())
    cache.add(file.path, sha256, before=before, after=after, read_ns=read_ns)
    return StoredFile(file.path, sha256, _mode(after), size)


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise unreadable_source(path, error) from None


def _keep(objects: Path, stream: IO[bytes]) -> tuple[str, int]:
    """Store the content of `stream` under its own hash, even if the file changes meanwhile."""
    start = stream.read(SMALL_BYTES)
    if len(start) < SMALL_BYTES:
        sha256 = hashlib.sha256(start).hexdigest()
        _create(_object(objects, sha256), start)
        return sha256, len(start)
    handle, temporary = tempfile.mkstemp(prefix=".", dir=objects)
    try:
        with os.fdopen(handle, "wb") as copy:
            copy.write(start)
            sha256, size = stream_sha256(stream, start=start, copy=copy)
        _publish(Path(temporary), _object(objects, sha256))
    finally:
        Path(temporary).unlink(missing_ok=True)
    return sha256, size


def _create(path: Path, content: bytes) -> bool:
    """Store `content` at `path`; False if it is there already."""
    if _is_untouched(path, len(content)):
        return False
    make_folder(path.parent)
    handle, temporary = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        _publish(Path(temporary), path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return True


def _publish(temporary: Path, path: Path) -> None:
    make_folder(path.parent)
    temporary.chmod(0o444)
    os.utime(temporary, ns=(STORED_NS, STORED_NS))
    # Two snapshots that store the same content at once rename equal files over each other.
    temporary.rename(path)


def _sync(snapshot: Snapshot, stored: list[StoredFile]) -> None:
    """Sync a new snapshot; objects stored long ago are on the disk already."""
    objects = {_object(snapshot.objects, file.sha256) for file in stored}
    since = time.time() - LONG_S
    new = [path for path in objects if path.stat().st_ctime > since]
    manifests, store = snapshot.manifest.parent, snapshot.objects.parent
    folders = [*{path.parent for path in new}, manifests, snapshot.objects, store, store.parent, store.parent.parent]
    durable.sync([snapshot.manifest, *new, *folders])


def _is_kept(objects: Path, sha256: str, size: int) -> bool:
    return _is_untouched(_object(objects, sha256), size)


def _is_untouched(path: Path, size: int) -> bool:
    """Whether an object of this size is stored at `path` and has not been written to since."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return False
    return (stat.st_size, stat.st_mtime_ns) == (size, STORED_NS)


def _snapshot(files: list[StoredFile], links: list[tuple[str, str]], *, store: Path) -> tuple[Snapshot, bytes]:
    rows = [[file.path, file.sha256, file.mode, file.size] for file in files]
    manifest = json.dumps({"files": rows, "links": links}, sort_keys=True, separators=(",", ":")).encode()
    identifier = hashlib.sha256(manifest).hexdigest()
    layout, size_bytes = SnapshotLayout(store), sum(file.size for file in files)
    return Snapshot(
        identifier, Path(layout.manifest(identifier)), Path(layout.objects), len(files), size_bytes
    ), manifest


def _object(objects: Path, sha256: str) -> Path:
    return Path(object_path(objects, sha256))


def _mode(stat: os.stat_result) -> int:
    return 0o755 if stat.st_mode & 0o100 else 0o644


def _stamp(stat: os.stat_result) -> list[int]:
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
