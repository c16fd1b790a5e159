"""The files of an input, links followed: what is hashed, what is copied and what the script reads are the same."""

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401


class UnreadableInputError(Exception):
    """An input, or something in it, can be neither hashed nor copied."""


def is_folder(path):
    # type: (str) -> bool
    """Whether `path` is a folder rather than a file, a link being what it leads to.

    Raises UnreadableInputError where it is neither.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        if os.path.islink(path):
            raise UnreadableInputError("{} is a link to {}, which leads nowhere".format(path, os.readlink(path)))
        raise UnreadableInputError("{} cannot be read ({})".format(path, error.strerror))
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise UnreadableInputError("{} is a pipe, a socket or a device, which has no content to keep".format(path))
    return stat.S_ISDIR(mode)


def walk(folder, above=()):
    # type: (str, tuple[tuple[int, int], ...]) -> typing.Iterator[tuple[str, list[str]]]
    """Each folder from `folder` down with the names of its files, sorted; `above` are the folders that led here.

    Raises UnreadableInputError where something is neither file nor folder, or a link leads back to where it came from.
    """
    status = os.stat(folder)
    here = (status.st_dev, status.st_ino)
    if here in above:
        raise UnreadableInputError("{} is a link to a folder that it lies in, which has no end".format(folder))
    names = _names(folder)
    folders = {name for name in names if is_folder(os.path.join(folder, name))}
    yield folder, [name for name in names if name not in folders]
    for name in sorted(folders):
        for found in walk(os.path.join(folder, name), above + (here,)):
            yield found


def _names(folder):
    # type: (str) -> list[str]
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise UnreadableInputError("{} cannot be read ({})".format(folder, error.strerror))
