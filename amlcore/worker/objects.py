"""The objects of a snapshot: files named by the sha256 of their content, which verifies each copy."""

import os

from amlcore.worker.hashes import stream_sha256


class DamagedError(Exception):
    """An object is missing, or its content has changed."""


def object_path(objects, sha256):
    # type: (str | os.PathLike[str], str) -> str
    return os.path.join(str(objects), sha256[:2], sha256)


def copy_object(objects, sha256, target, *, name):
    # type: (...) -> None
    """Copy the object of the file `name` to `target`.

    Raises DamagedError if its content has changed.
    """
    path = object_path(objects, sha256)
    try:
        stream = open(path, "rb", buffering=0)
    except FileNotFoundError:
        raise DamagedError("the stored object of {} is missing: there is no file {}; submit again".format(name, path))
    with stream, open(target, "wb", buffering=0) as copy:
        if stream_sha256(stream, copy=copy)[0] != sha256:
            message = "the stored object of {} is damaged; remove {} and submit again"
            raise DamagedError(message.format(name, path))
