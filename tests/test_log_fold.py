"""`run.log_fold`: the mean of the folds so far, also where a script is started again or goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from amlcore.worker.context import Run
from amlcore.worker.layout import ATTEMPT_VARIABLE, RunLayout, write_json


def begin(folder: Path, number: int, monkeypatch: pytest.MonkeyPatch, *, at: float) -> Run:
    attempt = RunLayout(str(folder)).attempt(number)
    Path(attempt.folder).mkdir(parents=True)
    write_json(attempt.claim, {"at": at})
    monkeypatch.setenv(ATTEMPT_VARIABLE, str(number))
    return Run(str(folder))


def test_the_folds_of_an_attempt_that_was_cut_short_do_not_count_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("amlcore.worker.metrics.time.time", lambda: now[0])
    run = begin(tmp_path, 1, monkeypatch, at=99.0)
    assert [run.log_fold("score", value) for value in (1, 3)] == [1, 2]
    now[0] = 200.0
    again = begin(tmp_path, 2, monkeypatch, at=199.0)

    assert [again.log_fold("score", value) for value in (1, 3, 8)] == [1, 2, 4]

    assert again.get_metrics()["score fold"] == [1, 3, 1, 3, 8]
    assert again.get_metrics("score")["score"] == [1, 2, 1, 2, 4]


def test_a_script_that_goes_on_names_its_folds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begin(tmp_path, 1, monkeypatch, at=0.0)
    assert [run.log_fold("score", value, fold=fold) for fold, value in enumerate((1, 3), 1)] == [1, 2]
    again = begin(tmp_path, 2, monkeypatch, at=2e9)

    assert again.log_fold("score", 3, fold=2) == 2
    assert again.log_fold("score", 8, fold=3) == 4
