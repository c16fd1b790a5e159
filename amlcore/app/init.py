"""A new project, as `aml init` writes it."""

from __future__ import annotations

import shutil
from pathlib import Path

from amlcore.errors import RequestError
from amlcore.worker.root import MARKER
from amlcore.workspace import Workspace

TEMPLATE = Path(__file__).parent / "template"
IGNORE = ".gitignore"


def init(folder: Path) -> list[Path]:
    """Write a small project into `folder` (a marker, a config and a script) and return its files.

    Raises
    ------
    RequestError
        A file of the project exists already; nothing was written. An existing .gitignore is kept.
    """
    files = [path for path in sorted(TEMPLATE.rglob("*")) if path.is_file() and path.suffix != ".pyc"]
    targets = {path: folder / path.relative_to(TEMPLATE) for path in files}
    targets = {path: target for path, target in targets.items() if target.name != IGNORE or not target.exists()}
    for target in targets.values():
        if target.exists():
            raise RequestError(f"{target} already exists; remove it, or choose an empty folder")
    try:
        for source, target in targets.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    except OSError as error:
        raise RequestError(f"{error.filename}: {error.strerror}") from None
    Workspace(root=str(folder)).mark()
    return [folder / MARKER, *targets.values()]
