"""Files that are written whole or not at all, and folders that several users share."""

import json
import os
import stat
import tempfile
from contextlib import contextmanager

from amlcore.worker.full_disk import retry_while_full

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401


def write_json(path, value, sync=False, mode=0o644):
    # type: (str, object, bool, int) -> None
    """Write `value` as JSON, as `write_bytes` does."""
    write_text(path, _json(value), sync, mode)


def write_text(path, text, sync=False, mode=0o644, for_group=False):
    # type: (str, str, bool, int, bool) -> None
    """Write `text` in UTF-8, as `write_bytes` does."""
    write_bytes(path, text.encode("utf-8"), sync, mode, for_group)


def write_bytes(path, content, sync=False, mode=0o644, for_group=False):
    # type: (str, bytes, bool, int, bool) -> None
    """Write a file whole or not at all: a temporary file in the same folder, then a rename.

    With `sync` that holds after a power cut too: `path` then holds the old content or the new, whole. With
    `for_group` the group gets the same rights as to the folder.
    """

    def write():
        # type: () -> None
        with _temporary(path, content, sync, mode) as temporary:
            if for_group:
                open_to_group(temporary)
            os.rename(temporary, path)

    retry_while_full(write, path)


def read_json(path):
    # type: (str) -> typing.Any
    """The value in the file at `path`; None if there is no such file."""
    try:
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)
    except FileNotFoundError:
        return None


def create_json(path, value, sync=False, mode=0o644):
    # type: (str, object, bool, int) -> bool
    """Write `value` as JSON only if `path` does not exist yet, as `create_bytes` does."""
    return create_bytes(path, _json(value).encode("utf-8"), sync, mode)


def create_bytes(path, content, sync=False, mode=0o644):
    # type: (str, bytes, bool, int) -> bool
    """Write a file whole or not at all, and only if `path` does not exist yet.

    Returns whether this call created it.
    """

    def create():
        # type: () -> bool
        with _temporary(path, content, sync, mode) as temporary:
            try:
                os.link(temporary, path)
                is_new = True
            except FileExistsError:
                is_new = False
        os.unlink(temporary)
        return is_new

    return retry_while_full(create, path)  # type: ignore[no-any-return]


def _json(value):
    # type: (object) -> str
    return json.dumps(value, indent=1) + "\n"


@contextmanager
def _temporary(path, content, sync, mode):
    # type: (str, bytes, bool, int) -> typing.Iterator[str]
    """A file with `content` next to `path`, for the caller to rename or remove; removed if the caller fails."""
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=os.path.dirname(path))
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            if sync:
                stream.flush()
                os.fsync(stream.fileno())
        os.chmod(temporary, mode)
        yield temporary
    except BaseException:
        os.unlink(temporary)
        raise


def append_line(path, value, alone=False):
    # type: (str, object, bool) -> None
    """Append `value` as a line of JSON, as `append_lines` does."""
    append_lines(path, [value], alone)


def append_lines(path, values, alone=False):
    # type: (str, typing.Iterable[object], bool) -> None
    """Append each value as a line of JSON, all in one write, so that lines of several writers never mix.

    If `alone`, no other process writes to the file, so the part of them that did not fit is removed again.
    """
    data = "".join(json.dumps(value) + "\n" for value in values).encode("utf-8")
    handle = retry_while_full(lambda: os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644), path)
    written = 0
    try:
        while written < len(data):  # a full disk may take a part; the next write then fails
            written += retry_while_full(lambda: os.write(handle, data[written:]), path)  # noqa: B023 - called at once
    except OSError:
        if alone:
            _take_back(handle, path, written)
        raise
    finally:
        os.close(handle)


def _take_back(handle, path, written):
    # type: (int, str, int) -> None
    """Remove the part of a line that was written, and the file if it held nothing else: half a line is damage."""
    try:
        end = os.lseek(handle, 0, os.SEEK_CUR) if written else os.fstat(handle).st_size  # where the part ends
        if os.fstat(handle).st_size != end:
            return  # another thread has appended since: its line counts
        if written:
            os.ftruncate(handle, end - written)
        if end == written:
            os.unlink(path)
    except OSError:
        pass  # the caller gets the first error


def make_folder(path, keep_private=False):
    # type: (str | os.PathLike[str], bool) -> None
    """Create a folder that several users share, and its missing parents; an existing folder is left as it is.

    If the group may write to the parent folder, it gets the same rights here, whatever the umask; with `keep_private`
    only if the umask lets the group read at all.
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
    """Give the group the rights to a folder, or to a shared file, that it has to the parent folder."""
    parent = os.stat(os.path.dirname(os.path.abspath(path))).st_mode
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if parent & stat.S_IWGRP and (mode & stat.S_IRGRP or not keep_private):
        is_folder = os.path.isdir(path)
        os.chmod(path, mode | parent & ((stat.S_ISGID | stat.S_IRWXG) if is_folder else (stat.S_IRGRP | stat.S_IWGRP)))
