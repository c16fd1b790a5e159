"""`aml` called in this process: one of its own would take half a second."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

from amlcore.cli.main import main
from tests.support.aml import Said


def called(root: Path, *arguments: str, status: int | None = 0) -> Said:
    """What `aml` answers in the workspace at `root`; `status` is the one expected."""
    out, err, before = io.StringIO(), io.StringIO(), Path.cwd()
    os.chdir(root)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(arguments)
    finally:
        os.chdir(before)
    said = Said(code, out.getvalue(), err.getvalue())
    assert status is None or said.status == status, said
    return said


def ids(root: Path, *words: str) -> list[str]:
    """The ids of all runs that `aml runs` lists, children included."""
    return sorted(row["id"] for row in called(root, "runs", "--json", "--all", "--children", *words).json)
