"""Lists of many runs, and runs with very many values: only what is shown is read and kept in memory."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from amlcore.app import runs
from amlcore.app.run_list import list_runs
from amlcore.record.documents import RunInfo
from amlcore.record.record import Record
from amlcore.record.series import SHOWN_VALUES
from amlcore.runs.view import RunView
from amlcore.workspace import Workspace

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def _lay(root: Path, moment: datetime, *, experiment: str = "e", child: str = "", score: float = 0.0) -> str:
    name = f"{moment:%Y%m%d-%H%M%S}-{int(score * 1000) % 4096:06x}{child}"
    folder = root / "outputs" / experiment / name
    (folder / "metrics").mkdir(parents=True)
    parent = name.rpartition("_")[0] if child else None
    info = {"id": name, "experiment": experiment, "parent": parent, "created": moment.isoformat()}
    (folder / "run.json").write_text(json.dumps(info))
    (folder / "state.json").write_text('{"state": "Completed"}')
    record = {"kind": "scalar", "name": "score", "value": score, "step": None, "at": moment.timestamp()}
    (folder / "metrics/one.jsonl").write_text(json.dumps(record) + "\n")
    return name


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the runs whose record was read, in the order of that."""
    read: list[str] = []
    info = Record.info.func

    def counted(record: Record) -> RunInfo:
        if record.folder.name not in read:
            read.append(record.folder.name)
        return info(record)

    monkeypatch.setattr(Record, "info", property(counted))
    return read


@pytest.mark.parametrize("renamed", [[], ["the-good-one"]])
def test_twenty_rows_read_twenty_runs(renamed: list[str], tmp_path: Path, listed: list[str]) -> None:
    names = [_lay(tmp_path, BEGIN + timedelta(seconds=number), score=number) for number in range(200)]
    _lay(tmp_path, BEGIN + timedelta(seconds=500), experiment="other")
    for name, other in zip(names, renamed, strict=False):  # an old one, whose name tells no time any more
        (tmp_path / "outputs/e" / name).rename(tmp_path / "outputs/e" / other)

    listing = list_runs(Workspace(root=str(tmp_path)), experiment="e", limit=20, log=print)

    assert [row["id"] for row in listing.rows] == sorted(names, reverse=True)[:20]
    assert listing.further == 180
    assert sorted(listed) == names[-20:] + renamed


def test_the_latest_is_found_without_reading_the_others(tmp_path: Path, listed: list[str]) -> None:
    names = [_lay(tmp_path, BEGIN + timedelta(seconds=number)) for number in range(50)]
    _lay(tmp_path, BEGIN + timedelta(seconds=49), child="_3")

    assert runs.find_run(Workspace(root=str(tmp_path)), "latest").id == names[-1]
    assert listed == names[-1:]


def test_the_order_is_that_of_creation(tmp_path: Path) -> None:
    """Of runs of one second, of children, and of folders that somebody has given another name."""
    moments = [BEGIN + timedelta(microseconds=step) for step in (5, 1, 3_000_000, 9, 2_999_999)]
    names = [_lay(tmp_path, moment, score=number) for number, moment in enumerate(moments)]
    child = _lay(tmp_path, BEGIN + timedelta(seconds=2), child="_0", score=9)
    (tmp_path / "outputs/e" / child).rename(tmp_path / f"outputs/e/{names[0]}_0")
    (tmp_path / "outputs/e" / names[3]).rename(tmp_path / "outputs/e/the-good-one")

    listing = list_runs(Workspace(root=str(tmp_path)), children=True, log=print)

    created = [row["created"] for row in listing.rows]
    assert len(created) == 6
    assert created == sorted(created, reverse=True)


def test_a_sorted_list_is_the_best_of_all(tmp_path: Path) -> None:
    for number in range(60):
        _lay(tmp_path, BEGIN + timedelta(seconds=number), score=(number * 37) % 60)

    listing = list_runs(Workspace(root=str(tmp_path)), sort="score", limit=3, log=print)

    assert [row["metrics"]["score"] for row in listing.rows] == [59, 58, 57]


def test_a_long_series_is_thinned_and_says_so(tmp_path: Path) -> None:
    name = _lay(tmp_path, BEGIN)
    record = Record(tmp_path / "outputs/e" / name)
    count = 300_000
    with open(f"{record.layout.metrics}/two.jsonl", "w") as lines:
        for step in range(count):
            lines.write(f'{{"kind": "scalar", "name": "loss", "value": {step}, "step": {step}, "at": {step}.5}}\n')

    tracemalloc.start()
    details = RunView(record, thorough=True).details(children=[])
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    values = [one["value"] for one in details["series"] if one["name"] == "loss"]
    assert SHOWN_VALUES / 2 <= len(values) <= SHOWN_VALUES + 1
    assert values == sorted(values)
    assert (values[0], values[-1]) == (0, count - 1)
    assert details["thinned"] == {"loss": count}
    assert details["metrics"] == {"score": 0.0, "loss": count - 1}
    assert peak_bytes < 40e6  # all of them would take 150 MB
