"""What is read of a run's files while others write them."""

from __future__ import annotations

import os
from multiprocessing import Process
from pathlib import Path

import pytest

from amlcore.errors import RecordError
from amlcore.record.reading import read_list, read_mapping


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


@pytest.mark.parametrize("read", [read_mapping, read_list])
def test_null_is_damage(tmp_path: Path, read: object) -> None:
    path = tmp_path / "result.json"
    path.write_text("null")
    with pytest.raises(RecordError, match="holds null"):
        read(path)  # type: ignore[operator]
