"""A run is repeated from its record, or the message names the damaged file."""

from pathlib import Path

import pytest

from amlcore.config import compose
from amlcore.errors import RecordError
from amlcore.execution.rerun import load_job
from amlcore.record.record import Record


@pytest.fixture
def record(project: Path) -> Record:
    folder = project / "outputs/train/20260101-000000-abcdef"
    folder.mkdir(parents=True)
    return Record(folder)


def test_a_configuration_that_is_cut_off_is_named(project: Path, record: Record) -> None:
    config = Path(record.layout.config)
    lines = compose(["script=train_iris", "sweep=tpe"], root=project).to_yaml().splitlines(keepends=True)
    config.write_text("".join(lines))
    assert load_job(record).script.name == "train_iris"

    for count in range(len(lines)):
        if lines[count].startswith(" "):
            continue  # what was inside a key may be optional
        config.write_text("".join(lines[:count]))
        with pytest.raises(RecordError, match=r"config\.yaml is damaged"):
            load_job(record)
