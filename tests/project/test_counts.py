"""Each fact is derived once: how often the files of a command's facts are opened.

A count that grew is a second reader of the same fact, which costs time and may read another state of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

import amlcore
from tests.conftest import Aml
from tests.support.opens import below, count_opens
from tests.support.serving_models import register
from tests.support.wheels import wheel

Write = Callable[[str, str], Path]

SCRIPT = "from amlcore import Run\nRun.get_context().log('accuracy', 0.5)\nopen('outputs/model.txt', 'w').write('x')\n"


def _write_runs(root: Path, numbers: range) -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    for number in numbers:
        created = begin + timedelta(seconds=number)
        name = f"{created:%Y%m%d-%H%M%S}-{number:06x}"
        folder = root / "outputs/e" / name
        (folder / "metrics").mkdir(parents=True)
        info = {"id": name, "experiment": "e", "parent": None, "created": created.isoformat()}
        (folder / "run.json").write_text(json.dumps(info))
        (folder / "state.json").write_text('{"state": "Completed"}')
        (folder / "metrics/1.jsonl").write_text('{"kind": "scalar", "name": "a", "value": 1, "step": null, "at": 1}\n')


def test_show_parses_each_file_of_a_run_once(project: Path, aml: Aml, write: Write, tmp_path: Path) -> None:
    write("train.py", SCRIPT)
    aml("run", "train.py", "environment=current")

    opens = below(count_opens(tmp_path, "show", "latest", cwd=project), project / "outputs")

    names = {path.name for path in opens}
    assert {"run.json", "state.json", "environment.json", "result.json", "outputs.json"} <= names
    assert {str(path): count for path, count in opens.items() if count > 1 and path.suffix in (".json", ".jsonl")} == {}


@pytest.mark.parametrize("arguments", [["runs"], ["show", "latest"], ["--help"]])
def test_looking_at_runs_imports_nothing_that_only_carrying_them_out_needs(
    arguments: list[str], project: Path, tmp_path: Path
) -> None:
    _write_runs(project, range(3))
    opens = count_opens(tmp_path, *arguments, cwd=project)

    package = Path(amlcore.__file__).parent
    rooms = {path.relative_to(package).parts[0] for path in opens if path.is_relative_to(package)}
    assert "cli" in rooms
    assert rooms & {"config", "compute", "environment", "model", "serving", "snapshot", "sweep", "script"} == set()
    assert [str(path) for path in opens if {"hydra", "omegaconf", "numpy", "multiprocessing"} & set(path.parts)] == []


def test_twenty_runs_open_the_files_of_twenty(project: Path, tmp_path: Path) -> None:
    counts = []
    for numbers in (range(200), range(200, 2000)):
        _write_runs(project, numbers)
        opens = below(count_opens(tmp_path, "runs", "--limit", "20", cwd=project), project)
        counts.append(opens.total())
        assert len({path.parts[2] for path in opens if path.parts[0] == "outputs"}) == 20

    assert counts[0] == counts[1]


SPACE = "sweep:\n  search_space:\n    script.arguments.penalty: [0.5, 1.0]\n"


@pytest.mark.parametrize(
    ("conf", "arguments", "most"),
    [
        ("", ["script=train_iris"], 16),
        ("", ["experiment=iris"], 17),
        ("", ["-m", "script=train_iris", "script.arguments.penalty=0.5,1.0"], 19),
        ("", ["-m", "script=train_iris", "environment=sklearn,sklearn-1.2"], 20),
        (f"defaults: [base, override script: train_iris, override sweep: grid, _self_]\n{SPACE}", [], 18),
    ],
    ids=["run", "experiment", "grid", "groups", "sweep-in-config"],
)
def test_a_request_opens_each_config_once(
    conf: str, arguments: list[str], most: int, project: Path, tmp_path: Path
) -> None:
    """Its options' files, base.yaml, config.yaml, sweep/_amlcore_common.yaml, and six of Hydra's own."""
    if conf:
        (project / "conf").mkdir()
        (project / "conf/config.yaml").write_text(conf)
    opens = count_opens(tmp_path, "run", *arguments, "--dry-run", cwd=project)
    configs = {path: count for path, count in opens.items() if path.suffix == ".yaml"}

    assert {path: count for path, count in configs.items() if count > 1} == {}
    assert len(configs) <= most


@pytest.mark.parametrize("mode", [[], ["-m", "script.arguments=[],[1],[2]"]], ids=["run", "sweep"])
def test_a_requirements_file_is_read_once_a_run(mode: list[str], project: Path, tmp_path: Path) -> None:
    wheel(project / "wheels", "first", "1.0")
    (project / "t.py").write_text("from amlcore import Run\nRun.get_context().log('score', 1)\n")
    (project / "requirements.txt").write_text("--no-index\n--find-links wheels\n-r more.txt\n")
    (project / "more.txt").write_text("first\n")
    environment = {"AMLCORE_ENVIRONMENTS": str(tmp_path / "cache")}
    metric = ["sweep.primary_metric=score"] if mode else []

    opens = count_opens(tmp_path, "run", "t.py", *mode, *metric, cwd=project, env=environment)

    for name in ("requirements.txt", "more.txt"):
        assert opens[project / name] == 2  # for the environment, and for the snapshot, which takes each file


def test_a_run_that_takes_longer_opens_its_records_no_more_often(project: Path, tmp_path: Path) -> None:
    """The driver looks at its run many times a second; what it looks at is not parsed each time."""
    (project / "t.py").write_text("import time\ntime.sleep(1.5)\n")

    opens = count_opens(tmp_path, "run", "t.py", "environment=current", cwd=project)

    (folder,) = project.glob("outputs/t/*")
    counts = {name: opens[folder / name] for name in ("run.json", "state.json", "attempts/1/claim.json")}
    assert counts["run.json"] <= 3
    assert counts["state.json"] <= 20
    assert counts["attempts/1/claim.json"] <= 15


def test_a_model_is_hashed_once_a_packaging(project: Path, tmp_path: Path) -> None:
    """One copy of it is made, hashed, loaded for the proof and taken into the Bento: nobody hashes it again."""
    register(project, LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True)), name="flowers")
    environment = {"TMPDIR": str(tmp_path / "tmp"), "BENTOML_HOME": str(tmp_path / "store")}
    Path(environment["TMPDIR"]).mkdir()

    opens = count_opens(tmp_path, "deploy", "flowers", cwd=project, env=environment)

    def count(pattern: str) -> int:
        return sum(number for path, number in opens.items() if path.match(pattern))

    assert count("models/flowers/1/files/model.joblib") == 1  # to copy it
    assert count("amlcore-bento-*/content/model/files/model.joblib") == 2  # to hash it, and for BentoML to copy it
    assert count("amlcore-proof-*/content/model/files/model.joblib") == 1  # to load it
