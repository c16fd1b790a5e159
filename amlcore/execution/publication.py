"""Publication: the model of a run, registered and packaged as its job says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from amlcore.errors import AmlcoreError, ConfigError
from amlcore.log import Log, log_traceback, timed
from amlcore.model import Model, Registration
from amlcore.model import register as register_model
from amlcore.model.aliases import check_case, move_to
from amlcore.record.record import Record
from amlcore.record.status import RunState
from amlcore.record.usage_lock import in_use
from amlcore.runs.models import record_model
from amlcore.runs.reconcile import reconcile
from amlcore.worker.full_disk import FULL_DISK_ERRNOS, retry_while_full

if TYPE_CHECKING:
    from amlcore.config import Job, Search
    from amlcore.environment import PythonRequest


def publish(job: Job, record: Record, *, log: Log, sweep: Record | None = None) -> int:
    """Register and package the model of `job`; a failure is recorded with the run, which stays Completed.

    Parameters
    ----------
    sweep : Record, optional
        Of the sweep whose best trial `record` is; the model and a failure are recorded there too.
    """
    try:
        _register_requested(job, record, log=log, sweep=sweep)
        if job.model.name is not None:
            _publish_configured(job, record, log=log, sweep=sweep)
    except (AmlcoreError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in FULL_DISK_ERRNOS:
            raise
        log_traceback(error)
        log(f"error: {error}")
        for failed in filter(None, (record, sweep)):
            failed.enter(RunState.Completed, str(error), exit_status=1)
        return 1
    return 0


def _register_requested(job: Job, record: Record, *, log: Log, sweep: Record | None) -> None:
    """Register the models that the script asked MLflow to register."""
    from amlcore.execution import mlflow_models

    for request in mlflow_models.requested_models(record):
        if request.name != job.model.name:  # it is registered below as the job says
            registration = mlflow_models.registration_of(request)
            model = _registered(mlflow_models.source_of(request, record), registration, log=log, owners=(record, sweep))
            mlflow_models.name_version(request, model, log=log)


def _publish_configured(job: Job, record: Record, *, log: Log, sweep: Record | None) -> None:
    source, registration = record, job.model
    if registration.mlflow is not None:
        from amlcore.execution.mlflow_models import logged_model

        source, path = logged_model(record, registration.mlflow)
        registration = replace(registration, path=path)
    model = _registered(source, registration, log=log, owners=(record, sweep))
    log(f"registered {model.id}" + (f" as {job.model.alias}" if job.model.alias else ""))
    if job.deployment is not None:
        from amlcore.serving.packaging import package_model

        bento = package_model(job.workspace, model, job.deployment, log=log)
        log(f"packaged {bento.tag}; serve it with: {bento.serve_command}")


def _registered(source: Record, registration: Registration, *, log: Log, owners: Sequence[Record | None]) -> Model:
    """Register a model, and record it with the runs that it belongs to, besides the one that wrote it."""
    model: Model = retry_while_full(lambda: register(source, registration))
    for owner in owners:
        if owner is not None and owner.folder != source.folder:
            record_model(owner, model.id)
    for warning in model.warnings:
        log(f"warning: {warning}")
    return model


@timed
def register(record: Record, registration: Registration) -> Model:
    """Register the model of a completed run, and record it with the run."""
    from amlcore.execution.run_provenance import provenance_of

    reconcile(record)
    with in_use(record.workspace_path):  # nobody may remove the run before the model refers to it
        model = register_model(registration, provenance_of(record), models=record.workspace_path / "models")
    try:
        if registration.alias is not None:
            move_to(model, registration.alias)
    finally:  # it is registered whether its alias could be moved or not
        if warning := record_model(record, model.id):
            model.warnings.append(warning)
    return model


def check_model(job: Job, *, python: PythonRequest | None = None) -> None:
    """Check, before the training, that its model can be registered and packaged.

    Parameters
    ----------
    python : PythonRequest, optional
        The Python of the training, if its environment does not say so today.
    """
    from amlcore.model.model_files import check_output

    if job.model.name is not None and job.model.mlflow is None:
        check_output(job.model.path, key="model.path")
    if job.model.alias is not None:
        if job.model.name is None:
            raise ConfigError(f"model.alias={job.model.alias}: no model to register; set model.name=NAME")
        check_case(job.workspace.models_path / job.model.name, job.model.alias)
    if job.deployment is None:
        return
    if job.model.name is None:
        raise ConfigError("deployment: no model to package; set model.name=NAME")
    job.deployment.check()
    job.deployment.service_name(job.model.name)
    resources = job.model.resource_configuration
    if resources is not None:
        job.deployment.size(cpu=resources.cpu, memory_in_gb=resources.memory_in_gb)
    _check_python(python or job.environment.specify(job.workspace.path).python)


def check_models(search: Search) -> None:
    """Check the same for a sweep, in each environment that the best trial may use."""
    check_model(search.job)
    if search.job.deployment is not None:
        for job in search.in_each_environment():
            _check_python(job.environment.specify(job.workspace.path).python)


def _check_python(python: PythonRequest | None) -> None:
    """Raise ConfigError if no service can run on the Python of the training."""
    from amlcore.serving.deployment import supported_python

    supported = supported_python()
    if python is not None and not python.can_be(supported):
        raise ConfigError(
            f"deployment: {python.text} is requested ({python.where}), but BentoML, which serves the model, needs "
            f"{supported}; use a newer Python, such as environment.python=3.11, or deployment=none"
        )
