"""What `aml compare` does: finds the runs, here or in another workspace, and writes the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from amlcore.app.runs import find_run
from amlcore.comparison.comparison import Comparison, compare
from amlcore.comparison.page import page
from amlcore.errors import RequestError
from amlcore.runs.run import Run
from amlcore.worker.files import write_text
from amlcore.worker.layout import RunLayout
from amlcore.workspace import Workspace


def compare_runs(workspace: Workspace, references: Sequence[str]) -> Comparison:
    """Compare runs by id, prefix, name or `latest`, or by the path of their folder in any workspace."""
    return compare([_find(workspace, reference) for reference in references])


def _find(workspace: Workspace, reference: str) -> Run:
    folder = Path(reference)
    if "/" in reference and Path(RunLayout(str(folder)).run).is_file():
        return Run(str(folder.absolute()))
    return find_run(workspace, reference.rstrip("/").rpartition("/")[2] or reference)


def write_page(comparison: Comparison, path: Path, *, everything: bool) -> None:
    """Write the comparison as one HTML page, whole or not at all.

    Raises
    ------
    RequestError
        The file cannot be written.
    """
    try:
        if path.is_dir():
            raise RequestError(f"--html {path}: this is a folder; name a file such as {path / 'comparison.html'}")
        write_text(str(path.absolute()), page(comparison, everything=everything))
    except OSError as error:
        raise RequestError(f"--html {path}: the file cannot be written: {error.strerror}") from None
