"""Runs that a script starts by itself, child runs and local runs: their record, their state and their end."""

import atexit
import os
import sys
import time

from amlcore.worker.durable import sync_parents, sync_tree
from amlcore.worker.files import read_json, write_json
from amlcore.worker.layout import RUN_VARIABLE, RunLayout
from amlcore.worker.process_identity import current_user, identity
from amlcore.worker.run_names import created_now

_open = {}  # type: dict[str, int]
"""The folders of runs that have not ended, and the process that started each."""

_failures = []  # type: list[str]
"""The reasons why the script as a whole failed, in order."""

_watching = []  # type: list[bool]


def start(folder, experiment, parent=None, name=None, script=None, **more):
    # type: (str, str, str | None, str | None, str | None, object) -> None
    """Write the record of a run that this script starts; the run ends with the script at the latest."""
    layout = RunLayout(folder)
    process = identity()
    facts = {  # type: dict[str, object]
        "id": os.path.basename(folder),
        "experiment": experiment,
        "parent": parent,
        "name": name,
        "created": created_now(),
        "script": script or os.path.basename(sys.argv[0]),
        "parameters": {},
        "host": process["host"],
        "user": current_user(),
    }
    write_json(layout.driver, process)
    write_json(layout.run, dict(facts, **more))
    _enter(layout, "Running")
    _open[folder] = os.getpid()
    if not _watching:
        _watching.append(True)
        atexit.register(_end_open_runs)
        _watch_exceptions()


def end(folder, state, reason=None):
    # type: (str, str, str | None) -> None
    """Write the end of a run of this script; a run ends once, and a failed one stays failed."""
    _open.pop(folder, None)
    layout = RunLayout(folder)
    if read_json(layout.state)["state"] in ("Failed", "Canceled", state):
        return
    if "_" in os.path.basename(folder):  # a child is synced with its parent
        _enter(layout, state, reason, exit_status=int(state == "Failed"))
        return
    children = [name for name in os.listdir(os.path.dirname(folder)) if name.startswith(os.path.basename(folder) + "_")]
    sync_tree(folder, *[os.path.join(os.path.dirname(folder), name) for name in children])
    _enter(layout, state, reason, exit_status=int(state == "Failed"), sync=True)
    sync_parents(layout.state, os.path.dirname(os.path.dirname(os.path.dirname(folder))))


def reopen(folder):
    # type: (str) -> None
    """Let a run that a script has started continue after its end."""
    _enter(RunLayout(folder), "Running")
    _open[folder] = os.getpid()


def is_open(folder):
    # type: (str) -> bool
    """Whether this process has started the run in `folder` and not ended it."""
    return folder in _open


def has_ended(folder):
    # type: (str) -> bool
    """Whether the run in `folder` has ended, so that nobody else syncs what is added now."""
    if folder in _open:
        return False
    try:
        return str((read_json(RunLayout(folder).state) or {}).get("state")) in ("Completed", "Failed", "Canceled")
    except (ValueError, AttributeError):
        return False


def is_submitted(folder):
    # type: (str) -> bool
    """Whether the driver, and not this script, writes the state of a run."""
    if folder in _open:
        return False
    return folder == os.environ.get(RUN_VARIABLE) or os.path.exists(RunLayout(folder).config)


def _enter(layout, state, reason=None, exit_status=None, sync=False):
    # type: (RunLayout, str, str | None, int | None, bool) -> None
    """Write `state` as the run's state, in the same form as the driver."""
    now = time.time()
    before = (read_json(layout.state) or {"times": {}})["times"]
    times = dict(before, **{state: before.get(state, now) if state == "Running" else now})  # it may go on after an end
    status = {"state": state, "reason": reason, "at": now, "exit_status": exit_status, "times": times, "usage": {}}
    write_json(layout.state, status, sync=sync)


def fail_script(reason):
    # type: (str) -> None
    """Mark the script as a whole as failed; its open runs fail with it."""
    _failures.append(reason)


def script_failed():
    # type: () -> bool
    return bool(_failures)


def _watch_exceptions():
    # type: () -> None
    """Remember the exception that ends the script, then call the previous hook."""
    before = sys.excepthook

    def hook(kind, error, trace):
        _failures.append("{}: {}".format(kind.__name__, error))
        before(kind, error, trace)

    sys.excepthook = hook


def _end_open_runs():
    # type: () -> None
    for folder, pid in reversed(list(_open.items())):  # children before the run that syncs them
        if pid == os.getpid():  # a fork inherits the list, but not the runs
            end(folder, "Failed" if _failures else "Completed", _failures[0] if _failures else None)
