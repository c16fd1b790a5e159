"""A tracker of `make bench-tracking`: amlcore's own calls, in the workspace that is the working folder."""

from __future__ import annotations

from workload import BEST, DEPTH, SHOWN, ShortRun, main

from amlcore import Run, Workspace


def record(run: ShortRun) -> None:
    """A child of this script's run: a script that records many runs starts them so."""
    child = Run.get_context().child_run()
    for name, value in run.parameters.items():
        child.tag(name, value)
    for accuracy in run.accuracies:
        child.log("accuracy", accuracy)
    child.complete()


def close() -> None:
    Run.get_context().complete()  # syncs all children to the disk


def newest() -> list[float]:
    return _listed(None, sort=None)


def best() -> list[float]:
    return _listed(f"depth = {DEPTH} and accuracy > {BEST}", sort="accuracy")


def _listed(where: str | None, *, sort: str | None) -> list[float]:
    """What `aml runs` prints."""
    from amlcore.app.run_list import list_runs

    rows = list_runs(Workspace.at(), where, sort=sort, limit=SHOWN, log=print).rows
    return [row["metrics"]["accuracy"] for row in rows]


if __name__ == "__main__":
    main(record=record, close=close, newest=newest, best=best)
