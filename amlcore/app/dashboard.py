"""The dashboard of a sweep: optuna-dashboard on a read-only study, for this machine only."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from amlcore.app.runs import find_run
from amlcore.errors import RequestError, how_to_install
from amlcore.execution.past_sweeps import load_search
from amlcore.log import Log
from amlcore.page.wsgi_server import HOST, serve_until_interrupted
from amlcore.serving.address import check_port
from amlcore.sweep import Space
from amlcore.workspace import Workspace


def show(workspace: Workspace, reference: str, *, port: int, log: Log) -> None:
    """Serve the dashboard of a sweep until interrupted; a running sweep is followed.

    Raises
    ------
    RequestError
        The sweep does not exist or has nothing to show, or optuna-dashboard is not installed.
    """
    record = find_run(workspace, reference).record
    search = load_search(record)
    if find_spec("optuna_dashboard") is None:
        raise RequestError(f"aml ui needs optuna-dashboard, which is not installed here: {how_to_install('dashboard')}")
    name, study = record.folder.name, Path(record.layout.study)
    if not search.sweep.metrics:
        raise RequestError(f"sweep {name} has no primary metric, so there is nothing to show; see `aml runs`")
    if not study.exists() or not study.stat().st_size:
        raise RequestError(f"sweep {name} has not started a trial yet")
    check_port(HOST, port)
    _serve(study, search.space, search.sweep.metrics, name=name, port=port, log=log)


def _serve(study: Path, space: Space, metrics: Sequence[str], *, name: str, port: int, log: Log) -> None:
    from optuna_dashboard import wsgi

    from amlcore.sweep.read_only_study import ReadOnlyStudy

    application = wsgi(ReadOnlyStudy(study, space, metrics, title=name))
    words = f"sweep {name} on http://{HOST}:{port}/dashboard; read-only; press Ctrl-C to stop"
    serve_until_interrupted(application, port, on_ready=lambda: log(words))
    log("stopped")
