"""Runs found by a filter, on the command line and in Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from amlcore import Workspace
from amlcore.errors import RequestError
from amlcore.index import find
from amlcore.record.record import Record
from amlcore.runs.marking import set_archived
from tests.support.aml import Aml
from tests.support.run_records import write_run


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("found")
    (root / ".amlcore").mkdir()
    (root / ".amlcore/config.json").write_text('{"workspace_name": "found"}')
    for number in range(6):
        write_run(
            root,
            number,
            experiment="even" if number % 2 == 0 else "odd",
            user="anna" if number < 3 else "bob",
            state="Failed" if number == 5 else "Completed",
            parameters={"max_depth": number, "kind of tree": "tall" if number else "small"},
            metrics={"accuracy": number / 10} if number != 4 else {},
        )
    return root


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _numbers(root: Path, where: str | None, **options: object) -> list[int]:
    matches = find(Workspace(root=str(root)), where, **options)  # type: ignore[arg-type]
    return [int(row.id[-6:], 16) for row in matches.rows]


@pytest.mark.parametrize(
    ("where", "numbers"),
    [
        ("accuracy > 0.2", [5, 3]),
        ("accuracy >= 0.2 and user = anna", [2]),
        ('user = "anna" or state = failed', [5, 2, 1, 0]),
        ("not (user = anna) and experiment = odd", [5, 3]),
        ("max_depth in (1, 4.0, 7)", [4, 1]),
        ("`kind of tree` = small", [0]),
        ("accuracy is null", [4]),
        ("created >= 2026-01-01 and created < 7d", [5, 4, 3, 2, 1, 0]),
        (None, [5, 4, 3, 2, 1, 0]),
    ],
)
def test_a_filter_finds_runs(where: str | None, numbers: list[int], root: Path) -> None:
    assert _numbers(root, where) == numbers


@pytest.mark.parametrize(("where", "number"), [("user = anna", 2), ("max_depth > 3 and user = anna", 0)])
def test_the_command_line_finds_the_same(where: str, number: int, root: Path, aml: Aml) -> None:
    rows = aml("runs", where, "--limit", "2", "--json", cwd=root).json

    assert rows == [row for row in aml("runs", "--json", cwd=root).json if row["id"] in {one["id"] for one in rows}]
    assert len(rows) == number


def test_words_need_no_quotes(root: Path, aml: Aml) -> None:
    assert len(aml("runs", "max_depth", "in", "(1,", "2)", "--json", cwd=root).json) == 2


def test_sorted_runs_without_the_value_come_last(root: Path) -> None:
    assert _numbers(root, "user = bob", sort="accuracy") == [5, 3, 4]
    assert _numbers(root, "user = bob", sort="accuracy", ascending=True) == [3, 5, 4]


def test_python_finds_the_same_runs(root: Path) -> None:
    runs = Workspace(root=str(root)).find_runs("accuracy > 0.1", sort="accuracy", ascending=True, limit=2)

    assert [run.get_metrics() for run in runs] == [{"accuracy": 0.2}, {"accuracy": 0.3}]


VALUES = [0.5, float("nan"), None, float("inf"), "text", 10**30, float("-inf"), True, -1]


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of what is seldom: values of all kinds, names of all kinds, children, sweeps, archived runs."""
    root = tmp_path_factory.mktemp("seldom")
    for number, value in enumerate(VALUES):
        write_run(root, number, metrics={} if value is None else {"m": value, "größe 1": number})
    sweep = write_run(root, 20, sweep=True, metrics={"m": 7})
    for trial in range(2):
        write_run(
            root, 21, name=f"{sweep.name}_{trial}", parent=sweep.name, trial=trial, metrics={"m": trial}, user="bo"
        )
    set_archived(Record(write_run(root, 30, metrics={"m": 8})), True)
    archived = write_run(root, 31, user="bo")
    write_run(root, 31, name=f"{archived.name}_0", parent=archived.name, user="bo")
    set_archived(Record(archived), True)
    (root / "outputs/e/20260101-000099-000063").mkdir()  # a run that is being written
    (root / "outputs/e/plots").mkdir()
    return root


