"""`aml prune`: files of runs that are not among the best or are old, and what no run needs any more."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from amlcore.snapshot import snapshot
from amlcore.snapshot.snapshot import Snapshot, SnapshotLimits
from tests.support.called import called, ids
from tests.support.laid_runs import lay, lay_model, lay_sweep, tree

FILES = {"outputs/model.txt": "model" * 1000, "checkpoints/last.txt": "checkpoint" * 1000}
PARTS = ("--what", "outputs,checkpoints")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AMLCORE_ENVIRONMENTS", str(tmp_path / "environments"))
    return tmp_path / "environments"


def files_of(run: Path) -> set[str]:
    return {path for path in tree(run) if path.startswith(("outputs", "checkpoints"))}


def take(project: Path, text: str) -> Snapshot:
    source = project / "source"
    source.mkdir(exist_ok=True)
    (source / "train.py").write_text(text)
    return snapshot.take(source, store=project / ".amlcore/snapshots", limits=SnapshotLimits())


def test_the_best_trials_of_a_sweep_keep_their_files(project: Path) -> None:
    sweep = lay_sweep(project, 1, trials=8)
    (sweep / "outputs").mkdir()
    (sweep / "outputs/trials.csv").write_text("a table")

    result = called(project, "prune", *PARTS, "--keep-best", "3", "--json").json

    kept = [trial for trial in range(8) if files_of(sweep.with_name(f"{sweep.name}_{trial}"))]
    assert kept == [5, 6, 7]
    assert sorted(run["id"] for run in result["runs"]) == [f"{sweep.name}_{trial}" for trial in range(5)]
    assert result["size_bytes"] >= 5 * (len("model 0") + len("checkpoint 0")) * 1000
    assert (sweep / "outputs/trials.csv").exists()
    assert len(ids(project)) == 9


def test_of_equal_trials_the_first_is_the_best(project: Path) -> None:
    sweep = lay_sweep(project, 1, trials=12, score=1.0)

    called(project, "prune", *PARTS, "--keep-best", "2")

    assert [trial for trial in range(12) if files_of(sweep.with_name(f"{sweep.name}_{trial}"))] == [0, 1]


@pytest.mark.parametrize(("goal", "kept"), [((), [1]), (("--goal", "minimize"), [3])])
def test_a_metric_says_which_runs_are_the_best(goal: tuple[str, ...], kept: list[int], project: Path) -> None:
    scores = {1: 0.9, 2: 0.5, 3: 0.1}
    runs = {number: lay(project, number, metrics={"m": score}, files=FILES) for number, score in scores.items()}
    failed = lay(project, 4, metrics={"m": 1.0}, state="Failed", files=FILES)
    other = lay(project, 5, experiment="without", files=FILES)

    called(project, "prune", *PARTS, "--keep-best", "1", "--metric", "m", *goal)

    assert [number for number, run in runs.items() if files_of(run)] == kept
    assert not files_of(failed)
    assert files_of(other)


def test_only_old_runs_are_pruned(project: Path) -> None:
    old = lay(project, 1, files=FILES, ended=datetime.now(UTC) - timedelta(days=91))
    new = lay(project, 2, files=FILES, ended=datetime.now(UTC) - timedelta(days=89))

    called(project, "prune", "--what", "checkpoints", "--older", "90d")

    assert files_of(old) == {"outputs/model.txt"}
    assert files_of(new) == set(FILES)


def test_a_pruned_run_says_so(project: Path) -> None:
    run = lay(project, 1, files=FILES)
    (run / "outputs.json").write_text(json.dumps([{"path": "outputs/model.txt", "size": 5000, "sha256": "0"}]))

    called(project, "prune", run.name, *PARTS)

    details = called(project, "show", run.name, "--json").json
    assert details["outputs"] == []
    assert details["pruned"].keys() == {"outputs", "checkpoints"}
    assert details["state"] == "Completed"
    assert "its outputs with `aml prune` on" in called(project, "register", run.name, "--name", "m", status=1).err
    assert called(project, "prune", run.name, *PARTS, "--json").json["runs"] == []


def test_runs_in_use_keep_their_files(project: Path) -> None:
    registered, data = lay(project, 1, files=FILES), lay(project, 4, files=FILES)
    inputs = {"data": {"sha256": "0", "path": str(data / "outputs")}}
    running = lay(project, 2, files=FILES, state="Running", inputs=inputs)
    sweep = lay_sweep(project, 3, trials=1)
    (sweep / "state.json").write_text('{"state": "Running"}')
    for folder in (running, sweep):
        process = {"host": "elsewhere", "boot": "b", "pid": 1, "started": 1}
        (folder / "driver.json").write_text(json.dumps(process))
        (folder / "config.yaml").write_text("{}")
    lay_model(project, registered)

    result = called(project, "prune", registered.name, running.name, sweep.name, data.name, *PARTS, "--json").json

    reasons = {use["id"]: use["reason"] for use in result["kept"]}
    assert reasons == {
        registered.name: "is used by model wine:1",
        running.name: "is Running",
        data.name: f"is an input of run {running.name}, which has not ended",
        f"{sweep.name}_0": f"belongs to run {sweep.name}, which is Running",
    }
    assert all(map(files_of, (registered, running, data, sweep.with_name(f"{sweep.name}_0"))))


def test_snapshots_go_with_the_last_run_that_needs_them(project: Path) -> None:
    shared, own, unused = (take(project, text) for text in ("a", "b", "c"))
    run = lay(project, 1, snapshot=shared.id)
    removed = lay(project, 2, snapshot=own.id)
    sweep = lay_sweep(project, 3, trials=1, snapshot=shared.id)
    (sweep / "sources.json").write_text(json.dumps({"key": {"snapshot": {"id": shared.id}}}))
    called(project, "rm", removed.name)
    store = project / ".amlcore/snapshots"

    dry = called(project, "prune", "--dry-run", "--json").json
    assert dry["snapshots"]["count"] == 1
    assert dry["snapshots"]["size_bytes"] > 0
    assert unused.manifest.exists()
    called(project, "prune")
    assert not unused.manifest.exists()
    assert len([path for path in (store / "objects").rglob("*") if path.is_file()]) == 2
    called(project, "rm", "--undo")

    called(project, "rm", removed.name)
    called(project, "prune", "--older", "0d", "--what", "trash,snapshots")
    assert {path.stem for path in (store / "manifests").iterdir()} == {shared.id}
    called(project, "rm", run.name, sweep.name, "--now")
    called(project, "prune")
    assert not [path for path in (store / "objects").rglob("*") if path.is_file()]
    assert take(project, "a") == shared  # the cache of hashes does not say that the object is still there
    assert snapshot.load(shared.id, store=store) == shared


def test_a_run_that_cannot_be_read_keeps_all_snapshots(project: Path) -> None:
    unused = take(project, "a")
    run = lay(project, 1)
    (run / "run.json").write_text("{")

    said = called(project, "prune")

    assert f"snapshots were kept, since nobody knows which of them run {run.name} needs" in said.err
    assert unused.manifest.exists()


def test_the_trash_is_emptied_of_what_is_old(project: Path) -> None:
    for number in (1, 2):
        called(project, "rm", lay(project, number).name)
    first, second = sorted((project / ".amlcore/trash").glob("*/removal.json"))
    removal = json.loads(first.read_text())
    first.write_text(json.dumps({**removal, "at": (datetime.now(UTC) - timedelta(days=31)).isoformat()}))

    result = called(project, "prune", "--json").json

    assert result["trash"]["runs"] == 1
    assert not first.exists()
    assert second.exists()


def lay_environment(cache: Path, key: str, *, unused_days: float) -> Path:
    folder = cache / key
    (folder / "venv/bin").mkdir(parents=True)
    (folder / "venv/bin/python").write_text("")
    (folder / "ready.json").write_text(json.dumps({"python": "3.11.7", "size_bytes": 7, "created": 1.0}))
    used = time.time() - unused_days * 86400
    os.utime(folder / "ready.json", (used, used))
    return folder


@pytest.mark.parametrize("words", [("prune",), ("prune", "--what", "environments"), ("env", "prune")])
def test_unused_environments_go_in_one_way(words: tuple[str, ...], project: Path, own_cache: Path) -> None:
    old, new = (
        lay_environment(own_cache, "a" * 32, unused_days=31),
        lay_environment(own_cache, "b" * 32, unused_days=29),
    )

    dry = called(project, "prune", "--dry-run", "--json").json
    assert [one["key"] for one in dry["environments"]] == ["a" * 32]
    assert old.exists()
    called(project, *words)

    assert not old.exists()
    assert new.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--what", "outputs"], "--what outputs would concern every run; say which with RUN"),
        (["--what", "everything"], "'everything': must be any of outputs, checkpoints"),
        (["--older", "90"], "must be a number and one of w, d, h, min, s, such as 90d, not 90"),
        (["--keep-best", "3"], "--keep-best concerns files of runs; add --what outputs"),
        (["--keep-best", "0", *PARTS], "must be a positive integer, not 0"),
        (["--keep-best", "3", "--metric", "n", *PARTS], "--metric n: no run logged it; available metrics: m"),
        (["--metric", "m", "--older", "1d", *PARTS], "--metric says which runs are the best; add --keep-best"),
        (["--goal", "minimize", "--keep-best", "3", *PARTS], "--goal belongs to --metric"),
        (["no-such", *PARTS], "run 'no-such': no such run"),
    ],
)
def test_a_wrong_request_prunes_nothing(words: list[str], message: str, project: Path) -> None:
    run = lay(project, 1, files=FILES, metrics={"m": 1.0})
    take(project, "a")
    before = tree(project)

    assert message in called(project, "prune", *words, status=2).err
    assert tree(project) == before
    assert files_of(run)
