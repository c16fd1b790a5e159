"""Where a requirement is written, as a message names it, and the text of that file."""

import codecs
import time
from dataclasses import dataclass
from pathlib import Path

from amlcore.errors import EnvironmentSpecError


@dataclass(frozen=True)
class SourceLocation:
    """A file and a line of it, or the key of a configuration."""

    name: str
    line: int | None = None

    def __str__(self) -> str:
        return self.name if self.line is None else f"{self.name}:{self.line}"

    def at_line(self, line: int) -> "SourceLocation":
        return SourceLocation(self.name, line)


def location_of(path: Path, *, root: Path) -> SourceLocation:
    """The file at `path`, relative to the workspace's root if it is inside."""
    return SourceLocation(str(path.relative_to(root)) if path.is_relative_to(root) else str(path))


def decoded_text(path: Path, *, location: SourceLocation) -> str:
    """The text of a file in UTF-8, or in UTF-16 as PowerShell's `pip freeze > requirements.txt` writes it."""
    try:
        data = content(path)
    except FileNotFoundError:
        raise EnvironmentSpecError(f"{location}: no such file ({path})") from None
    except OSError as error:
        raise EnvironmentSpecError(f"{location}: cannot read the file: {error.strerror} ({path})") from None
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise EnvironmentSpecError(f"{location.at_line(line)}: must be text in UTF-8: {error.reason}") from None


def content(path: Path) -> bytes:
    """The content of a file, read once for all steps of a run that ask for it.

    It is read again once it has changed, or after a minute: on a network filesystem only opening it shows a change.
    """
    stat = path.stat()
    state = stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
    known_state, until, data = _CONTENTS.get(path, (None, 0.0, b""))
    if known_state != state or time.monotonic() > until:
        data = path.read_bytes()
        _CONTENTS[path] = state, time.monotonic() + KEPT_S, data
    return data


KEPT_S = 60.0
_CONTENTS: dict[Path, tuple[tuple[int, int, int, int], float, bytes]] = {}
