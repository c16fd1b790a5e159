"""The verbs of `aml` for models and services: arguments in, what was found or made printed."""

from __future__ import annotations

from argparse import Namespace

from amlcore.errors import ConfigError
from amlcore.terminal.output import log, log_none, print_json
from amlcore.workspace import Workspace


def register(options: Namespace) -> int:
    from amlcore.app import runs
    from amlcore.execution.publication import register as register_model
    from amlcore.model import Registration

    run = runs.find_run(Workspace.at(), options.run)
    registration = Registration(name=options.name, path=options.path, framework_version=options.framework_version)
    model = register_model(run.record, registration)
    for warning in model.warnings:
        log(f"warning: {warning}")
    if options.json:
        print_json(model.to_json())
    else:
        print(f"{model.name}:{model.version}")
    return 0


def models(options: Namespace) -> int:
    from amlcore.model import list_models
    from amlcore.model.damaged import damaged_models
    from amlcore.terminal import tables

    workspace = Workspace.at()
    found = [model.to_json() for model in list_models(workspace.models_path, warn=_unsaid)]
    for damaged in damaged_models(workspace.models_path):
        log(f"warning: model {damaged.name}:{damaged.version} is damaged: {damaged.words}")
        found.append(damaged.to_json())
    if not found:
        log_none("models", workspace.path)
    if options.json:
        print_json(found)
    elif found:
        tables.models(found)
    return 0


def _unsaid(_: str) -> None:
    """What is damaged is listed as that."""


def deploy(options: Namespace) -> int:
    from amlcore.config import compose
    from amlcore.model import find
    from amlcore.serving.packaging import package_model

    workspace = Workspace.at()
    model = find(workspace.models_path, options.model)
    chosen = [] if any(item.startswith("deployment=") for item in options.overrides) else ["deployment=bento"]
    job = compose([*chosen, *options.overrides], root=workspace.path)
    if job.deployment is None:
        raise ConfigError("deployment: there is none to package with; choose deployment=bento")
    bento = package_model(job.workspace, model, job.deployment, log=log)
    if options.json:
        print_json(
            {
                "service": bento.name,
                "tag": bento.tag,
                "model": model.name,
                "version": model.version,
                "serve": bento.serve_command,
            }
        )
    else:
        print(bento.tag)
        log(f"serve it with: {bento.serve_command}")
    return 0


def serve(options: Namespace) -> int:
    from amlcore.app import services
    from amlcore.config import compose_workspace

    return services.serve(
        compose_workspace(Workspace.at().path), options.service, host=options.host, port=options.port, log=log
    )


def keys(options: Namespace) -> int:
    from amlcore.app import services

    found = services.keys(Workspace.at(), options.service, regenerate=options.regenerate, log=log)
    if options.json:
        print_json(found)
    else:
        for which in ("primary", "secondary"):
            print(f"{which} {found[which]}")
        log(f"they lie in {found['file']}")
    return 0
