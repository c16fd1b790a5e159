"""What a model needs besides its own file: the data files that its modules read, and a fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from amlcore.errors import ModelError
from amlcore.snapshot.snapshot import stored_files
from amlcore.worker.objects import object_path


def check_fitted(report: dict[str, Any], *, where: str) -> None:
    """Raise ModelError if the probe reports that the model was never fitted."""
    trial = report["trial"]
    if trial is not None and trial["unfitted"] is not None:
        kind = report["class"].rpartition(".")[2]
        raise ModelError(f"{where} holds a {kind} that is not fitted; call fit() before you save it")


def missing_warnings(report: dict[str, Any]) -> list[str]:
    """A warning if the model could not predict because a file or a package was missing."""
    trial = report["trial"]
    if trial is None or trial["lacks"] is None:
        return []
    return [
        f"the model cannot predict: {trial['lacks']}. Put each file that its code reads next to the module, in the "
        "script's source directory, and open it with Path(__file__).with_name(...), not from the working directory"
    ]


def link_rest(manifest: Path, *, objects: Path, into: Path, select: Callable[[str], bool]) -> None:
    """Link the snapshot's other files, so that the model's code can read them without a copy."""
    for file in stored_files(manifest):
        if select(file.path):
            target = into / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(Path(object_path(objects, file.sha256)).absolute())


def opened_files(opened: dict[str, str], *, stage: Path, roots: list[Path]) -> tuple[dict[str, Path], list[str]]:
    """The files that the model's modules read.

    Parameters
    ----------
    opened : dict
        Each file, and the module that opened it.

    Returns
    -------
    tuple
        The files to keep with the model, by their path among its modules, and warnings about those that cannot be kept.
    """
    files: dict[str, Path] = {}
    warnings = []
    for path, module in sorted(opened.items()):
        root = next((root for root in roots if Path(module).is_relative_to(root)), None)
        if root is not None and Path(path).is_relative_to(root):
            files[Path(path).relative_to(root).as_posix()] = Path(path)
            continue
        shown = Path(path).relative_to(stage / "code") if Path(path).is_relative_to(stage / "code") else path
        warnings.append(
            f"{Path(module).name} reads {shown}, which is not kept with the model; put the file next to the module"
        )
    return files, warnings
