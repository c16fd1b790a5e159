"""Other versions of Python that this machine has."""

from pathlib import Path

import pytest

PYENV = Path.home() / ".pyenv" / "versions"


def installed_python(version: str) -> str:
    """The interpreter of pyenv with that version, such as 3.7; the test is skipped if there is none."""
    interpreters = sorted(PYENV.glob(f"{version}.*/bin/python3"))
    if not interpreters:
        pytest.skip(f"this machine has no Python {version}")
    return str(interpreters[-1])
