"""The workspace: found by its marker, configured by its conf/, and refused with a clear message where there is none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from amlcore import Environment, Experiment, Local, Run, ScriptRunConfig, Workspace
from amlcore.config import Job
from amlcore.errors import ConfigError, NotFoundError, RequestError
from amlcore.model import Registration
from amlcore.worker.run_names import create_run_folder
from tests.support.aml import Aml, Write

KEY = "0123456789abcdef" * 2


@pytest.fixture
def configured(project: Path, write: Write) -> Path:
    """A workspace whose conf/ sets the folder of environments, with a half-built environment in it."""
    write("conf/config.yaml", "defaults: [base, _self_]\nworkspace:\n  environments_folder: envs\n")
    write(f"envs/{KEY}/build.log", "")
    return project


def test_environments_are_listed_and_pruned_where_the_configuration_has_them(configured: Path, aml: Aml) -> None:
    listed = aml("env", "list", "--json").json
    aml("env", "prune", "--days", "0")

    assert KEY in [item["key"] for item in listed]
    assert not (configured / "envs" / KEY).exists()


def test_a_file_of_requirements_is_built_as_it_is_run(aml: Aml, write: Write) -> None:
    write("r.txt", "nump y\n")

    assert "r.txt:1: 'nump y' is not a requirement" in aml("env", "build", "environment.file=r.txt", status=2).err


@pytest.mark.parametrize(
    ("folder", "variable", "expected"),
    [
        ("~/envs", None, "home/envs"),
        ("envs", None, "project/envs"),
        (None, "cache", "here/cache"),
        (None, "~/cache", "home/cache"),
        (None, None, "home/.cache/amlcore/environments"),
    ],
)
def test_environments_lie_where_they_are_said_to(
    folder: str | None, variable: str | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("AMLCORE_ENVIRONMENTS", raising=False)
    if variable is not None:
        monkeypatch.setenv("AMLCORE_ENVIRONMENTS", variable)

    workspace = Workspace(root=str(tmp_path / "project"), environments_folder=folder)

    assert workspace.environments_path == tmp_path / expected


@pytest.mark.parametrize("days", ["-1", "nan", "soon"])
def test_days_are_no_less_than_none(days: str, aml: Aml) -> None:
    assert f"must be a number of days, 0 or more, not {days}" in aml("env", "prune", f"--days={days}", status=2).err


def test_the_way_into_a_new_project_can_be_pasted(aml: Aml) -> None:
    assert "next: cd 'my project' && aml run" in aml("init", "my project").err


def test_folders_of_outputs_that_are_not_experiments_are_skipped(project: Path) -> None:
    for name in ("train", "my folder", "тест", "_x", "x" * 129):
        (project / "outputs" / name).mkdir(parents=True)

    assert list(Workspace.from_config(str(project)).experiments) == ["train"]


@pytest.mark.parametrize("marker", [".azureml/config.json", "aml_config/config.json", "config.json"])
def test_a_script_started_by_hand_finds_the_workspace_by_azures_marker(marker: str, tmp_path: Path) -> None:
    (tmp_path / marker).parent.mkdir(exist_ok=True)
    (tmp_path / marker).write_text('{"workspace_name": "mine"}')
    (tmp_path / "src").mkdir()
    (tmp_path / "src/config.json").write_text("{")  # another tool's
    (tmp_path / "src/тест.py").write_text("from amlcore import Run\nRun.get_context().log('x', 1)\n")

    subprocess.run([sys.executable, "тест.py"], cwd=tmp_path / "src", check=True, stderr=subprocess.DEVNULL)

    assert [run.get_metrics() for run in Workspace.from_config(str(tmp_path)).experiments["script"].get_runs()] == [
        {"x": 1}
    ]


def test_a_broken_marker_is_named(project: Path, write: Write) -> None:
    write(".amlcore/config.json", "{")

    with pytest.raises(ConfigError, match=r"\.amlcore/config\.json, which names the workspace, cannot be read"):
        _ = Workspace.from_config(str(project)).name


def test_a_file_is_no_place_for_a_workspace(project: Path, write: Write) -> None:
    file = write("a.py", "")

    with pytest.raises(RequestError, match=r"cannot create a workspace at .*a\.py"):
        Workspace.create(path=str(file))


def test_pythons_own_paths_and_numbers_are_recorded_as_any_other(project: Path) -> None:
    job = Job(
        workspace=Workspace(root=project),
        environment=Environment("e", file=Path("e.yml")),
        compute=Local(cores=np.int64(2), mem_gb=np.float64(0.5)),
        script=ScriptRunConfig(script=Path("a.py")),
        model=Registration("m", path=Path("outputs/a.joblib"), tags={"depth": np.int64(3)}),
    )

    kept = Job.from_yaml(job.to_yaml())

    assert (kept.environment.file, kept.compute.cores, kept.compute.mem_gb) == ("e.yml", 2, 0.5)
    assert (kept.model.path, kept.model.tags) == ("outputs/a.joblib", {"depth": "3"})


def test_no_home_folder_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "~")
    for variable in ("XDG_CACHE_HOME", "AMLCORE_ENVIRONMENTS"):
        monkeypatch.delenv(variable, raising=False)

    with pytest.raises(ConfigError, match=r"HOME is not set.*AMLCORE_ENVIRONMENTS"):
        _ = Workspace().environments_path


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda ws: Experiment(ws, None), "experiment_name=None"),
        (lambda ws: Experiment(ws, "x" * 129), "at most 128"),
        (lambda ws: Experiment(ws, "a").submit(None), "submit(None): must be a ScriptRunConfig"),
        (lambda ws: Local(cores="2"), "compute.cores='2': must be a whole number"),
        (lambda ws: Local(slots=None), "compute.slots=None: must be a whole number"),
        (lambda ws: Local(slots=True), "compute.slots='True': must be a whole number"),
        (lambda ws: Local(mem_gb="2"), "compute.mem_gb='2': must be a positive number"),
        (lambda ws: ScriptRunConfig(inputs=3), "script.inputs=3: must be a mapping"),
    ],
)
def test_a_wrong_call_is_one_message(call: Callable[[Workspace], object], part: str, project: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        call(Workspace.from_config(str(project)))

    assert part in str(caught.value)


def test_a_run_is_got_by_its_id(tmp_path: Path) -> None:
    run_id, folder = create_run_folder(str(tmp_path), "iris")
    Path(folder, "run.json").write_text("{}")
    workspace = Workspace(root=str(tmp_path))

    assert Run.get(workspace, run_id).folder == workspace.get_run(run_id[:-1]).folder == folder
    with pytest.raises(NotFoundError, match="run 'nothing': no such run; the newest are"):
        Run.get(workspace, run_id="nothing")
