"""Every shipped option and experiment in each form of `aml run` that starts nothing."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from amlcore.cli import run
from amlcore.errors import ConfigError
from tests.support.configs import SHIPPED

OPTIONS = sorted(
    f"{path.parent.relative_to(SHIPPED)}={path.stem}"
    for path in SHIPPED.rglob("[!_]*.yaml")
    if path.parent not in (SHIPPED, SHIPPED / "schema")
)
FURTHER = {
    "environment=file": ["environment.file=requirements.txt"],
    "environment=script": ["script.source_directory=.", "script.script=block.py"],
    "script=script": ["script.source_directory=.", "script.script=block.py"],
    "model=sklearn": ["model.name=iris"],
    "deployment=bento": ["model.name=iris"],
}
SPACE = ["sweep.primary_metric=Accuracy", "+script.arguments.a=range(1,5)", "+script.arguments.b=range(1,5)"]


@pytest.fixture
def root(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (project / "requirements.txt").write_text("numpy\n")
    (project / "block.py").write_text("# /// script\n# dependencies = []\n# ///\n")
    monkeypatch.chdir(project)
    return project


def document(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert run.run(arguments) == 0
    document = yaml.safe_load(capsys.readouterr().out)
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize("option", OPTIONS)
def test_a_shipped_option_is_shown_by_every_form(option: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if option == "compute=slurm" and shutil.which("sbatch") is None:
        pytest.skip("needs Slurm")
    if option == "sweep=gp" and find_spec("torch") is None:
        pytest.skip("needs PyTorch")
    group = option.partition("=")[0]
    arguments = [option, *FURTHER.get(option, [])]
    if group not in ("script", "experiment"):
        arguments.insert(0, "script=train_iris")
    searching = group.startswith("sweep") and option != "sweep=none"
    if group == "sweep/early_termination":
        arguments.append("sweep=random")

    assert "experiment_name" in document([*arguments, "--cfg", "job"], capsys)
    if searching:
        shown = document(["-m", *arguments, *SPACE, "--dry-run"], capsys)
        assert "first_trials" in shown or "trials_such_as" in shown
        request = shown["request"]
    else:
        request = document([*arguments, "--dry-run"], capsys)
        shown = document(["-m", *arguments, *SPACE, "--dry-run"], capsys)
        assert shown["request"]["script"] == request["script"]
    assert request["script"].endswith(".py")
    if option == "deployment=bento":
        assert request["deployment"]["auth"] == "none"
    # A range's end is left out in a grid alone.
    assert shown["sweep"]["points"] == (25 if searching and option != "sweep=grid" else 16)
    assert not list(root.glob("outputs*"))


def test_an_option_that_needs_what_is_not_installed_is_one_message(root: Path) -> None:
    if find_spec("torch") is not None:
        pytest.skip("PyTorch is installed")
    with pytest.raises(ConfigError, match=r"sweep\.sampler=gp needs torch.*pip install"):
        run.run(["-m", "script=train_iris", "sweep=gp", *SPACE, "--dry-run"])
