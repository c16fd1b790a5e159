"""A new driver adopts, or starts over, a trial that an earlier driver began."""

import json
from pathlib import Path

import pytest

from amlcore.compute import backend_of
from amlcore.errors import RecordError
from amlcore.execution.adoption import start_over
from amlcore.record.contents import inspect_record
from amlcore.record.record import Record

RUN = {"id": "s_0", "experiment": "e", "created": "2026-01-01T00:00:00+00:00", "snapshot": None, "script": "a.py"}


@pytest.fixture
def trial(project: Path) -> Record:
    record = Record(project / "outputs/e/s_0")
    record.folder.mkdir(parents=True)
    (record.folder / "run.json").write_text(json.dumps(RUN))
    return record


def test_checkpoints_outlive_a_lost_attempt(trial: Record) -> None:
    for name in ("checkpoints/step.pt", "outputs/model.joblib", "metrics/a.jsonl"):
        (trial.folder / name).parent.mkdir()
        (trial.folder / name).write_text("kept?")

    start_over(trial)

    assert [path.relative_to(trial.folder) for path in trial.folder.rglob("*") if path.is_file()] == [
        Path("checkpoints/step.pt")
    ]
    assert list(trial.folder.parent.iterdir()) == [trial.folder]


def test_a_trial_whose_record_is_damaged_keeps_nothing(trial: Record) -> None:
    (trial.folder / "checkpoints").mkdir()
    (trial.folder / "run.json").write_text("{")

    start_over(Record(trial.folder))

    assert list(trial.folder.iterdir()) == []


def test_an_unknown_backend_is_damage(trial: Record) -> None:
    (trial.folder / "run.json").write_text(json.dumps({**RUN, "compute": "loca1"}))

    with pytest.raises(RecordError, match=r"run\.json is damaged: compute must be one of local, slurm, not 'loca1'"):
        backend_of(Record(trial.folder))


@pytest.mark.parametrize("damage", ["a file for a folder", "a number beyond float64"])
def test_any_damage_is_reported(damage: str, trial: Record) -> None:
    state = {"state": "Completed", "at": 1.0}
    if damage == "a file for a folder":
        (trial.folder / "metrics").write_text("")
    else:
        state["at"] = 10**400
    (trial.folder / "state.json").write_text(json.dumps(state))

    assert len(inspect_record(trial)) >= 1
