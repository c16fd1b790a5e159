"""The short form of the fault harness: a few tries of each kind, what they show must hold for the long form too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import faults
from tests.faults import Outcome


@pytest.mark.parametrize("name", faults.names())
def test_faults_lose_and_harm_nothing(name: str, tmp_path: Path) -> None:
    kind = faults.load(name)
    if kind.unable:
        pytest.skip(kind.unable)

    assert faults.repeat(kind, range(faults.SHORT_TRIES), parent=tmp_path) == Outcome()


def test_a_try_that_breaks_off_counts_as_harm(tmp_path: Path) -> None:
    def attempt(seed: int, folder: Path) -> Outcome:
        raise RuntimeError(f"broken at {folder.name} by {seed}")

    total = faults.repeat(faults.Kind("broken", attempt, ""), [3], parent=tmp_path)

    assert total.lost == []
    assert ["seed 3" in words and "RuntimeError: broken" in words for words in total.harmed] == [True]
