"""Tables of models' aliases and logs."""

from __future__ import annotations

from typing import Any

from amlcore.terminal.tables import details, local_time
from amlcore.terminal.text_table import TextTable


def aliases(rows: list[dict[str, Any]]) -> None:
    table = TextTable(("alias", "version", "set", "by", "why"))
    for row in rows:
        alias = f"{row['model']}@{row['alias']}"
        table.add_row(alias, str(row["version"]), local_time(row["at"]), row["by"], row["why"] or "")
    table.print()


def log(events: list[dict[str, Any]]) -> None:
    table = TextTable(("when", "what", "by", "why"))
    for event in events:
        table.add_row(local_time(event["at"]), _what(event), event["by"] or "", _why(event))
    table.print()


def model(facts: dict[str, Any]) -> None:
    """Print one version of a model, without the rows of its sample and the hashes of its files."""
    left_out = ("files", "code", "code_sha256", "sample", "lock_sha256", "signature")
    shown = {key: value for key, value in facts.items() if key not in left_out}
    details({**shown, "columns": facts["signature"].get("columns"), "files": [file["path"] for file in facts["files"]]})


def _what(event: dict[str, Any]) -> str:
    name, version, alias = event["model"], event["version"], event["alias"]
    match event["event"]:
        case "registered":
            return f"{name}:{version} registered"
        case "alias set":
            return f"{name}@{alias} = {version}" + (f" (was {event['previous']})" if event["previous"] else "")
        case "alias removed":
            return f"{name}@{alias} removed (was {version})"
        case _:
            return f"{name}:{version} removed"


def _why(event: dict[str, Any]) -> str:
    """The reason that was given, then the condition that held, or the run that the version is from."""
    condition = event["condition"]["text"] if event["condition"] else None
    run = f"from run {event['run']}" if event["event"] == "registered" and event["run"] else None
    return "; ".join(filter(None, (event["why"], condition and f"if {condition}", run)))
