"""Runs found by a filter, on the command line and in Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from amlcore import Workspace
from amlcore.errors import RequestError
from amlcore.index import find
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


def test_sorted_runs_without_the_value_come_last(root: Path) -> None:
    assert _numbers(root, "user = bob", sort="accuracy") == [5, 3, 4]
    assert _numbers(root, "user = bob", sort="accuracy", ascending=True) == [3, 5, 4]


def test_python_finds_the_same_runs(root: Path) -> None:
    runs = Workspace(root=str(root)).find_runs("accuracy > 0.1", sort="accuracy", ascending=True, limit=2)

    assert [run.get_metrics() for run in runs] == [{"accuracy": 0.2}, {"accuracy": 0.3}]


def test_a_mistake_is_pointed_at(root: Path) -> None:
    with pytest.raises(RequestError) as error:
        _numbers(root, "user = anna and acuracy > 0.9")

    first, source, caret = str(error.value).splitlines()
    assert "no run here has a metric, parameter or tag 'acuracy'; did you mean 'accuracy'?" in first
    assert source == "  user = anna and acuracy > 0.9"
    assert caret.index("^") == source.index("acuracy")
