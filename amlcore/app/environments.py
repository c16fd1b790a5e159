"""The environments of a workspace: those that are built, and those that can be chosen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from amlcore.config import environment_options
from amlcore.environment import list_environments
from amlcore.workspace import Workspace


def environments(workspace: Workspace) -> list[dict[str, Any]]:
    """The environments that are built, then the names that can be chosen and are not built yet."""
    built: list[dict[str, Any]] = [
        {
            "names": list(item.names),
            "key": item.key,
            "python": item.python,
            "state": "ready" if item.ready else "unfinished",
            "size_bytes": item.size_bytes,
            "last_used": None if item.last_used is None else datetime.fromtimestamp(item.last_used, UTC).isoformat(),
        }
        for item in list_environments(workspace.environments_path)
    ]
    built_names = {name for item in built for name in item["names"]}
    blank = {"key": None, "python": None, "state": "on demand", "size_bytes": None, "last_used": None}
    return built + [{"names": [name], **blank} for name in environment_options(workspace) if name not in built_names]
