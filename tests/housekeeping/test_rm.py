"""`aml rm`: runs go to the trash and come back whole; what is in use stays, and the message says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from amlcore.worker.process_identity import identity
from tests.support.called import called, ids
from tests.support.laid_runs import lay, lay_model, lay_sweep, tree


def lay_bento(store: Path, run: Path) -> None:
    folder = store / "bentos/wine/abc"
    folder.mkdir(parents=True)
    labels = {"model": "wine", "model_version": "1", "run": run.name, "sha256": "0" * 64}
    about = {"name": "wine", "version": "abc", "creation_time": "2026-01-01T00:00:00+00:00", "labels": labels}
    (folder / "bento.yaml").write_text(json.dumps(about))


def test_a_removed_run_comes_back_as_it_was(project: Path) -> None:
    run, other = lay(project, 1, files={"outputs/x.txt": "kept"}), lay(project, 2)
    before = tree(run)

    said = called(project, "rm", run.name)

    assert said.out == f"{run.name}\n"
    assert "restore them with: aml rm --undo" in said.err
    assert ids(project) == [other.name]
    message = f"run {run.name} was removed; restore it with: aml rm --undo {run.name}"
    assert message in called(project, "show", run.name, status=2).err
    assert called(project, "rm", "--undo", "--json").json["restored"] == [run.name]
    assert tree(run) == before
    assert ids(project) == [run.name, other.name]


def test_a_sweep_goes_and_comes_with_its_trials(project: Path) -> None:
    sweep = lay_sweep(project, 1, trials=12)
    grandchild = lay(project, 1, suffix="_3_0")
    lay(project, 11)

    called(project, "rm", sweep.name)
    assert ids(project) == ["20260101-000011-00000a"]

    called(project, "rm", "--undo")
    assert len(ids(project)) == 15
    assert grandchild.exists()


def test_the_last_removal_is_undone_first_and_a_named_one_when_it_is_named(project: Path) -> None:
    first, second, third = (lay(project, number) for number in (1, 2, 3))
    for run in (first, second, third):
        called(project, "rm", run.name)

    assert called(project, "rm", "--undo", "--dry-run").out == f"{third.name}\n"
    called(project, "rm", "--undo", first.name)
    assert ids(project) == [first.name]
    called(project, "rm", "--undo")
    called(project, "rm", "--undo")
    assert ids(project) == [first.name, second.name, third.name]
    assert "the trash is empty" in called(project, "rm", "--undo", status=2).err


def test_removal_with_now_is_permanent(project: Path) -> None:
    run = lay(project, 1)

    called(project, "rm", run.name, "--now")

    assert ids(project) == []
    assert not [path for path in (project / ".amlcore/trash").rglob("*") if path.is_file()]
    called(project, "rm", "--undo", status=2)


def test_a_dry_run_changes_nothing(project: Path) -> None:
    sweep = lay_sweep(project, 1, trials=2)
    before = tree(project)

    said = called(project, "rm", sweep.name, "--dry-run", "--json")

    assert said.json["removed"] == [sweep.name]
    assert said.json["size_bytes"] > 40_000
    assert tree(project) == before


def test_removing_a_run_in_use_is_refused_by_name(project: Path, no_bentos: Path) -> None:
    registered, served, running, sweep = (lay(project, number) for number in (1, 2, 3, 4))
    sweep = lay_sweep(project, 5, trials=2)
    later = lay_sweep(project, 6, trials=0)
    info = json.loads((later / "run.json").read_text())
    info["sweep"]["warm_start"] = [sweep.name]
    (later / "run.json").write_text(json.dumps(info))
    lay_model(project, registered)
    lay_bento(no_bentos, served)
    (running / "state.json").write_text('{"state": "Running"}')
    (running / "driver.json").write_text(json.dumps(identity()))
    reading = json.loads((running / "run.json").read_text())
    reading["inputs"] = {"data": {"sha256": "0", "path": str(project / "outputs/e/20260101-000004-00000a/outputs")}}
    (running / "run.json").write_text(json.dumps(reading))
    expected = {
        registered.name: "is used by model wine:1; remove the model first with: aml models rm wine:1",
        served.name: "is used by service wine:abc, which serves model wine:1; delete the service first with:",
        running.name: f"is Running; end it first with: aml cancel {running.name}",
        "20260101-000004-00000a": f"is an input of run {running.name}, which has not ended",
        f"{sweep.name}_1": f"is a trial of sweep {sweep.name}, which counts on it; remove both with: aml rm",
        sweep.name: f"is the warm start of sweep {later.name}, which needs it to be resumed; remove that sweep too",
    }
    before = tree(project)

    for run, message in expected.items():
        said = called(project, "rm", run, status=2)
        assert f"error: run {run} {message}" in said.err
    said = called(project, "rm", *expected, status=2)

    still = (registered, served, running, sweep)  # the input goes with what reads it, and the trial with its sweep
    assert all(f"run {run.name} {expected[run.name]}" in said.err for run in still)
    assert len(said.err.splitlines()) == len(still) + 1
    assert said.err.endswith("nothing was removed\n")
    assert {path: text for path, text in tree(project).items() if "locks" not in path} == before
    called(project, "rm", sweep.name, later.name)


def test_a_model_of_a_trial_keeps_its_sweep(project: Path) -> None:
    sweep = lay_sweep(project, 1, trials=2)
    model = lay_model(project, sweep.with_name(f"{sweep.name}_1"))
    (model / "model.json").write_text("")
    (sweep.with_name(f"{sweep.name}_1") / "models.jsonl").write_text('{"model": "wine:1", "at": "2026"}\n')

    said = called(project, "rm", sweep.name, status=2)

    assert f"run {sweep.name}_1 is used by model wine:1" in said.err


def test_a_filter_removes_what_matches_and_is_not_in_use(project: Path) -> None:
    good, bad, used = lay(project, 1, metrics={"m": 0.9}), lay(project, 2, metrics={"m": 0.1}), lay(project, 3)
    sweep = lay_sweep(project, 4, trials=2, metric="m")
    lay_model(project, used)

    dry = called(project, "rm", "--where", "m < 0.5", "--dry-run", "--json").json
    assert (dry["removed"], dry["kept"]) == ([bad.name], [])
    said = called(project, "rm", "--where", "m < 0.5 or tags.colour = blue", "--json").json

    assert said["removed"] == sorted([bad.name, good.name, sweep.name])
    assert [use["id"] for use in said["kept"]] == [used.name]
    assert ids(project) == [used.name]


def test_the_alias_of_a_model_is_named(project: Path) -> None:
    run = lay(project, 1)
    lay_model(project, run)
    called(project, "alias", "wine@champion", "1")

    assert f"run {run.name} is used by model wine:1 (wine@champion); " in called(project, "rm", run.name, status=2).err


def test_a_damaged_run_can_be_removed(project: Path) -> None:
    run = lay(project, 1)
    (run / "state.json").write_text("")
    (run / "run.json").write_text("{")

    called(project, "rm", run.name)

    assert not run.exists()


def test_a_restored_run_gives_up_a_name_that_another_has_now(project: Path) -> None:
    run, other = lay(project, 1), lay(project, 2)
    called(project, "name", run.name, "best")
    called(project, "rm", "best")
    called(project, "name", other.name, "best")

    said = called(project, "rm", "--undo")

    assert f"run {run.name} is no longer called 'best': run {other.name} has this name now" in said.err
    assert called(project, "show", "best", "--json").json["id"] == other.name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["RUN", "--where", "state = Failed"], "not both"),
        (["--where", "state = Filed"], "did you mean"),
        ([], "name runs, or choose them with --where FILTER"),
        (["--undo", "--now"], "--undo and --now exclude each other"),
        (["no-such"], "run 'no-such': no such run"),
        (["--undo", "20260101"], "no such run in the trash"),
    ],
)
def test_a_wrong_request_removes_nothing(words: list[str], message: str, project: Path) -> None:
    run = lay(project, 1)

    said = called(project, "rm", *(run.name if word == "RUN" else word for word in words), status=2)

    assert message in said.err
    assert ids(project) == [run.name]


def test_archived_runs_are_hidden_until_they_are_wanted_again(project: Path) -> None:
    sweep, other = lay_sweep(project, 1, trials=2), lay(project, 2)

    assert called(project, "archive", sweep.name, "--json").json["archived"] == [sweep.name]
    assert ids(project) == [other.name]
    assert called(project, "show", sweep.name, "--json").json["archived"] is True
    called(project, "archive", "--undo", sweep.name)
    assert len(ids(project)) == 4
