"""What each verb does; the one place that knows all the parts."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amlcore.errors import NotFoundError, RecordError, RequestError, RunError, UnreadableError
from amlcore.execution.provenance import read_lock
from amlcore.execution.publication import check_model, publish
from amlcore.execution.wait_reporter import WaitReporter
from amlcore.log import Log
from amlcore.record.log_stream import LogStream
from amlcore.record.reading import unreadable
from amlcore.record.record import Record
from amlcore.record.status import RunState
from amlcore.runs import cancellation, models, outputs, reconcile
from amlcore.runs.details import DAMAGED, row
from amlcore.runs.find import find, is_child, newest_first
from amlcore.runs.run import Run
from amlcore.terminal.attached import attached
from amlcore.worker.layout import RunLayout
from amlcore.worker.metrics import last_values
from amlcore.workspace import Workspace

if TYPE_CHECKING:
    from amlcore.config import Job
    from amlcore.execution.driver import Driver
    from amlcore.model import Model

CANCEL_WAIT_S = 30.0
ORPHAN_WAIT_S = 6.0  # the kill wait of a supervisor, and a little more
POLL_S = 0.05


def run_job(job: Job, *, overrides: list[str], detach: bool, log: Log) -> int:
    """Submit `job` and see it through: stream, register, package.

    Returns
    -------
    int
        The script's own exit status, or amlcore's.
    """
    from amlcore.execution.submission import log_skipped_dotenv, log_unread_block, submit

    check_model(job)
    record = submit(job, overrides=overrides)
    log_unread_block(job, log=log)
    log_skipped_dotenv(job, log=log)
    return _see_through(job, record, detach=detach, log=log)


def rerun(workspace: Workspace, reference: str, *, detach: bool, log: Log) -> int:
    """Run again what an earlier run ran: the same snapshot, lock, configuration and inputs."""
    from amlcore.environment import PythonRequest
    from amlcore.execution.submission import PinnedInputs, submit
    from amlcore.snapshot import snapshot

    earlier = find_run(workspace, reference)
    record = earlier.record
    if not Path(record.layout.config).exists():
        raise RequestError(f"run {earlier.id} was not submitted by amlcore, so there is nothing to repeat")
    if Path(record.layout.sweep).exists():
        raise RequestError(f"run {earlier.id} is a sweep; `aml rerun {earlier.id}_0` repeats one of its trials")
    environment = record.environment
    if environment is None or not Path(record.layout.lock).exists():
        raise RequestError(f"run {earlier.id} never had an environment ({earlier.status.reason}); submit it anew")
    job = _job(record)
    version = environment["python_version"]
    check_model(
        job,
        python=PythonRequest.version(version, text=f"Python {version}", where=f"the environment of run {earlier.id}"),
    )
    _check_inputs(earlier, job)
    pinned = PinnedInputs(
        run=earlier.id,
        snapshot=snapshot.load(earlier.facts["snapshot"]["id"], store=workspace.state_path / "snapshots"),
        lock=read_lock(record),
        environment=environment,
        git=earlier.facts.get("git"),
    )
    return _see_through(job, submit(job, overrides=earlier.facts["overrides"], pinned=pinned), detach=detach, log=log)


def drive(folder: Path) -> int:
    """Carry out a submitted run in this process; a background driver's whole work."""
    record = Record(folder)
    return _carry_out(_job(record), record, log=lambda line: print(line, file=sys.stderr, flush=True), log_stream=None)


def find_run(workspace: Workspace, reference: str) -> Run:
    """The run that `reference` means; one that cannot be read is refused here, whatever is to be done with it."""
    run = find(workspace.run_folders, reference)
    _ = run.facts
    return run


@dataclass(frozen=True)
class Listing:
    """Some of the runs that were asked for, as rows, and how many there are."""

    rows: list[dict[str, Any]]
    total: int


