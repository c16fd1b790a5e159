"""The package: what is pinned, and what a wheel carries."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import uv

ROOT = Path(__file__).parents[2]
PINNED = sorted((ROOT / "requirements").glob("*.txt"))


@pytest.mark.parametrize("path", PINNED, ids=lambda path: path.name)
def test_requirements_are_pinned_with_hashes_and_name_no_index(path: Path) -> None:
    text = path.read_text()
    blocks = re.split(r"\n(?=\S)", text.strip())

    assert [
        block for block in blocks if not re.match(r"[\w.\[\]-]+==\S+", block) or "--hash=sha256:" not in block
    ] == []
    assert re.search(r"https?://|--index|--find-links|--extra", text) is None


@pytest.mark.parametrize("name", ["uv.txt", "runtime.txt"])
def test_the_locks_of_users_are_part_of_the_tested_lock(name: str) -> None:
    def pins(path: Path) -> set[str]:
        return set(re.findall(r"^[\w.\[\]-]+==\S+", path.read_text(), re.MULTILINE))

    assert pins(ROOT / "requirements" / name) <= pins(ROOT / "requirements/dev.txt")


def test_the_licence_is_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text()

    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text


@pytest.mark.slow
def test_a_wheel_carries_the_shipped_conf_and_works_outside_the_checkout(tmp_path: Path) -> None:
    build = ["build", "--quiet", "--wheel", "--out-dir", str(tmp_path), "--build-constraints", "requirements/build.txt"]
    subprocess.run([uv.find_uv_bin(), *build, "."], cwd=ROOT, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    assert (installed / "amlcore/py.typed").exists()
    project = tmp_path / "project"
    aml = [sys.executable, "-m", "amlcore"]
    environment = {**os.environ, "PYTHONPATH": str(installed)}

    where = [sys.executable, "-c", "import amlcore; print(amlcore.__file__)"]
    said = subprocess.run(where, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    subprocess.run([*aml, "init", str(project)], cwd=tmp_path, env=environment, check=True)
    subprocess.run([*aml, "run", "environment=current"], cwd=project, env=environment, check=True)

    assert said.stdout.strip() == str(installed / "amlcore/__init__.py")
    shipped = {path.relative_to(ROOT / "conf") for path in (ROOT / "conf").rglob("*.yaml")}
    assert {
        path.relative_to(installed / "amlcore/conf") for path in installed.rglob("amlcore/conf/**/*.yaml")
    } == shipped
