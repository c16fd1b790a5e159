"""MLflow's page set up for training: its browser storage gets these values the first time it is opened."""

from __future__ import annotations

import json
from pathlib import Path

SETTINGS = {
    "mlflow.workflowType_v1": '"machine_learning"',  # otherwise the menu is that for traces and prompts
    "mlflow.assistant.panelOpen_v1": "false",
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.home.getting-started.collapsed_v1": "true",
    "mlflow.settings.telemetry.enabled_v1": "false",
    "mlflow.telemetry.info.alert.dismissed_v1": "true",
}
"""Keys of localStorage, private to the page of MLflow 3.17; a value that a person has chosen is kept."""

STYLE = "button:has(.assistant-fab-label) { display: none !important }"
"""Hides the button of an assistant that this server does not have."""


def page(index: Path) -> str:
    """The text of MLflow's index.html with the settings, before any script of its own runs."""
    script = f"for (const [key, value] of Object.entries({json.dumps(SETTINGS)}))\n"
    script += "  if (localStorage.getItem(key) === null) localStorage.setItem(key, value);"
    return index.read_text(encoding="utf-8").replace(
        "<head>", f"<head><style>{STYLE}</style><script>\n{script}\n</script>", 1
    )
