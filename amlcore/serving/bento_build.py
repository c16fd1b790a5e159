"""The build of a Bento by BentoML, from a folder with everything that it carries."""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from amlcore.errors import DeploymentError
from amlcore.model import Model
from amlcore.serving.bento import store
from amlcore.serving.child_environment import plain_environment
from amlcore.serving.deployment import Deployment


def bentofile(model: Model, deployment: Deployment, settings: dict[str, Any]) -> str:
    """The text of the bentofile.yaml that packages `model`."""
    labels = {
        "model": model.name,
        "model_version": str(model.version),
        "run": model.run or "",
        "sha256": model.sha256,
    }
    text = model.description or f"{model.class_name}, trained with scikit-learn {settings['scikit_learn']}."
    content = {
        "service": "amlcore_service.bento_service:service",
        "name": settings["name"],
        "description": f"# {model.name}, version {model.version}\n\n{text}\n",
        "labels": labels,
        "include": ["*"],
        "python": {"requirements_txt": "./requirements.txt", "lock_packages": False},
        "docker": {
            "python_version": ".".join(model.python.split(".")[:2]),
            **({"base_image": deployment.base_image} if deployment.base_image else {}),
        },
    }
    return yaml.safe_dump(content)


def build(stage: Path, *, name: str) -> str:
    """Build in a separate process: BentoML changes the working folder, modules and logging of the one it runs in.

    The version is chosen here and not parsed from BentoML's output, which is coloured and wrapped for a terminal.
    """
    version, temporary = _new_version(), stage.with_name("bentoml")  # removed with the stage
    temporary.mkdir()
    command = [sys.executable, "-m", "bentoml", "build", str(stage), "--version", version]
    environment = {**plain_environment(), "TMPDIR": str(temporary)}
    process = subprocess.run(
        command, cwd=stage, env=environment, capture_output=True, text=True, errors="replace", check=False
    )
    if process.returncode != 0 or not (store() / name / version).is_dir():
        lines = (process.stderr.strip() or process.stdout.strip()).splitlines()[-10:]
        raise DeploymentError(f"BentoML could not build '{name}':\n" + "\n".join(lines))
    return version


def _new_version() -> str:
    """Sixteen letters and digits, as in BentoML's own versions; versions sort by time."""
    return f"{time.time_ns() // 1_000_000:011x}{secrets.token_hex(3)[:5]}"
