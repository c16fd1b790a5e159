"""Versions of models whose files are there and whose content nobody loads: what lists, aliases and logs need."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from amlcore.model.new_version import claim_version, prepared_folder

CONTENT = b"a model that nobody loads"


def add_version(
    root: Path, name: str = "wine", *, metrics: Mapping[str, Any] | None = None, run: str | None = None
) -> int:
    """Register the next version of a model in the workspace at `root`, as registration does."""
    with prepared_folder(root / "models" / name) as folder:
        (folder / "files").mkdir()
        (folder / "files/model.joblib").write_bytes(CONTENT)
        sha256 = hashlib.sha256(CONTENT).hexdigest()
        record = {
            **{"name": name, "framework": "ScikitLearn", "framework_version": "1.9.1", "trained_with": "1.9.1"},
            **{"run": run, "experiment": "", "created": datetime.now(UTC).isoformat(), "trusted_types": []},
            **{"path": "model.joblib", "sha256": sha256, "code": [], "code_sha256": {}, "metrics": dict(metrics or {})},
            **{"files": [{"path": "model.joblib", "size": len(CONTENT), "sha256": sha256}]},
            **{"tags": {}, "properties": {}, "description": "", "resource_configuration": None, "python": "3.11.7"},
            **{"class": "sklearn.Model", "last_step": "Model", "methods": ["predict"], "signature": {}},
            **{"classes": None, "sample": None, "warnings": [], "lock_sha256": None},
        }
        return int(claim_version(folder, record).name)
