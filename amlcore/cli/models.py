"""The verbs for models: register, models, deploy."""

from __future__ import annotations

from argparse import Namespace

from amlcore.cli.parser import Parser, Verb, add_json, add_run
from amlcore.errors import ConfigError
from amlcore.terminal.output import log, log_none, print_json
from amlcore.workspace import Workspace


def _add_register(parser: Parser) -> None:
    add_run(parser)
    parser.add_argument("--name", required=True, help="the model's name; versions are numbered from 1")
    parser.add_argument(
        "--path", default="outputs/model.joblib", help="the file that the script wrote (default: %(default)s)"
    )
    parser.add_argument(
        "--framework-version",
        metavar="VERSION",
        help="the framework version to record; the locked version is recorded as well",
    )
    parser.add_argument("--alias", metavar="ALIAS", help="an alias that means the new version from now on")
    add_json(parser)


def register(options: Namespace) -> int:
    from amlcore.app import runs
    from amlcore.execution.publication import register as register_model
    from amlcore.model import Registration

    run = runs.find_run(Workspace.at(), options.run)
    registration = Registration(
        name=options.name, path=options.path, framework_version=options.framework_version, alias=options.alias
    )
    model = register_model(run.record, registration)
    for warning in model.warnings:
        log(f"warning: {warning}")
    if options.json:
        print_json({**model.to_json(), "aliases": model.aliases})
    else:
        print(f"{model.name}:{model.version}")
    return 0


def models(options: Namespace) -> int:
    from amlcore.app.aliases import with_aliases
    from amlcore.model import list_models
    from amlcore.model.damaged import damaged_models
    from amlcore.terminal import tables

    workspace = Workspace.at()
    rows = [model.to_json() for model in list_models(workspace.models_path, warn=_ignore)]
    for damaged in damaged_models(workspace.models_path):
        log(f"warning: model {damaged.name}:{damaged.version} is damaged: {damaged.reason}")
        rows.append(damaged.to_json())
    rows = with_aliases(workspace.models_path, rows, log=log)
    if not rows:
        log_none("models", workspace.path)
    if options.json:
        print_json(rows)
    elif rows:
        tables.models(rows)
    return 0


def _ignore(_: str) -> None:
    """Drop a warning: damaged models get their own rows."""


def _add_deploy(parser: Parser) -> None:
    parser.add_argument(
        "model", metavar="MODEL[:VERSION|@ALIAS]", help="a registered model; without a version the newest"
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="OVERRIDE", help="such as deployment.name=iris deployment.workers=2"
    )
    add_json(parser)


def deploy(options: Namespace) -> int:
    from amlcore.config import compose
    from amlcore.model import find
    from amlcore.serving.packaging import package_model

    workspace = Workspace.at()
    model = find(workspace.models_path, options.model)
    default = [] if any(item.startswith("deployment=") for item in options.overrides) else ["deployment=bento"]
    job = compose([*default, *options.overrides], root=workspace.path)
    if job.deployment is None:
        raise ConfigError("nothing to package: set deployment=bento")
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


VERBS = {
    "register": Verb("register a model from a completed run", register, _add_register),
    "models": Verb("list registered models, newest first", models, add_json, "verbs: show, log, rm"),
    "deploy": Verb("package a model as a Bento", deploy, _add_deploy),
}
