"""Ownership: whose a folder is, in a workspace that several users share."""

from __future__ import annotations

import os
import pwd
import stat
import tempfile
from pathlib import Path


def is_own(folder: Path) -> bool:
    """Whether this user made `folder`; on a share that gives all files one owner, whoever may write there did."""
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
    """Whether this user may bring the run in `folder` to its end: its files can be moved by their owner alone."""
    return os.access(folder, os.W_OK | os.X_OK) and (os.geteuid() == 0 or is_own(folder))


def open_tree_to_group(folder: Path) -> None:
    """Let the group read all that is in `folder`, where it may write beside it: what is made there is for all."""
    if not folder.parent.stat().st_mode & stat.S_IWGRP:
        return
    for path in (folder, *folder.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        wanted = mode | stat.S_IRGRP | (stat.S_IXGRP if mode & stat.S_IXUSR else 0)
        if wanted != mode and not path.is_symlink():
            path.chmod(wanted)


def owner_of(path: str | Path) -> str:
    """The name of the user that a file belongs to, or a number where nobody has that; "" where there is no telling."""
    try:
        number = os.stat(path).st_uid
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"
    except OSError:
        return ""
