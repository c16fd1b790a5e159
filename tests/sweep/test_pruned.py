"""Pruning by folds, with real trials: how much it saves, and that the best trial is as good."""

from __future__ import annotations

import runpy
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from amlcore.sweep import Dimension, EarlyTermination, Space, Sweep
from amlcore.sweep.loop import Loop, MetricReported, TrialEnded
from amlcore.sweep.study import Study, Trial, TrialState
from amlcore.worker.layout import RunLayout
from amlcore.worker.metrics import read_metrics
from tests.support.aml import HERE, Aml, Write
from tests.support.compute_conformance import require
from tests.support.sweeps import sweep_and_trials

FOLDS = 10
TRIALS = 20
BOUNDS = {"C": (0.01, 100.0), "gamma": (1e-4, 1.0)}

# A fold lasts long enough for the driver to judge the one before.
SCRIPT = f"""
import argparse, time
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from amlcore import Run

X, y = load_breast_cancer(return_X_y=True)
folds = list(StratifiedKFold({FOLDS}, shuffle=True, random_state=0).split(X, y))

def score(C, gamma, fold):
    train, test = folds[fold]
    return make_pipeline(StandardScaler(), SVC(C=C, gamma=gamma)).fit(X[train], y[train]).score(X[test], y[test])

def main():
    parser = argparse.ArgumentParser()
    for name in ("C", "gamma", "pause"):
        parser.add_argument("--" + name, type=float)
    args = parser.parse_args()
    for fold in range({FOLDS}):
        Run.get_context().log_fold("accuracy", score(args.C, args.gamma, fold))
        time.sleep(args.pause)

if __name__ == "__main__":
    main()
"""
SWEEP = [
    *("run", "-m", "train.py", "sweep=random", "sweep.primary_metric=accuracy", "model=none"),
    *("sweep/early_termination=bandit", "sweep.early_termination.slack_factor=0.03", f"sweep.max_total_runs={TRIALS}"),
    *(f"+script.arguments.{key}=tag(log,interval({low},{high}))" for key, (low, high) in BOUNDS.items()),
]


def fits(run: dict[str, Any]) -> int:
    """How many folds a trial has fitted, the one included that it was stopped in."""
    logged = [item["name"] for item in read_metrics(RunLayout(run["folder"]).metrics)].count("accuracy fold")
    return min(logged + (run["state"] == "Canceled"), FOLDS)


def compare(script: Path, parent: dict[str, Any], trials: list[dict[str, Any]]) -> tuple[float, float]:
    """The share of the fits that pruning saved, and how far its best is behind that of all points in full."""
    score = runpy.run_path(str(script))["score"]
    points = [(run["parameters"]["C"], run["parameters"]["gamma"]) for run in trials]
    in_full = [sum(score(*point, fold) for fold in range(FOLDS)) / FOLDS for point in points]
    return 1 - sum(map(fits, trials)) / (FOLDS * len(trials)), max(in_full) - parent["metrics"]["accuracy"]


class Folds:
    """Trials that fit one fold each whenever the loop looks; one that is stopped has begun its next by then."""

    def __init__(self, score: Callable[..., float]) -> None:
        self._score = score
        self._running: dict[int, tuple[float, float]] = {}
        self._stopped: set[int] = set()
        self._reached: dict[int, list[float]] = {}
        self.fits = 0
        self.points: list[tuple[float, float]] = []

    def start(self, trial: Trial) -> None:
        point = trial.values["C"], trial.values["gamma"]
        self.points.append(point)
        self._running[trial.number] = point
        self._reached[trial.number] = []

    def poll(self) -> Iterator[TrialEnded | MetricReported]:
        for number, point in list(self._running.items()):
            reached = self._reached[number]
            reached.append(self._score(*point, len(reached)))
            self.fits += 1
            mean = statistics.fmean(reached)
            if number in self._stopped:
                del self._running[number]
                yield TrialEnded(number, TrialState.PRUNED)
                continue
            yield MetricReported(number, mean)
            if len(reached) == FOLDS:
                del self._running[number]
                yield TrialEnded(number, TrialState.COMPLETE, mean)

    def stop(self, number: int, reason: str, *, pruned: bool = False) -> None:
        if number in self._running:
            self._stopped.add(number)

    def history(self, number: int) -> list[float]:
        return self._reached[number]


@pytest.mark.parametrize("seed", range(5))
def test_pruning_saves_fits_and_loses_no_score_in_the_loop(seed: int, write: Write) -> None:
    score = runpy.run_path(str(write("train.py", SCRIPT)))["score"]
    space = Space({key: Dimension.between(*bounds, log=True) for key, bounds in BOUNDS.items()})
    full = Sweep("random", primary_metric="accuracy", seed=seed, max_total_runs=TRIALS)
    best: list[float] = []
    fits: list[int] = []
    points = []
    for policy in (None, EarlyTermination("bandit", slack_factor=0.03)):
        sweep, trials = replace(full, early_termination=policy), Folds(score)
        loop = Loop(Study(sweep, space), trials, sweep=sweep, slots=2, clock=time.monotonic)
        while not loop.is_over:
            loop.step()
        assert loop.progress.best is not None
        assert loop.progress.best.value is not None
        best.append(loop.progress.best.value)
        fits.append(trials.fits)
        points.append(trials.points)

    assert points[0] == points[1]
    assert fits[0] == FOLDS * TRIALS
    assert fits[1] <= 0.6 * fits[0]
    assert best[1] >= best[0] - 0.005


@pytest.mark.slow
def test_pruning_saves_fits_and_loses_no_score_with_real_runs(project: Path, aml: Aml, write: Write) -> None:
    script = write("train.py", SCRIPT)

    aml(*SWEEP, HERE, "compute.slots=2", "sweep.seed=0", "+script.arguments.pause=0.1")

    parent, trials = sweep_and_trials(aml)
    saved, behind = compare(script, parent, trials)
    assert len({run["parameters"]["C"] for run in trials}) == TRIALS
    assert {run["state"] for run in trials} == {"Completed", "Canceled"}
    assert saved >= 0.4
    assert behind <= 0.005


@pytest.mark.slurm
@pytest.mark.timeout(600)
def test_pruning_on_slurm_does_the_same(project: Path, aml: Aml, write: Write) -> None:
    require("scontrol", variable="AMLCORE_REQUIRE_SLURM")
    script = write("train.py", SCRIPT)
    slurm = ["environment=current", "compute=slurm", "compute.slots=2", "compute.mem_gb=0.5"]
    lasting = ["compute.timeout_min=1", "compute.allocation_min=10"]

    aml(*SWEEP, *slurm, *lasting, "sweep.seed=0", "+script.arguments.pause=0.2")

    parent, trials = sweep_and_trials(aml)
    saved, behind = compare(script, parent, trials)
    assert len(trials) == TRIALS
    assert {run["state"] for run in trials} == {"Completed", "Canceled"}
    assert saved >= 0.4
    assert behind <= 0.005
