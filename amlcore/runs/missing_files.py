"""A file that a script did not find: it exists where the run was submitted, but not in the run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from amlcore.record.log_stream import last_lines
from amlcore.record.record import Record
from amlcore.record.status import RunState
from amlcore.snapshot.ignore import IgnoreRules
from amlcore.worker.layout import input_variable

_ERROR = re.compile(r"FileNotFoundError: (.*)")
_QUOTED = re.compile(r"""'([^']+)'|"([^"]+)\"""")


def missing_file(record: Record) -> str | None:
    """Where the file is that the script of a failed run did not find, and how to bring it in; None if unknown."""
    if record.status.state is not RunState.Failed or not record.attempt:
        return None
    errors = [match[1] for line in last_lines(record.layout) if (match := _ERROR.search(line))]
    if not errors:
        return None
    info = record.info
    source = Path(info.source_directory or ".")
    folders = [source, *([Path(info.working_folder)] if info.working_folder else []), record.workspace_path]
    for name in _names(errors[-1]):
        relative = _relative(name, Path(record.layout.attempt(record.attempt).work))
        if relative is None:
            continue
        for folder in folders:
            path = Path(os.path.normpath(folder / relative))
            if path.exists():
                return _hint(name, path, source=source)
    return None


def _names(message: str) -> Iterator[str]:
    """What may be the name of a file in an error: what it quotes, or else each word."""
    quoted = [first or second for first, second in _QUOTED.findall(message)]
    yield from quoted or [word.strip("\"'.,:;()") for word in message.split()]


def _relative(name: str, work: Path) -> str | None:
    """`name` relative to the working folder of the script; None if it is outside of it."""
    if not os.path.isabs(name):
        return name if os.path.normpath(name) not in (".", "..") else None
    relative = os.path.relpath(os.path.realpath(name), os.path.realpath(work))
    return None if relative.count("../") > 2 or relative == "." else relative


def _hint(name: str, path: Path, *, source: Path) -> str:
    key = re.sub(r"\W+", "_", path.stem).strip("_") or "data"
    key = key if key[0].isalpha() else f"data_{key}"
    bring = (
        f"add +script.inputs.{key}={path} and pass '${{input:{key}}}' to the script instead of {name}, "
        f"or let it read os.environ['{input_variable(key)}']"
    )
    if not path.is_relative_to(source):
        return f"{path} exists, but outside of the source folder {source}, and a run gets only that folder: {bring}"
    inside = path.relative_to(source)
    rules = IgnoreRules(source)
    if folder := next((part for part in reversed(inside.parents[:-1]) if rules.hides_folder(str(part))), None):
        # No pattern brings a single file back from a folder that is left out.
        return f"{path} exists, but {rules.file} leaves the folder {folder} out of the snapshot: {bring}"
    if rules.hides_file(inside.as_posix()):
        return f"{path} exists, but {rules.file} leaves it out of the snapshot: add !{inside} to it, or {bring}"
    return f"{path} exists now, but was not in the snapshot of the run: {bring}"
