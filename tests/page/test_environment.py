"""What is installed to serve the page: one range of MLflow, said once and locked with hashes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

from amlcore.environment.lock import pins
from amlcore.page.environment import LOCK, MLFLOW

ROOT = Path(__file__).parents[2]


def test_the_extra_and_the_lock_are_of_the_releases_that_the_page_is_tested_with() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["optional-dependencies"]["ui"] == [MLFLOW]
    assert Requirement(MLFLOW).specifier.contains(pins(LOCK.read_text())["mlflow"])


def test_every_package_of_the_lock_has_hashes_and_no_index_is_named() -> None:
    text = LOCK.read_text()
    blocks = re.split(r"\n(?=\S)", text.strip())

    assert [block for block in blocks if "==" not in block or "--hash=sha256:" not in block] == []
    assert re.search(r"https?://|--index|--find-links", text) is None
