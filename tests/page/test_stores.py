"""How the page orders runs and what it calls them, without a server."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from amlcore.page.environment import find_interpreter
from amlcore.page.server.listed_run import short_name
from amlcore.workspace import Workspace


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("20260101-000200-00aaaa", "000200-00aaaa"),
        ("20260101-000200-00aaaa_3", "child 3"),
        ("20260101-000200-00aaaa_3_12", "child 12"),
        ("baseline", "baseline"),
        ("trial 3", "trial 3"),
        ("20260101-000200", "20260101-000200"),
        ("my 20260101-000200-00aaaa", "my 20260101-000200-00aaaa"),
    ],
)
def test_an_id_is_shown_by_what_tells_it_from_others(name: str, shown: str) -> None:
    assert short_name(name) == shown


ORDER = """
import sys
sys.path.append(sys.argv[1])
from types import SimpleNamespace
from amlcore.page.server.no_database import leave_out_database
leave_out_database()
from amlcore.page.server.stores import FIRST_CHILDREN, surplus_last

def run(identifier, parent=None):
    return SimpleNamespace(row=SimpleNamespace(id=identifier, parent=parent))

runs = [run(f"t{number}", "sweep") for number in range(1000)] + [run("sweep"), run("old"), run("c", "old")]
ordered = [one.row.id for one in surplus_last(runs)]
assert sorted(ordered) == sorted(one.row.id for one in runs)
assert ordered[: FIRST_CHILDREN + 3] == [f"t{number}" for number in range(FIRST_CHILDREN)] + ["sweep", "old", "c"]
assert ordered[FIRST_CHILDREN + 3] == f"t{FIRST_CHILDREN}"
assert "sqlalchemy" not in sys.modules, "MLflow imports its database again"
"""


@pytest.mark.slow
def test_the_trials_of_one_sweep_do_not_push_everything_else_away(project: Path) -> None:
    python = find_interpreter(Workspace(root=str(project)), log=lambda _: None)
    package = Path(__file__).parents[2]

    subprocess.run([python, "-I", "-c", ORDER, str(package)], check=True, cwd=project)
