"""The files of an input, links followed, so that the same files are hashed, copied and read by the script."""

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401


class UnreadableInputError(Exception):
    """An input, or a file in it, cannot be hashed or copied."""


def is_folder(path):
    # type: (str) -> bool
    """Whether `path`, or the target of a link, is a folder rather than a file.

    Raises UnreadableInputError if it is neither.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        if os.path.islink(path):
            raise UnreadableInputError("{} is a link to {}, which does not exist".format(path, os.readlink(path)))
        raise UnreadableInputError("{} cannot be read ({})".format(path, error.strerror))
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise UnreadableInputError(
            "{} is a pipe, a socket or a device; only files and folders can be inputs".format(path)
        )
    return stat.S_ISDIR(mode)


def walk(folder, above=()):
    # type: (str, tuple[tuple[int, int], ...]) -> typing.Iterator[tuple[str, list[str]]]
    """Each folder from `folder` down, with the sorted names of its files; `above` are its parents on the way.

    Raises UnreadableInputError for anything but files and folders, and for a link to one of its own parents.
    """
    status = os.stat(folder)
    here = (status.st_dev, status.st_ino)
    if here in above:
        raise UnreadableInputError("{} is a link to a folder that contains it, an endless loop".format(folder))
    names = _names(folder)
    folders = {name for name in names if is_folder(os.path.join(folder, name))}
    yield folder, [name for name in names if name not in folders]
    for name in sorted(folders):
        for item in walk(os.path.join(folder, name), above + (here,)):
            yield item


def _names(folder):
    # type: (str) -> list[str]
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise UnreadableInputError("{} cannot be read ({})".format(folder, error.strerror))
