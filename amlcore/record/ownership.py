"""Ownership: who owns a folder, in a workspace that several users share."""

from __future__ import annotations

import os
import pwd
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def is_own(folder: Path) -> bool:
    """Whether this user owns `folder`, or may write there on a share that gives all files one owner."""
    owner = os.stat(folder).st_uid
    if owner == os.geteuid():
        return True
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    try:
        with tempfile.TemporaryFile(dir=folder) as mine:
            return os.fstat(mine.fileno()).st_uid == owner
    except OSError:
        return False


def may_reconcile(folder: Path) -> bool:
    """Whether this user may reconcile the run in `folder`: only their owner can move its files."""
    return os.access(folder, os.W_OK | os.X_OK) and (os.geteuid() == 0 or is_own(folder))


def open_tree_to_group(folder: Path) -> None:
    """Let the group read everything in `folder` if it may write to the parent: such a parent is shared."""
    if not folder.parent.stat().st_mode & stat.S_IWGRP:
        return
    for path in (folder, *folder.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        readable = mode | stat.S_IRGRP | (stat.S_IXGRP if mode & stat.S_IXUSR else 0)
        if readable != mode and not path.is_symlink():
            path.chmod(readable)


def open_within(folder: Path, others: Iterable[Path]) -> None:
    """Give `folder` the mode of its parent, but let in nobody who may not enter each of `others` as well."""
    parent = folder.parent.stat()
    if parent.st_mode & stat.S_ISGID:  # a folder that was moved here still has the group of where it was made
        with suppress(PermissionError):
            os.chown(folder, -1, parent.st_gid)
    mode, group = stat.S_IMODE(parent.st_mode), folder.stat().st_gid
    for status in map(Path.stat, others):
        # Who is in which group is not known here: the members of another one count as everybody.
        group_bits = status.st_mode >> 3 if status.st_gid == group else status.st_mode
        mode &= ~0o077 | (group_bits & 0o7) << 3 | status.st_mode & 0o7
    folder.chmod(mode | stat.S_IRWXU)


def owner_of(path: str | Path) -> str:
    """The name of a file's owner, or the user id if it has no name; "" if the file cannot be examined."""
    try:
        number = os.stat(path).st_uid
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"
    except OSError:
        return ""
