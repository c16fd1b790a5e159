"""Files that are written whole or not at all, and folders that several users share."""

import json
import os
import stat
import tempfile

from amlcore.worker.full_disk import retry_while_full

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401


def write_json(path, value, sync=False, mode=0o644):
    # type: (str, object, bool, int) -> None
    """Write `value` whole or not at all: a temporary file in the same folder, then a rename.

    With `sync` that holds after a power cut too: what stands at `path` then is whole, be it the old or the new.
    """
    write_text(path, json.dumps(value, indent=1) + "\n", sync, mode)


def write_text(path, text, sync=False, mode=0o644):
    # type: (str, str, bool, int) -> None
    """Write `text` in the same way."""
    retry_while_full(lambda: _write_text(path, text, sync, mode), path)


def _write_text(path, text, sync, mode):
    # type: (str, str, bool, int) -> None
    folder = os.path.dirname(path)
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            if sync:
                stream.flush()
                os.fsync(stream.fileno())
        os.chmod(temporary, mode)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def read_json(path):
    # type: (str) -> typing.Any
    """The value at `path`, or None where there is no such file."""
    try:
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)
    except FileNotFoundError:
        return None


def create_json(path, value):
    # type: (str, object) -> bool
    """Write `value` only if `path` does not exist yet.

    Returns whether this call created it.
    """
    return retry_while_full(lambda: _create_json(path, value), path)  # type: ignore[no-any-return]


def _create_json(path, value):
    # type: (str, object) -> bool
    folder = os.path.dirname(path)
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(value, stream, indent=1)
        os.chmod(temporary, 0o644)
        os.link(temporary, path)
        return True
    except FileExistsError:
        return False
    finally:
        os.unlink(temporary)


def append_line(path, value):
    # type: (str, object) -> None
    """Append `value` as one line of JSON by one write, so that no two lines are ever mixed."""
    data = (json.dumps(value) + "\n").encode("utf-8")
    handle = retry_while_full(lambda: os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644), path)
    try:
        while data:  # a full disk takes a part: the next write says so
            data = data[retry_while_full(lambda: os.write(handle, data), path) :]  # noqa: B023 - called at once
    finally:
        os.close(handle)


def make_folder(path, keep_private=False):
    # type: (str | os.PathLike[str], bool) -> None
    """Make a folder that several users share, with those above it that lack; one that is there stays as it is.

    Where the group may write into the folder that it lies in, the group may use it as that one, whatever the umask of
    who makes it says; with `keep_private` only if that umask lets the group read at all.
    """
    path = str(path)
    try:
        os.mkdir(path)
    except FileNotFoundError:
        make_folder(os.path.dirname(os.path.abspath(path)))
        make_folder(path, keep_private)
        return
    except FileExistsError:
        if not os.path.isdir(path):
            raise
        return
    open_to_group(path, keep_private)


def open_to_group(path, keep_private=False):
    # type: (str, bool) -> None
    """Let the group use a folder, or a file that all write, as it may use the folder that it lies in."""
    around = os.stat(os.path.dirname(os.path.abspath(path))).st_mode
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if around & stat.S_IWGRP and (mode & stat.S_IRGRP or not keep_private):
        is_folder = os.path.isdir(path)
        os.chmod(path, mode | around & ((stat.S_ISGID | stat.S_IRWXG) if is_folder else (stat.S_IRGRP | stat.S_IWGRP)))
