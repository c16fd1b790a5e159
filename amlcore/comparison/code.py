"""What differs between the snapshots of two runs: files added, removed, renamed and changed, with a diff of texts."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from amlcore.comparison.facts import RunFacts, snapshot_store
from amlcore.errors import SnapshotError
from amlcore.snapshot.snapshot import Snapshot, StoredFile, load, stored_files
from amlcore.worker.hashes import file_sha256
from amlcore.worker.objects import object_path

MAX_DIFF_BYTES = 1_000_000  # of a file; a longer one is compared by its hash alone
MAX_DIFF_LINES = 20_000
_MAX_CHANGED_LINES = 4_000  # without the common begin and end; above it, difflib takes minutes


@dataclass(frozen=True)
class FileChange:
    """A file that differs."""

    path: str
    change: str  # added, removed, renamed, changed or mode
    before: str | None = None  # the path before it was renamed
    diff: tuple[str, ...] = ()  # the lines of a unified diff
    note: str | None = None  # why there is no diff, or what else changed


@dataclass(frozen=True)
class CodeComparison:
    """The code of a run beside that of the first one."""

    label: str
    is_same: bool | None  # None: it is not known
    files: tuple[FileChange, ...] = ()
    note: str | None = None


def compare_code(first: RunFacts, other: RunFacts) -> CodeComparison:
    """What differs between the code of two runs; without a snapshot, a note says what is missing."""
    ids = [facts.record.info.snapshot for facts in (first, other)]
    if ids[0] is None or ids[1] is None:
        missing = " and ".join(facts.label for facts, info in zip((first, other), ids, strict=True) if info is None)
        return CodeComparison(other.label, None, note=f"{missing} has no snapshot: a script started it by itself")
    if ids[0].id == ids[1].id:
        return CodeComparison(other.label, is_same=True)
    try:
        before, after = _Source.of(first, ids[0].id), _Source.of(other, ids[1].id)
    except SnapshotError as error:
        return CodeComparison(other.label, is_same=False, note=f"the files cannot be compared: {error}")
    return CodeComparison(other.label, is_same=False, files=tuple(_changes(before, after)))


@dataclass(frozen=True)
class _Source:
    """The files of a snapshot."""

    label: str
    snapshot: Snapshot
    files: dict[str, StoredFile]

    @classmethod
    def of(cls, facts: RunFacts, identifier: str) -> _Source:
        snapshot = load(identifier, store=snapshot_store(facts.record))
        return cls(facts.label, snapshot, {file.path: file for file in stored_files(snapshot.manifest)})

    def read(self, file: StoredFile) -> bytes:
        """The content of a file; raises SnapshotError if it is gone or damaged."""
        path = Path(object_path(self.snapshot.objects, file.sha256))
        try:
            if file_sha256(path) != file.sha256:
                raise SnapshotError(f"{path} is damaged")
            return path.read_bytes()
        except OSError as error:
            raise SnapshotError(f"{path} cannot be read: {error.strerror}") from None


def _changes(before: _Source, after: _Source) -> Iterator[FileChange]:
    removed = {path: file for path, file in before.files.items() if path not in after.files}
    added = {path: file for path, file in after.files.items() if path not in before.files}
    by_content = {file.sha256: path for path, file in removed.items() if file.size}
    for path in sorted({**before.files, **after.files}):
        if path in added:
            source = by_content.get(added[path].sha256)
            if source is None:
                yield _file_change(path, "added", before, after, None, added[path])
            else:
                yield FileChange(path, "renamed", before=source)
        elif path in removed:
            if not any(file.sha256 == removed[path].sha256 for file in added.values() if file.size):
                yield _file_change(path, "removed", before, after, removed[path], None)
        elif before.files[path].sha256 != after.files[path].sha256:
            yield _file_change(path, "changed", before, after, before.files[path], after.files[path])
        elif before.files[path].mode != after.files[path].mode:
            modes = (f"{source.files[path].mode & 0o777:o}" for source in (before, after))
            yield FileChange(path, "mode", note=" → ".join(modes))


def _file_change(
    path: str, change: str, before: _Source, after: _Source, old: StoredFile | None, new: StoredFile | None
) -> FileChange:
    sizes = " → ".join(f"{file.size} bytes" for file in (old, new) if file is not None)
    if any(file is not None and file.size > MAX_DIFF_BYTES for file in (old, new)):
        return FileChange(path, change, note=f"too large for a diff: {sizes}")
    try:
        old_text = "" if old is None else _text(before.read(old))
        new_text = "" if new is None else _text(after.read(new))
    except SnapshotError as error:
        return FileChange(path, change, note=f"no diff: {error}")
    if old_text is None or new_text is None:
        return FileChange(path, change, note=f"binary: {sizes}")
    old_lines, new_lines = old_text.splitlines(), new_text.splitlines()
    is_long = max(len(old_lines), len(new_lines)) > MAX_DIFF_LINES
    if is_long or _changed_lines(old_lines, new_lines) > _MAX_CHANGED_LINES:
        return FileChange(path, change, note=f"too many lines for a diff: {len(old_lines)} → {len(new_lines)}")
    names = (f"{before.label}/{path}" if old else "/dev/null", f"{after.label}/{path}" if new else "/dev/null")
    lines = tuple(difflib.unified_diff(old_lines, new_lines, *names, lineterm=""))
    return FileChange(path, change, diff=lines, note=None if lines else "only the ends of lines differ")


def _changed_lines(old: list[str], new: list[str]) -> int:
    """The lines between the common begin and the common end of two texts."""
    begin = 0
    shorter = min(len(old), len(new))
    while begin < shorter and old[begin] == new[begin]:
        begin += 1
    end = 0
    while end < shorter - begin and old[-1 - end] == new[-1 - end]:
        end += 1
    both = bool(old) and bool(new)
    return max(len(old), len(new)) - begin - end if both else 0


def _text(content: bytes) -> str | None:
    """The text of a file; None if it is binary."""
    if b"\0" in content:
        return None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None