def _found(root: Path, where: str | None = None, **options: object) -> list[str]:
    matches = find(Workspace(root=str(root)), where, **options)  # type: ignore[arg-type]
    return [row.id[20:].lstrip("0") or "0" for row in matches.rows]


def test_values_of_all_kinds_have_an_order(odd: Path) -> None:
    best = _found(odd, "created < 2026-01-01T00:00:19+00:00", sort="m")
    worst = _found(odd, "created < 2026-01-01T00:00:19+00:00", sort="m", ascending=True)

    # inf 1e30 True 0.5 -1 -inf, then text, NaN, nothing
    assert best == ["3", "5", "7", "0", "8", "6", "4", "1", "2"]
    assert worst == ["6", "8", "0", "7", "5", "3", "4", "1", "2"]


@pytest.mark.parametrize(
    ("where", "options", "ids"),
    [
        (None, {}, ["14", "8", "7", "6", "5", "4", "3", "2", "1", "0"]),
        ("`größe 1` >= 7", {}, ["8", "7"]),
        ("m = nan or m = inf", {}, ["3", "1"]),
        ("m > 1e29", {}, ["5", "3"]),
        ("m = 1000000000000000000000000000000", {}, ["5"]),
        ("m = text", {}, ["4"]),
        ("m = true", {}, ["7"]),
        ("user = bo", {}, []),
        ("user = bo", {"children": True}, ["14_1", "14_0"]),
        ("kind = trial and m = 1", {}, ["14_1"]),
        ("kind = sweep", {}, ["14"]),
        ("parent is not null and kind = child", {"archived": True}, ["1f_0"]),
        ("archived = true", {}, ["1f", "1e"]),
        ("m >= 7 and m < 9", {"archived": True}, ["1e", "14"]),
    ],
)
def test_what_is_seldom_is_found(where: str | None, options: dict[str, bool], ids: list[str], odd: Path) -> None:
    assert _found(odd, where, **options) == ids


def test_a_plain_list_counts_what_it_does_not_show(odd: Path, aml: Aml) -> None:
    assert aml("runs", "--limit", "4", cwd=odd).err == "aml: 6 more; list them with --all\n"
    assert aml("runs", "--limit", "4", "--archived", cwd=odd).err == "aml: 8 more; list them with --all\n"
    assert aml("runs", "m > 0", "--limit", "1", cwd=odd).err == "aml: 3 more; list them with --all\n"


def test_a_table_shows_what_it_is_about_first(root: Path, aml: Aml) -> None:
    write_run(root, 9, experiment="wide", metrics={**{f"m{number}": 1 for number in range(9)}, "wide": 2})

    assert "wide=2" in aml("runs", "metrics.wide = 2", cwd=root).out
    assert "wide=2" in aml("runs", "--sort", "wide", "--experiment", "wide", cwd=root).out


def test_without_runs_there_is_nothing_to_find(tmp_path: Path, aml: Aml) -> None:
    (tmp_path / ".amlcore").mkdir()
    (tmp_path / ".amlcore/config.json").write_text("{}")

    said = aml("runs", "state = Failed", "--json", cwd=tmp_path)

    assert (said.json, said.err) == ([], f"aml: no runs in {tmp_path} yet\n")
    assert "there are no runs yet" in aml("runs", "accuracy > 1", cwd=tmp_path, status=2).err


def test_a_mistake_is_pointed_at(root: Path) -> None:
    with pytest.raises(RequestError) as error:
        _numbers(root, "user = anna and acuracy > 0.9")

    first, source, caret = str(error.value).splitlines()
    assert "no run here has a metric, parameter or tag 'acuracy'; did you mean 'accuracy'?" in first
    assert source == "  user = anna and acuracy > 0.9"
    assert caret.index("^") == source.index("acuracy")
