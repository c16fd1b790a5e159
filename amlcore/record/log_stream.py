"""The LogStream: copies a script's output as it appears."""

from __future__ import annotations

import codecs
import os
import select
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from amlcore.worker.layout import RunLayout

CHUNK_BYTES = 1 << 16
LAST_LINES = 10
LAST_BYTES = 20_000


class LogStream:
    """Copies what is appended to files to open streams; a reader that has gone away is not an error."""

    def __init__(self, pairs: list[tuple[Path, BinaryIO]]) -> None:
        self._pairs = [(path, _Recipient(to)) for path, to in pairs]
        self._positions = [(0, 0)] * len(pairs)  # inode and offset of each file

    @classmethod
    def of_run(cls, layout: RunLayout, *, stdout: BinaryIO, stderr: BinaryIO) -> LogStream:
        """The stream of a script's stdout and stderr."""
        return cls([(Path(layout.stdout), stdout), (Path(layout.stderr), stderr)])

    def pump(self) -> bool:
        """Copy what was written since the last call, as far as the reader takes it without blocking.

        Returns
        -------
        bool
            Whether there was anything new.
        """
        copied = [self._copy(index, wait=False) for index in range(len(self._pairs))]
        return any(copied)

    def drain(self) -> None:
        """Copy everything that is left, however long the reader takes."""
        for index in range(len(self._pairs)):
            self._copy(index, wait=True)

    def abandon(self, index: int) -> None:
        """Stop copying to the stream of this number: its reader has closed it."""
        if index < len(self._pairs):
            self._pairs[index][1].abandon()

    def _copy(self, index: int, *, wait: bool) -> bool:
        path, reader = self._pairs[index]
        has_copied = False
        while data := self._read(index, path):
            size = reader.write(data, wait=wait)
            inode, offset = self._positions[index]
            self._positions[index] = (inode, offset + size)
            has_copied = has_copied or size > 0
            if size < len(data):
                break
        return has_copied

    def _read(self, index: int, path: Path) -> bytes:
        """The next chunk of the file at `path`; a file that replaced another is read from its start."""
        try:
            with path.open("rb", buffering=0) as source:
                inode = os.fstat(source.fileno()).st_ino
                last_inode, offset = self._positions[index]
                self._positions[index] = (inode, offset if inode == last_inode else 0)
                source.seek(self._positions[index][1])
                return source.read(CHUNK_BYTES) or b""
        except FileNotFoundError:
            return b""


class _Recipient:
    """The reader of an open stream; one that has stalled only blocks a caller that asked to wait."""

    def __init__(self, to: BinaryIO) -> None:
        self._to = to
        self._gone = False
        self._ready = select.poll()
        try:
            self._descriptor: int | None = to.fileno()
            self._ready.register(self._descriptor, select.POLLOUT)
        except (AttributeError, OSError, ValueError):  # such as a notebook's: it takes everything
            self._descriptor = None

    def abandon(self) -> None:
        self._gone = True

    def write(self, data: bytes, *, wait: bool) -> int:
        """Write as much as the reader takes; return the number of bytes, all of them if the reader has closed it."""
        size = 0
        while size < len(data) and not self._gone:
            if self._descriptor is not None and not self._ready.poll(None if wait else 0):
                return size
            try:
                size += self._write(data[size : size + select.PIPE_BUF])  # a pipe that is ready takes this much
            except BlockingIOError:  # another writer to the same pipe was faster
                if not wait:
                    return size
            except OSError:  # closed, or the disk is full: the run's own files have everything
                self._gone = True
        return len(data)

    def _write(self, data: bytes) -> int:
        self._to.flush()  # what was printed before must come first
        if self._descriptor is not None:
            return os.write(self._descriptor, data)
        self._to.write(data)
        self._to.flush()
        return len(data)


def last_lines(layout: RunLayout, count: int = LAST_LINES) -> list[str]:
    """The last lines of what the script wrote to stderr, or to stdout if stderr is empty."""
    for path in (layout.stderr, layout.stdout):
        try:
            with open(path, "rb") as log:
                log.seek(-min(LAST_BYTES, os.fstat(log.fileno()).st_size), os.SEEK_END)
                lines = log.read(LAST_BYTES).decode(errors="replace").splitlines()
        except FileNotFoundError:
            continue
        if lines:
            return lines[-count:]
    return []


def binary(stream: TextIO) -> BinaryIO:
    """The binary stream below `stream`, flushed; a notebook's has none, and gets its bytes decoded."""
    stream.flush()
    below: BinaryIO | None = getattr(stream, "buffer", None)
    return below if below is not None else cast(BinaryIO, _Decoded(stream))


class _Decoded:
    """Takes bytes for a text stream; a character may arrive in pieces."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def write(self, data: bytes) -> int:
        self._stream.write(self._decoder.decode(data))
        return len(data)

    def flush(self) -> None:
        self._stream.flush()
