"""The LogStream: what a script writes, as it appears."""

from __future__ import annotations

import codecs
import os
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from amlcore.worker.layout import RunLayout


class LogStream:
    """Copies what is new in growing files to open streams; a reader that has gone away is no error."""

    def __init__(self, pairs: list[tuple[Path, BinaryIO]]) -> None:
        self._pairs = [(path, to) for path, to in pairs]
        self._places = [(0, 0)] * len(pairs)  # inode and offset

    @classmethod
    def of_run(cls, layout: RunLayout, *, stdout: BinaryIO, stderr: BinaryIO) -> LogStream:
        """The stream of a script's stdout and stderr."""
        return cls([(Path(layout.stdout), stdout), (Path(layout.stderr), stderr)])

    def pump(self) -> bool:
        """Copy what has been written since the last call.

        Returns
        -------
        bool
            Whether there was anything new.
        """
        found = False
        for index, (path, to) in enumerate(self._pairs):
            data = self._read(index, path)
            if not data:
                continue
            found = True
            try:
                to.write(data)
                to.flush()
            except OSError:  # closed, or full: the files have it all
                self._pairs[index] = (path, _NOWHERE)
        return found

    def _read(self, index: int, path: Path) -> bytes:
        """What is new at `path`; a file that has taken the place of another is read from its beginning."""
        try:
            with path.open("rb") as source:
                inode = os.fstat(source.fileno()).st_ino
                known, offset = self._places[index]
                source.seek(offset if inode == known else 0)
                data = source.read()
                self._places[index] = (inode, source.tell())
        except FileNotFoundError:
            return b""
        return data


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


class _Nowhere:
    def write(self, data: bytes) -> int:
        return len(data)

    def flush(self) -> None:
        pass


_NOWHERE = cast(BinaryIO, _Nowhere())