def runs(
    workspace: Workspace,
    *,
    experiment: str | None = None,
    sort: str | None = None,
    children: bool = False,
    sweeps: bool = True,
    limit: int | None = None,
    log: Log,
) -> Listing:
    """The runs as the command line lists them: newest first, or by the last value of a metric, the highest first.

    Only those that are shown are read whole; one that is damaged is shown as that, and said. Without `sweeps`, which
    have the metrics of their best trials, these are left out.
    """
    folders = [
        folder
        for folder in workspace.run_folders
        if experiment in (None, folder.parent.name)
        and (children or not is_child(folder))
        and (sweeps or not Path(RunLayout(folder).sweep).exists())
    ]
    found: Iterable[Run] = newest_first(folders)
    if sort is not None:
        found = _by_metric(found, sort)
    rows = []
    for run in islice(found, limit):
        try:
            told = row(run.record)
        except (UnreadableError, NotFoundError, OSError) as error:
            if Path(run.folder).exists():  # somebody may remove runs meanwhile
                log(f"warning: a run is left out: {error}")
            continue
        if told["state"] == DAMAGED:
            log(f"warning: run {told['id']} is damaged: {told['reason']}")
        rows.append(told)
    return Listing(rows, len(folders))


def _by_metric(found: Iterable[Run], name: str) -> list[Run]:
    ranked = [(run, last_values(run.layout.metrics, "scalar")) for run in found]
    names = {logged for _, metrics in ranked for logged in metrics}
    if name not in names:
        raise NotFoundError(f"--sort {name}: no run logged it; logged were: {', '.join(sorted(names)) or 'none'}")
    return [run for run, _ in sorted(ranked, key=lambda pair: _rank(pair[1].get(name)), reverse=True)]


def logs(run: Run, *, file: str | None, follow: bool) -> None:
    """Print a run's log, and go on while it grows if `follow`."""
    layout = run.record.layout
    if file is None:
        log_stream = LogStream.of_run(layout, stdout=sys.stdout.buffer, stderr=sys.stderr.buffer)
        if not run.record.attempt and Path(layout.build_log).exists() and not Path(layout.sweep).exists():
            log_stream = LogStream([(Path(layout.build_log), sys.stderr.buffer)])
    else:
        log_stream = LogStream([(_log_file(run, file), sys.stdout.buffer)])
    while follow and (not run.has_ended() or run.record.is_driven):
        log_stream.pump()
        time.sleep(POLL_S)
    log_stream.drain()


def wait(run: Run, *, log: Log) -> int:
    """Wait until a run has ended, and say why as long as it is Queued.

    Returns
    -------
    int
        Its exit status.
    """
    wait_reporter = WaitReporter(log)
    for status in run.follow(show_output=False):
        queued = status.reason if status.state is RunState.Queued else None
        reason = reconcile.unreconciled_reason(run.record) or queued
        wait_reporter.report(reason, since=status.at)
        time.sleep(POLL_S)
    return run.exit_status


def cancel(run: Run) -> RunState:
    """Cancel a run and wait until it has ended."""
    if run.has_ended():
        raise RequestError(f"run {run.id} has ended already: {run.status.state}")
    run.cancel()
    begun = time.monotonic()
    while not run.has_ended() and time.monotonic() - begun < CANCEL_WAIT_S:
        if time.monotonic() - begun > ORPHAN_WAIT_S:
            cancellation.kill_orphan(run.record)
        time.sleep(POLL_S)
    if not run.has_ended():
        raise RunError(f"run {run.id} was asked to end and has not within {CANCEL_WAIT_S:.0f} s: {run.status.state}")
    return run.status.state


def find_model(workspace: Workspace, reference: str) -> Model:
    from amlcore.model import find as find_registered

    return find_registered(workspace.models_path, reference)


def serve(workspace: Workspace, reference: str, *, host: str, port: int, log: Log) -> int:
    """Serve a packaged model in the foreground, in its own environment; becomes `bentoml serve`."""
    from amlcore.serving.address import check_port, find_address
    from amlcore.serving.packaging import find_service, interpreter, service_keys
    from amlcore.serving.service import serve_in_foreground

    address = find_address(host, port)
    check_port(address, port)
    bento = find_service(workspace, reference, log=log)
    python = interpreter(workspace, bento, log=log)
    shown = f"[{address}]" if ":" in address else address
    log(f"serving {bento.tag} (model {bento.model}) on http://{shown}:{port}")
    serve_in_foreground(bento, python=python, port=port, host=address, keys=service_keys(workspace, bento))


def keys(workspace: Workspace, service: str, *, regenerate: str | None, log: Log) -> dict[str, str]:
    """The two keys of a packaged service and the file they lie in, one of them replaced if `regenerate` names it."""
    from amlcore.serving.packaging import find_service, service_keys

    bento = find_service(workspace, service, log=log)
    found = service_keys(workspace, bento)
    if found is None:
        raise RequestError(
            f"service '{bento.name}' takes requests without a key; deployment.auth=key packages one with"
        )
    if regenerate is not None:
        found.regenerate(regenerate)
    return {"service": bento.name, **found.read(), "file": str(found.path)}


