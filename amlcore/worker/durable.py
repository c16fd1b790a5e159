"""Syncs files and folders to the disk, many at once, before they are reported as kept.

Python 3.6 and the standard library only: a script's own process uses it too.
"""

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

OPEN_AT_ONCE = 128
"""The files that are open at a time, well below the limit of a process."""

THREADS = 8
"""The threads that sync files at the same time."""

SYNC_FILESYSTEM_ABOVE = 4096
"""Above this number of files, one sync of the filesystem is cheaper than an fsync of each."""

_UNABLE = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EROFS)
"""The errors of a filesystem that cannot sync folders, or anything: nothing more can be done there."""

_UNREADABLE = (errno.EACCES, errno.EPERM, errno.ENOENT, errno.ELOOP)


def sync_tree(*paths):
    # type: (str | os.PathLike[str]) -> None
    """Sync files, and folders with all their content; raises OSError if the disk fails."""
    files = []  # type: list[str]
    for path in paths:
        files += _tree(str(path))
    sync(files)


def sync(paths):
    # type: (typing.Iterable[str | os.PathLike[str]]) -> None
    """Sync these files and folders, but not what is in the folders; skips those that are missing or unreadable."""
    names = [str(path) for path in paths]
    if len(names) > SYNC_FILESYSTEM_ABOVE and _sync_filesystems(names):
        return
    for start in range(0, len(names), OPEN_AT_ONCE):
        _sync_together(names[start : start + OPEN_AT_ONCE])


def sync_parents(path, top):
    # type: (str | os.PathLike[str], str | os.PathLike[str]) -> None
    """Sync the folders above `path`, up to `top`, so that the names on the way survive."""
    sync(_parents(path, top))


def sync_new(folder, top):
    # type: (str | os.PathLike[str], str | os.PathLike[str]) -> None
    """Sync a new folder with all its content, and the folders above it, up to `top`; the disk is waited for once."""
    sync(list(_tree(str(folder))) + _parents(folder, top))


def _parents(path, top):
    # type: (str | os.PathLike[str], str | os.PathLike[str]) -> list[str]
    folder, last = os.path.dirname(os.path.abspath(str(path))), os.path.abspath(str(top))
    folders = [folder]
    while folder != last and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
        folders.append(folder)
    return folders


def _tree(path):
    # type: (str) -> typing.Iterator[str]
    """`path` and all files and folders below it, without links and without pipes, which would block."""
    if not os.path.isdir(path) or os.path.islink(path):
        if os.path.isfile(path) and not os.path.islink(path):
            yield path
        return
    waiting = [path]
    while waiting:
        folder = waiting.pop()
        yield folder
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            elif entry.is_file(follow_symlinks=False):
                yield entry.path


def _sync_together(paths):
    # type: (list[str]) -> None
    handles = [handle for handle in map(_opened, paths) if handle is not None]
    try:
        for handle in handles:
            _begin_writing(handle)
        _sync_in_parallel(handles)
    finally:
        for handle in handles:
            os.close(handle)


def _sync_in_parallel(handles):
    # type: (list[int]) -> None
    """Sync open files at the same time: a journal commits for all who wait, where one by one each waits for its own."""
    import threading  # a script's process may not have it yet

    errors = []  # type: list[OSError]

    def sync_some(some):
        # type: (list[int]) -> None
        try:
            for handle in some:
                _sync_one(handle)
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=sync_some, args=(handles[start::THREADS],)) for start in range(1, THREADS)]
    started = []
    try:
        for thread in threads[: max(len(handles) - 1, 0)]:
            thread.start()
            started.append(thread)
    except RuntimeError:  # no further thread is allowed
        for start in range(len(started) + 1, THREADS):
            sync_some(handles[start::THREADS])
    sync_some(handles[::THREADS])
    for thread in started:
        thread.join()
    if errors:
        raise errors[0]


def _opened(path):
    # type: (str) -> int | None
    try:
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in _UNREADABLE:
            return None
        raise


def _begin_writing(handle):
    # type: (int) -> None
    """Let the kernel start writing a file, so that one journal commit serves all of them."""
    try:
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    except (AttributeError, OSError):  # it is only a hint
        pass


def _sync_one(handle):
    # type: (int) -> None
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _UNABLE:
            raise


def _sync_filesystems(paths):
    # type: (list[str]) -> bool
    """Sync the filesystems of these paths; False if this machine cannot."""
    import ctypes  # rarely needed, and slow to import

    call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if call is None:
        return False
    holders = {}  # type: dict[int, str]
    for path in paths:
        try:
            holders.setdefault(os.lstat(path).st_dev, path)
        except OSError:
            continue
    for path in holders.values():
        handle = _opened(path)
        if handle is None:
            return False
        try:
            if call(handle) != 0:
                number = ctypes.get_errno()
                if number in _UNABLE or number == errno.ENOSYS:
                    return False
                raise OSError(number, os.strerror(number), path)
        finally:
            os.close(handle)
    return True
