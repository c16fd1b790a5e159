"""If a script does not find a file that exists for its user, a hint says where it is and how to bring it in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.aml import HERE, Aml

OPENED = "open({})"
BESIDE = "import os; open(os.path.join(os.path.dirname(os.path.abspath(__file__)), {}))"
LOADED = "import numpy; numpy.loadtxt({})"
RENAMED = "raise FileNotFoundError(f'File {} was not found in this folder')"


@pytest.mark.parametrize(
    ("line", "asked", "lies", "words"),
    [
        (OPENED, "'rows.csv'", "src/rows.csv", ".amlignore leaves it out of the snapshot: add !rows.csv to it, or"),
        (
            OPENED,
            "'data/x y.bin'",
            "src/data/x y.bin",
            ".amlignore leaves the folder data out of the snapshot: add +script.inputs.x_y=",
        ),
        (BESIDE, "'../data/rows.csv'", "data/rows.csv", "but outside of the source folder"),
        (LOADED, "'rows.csv'", "rows.csv", "but outside of the source folder"),
        (RENAMED, "rows.csv", "rows.csv", "but outside of the source folder"),
        (OPENED, "'2024.csv'", "here/2024.csv", "add +script.inputs.data_2024="),
    ],
)
def test_a_file_missing_from_the_snapshot_is_named(
    line: str, asked: str, lies: str, words: str, project: Path, aml: Aml, write: Callable
) -> None:
    write("src/train.py", line.format(asked))
    write("src/.amlignore", "*.csv\ndata/\n")
    write(lies, "1")
    here = (project / lies).parent if lies.startswith("here") else project
    said = aml("run", str(project / "src/train.py"), HERE, cwd=here, status=1).err

    assert f"hint: {project / lies} exists, " in said
    assert words in said
    assert f"={project / lies} and pass '${{input:" in said


def test_other_files_are_not_named_and_a_sweep_hints_once(aml: Aml, write: Callable) -> None:
    write("train.py", "open('nowhere.csv')")
    assert "hint:" not in aml("run", "train.py", HERE, status=1).err

    write("src/train.py", "open('rows.csv')")
    write("rows.csv", "1")
    words = ["src/train.py", HERE, "sweep.primary_metric=score", "+script.arguments.x=1,2"]
    assert aml("run", "-m", *words, status=1).err.count("hint: trial") == 1
