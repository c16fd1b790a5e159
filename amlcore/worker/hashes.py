"""The sha256 of files and streams."""

import hashlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os  # noqa: F401
    import typing  # noqa: F401

CHUNK_BYTES = 1 << 20


def file_sha256(path):
    # type: (str | os.PathLike[str]) -> str
    """The sha256 of a file's content, in hex."""
    with open(str(path), "rb", buffering=0) as stream:
        return stream_sha256(stream)[0]


def stream_sha256(stream, start=b"", copy=None):
    # type: (typing.IO[bytes], bytes, typing.IO[bytes] | None) -> tuple[str, int]
    """The sha256 of the rest of `stream`, in hex, and its size in bytes.

    Parameters: `start` is what was read from it before; the rest is also written to `copy`.
    """
    sha256, size = hashlib.sha256(start), len(start)
    while True:
        chunk = stream.read(CHUNK_BYTES)
        if not chunk:
            return sha256.hexdigest(), size
        sha256.update(chunk)
        size += len(chunk)
        if copy is not None:
            _write_all(copy, chunk)


def _write_all(stream, data):
    # type: (typing.IO[bytes], bytes) -> None
    """Write all of `data`: an unbuffered stream may take only a part, such as on a nearly full disk."""
    written = 0
    while written < len(data):
        written += stream.write(data[written:])
