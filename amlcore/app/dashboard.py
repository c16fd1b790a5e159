"""The dashboard of a sweep: optuna-dashboard on a read-only study, for this machine only."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from amlcore.app.runs import find_run
from amlcore.errors import RequestError, how_to_install
from amlcore.execution.past_sweeps import load_search
from amlcore.log import Log
from amlcore.serving.address import check_port
from amlcore.sweep import Space
from amlcore.workspace import Workspace

HOST = "127.0.0.1"


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        # http.server asks the resolver for the name of its own address
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]
        self.setup_environ()


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name of the standard library
        """Do not log requests."""


def show(workspace: Workspace, reference: str | None, *, port: int, log: Log) -> None:
    """Serve the dashboard of a sweep until interrupted; a running sweep is followed.

    Raises
    ------
    RequestError
        The sweep does not exist or has nothing to show, or optuna-dashboard is not installed.
    """
    if reference is None:
        raise RequestError("aml ui needs a sweep: use `aml ui SWEEP` or `aml ui latest`; `aml runs` lists all runs")
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
    with make_server(HOST, port, application, server_class=_Server, handler_class=_Quiet) as server:
        log(f"sweep {name} on http://{HOST}:{port}/dashboard; read-only; press Ctrl-C to stop")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            log("stopped")
