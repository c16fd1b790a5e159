"""`run.log_fold`: the mean of the folds so far, also after a restart or a resume of the script."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from amlcore.worker.files import write_json
from amlcore.worker.layout import ATTEMPT_VARIABLE, RunLayout
from amlcore.worker.metrics import read_metrics
from amlcore.worker.script.context import ScriptRun as Run
from tests.support.aml import Aml


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


TOGETHER = """
import sys, threading
from multiprocessing import get_context
from amlcore import Run

def work(number):
    run = Run.get_context()
    threads = [threading.Thread(target=run.log_fold, args=("score", 10 * number + thread)) for thread in range(10)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()

if __name__ == "__main__":
    with get_context(sys.argv[1]).Pool(4) as pool:
        pool.map(work, range(4), chunksize=1)
        pool.map(work, range(4, 8), chunksize=1)
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_folds_of_threads_and_processes_at_once_all_count(method: str, aml: Aml, write: Callable[..., Path]) -> None:
    write("train.py", TOGETHER)
    aml("run", "train.py", "environment=current", "--", method)

    folder = Path(aml("show", "latest", "--json").json["folder"])
    records = read_metrics(folder / "metrics")
    folds = [record["value"] for record in records if record["name"] == "score fold"]
    means = [(record["step"], record["value"]) for record in records if record["name"] == "score"]
    assert sorted(folds) == list(range(80))
    assert means == [(count, sum(folds[:count]) / count) for count in range(1, 81)]
