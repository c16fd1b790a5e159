"""The index of runs: what it keeps, what it reads again, and that nothing depends on its file."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from amlcore.index import RunIndex, find
from amlcore.index import index as index_module
from amlcore.index.cache import RunCache
from amlcore.record.record import Record
from amlcore.record.status import RunState
from amlcore.runs.marking import set_archived, set_tags
from amlcore.runs.models import record_model
from amlcore.runs.run import Run
from amlcore.runs.view import RunView
from amlcore.worker.process_identity import identity
from amlcore.workspace import Workspace
from tests.support.opens import below, count_opens
from tests.support.run_records import log_values, settle, write_run


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the index, of this test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/amlcore/index"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    for number in range(3):
        write_run(root, number, parameters={"depth": number}, metrics={"accuracy": number / 10}, tags={"a": "b"})
    return root


def _rows(root: Path, **options: Any) -> dict[str, Any]:
    return RunIndex(Workspace(root=str(root)), **options).look()


def _file(cache: Path) -> Path:
    (path,) = cache.glob("*.sqlite")
    return path


def _folder(root: Path, number: int = 0) -> Path:
    return sorted((root / "outputs/e").iterdir())[number]


def test_a_row_says_what_the_run_itself_says(root: Path) -> None:
    write_run(root, 7, state="Failed", reason="exit status 1", model="wine:3", sweep=True)
    write_run(root, 8, name="20260101-000007-000007_1", parent="20260101-000007-000007", metrics={"x": float("nan")})
    write_run(root, 9, experiment="other", name="the good one", metrics={"größe": 10**30, "inf": float("inf")})
    outputs = str(root / "outputs")

    for rows in (_rows(root), _rows(root)):  # read, and from the cache
        assert len(rows) == 6
        for row in rows.values():
            summary = RunView(Record(Path(outputs, row.place))).summary()
            assert json.dumps(row.summary(outputs)) == json.dumps(summary)


def test_an_ended_run_is_never_read_twice(root: Path, tmp_path: Path) -> None:
    first = below(count_opens(tmp_path, "runs", "accuracy > 0", "--json", cwd=root), root / "outputs")
    again = below(count_opens(tmp_path, "runs", "accuracy > 0", "--json", cwd=root), root / "outputs")

    assert len({path.parts[1] for path in first}) == 3
    assert again == {}


def test_a_living_run_is_read_again(root: Path) -> None:
    folder = write_run(root, 5, state="Running", metrics={"accuracy": 0.5})
    (folder / "driver.json").write_text(json.dumps(identity()))
    place = f"e/{folder.name}"
    index = RunIndex(Workspace(root=str(root)))
    others = {key: row for key, row in index.look().items() if key != place}

    log_values(folder, [("scalar", "accuracy", 0.75)], at=2e9)
    rows, version = index.look(), index.version

    assert rows[place].metrics == {"accuracy": 0.75}
    assert rows[place].state == "Running"
    assert {key: row for key, row in rows.items() if key != place} == others  # the same objects
    Record(folder).enter(RunState.Completed)
    assert index.look(max_age_s=60)[place].state == "Running"
    assert index.look()[place].state == "Completed"
    assert index.version > version


CHANGES: dict[str, Callable[[Path], Any]] = {
    "tags": lambda folder: set_tags(Record(folder), {"good": "yes"}),
    "archived": lambda folder: set_archived(Record(folder), True),
    "model": lambda folder: record_model(Record(folder), "wine:1"),
    "state": lambda folder: Record(folder).enter(RunState.Failed, "lost"),
    "metrics": lambda folder: Run(str(folder)).log("late", 1),
    "reason": lambda folder: _edit(folder / "state.json"),
}


def _edit(path: Path) -> None:
    """Write to a file in place, as an editor might."""
    path.write_text(path.read_text().replace('"reason": null', '"reason": "edited"'))


@pytest.mark.parametrize("field", CHANGES)
def test_what_changes_after_the_end_is_seen(field: str, root: Path) -> None:
    place = f"e/{_folder(root).name}"
    before = getattr(_rows(root)[place], field)

    CHANGES[field](_folder(root))

    after = getattr(_rows(root)[place], field)
    assert after != before
    assert after == getattr(_rows(root)[place], field)


def test_a_second_registered_model_is_seen(root: Path) -> None:
    record_model(Record(_folder(root)), "wine:1")
    settle(_folder(root))
    _rows(root)

    record_model(Record(_folder(root)), "wine:2")

    assert _rows(root)[f"e/{_folder(root).name}"].model == "wine:2"


def test_a_slow_file_server_is_asked_for_many_at_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amlcore.index.index._SAMPLE", 1)
    monkeypatch.setattr("amlcore.index.index._SLOW_CALL_S", 0)
    for number in range(10, 50):
        write_run(root, number, metrics={"accuracy": number})
    _rows(root)
    _edit(_folder(root, 20) / "state.json")
    shutil.rmtree(_folder(root, 30))

    rows = _rows(root)

    assert len(rows) == 42
    assert {place for place, row in rows.items() if row.reason == "edited"} == {f"e/{_folder(root, 20).name}"}


def test_a_run_that_was_removed_is_forgotten(root: Path, cache: Path) -> None:
    _rows(root)
    shutil.rmtree(_folder(root))
    (root / "outputs/e/20260101-000009-000009").mkdir()  # not yet written

    assert len(_rows(root)) == 2
    with sqlite3.connect(_file(cache)) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (2,)


def test_a_run_that_is_removed_during_a_look_hides_no_other(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _rows(root)

    def folders_then_removal(path: str) -> Iterator[os.DirEntry[str]]:
        entries = sorted(scanned(path), key=lambda entry: entry.name)
        if path.endswith("/e"):
            shutil.rmtree(_folder(root), ignore_errors=True)
        return iter(entries)

    scanned = index_module._folders
    monkeypatch.setattr(index_module, "_folders", folders_then_removal)

    assert len(_rows(root)) == 2


def test_a_share_that_is_not_there_is_not_forgotten(root: Path, cache: Path) -> None:
    _rows(root)
    (root / "outputs").rename(root / "elsewhere")

    assert _rows(root) == {}
    with sqlite3.connect(_file(cache)) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (3,)


def test_a_damaged_run_is_read_again(root: Path) -> None:
    (_folder(root) / "run.json").write_text("{")
    settle(_folder(root))
    place = f"e/{_folder(root).name}"

    assert _rows(root)[place].state == "Damaged"
    assert _rows(root)[place].state == "Damaged"
    intact = json.loads((_folder(root, 1) / "run.json").read_text())
    (_folder(root) / "run.json").write_text(json.dumps({**intact, "id": _folder(root).name}))
    assert _rows(root)[place].state == "Completed"


def test_one_experiment_leaves_the_others_alone(root: Path, cache: Path) -> None:
    write_run(root, 9, experiment="other")
    _rows(root)

    assert [row.experiment for row in _rows(root, experiment="other").values()] == ["other"]
    with sqlite3.connect(_file(cache)) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (4,)


def test_a_copy_has_its_own_rows_and_a_link_has_the_same(root: Path, cache: Path, tmp_path: Path) -> None:
    _rows(root)
    shutil.copytree(root, tmp_path / "copy")
    set_tags(Record(_folder(tmp_path / "copy")), {"copied": "yes"})
    (tmp_path / "link").symlink_to(root)

    copied, linked = _rows(tmp_path / "copy"), _rows(tmp_path / "link")

    place = f"e/{_folder(root).name}"
    assert (copied[place].tags, linked[place].tags) == ({"a": "b", "copied": "yes"}, {"a": "b"})
    assert len(list(cache.glob("*.sqlite"))) == 2
    link = Workspace(root=str(tmp_path / "link"))
    assert find(link).rows[0].summary(str(link.outputs_path))["folder"].startswith(str(tmp_path / "link/outputs/"))


def _foreign(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE cookies (name TEXT)")


def _of_another_version(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 7")


def _without_its_table(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE runs")


def _with_scrambled_texts(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"accuracy":0', b'"accuracy":7'))


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "empty": lambda path: path.write_bytes(b""),
    "no database": lambda path: path.write_bytes(b"rows\n" * 5000),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "zeroed": lambda path: path.write_bytes(path.read_bytes()[:4096] + bytes(len(path.read_bytes()) - 4096)),
    "foreign": _foreign,
    "another version": _of_another_version,
    "no table": _without_its_table,
    "scrambled": _with_scrambled_texts,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_built_anew(damage: str, root: Path, cache: Path) -> None:
    before = _rows(root)
    DAMAGES[damage](_file(cache))

    rows = _rows(root)

    assert {place: row.metrics for place, row in rows.items()} == {place: row.metrics for place, row in before.items()}
    with sqlite3.connect(_file(cache)) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (3,)


def test_any_scrambled_byte_changes_nothing(root: Path, cache: Path) -> None:
    expected = {place: row.metrics for place, row in _rows(root).items()}
    intact = _file(cache).read_bytes()
    for place in range(0, len(intact), 293):
        _file(cache).write_bytes(intact[:place] + b"\xa7?9" + intact[place + 3 :])

        assert {place: row.metrics for place, row in _rows(root).items()} == expected


def _locked(cache: Path) -> Any:
    connection = sqlite3.connect(_file(cache), isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN EXCLUSIVE")
    return connection


def test_a_locked_file_is_done_without(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amlcore.index.cache._LOCK_WAIT_S", 0.05)
    _rows(root)
    connection = _locked(cache)

    assert len(_rows(root)) == 3
    connection.close()
    assert len(_rows(root)) == 3


@pytest.mark.parametrize("place", ["/dev/null/cache", "/proc/cache"])
def test_a_folder_that_cannot_be_written_is_done_without(
    place: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", place)

    assert len(_rows(root)) == 3


def test_without_a_home_folder_nothing_is_kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])  # a user whom the machine does not know

    assert RunCache.of(root).path is None
    assert len(_rows(root)) == 3


def test_the_files_of_workspaces_that_nobody_lists_go(root: Path, cache: Path) -> None:
    cache.mkdir(parents=True)
    for name, days in (("old", 61), ("new", 59)):
        (cache / f"{name}.sqlite").touch()
        os.utime(cache / f"{name}.sqlite", (time.time() - days * 86400,) * 2)

    _rows(root)

    own = RunCache.of(root).path
    assert own is not None
    assert {path.name for path in cache.iterdir()} == {"new.sqlite", own.name}
    assert own.stat().st_mode & 0o777 == 0o600  # what runs logged is nobody else's business


def test_a_full_disk_is_done_without(root: Path, cache: Path) -> None:
    for limit_kib in (0, 16):
        shutil.rmtree(cache, ignore_errors=True)
        command = f"ulimit -f {limit_kib}; exec {sys.executable} -m amlcore runs 'accuracy > 0' --json"
        done = subprocess.run(["bash", "-c", command], cwd=root, capture_output=True, text=True, check=False)

        assert (done.returncode, done.stderr, len(json.loads(done.stdout))) == (0, "", 2)


def test_a_build_that_is_killed_leaves_nothing_wrong(root: Path) -> None:
    for number in range(10, 210):
        write_run(root, number, metrics={"accuracy": number})
    command = [sys.executable, "-m", "amlcore", "runs", "accuracy >= 0", "--json", "--all"]
    for delay_s in (0.15, 0.25, 0.3, 0.35, 0.4, 0.5):
        process = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL)
        time.sleep(delay_s)
        process.kill()
        process.wait()

    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)

    assert done.stderr == ""
    accuracies = [row["metrics"]["accuracy"] for row in json.loads(done.stdout)]
    assert accuracies == [*range(209, 9, -1), 0.2, 0.1, 0.0]


def test_many_at_once_see_what_is_there(root: Path) -> None:
    """Threads and processes that look while runs come, change and go."""
    wrong: list[str] = []
    is_over = threading.Event()

    def look() -> None:
        while not is_over.is_set():
            rows = _rows(root)
            kept = {row.metrics.get("accuracy") for row in rows.values()}
            if not {0.0, 0.1, 0.2} <= kept:
                wrong.append(str(kept))

    command = [sys.executable, "-m", "amlcore", "runs", "accuracy <= 0.2", "--json"]
    processes = [subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(10, 30):
        folder = write_run(root, number, metrics={"accuracy": float(number)})
        set_tags(Record(folder), {"number": str(number)})
        if number % 2:
            folder.rename(root / folder.name)  # as `aml rm` moves it to the trash
    for process in processes:
        out, error = process.communicate(timeout=120)
        assert (process.returncode, error, len(json.loads(out))) == (0, b"", 3)
    is_over.set()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert len(_rows(root)) == 3 + 10
