"""Relative imports: how a script that uses them must be run."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path


def relative_import_advice(source: str | None, script: str | None, log_lines: Sequence[str]) -> str | None:
    """How to run a script that failed on a relative import of its own; None if something else failed.

    Parameters
    ----------
    source, script
        The source folder, and the script's path inside it.
    log_lines
        The end of what the script wrote to stderr.
    """
    if source is None or script is None or not any("attempted relative import" in line for line in log_lines):
        return None
    path = Path(source, script)
    level = _relative_level(path)
    if level == 0:  # another module has the relative import
        return None
    names = [path.stem]
    folder = path.parent
    while len(names) <= level or (folder / "__init__.py").is_file():
        if folder.parent == folder or not folder.name.isidentifier():
            return None
        names.insert(0, folder.name)
        folder = folder.parent
    module = ".".join(names)
    return (
        f"a script with relative imports must run as a module: `aml run -M {module}` in {folder}, or "
        f"script.source_directory={folder} script.module={module} script.script=null"
    )


def _relative_level(path: Path) -> int:
    """The most dots in an import of a script; 0 if it has no relative import, or cannot be read."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return 0
    return max((node.level for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)), default=0)