def environments(workspace: Workspace) -> list[dict[str, Any]]:
    """The built environments, then the names that can be chosen and are not built."""
    from amlcore.config import environment_options
    from amlcore.environment import list_environments

    built: list[dict[str, Any]] = [
        {
            "names": list(item.names),
            "key": item.key,
            "python": item.python,
            "state": "ready" if item.ready else "unfinished",
            "size_bytes": item.size_bytes,
            "last_used": None if item.last_used is None else datetime.fromtimestamp(item.last_used, UTC).isoformat(),
        }
        for item in list_environments(workspace.environments_path)
    ]
    known = {name for item in built for name in item["names"]}
    blank = {"key": None, "python": None, "state": "on demand", "size_bytes": None, "last_used": None}
    return built + [{"names": [name], **blank} for name in environment_options(workspace) if name not in known]


def _job(record: Record) -> Job:
    """The job that a run was submitted with, in the workspace where its record lies: it may be moved, or copied."""
    from amlcore.config import Job

    try:
        job = Job.from_yaml(Path(record.layout.config).read_text(encoding="utf-8"))
        return job.moved(Run(str(record.folder)).workspace_path)
    except OSError as error:
        raise unreadable(record.layout.config, error) from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        first = str(error).partition("\n")[0]
        raise RecordError(f"{record.layout.config} is damaged: {first}") from None


def _see_through(job: Job, record: Record, *, detach: bool, log: Log) -> int:
    from amlcore.execution.background import drive_in_background

    log(f"run {record.folder.name} in {record.folder}")
    if detach:
        drive_in_background(record)
        if job.environment.chosen is not None:  # else it is said when the environment is built
            log(f"note: {job.environment.chosen}")
        log(f"goes on in the background; follow it with: aml logs {record.folder.name} --follow")
        return 0
    log_stream = LogStream.of_run(record.layout, stdout=sys.stdout.buffer, stderr=sys.stderr.buffer)
    return _carry_out(job, record, log=log, log_stream=log_stream)


def _carry_out(job: Job, record: Record, *, log: Log, log_stream: LogStream | None) -> int:
    from amlcore.execution.driver import Driver, trying_on

    with attached(record.layout.driver_log, log=log, log_stream=log_stream) as terminal, trying_on(terminal.log):
        return _to_its_end(Driver(job, record, log=terminal.log, log_stream=log_stream), job, record, log=terminal.log)


def _to_its_end(driver: Driver, job: Job, record: Record, *, log: Log) -> int:
    try:
        status = driver.drive()
        run = Run(str(record.folder))
        discarded = outputs.describe_discarded(record)
        if discarded is not None:
            log(f"note: {discarded}")
        if status.state is not RunState.Completed:
            log(run.explanation)
            return status.exit_status or 1
        log(f"Completed in {run.duration_s:.1f} s" + (f"; {status.reason}" if status.reason else ""))
        return publish(job, run.record, log=log)
    except BaseException as error:
        models.note_driver_failure(record, error)
        raise
    finally:
        record.release()


def _check_inputs(earlier: Run, job: Job) -> None:
    """Make sure that the inputs are what the earlier run read."""
    for name, known in earlier.facts["inputs"].items():
        value = job.script.inputs[name]
        if not Path(value.path).exists():
            raise RequestError(f"script.inputs.{name}={value.path}: no such file or folder")
        if value.digest()[0] != known["sha256"]:
            raise RequestError(
                f"script.inputs.{name}={value.path} has changed since run {earlier.id}: "
                f"its sha256 was {known['sha256']}"
            )


def _log_file(run: Run, name: str) -> Path:
    layout = run.record.layout
    for folder in (layout.logs, layout.attempt(run.record.attempt).logs):
        path = Path(folder, name)
        if path.is_file() and path.resolve().is_relative_to(Path(folder).resolve()):
            return path
    raise NotFoundError(f"run {run.id} has no file {name} in logs/")


def _rank(value: Any) -> tuple[bool, float]:
    number = isinstance(value, (int, float)) and not math.isnan(value)
    return (number, float(value) if number else 0.0)
