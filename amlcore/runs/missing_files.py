"""What a run's script did not find: a file that is there where its user is, and not in the run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from amlcore.record.log_stream import last_lines
from amlcore.record.record import Record
from amlcore.record.status import RunState
from amlcore.snapshot.listing import IgnoreRules
from amlcore.worker.layout import input_variable

_ERROR = re.compile(r"FileNotFoundError: (.*)")
_QUOTED = re.compile(r"""'([^']+)'|"([^"]+)\"""")


def missing_file(record: Record) -> str | None:
    """Where a file lies that the script of a failed run did not find, and what brings it there; None for others."""
    if record.status.state is not RunState.Failed or not record.attempt:
        return None
    errors = [found[1] for line in last_lines(record.layout) if (found := _ERROR.search(line))]
    if not errors:
        return None
    info = record.info
    source = Path(info.source_directory or ".")
    places = [source, *([Path(info.working_folder)] if info.working_folder else []), record.workspace_path]
    for name in _names(errors[-1]):
        relative = _relative(name, Path(record.layout.attempt(record.attempt).work))
        if relative is None:
            continue
        for place in places:
            path = Path(os.path.normpath(place / relative))
            if path.exists():
                return _hint(name, path, source=source)
    return None


def _names(words: str) -> Iterator[str]:
    """What an error may mean by the name of a file: what it quotes, else each of its words."""
    quoted = [first or second for first, second in _QUOTED.findall(words)]
    yield from quoted or [word.strip("\"'.,:;()") for word in words.split()]


def _relative(name: str, work: Path) -> str | None:
    """`name` as the script meant it from its working folder; None where it does not start there."""
    if not os.path.isabs(name):
        return name if os.path.normpath(name) not in (".", "..") else None
    relative = os.path.relpath(os.path.realpath(name), os.path.realpath(work))
    return None if relative.count("../") > 2 or relative == "." else relative


def _hint(name: str, path: Path, *, source: Path) -> str:
    key = re.sub(r"\W+", "_", path.stem).strip("_") or "data"
    key = key if key[0].isalpha() else f"data_{key}"
    bring = (
        f"add +script.inputs.{key}={path} and give the script '${{input:{key}}}' in place of {name}, "
        f"or let it read os.environ['{input_variable(key)}']"
    )
    if not path.is_relative_to(source):
        return f"{path} is there, but outside of the source folder {source}, which is all that a run gets: {bring}"
    inside = path.relative_to(source)
    rules = IgnoreRules(source)
    if folder := next((part for part in reversed(inside.parents[:-1]) if rules.hides_folder(str(part))), None):
        # No line brings a single file back from a folder that is left out.
        return f"{path} is there, but {rules.file} leaves the folder {folder} out of what a run gets: {bring}"
    if rules.hides_file(inside.as_posix()):
        return f"{path} is there, but {rules.file} leaves it out of what a run gets: put !{inside} there, or {bring}"
    return f"{path} is there now, but is not in what the run got of the source folder: {bring}"
