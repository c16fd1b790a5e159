"""What to type instead of a button of MLflow's page that would write."""

from __future__ import annotations

import re
import shlex
from typing import Any

READ_ONLY = "`aml ui` only reads the record"


def advise(path: str, body: dict[str, Any]) -> str:
    """The words for a refused request, with the command that does the same where there is one."""
    words = _command(re.sub(r"^.*?/mlflow/", "", path), {key: str(value) for key, value in body.items()})
    return f"{READ_ONLY}; {words}" if words else f"{READ_ONLY}; nothing was changed"


def _command(action: str, body: dict[str, str]) -> str | None:
    run = body.get("run_id") or body.get("run_uuid") or "RUN"
    model = body.get("name", "MODEL")
    match action:
        case "runs/set-tag" if body.get("key") == "mlflow.note.content":
            return f"use `aml note {run} TEXT`"
        case "runs/set-tag":
            return f"use `aml tag {run} {_tag(body)}`"
        case "runs/update":
            return f"use `aml name {run} {shlex.quote(body.get('run_name', 'NAME'))}`"
        case "runs/delete":
            return f"use `aml rm {run}`"
        case "runs/create" | "experiments/create":
            return "use `aml run`; a run with a new experiment_name starts that experiment"
        case "registered-models/create" | "model-versions/create":
            return "use `aml register RUN --name NAME`"
        case "registered-models/alias":
            alias = f"{model}@{body.get('alias', 'ALIAS')}"
            return f"use `aml alias {shlex.quote(alias)} {body.get('version', 'VERSION')}`"
        case "registered-models/set-tag" | "model-versions/set-tag":
            return f"use `aml tag {_version(model, body)} {_tag(body)}`"
        case "registered-models/delete" | "model-versions/delete":
            return f"use `aml models rm {_version(model, body)}`"
    return None


def _version(model: str, body: dict[str, str]) -> str:
    return shlex.quote(f"{model}:{body['version']}" if "version" in body else model)


def _tag(body: dict[str, str]) -> str:
    return shlex.quote(f"{body.get('key', 'KEY')}={body.get('value', 'VALUE')}")
