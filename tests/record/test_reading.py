"""The files of a run are read while others write them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from multiprocessing import Process
from pathlib import Path
from typing import Any

import pytest

from amlcore.errors import RecordError
from amlcore.record.documents import AttemptResult, Claim, RunInfo
from amlcore.record.reading import read_document, read_documents, read_mapping
from amlcore.record.status import RunState, RunStatus

RUN = {"id": "r", "experiment": "e", "created": "2026-01-01T00:00:00+00:00"}
PROCESS = {"host": "h", "boot": "b", "pid": 1, "started": 2}
ENDED = {"reason": None, "message": None, "signal": None, "exit_status": 0}


def _come_and_go(path: Path) -> None:
    """A file that is there whole, then not, again and again, until its reader has seen enough."""
    whole = path.with_name("whole")
    while True:
        whole.write_text("{}")
        os.replace(whole, path)
        path.unlink()


def test_a_file_that_comes_while_it_is_read_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    writer = Process(target=_come_and_go, args=(path,))
    writer.start()
    try:
        seen = [read_mapping(path) for _ in range(20_000)]
    finally:
        writer.kill()
        writer.join()
    assert {None if value is None else len(value) for value in seen} <= {None, 0}


@pytest.mark.parametrize("read", [read_mapping, lambda path: read_documents(path, RunInfo)])
def test_null_is_damage(tmp_path: Path, read: Callable[[Path], object]) -> None:
    path = tmp_path / "result.json"
    path.write_text("null")
    with pytest.raises(RecordError, match="holds null"):
        read(path)


@pytest.mark.parametrize(
    ("form", "value", "message"),
    [
        (RunInfo, [], "it must hold a mapping, not a list"),
        (RunInfo, {"id": "r"}, "is damaged, or written by another version of amlcore: it lacks created, experiment"),
        (RunInfo, {**RUN, "created": "yesterday"}, 'an ISO 8601 time with a time zone, not "yesterday"'),
        (RunInfo, {**RUN, "created": "2026-01-01T00:00:00"}, "created must be an ISO 8601 time"),
        (RunInfo, {**RUN, "script": 3}, "script must be text, not 3"),
        (RunInfo, {**RUN, "trial": True}, "trial must be a whole number, not true"),
        (RunInfo, {**RUN, "overrides": ["a", 1]}, "run.json: overrides is damaged: 1 must be text, not 1"),
        (RunInfo, {**RUN, "snapshot": {}}, "run.json: snapshot is damaged, or written by .*: it lacks id"),
        (RunInfo, {**RUN, "inputs": {"x": []}}, "run.json: inputs is damaged: x must be a mapping, not a list"),
        (RunStatus, {"state": "Done"}, 'state must be one of NotStarted, .*, Canceled, not "Done"'),
        (RunStatus, {"state": "Failed", "at": math.nan}, "at must be a number, not NaN"),
        (RunStatus, {"state": "Failed", "times": {"Queued": "1"}}, "times is damaged: Queued must be a number"),
        (Claim, {"worker": PROCESS, "script": {}, "at": 1}, "script is damaged, .* lacks boot, host, pid and 1 more"),
        (AttemptResult, {**ENDED, "signal": "9"}, 'signal must be a whole number or null, not "9"'),
    ],
)  # fmt: skip
def test_a_message_names_the_key_and_what_it_must_hold(
    form: type[Any], value: Any, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(value))
    with pytest.raises(RecordError, match=message) as raised:
        read_document(path, form)
    assert str(raised.value).startswith(str(path))


def test_keys_of_a_newer_amlcore_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    value = {**RUN, "name": 5, "flavor": {"new": [1]}, "snapshot": {"id": "s", "new": 1}, "parent": None}
    path.write_text(json.dumps(value))
    info = read_document(path, RunInfo)
    assert info is not None
    assert (info.id, info.parent, info.snapshot and info.snapshot.id) == ("r", None, "s")
    assert info.document == value
    assert info.created.datetime.year == 2026


def test_a_null_means_the_default(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text('{"state": "Running", "at": null, "times": null, "usage": null, "reason": null}')
    assert read_document(path, RunStatus) == RunStatus(RunState.Running)
