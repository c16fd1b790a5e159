"""Versions that are removed: what refuses it, what stays, and numbers that are never used again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from amlcore.cli.main import main
from amlcore.errors import ModelError, NotFoundError
from amlcore.model import removal
from amlcore.model.aliases import LogEntry, aliases_of, log_entries, set_alias
from amlcore.model.folders import registered, versions
from amlcore.model.removal import find_removable, finish_removals, remove_version
from tests.support.model_records import add_version

MOVERS = 16
MOVES = 12
MOVER = """
import sys
from pathlib import Path
from amlcore.model.aliases import set_alias
for number in range({moves}):
    version = 1 + (number + int(sys.argv[1])) % 3
    set_alias(Path("models"), "wine", "champion", version, why=f"{{sys.argv[1]}} {{number}}")
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with three versions of a model; it is the working folder."""
    (tmp_path / ".amlcore").mkdir()
    (tmp_path / ".amlcore/config.json").write_text('{"workspace_name": "here"}')
    for accuracy in (0.5, 0.6, 0.7):
        add_version(tmp_path, metrics={"accuracy": accuracy})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "store"))
    return tmp_path


def test_a_removed_version_is_gone_and_its_number_is_never_used_again(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "rm", "wine:3", "wine:1", "--why", "too old", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == ["wine:3", "wine:1"]
    assert versions(root / "models/wine") == [2]
    assert [path.name for path in (root / "models/wine/3").iterdir()] == ["removed.json"]
    assert add_version(root) == 4
    assert main(["models", "show", "wine:3"]) == 2
    assert main(["models", "log", "wine", "--json"]) == 0
    events = json.loads(capsys.readouterr().out)
    assert [(event["event"], event["version"]) for event in events] == [
        *(("registered", version) for version in (1, 2, 3)),
        ("version removed", 3),
        ("version removed", 1),
        ("registered", 4),
    ]
    removed = [event for event in events if event["event"] == "version removed"]
    assert [(event["version"], event["why"]) for event in removed] == [(3, "too old"), (1, "too old")]
    assert log_entries(root / "models/wine")[0].registered["metrics"] == {"accuracy": 0.7}
    assert root / "models/wine/3" in registered(root / "models")


def test_a_model_without_versions_keeps_its_log_and_its_numbers(root: Path) -> None:
    assert main(["models", "rm", "wine:1", "wine:2", "wine:3"]) == 0
    assert main(["models"]) == 0
    assert main(["models", "log", "wine"]) == 0
    assert add_version(root) == 4


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("wine", "name the version to remove, such as wine:1; it has 1, 2, 3"),
        ("wine:2", "wine:2 is what wine@champion and wine@stable mean"),
        ("wine@champion", "move or remove the alias first, as with: aml alias wine@champion --remove"),
        ("wine:9", "model 'wine' has no version '9'"),
    ],
)
def test_removing_a_used_or_missing_version_is_refused(
    root: Path, capsys: pytest.CaptureFixture[str], reference: str, message: str
) -> None:
    for alias in ("champion", "stable"):
        set_alias(root / "models", "wine", alias, 2)
    assert main(["models", "rm", "wine:1", reference]) == 2
    assert message in capsys.readouterr().err
    assert versions(root / "models/wine") == [1, 2, 3]


def test_an_alias_that_is_set_meanwhile_keeps_the_version(root: Path) -> None:
    folder = find_removable(root / "models", "wine:2")
    set_alias(root / "models", "wine", "champion", 2)
    with pytest.raises(ModelError, match="wine:2 is what wine@champion means"):
        remove_version(folder)
    assert versions(root / "models/wine") == [1, 2, 3]


def test_a_version_that_is_being_removed_takes_no_alias(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "finish_removals", lambda _: None)  # it is killed just before
    remove_version(find_removable(root / "models", "wine:2"))

    assert versions(root / "models/wine") == [1, 3]
    with pytest.raises(NotFoundError):
        set_alias(root / "models", "wine", "champion", 2)
    with pytest.raises(NotFoundError):
        find_removable(root / "models", "wine:2")
    finish_removals(root / "models/wine")
    assert not (root / "models/wine/2/files").exists()


def test_sixteen_processes_move_one_alias_in_one_order(root: Path) -> None:
    command = [sys.executable, "-c", MOVER.format(moves=MOVES)]
    movers = [subprocess.Popen([*command, str(number)], cwd=root) for number in range(MOVERS)]
    assert [mover.wait(120) for mover in movers] == [0] * MOVERS

    entries = log_entries(root / "models/wine")

    assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
    assert [entry.previous for entry in entries] == [None, *(entry.version for entry in entries[:-1])]
    assert aliases_of(root / "models/wine") == {"champion": entries[-1].version}
    assert all(_own(entries, number) == sorted(_own(entries, number)) for number in range(MOVERS))


def _own(entries: list[LogEntry], mover: int) -> list[int]:
    """The moves of one process, in the order of the log."""
    reasons = [str(entry.why).split() for entry in entries]
    return [int(number) for process, number in reasons if int(process) == mover]
