"""Searches of scikit-learn and Optuna inside a script: they run unchanged, and their candidates become children."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from amlcore.runs.run import Run
from amlcore.worker.script.sklearn_search import candidates
from tests.support.aml import HERE, Aml, Write

SEARCHES = """
from scipy.stats import loguniform
from sklearn.datasets import load_iris
from sklearn.experimental import enable_halving_search_cv
from sklearn.model_selection import GridSearchCV, HalvingRandomSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from amlcore import Run

X, y = load_iris(return_X_y=True)
run = Run.get_context()
grid = GridSearchCV(
    make_pipeline(StandardScaler(), SVC()),
    {"svc__kernel": ["linear", "rbf"], "svc__C": [1, -1], "standardscaler": [StandardScaler(), None]},
    cv=3, n_jobs=2, return_train_score=True,
).fit(X, y)
children = run.log_search(grid)
print(len(children), grid.best_score_)
halving = HalvingRandomSearchCV(SVC(), {"C": loguniform(0.1, 10)}, random_state=0, n_candidates=6, cv=3).fit(X, y)
print(len(run.log_search(halving)), len(run.get_children()))
several = RandomizedSearchCV(
    SVC(), {"C": [1, 2, 3]}, n_iter=2, cv=2, scoring=["accuracy", "f1_macro"], refit=False, random_state=0
).fit(X, y)
run.log_search(several)
"""


@pytest.mark.filterwarnings("ignore")
def test_the_candidates_of_searches_are_children(aml: Aml, write: Write) -> None:
    write("train.py", SEARCHES)

    said = aml("run", "train.py", HERE)

    summaries = aml("runs", "--json", "--all", "--children").json
    parent = next(run for run in summaries if run["parent"] is None)
    children = sorted((run for run in summaries if run["parent"]), key=lambda run: int(run["id"].rpartition("_")[2]))
    first, best_score = said.out.splitlines()[0].split()
    grid, rest = children[: int(first)], children[int(first) :]
    assert {run["parent"] for run in children} == {parent["id"]}
    assert len(grid) == 8
    assert [run["state"] for run in grid].count("Failed") == 4  # C=-1 is none
    assert {run["reason"] for run in grid} == {None, "a fit of this candidate failed, so it has no score"}
    assert grid[0]["parameters"] == {"standardscaler": "StandardScaler()", "svc__C": 1, "svc__kernel": "linear"}
    assert grid[-1]["parameters"]["standardscaler"] is None
    best = min((run for run in grid if run["state"] == "Completed"), key=lambda run: run["metrics"]["rank_test_score"])
    assert best["metrics"]["mean_test_score"] == pytest.approx(float(best_score))
    shown = aml("show", best["id"], "--json").json
    splits = {item["name"]: item["value"] for item in shown["series"] if item["kind"] == "list"}
    assert sum(splits["split_test_score"]) / 3 == pytest.approx(float(best_score))
    assert len(splits["split_train_score"]) == 3
    assert (shown["name"], shown["state"]) == (f"candidate {grid.index(best)}", "Completed")
    assert {"mean_fit_time", "std_test_score"} < best["metrics"].keys()
    # The halving search: fewer candidates on more samples each time; its best is the parent's, as it came last.
    halving = [run for run in rest if "n_resources" in run["metrics"]]
    assert said.out.splitlines()[1].split() == [str(len(halving)), str(8 + len(halving))]
    assert max(run["metrics"]["iter"] for run in halving) >= 1
    assert parent["metrics"]["best_score"] == pytest.approx(
        max(
            run["metrics"]["mean_test_score"]
            for run in halving
            if run["metrics"]["iter"] == max(other["metrics"]["iter"] for other in halving)
        )
    )
    assert aml("show", parent["id"], "--json").json["tags"]["best"] in {run["id"] for run in halving}
    last = rest[len(halving) :]
    assert len(last) == 2
    assert {"mean_test_accuracy", "mean_test_f1_macro"} < last[0]["metrics"].keys()


def test_outside_of_a_run_a_search_is_recorded_locally_too(tmp_path: Path) -> None:
    (tmp_path / "alone.py").write_text(
        "from sklearn.datasets import load_iris\n"
        "from sklearn.model_selection import GridSearchCV\n"
        "from sklearn.tree import DecisionTreeClassifier\n"
        "from amlcore import Run\n"
        "search = GridSearchCV(DecisionTreeClassifier(), {'max_depth': [1, 2, 3]}, cv=2)\n"
        "search.fit(*load_iris(return_X_y=True))\n"
        "print(*[child.get_metrics()['rank_test_score'] for child in Run.get_context().log_search(search)])\n"
    )

    done = subprocess.run(
        [sys.executable, "alone.py"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )

    ranks = done.stdout.split()
    (folder,) = (path for path in (tmp_path / "outputs/alone").iterdir() if "_" not in path.name)
    children = Run(str(folder)).get_children()
    assert [str(child.get_metrics()["rank_test_score"]) for child in children] == ranks
    assert [child.parameters for child in children] == [{"max_depth": depth} for depth in (1, 2, 3)]
    assert {child.get_status() for child in children} == {"Completed"}
    assert Run(str(folder)).get_tags()["best"] == children[ranks.index("1")].id


def test_a_search_that_was_not_fitted_is_named() -> None:
    class GridSearchCV:
        pass

    with pytest.raises(TypeError, match=r"log_search\(search\) needs a fitted search.*GridSearchCV has no"):
        candidates(GridSearchCV())


OPTUNA = """
import optuna
from amlcore import Run
run = Run.get_context()
def objective(trial):
    x = trial.suggest_float("x", -1, 1)
    with run.child_run() as child:
        child.log("y", x * x)
    return x * x
study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
study.optimize(objective, n_trials=5, n_jobs=2)
run.log("y", study.best_value)
print(len(run.get_children()))
"""


def test_a_script_with_a_study_of_its_own_runs_as_it_is(aml: Aml, write: Write) -> None:
    write("train.py", OPTUNA)

    assert aml("run", "train.py", HERE).out == "5\n"

    summaries = aml("runs", "--json", "--children").json
    parent = next(run for run in summaries if run["parent"] is None)
    children = [run["metrics"]["y"] for run in summaries if run["parent"]]
    assert len(children) == 5
    assert parent["metrics"]["y"] == min(children)
