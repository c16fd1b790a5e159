"""The LogStream: what a script writes, as it appears."""

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
    """Copies what is new in growing files to open streams; a reader that has gone away is no error."""

    def __init__(self, pairs: list[tuple[Path, BinaryIO]]) -> None:
        self._pairs = [(path, _Reader(to)) for path, to in pairs]
        self._places = [(0, 0)] * len(pairs)  # inode and offset

    @classmethod
    def of_run(cls, layout: RunLayout, *, stdout: BinaryIO, stderr: BinaryIO) -> LogStream:
        """The stream of a script's stdout and stderr."""
        return cls([(Path(layout.stdout), stdout), (Path(layout.stderr), stderr)])

    def pump(self) -> bool:
        """Copy what has been written since the last call, as far as its reader takes it without waiting.

        Returns
        -------
        bool
            Whether there was anything new.
        """
        found = False
        for index in range(len(self._pairs)):
            found = self._copy(index, wait=False) or found
        return found

    def drain(self) -> None:
        """Copy all that is left, however long its reader takes."""
        for index in range(len(self._pairs)):
            self._copy(index, wait=True)

    def abandon(self, index: int) -> None:
        """Copy no more to the stream of this number, whose reader is gone."""
        if index < len(self._pairs):
            self._pairs[index][1].abandon()

    def _copy(self, index: int, *, wait: bool) -> bool:
        path, reader = self._pairs[index]
        found = False
        while data := self._read(index, path):
            taken = reader.take(data, wait=wait)
            inode, offset = self._places[index]
            self._places[index] = (inode, offset + taken)
            found = found or taken > 0
            if taken < len(data):
                break
        return found

    def _read(self, index: int, path: Path) -> bytes:
        """What comes next at `path`; a file that has taken the place of another is read from its beginning."""
        try:
            with path.open("rb", buffering=0) as source:
                inode = os.fstat(source.fileno()).st_ino
                known, offset = self._places[index]
                self._places[index] = (inode, offset if inode == known else 0)
                source.seek(self._places[index][1])
                return source.read(CHUNK_BYTES) or b""
        except FileNotFoundError:
            return b""


class _Reader:
    """An open stream and the patience of whoever reads it: one that stands still is not waited for unasked."""

    def __init__(self, to: BinaryIO) -> None:
        self._to = to
        self._gone = False
        self._ready = select.poll()
        try:
            self._descriptor: int | None = to.fileno()
            self._ready.register(self._descriptor, select.POLLOUT)
        except (AttributeError, OSError, ValueError):  # a stream of this process alone takes everything
            self._descriptor = None

    def abandon(self) -> None:
        self._gone = True

    def take(self, data: bytes, *, wait: bool) -> int:
        """Write what the reader takes; a pipe that takes anything takes this much at once."""
        taken = 0
        while taken < len(data) and not self._gone:
            if self._descriptor is not None and not self._ready.poll(None if wait else 0):
                return taken
            try:
                taken += self._write(data[taken : taken + select.PIPE_BUF])
            except BlockingIOError:  # another writer to the same pipe was faster
                if not wait:
                    return taken
            except OSError:  # closed, or full: the files have it all
                self._gone = True
        return len(data)

    def _write(self, data: bytes) -> int:
        self._to.flush()  # what was printed before comes first
        if self._descriptor is not None:
            return os.write(self._descriptor, data)
        self._to.write(data)
        self._to.flush()
        return len(data)


def last_lines(layout: RunLayout, count: int = LAST_LINES) -> list[str]:
    """The end of what the script said: of its stderr, else of its stdout."""
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
    """`stream` for bytes, after what was printed to it before; a notebook's has no buffer below it."""
    stream.flush()
    below: BinaryIO | None = getattr(stream, "buffer", None)
    return below if below is not None else cast(BinaryIO, _Decoded(stream))


class _Decoded:
    """Bytes for a stream of text, whose characters may come in pieces."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def write(self, data: bytes) -> int:
        self._stream.write(self._decoder.decode(data))
        return len(data)

    def flush(self) -> None:
        self._stream.flush()
