"""The verbs for aliases and versions of models: alias, promote, models log, models show."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from amlcore.cli.parser import Parser, Verb, add_json, nonempty
from amlcore.errors import RequestError
from amlcore.terminal.output import log, log_none, print_json
from amlcore.workspace import Workspace

if TYPE_CHECKING:
    from amlcore.model.reference import ModelReference

NOT_PROMOTED = 1
"""The exit status if a condition does not hold; one that cannot be understood is a wrong request, 2."""

MODEL = "MODEL[:VERSION|@ALIAS]"


CONDITIONS = (
    "A condition compares metrics of the version (accuracy) and of others: champion.accuracy by alias, v7.accuracy by "
    "number, latest.accuracy; with + - * / < <= > >= == !=, and, or, not and parentheses. A name with other characters "
    "needs double quotes. Exit status: 0 promoted, 1 the condition does not hold, 2 it cannot be understood."
)


def add_why(parser: Parser) -> None:
    parser.add_argument("--why", "--because", metavar="TEXT", type=nonempty, help="the reason, for the model's log")


def _add_alias(parser: Parser) -> None:
    parser.add_argument("alias", metavar="MODEL@ALIAS", nargs="?", help="an alias; MODEL alone lists its aliases")
    parser.add_argument(
        "version", metavar="VERSION", nargs="?", help="what it means from now on: a version, `latest`, or @ALIAS"
    )
    parser.add_argument("--remove", action="store_true", help="remove the alias; the version stays")
    add_why(parser)
    add_json(parser)


def alias(options: Namespace) -> int:
    from amlcore.model.reference import ModelReference

    reference = None if options.alias is None else ModelReference.parse(options.alias)
    if reference is None or reference.alias is None:
        return _list_aliases(options, reference)
    if options.remove and options.version is not None:
        raise RequestError(f"aml alias {options.alias}: takes either VERSION or --remove")
    if options.remove:
        return _remove_alias(options, reference)
    if options.version is not None:
        return _set_alias(options, reference)
    if options.why is not None:
        raise RequestError(f"--why: nothing is changed; write aml alias {options.alias} VERSION")
    return _print_meaning(options)


def _list_aliases(options: Namespace, reference: ModelReference | None) -> int:
    from amlcore.app.aliases import list_aliases
    from amlcore.terminal import model_tables

    if reference is not None and (options.version is not None or options.remove or reference.version is not None):
        version = options.version or reference.version or ("" if options.remove else "VERSION")
        wanted = "--remove" if options.remove else version
        raise RequestError(f"aml alias {options.alias}: which alias? Write aml alias {reference.name}@ALIAS {wanted}")
    if options.remove or options.why is not None:
        raise RequestError(f"{'--remove' if options.remove else '--why'}: write aml alias MODEL@ALIAS …")
    workspace = Workspace.at()
    rows = list_aliases(workspace.models_path, None if reference is None else reference.name)
    if options.json:
        print_json(rows)
    elif rows:
        model_tables.aliases(rows)
    elif reference is not None:
        log(f"model '{reference.name}' has no aliases; set one with: aml alias {reference.name}@ALIAS VERSION")
    else:
        log_none("aliases", workspace.path)
    return 0


def _print_meaning(options: Namespace) -> int:
    from amlcore.app.aliases import list_aliases
    from amlcore.model import find
    from amlcore.model.reference import ModelReference

    models, reference = Workspace.at().models_path, ModelReference.parse(options.alias)
    model = find(models, options.alias)
    if options.json:
        rows = list_aliases(models, reference.name)
        print_json(next(row for row in rows if row["alias"] == reference.alias))
    else:
        print(model.id)
    return 0


def _set_alias(options: Namespace, reference: ModelReference) -> int:
    from amlcore.app.aliases import move_to_json, version_for
    from amlcore.model.aliases import set_alias

    models = Workspace.at().models_path
    name, alias = reference.name, str(reference.alias)
    version = version_for(models, reference, options.version)
    entry = set_alias(models, name, alias, version, why=options.why)
    if entry is None:
        log(f"{reference} is {name}:{version} already")
        return _print_meaning(options) if options.json else 0
    if options.json:
        print_json(move_to_json(name, entry))
    else:
        before = "" if entry.previous is None else f", before {name}:{entry.previous}"
        log(f"{reference} is {name}:{version} now{before}")
    return 0


def _remove_alias(options: Namespace, reference: ModelReference) -> int:
    from amlcore.app.aliases import move_to_json
    from amlcore.model.aliases import unset_alias

    entry = unset_alias(Workspace.at().models_path, reference.name, str(reference.alias), why=options.why)
    if options.json:
        print_json(move_to_json(reference.name, entry))
    else:
        log(f"{reference} is removed; it was {reference.name}:{entry.version}")
    return 0


def _add_show(parser: Parser) -> None:
    parser.add_argument("model", metavar=MODEL, help="a registered model; without a version the newest")
    add_json(parser)


def show(options: Namespace) -> int:
    from amlcore.app.aliases import show_model
    from amlcore.terminal import model_tables

    facts = show_model(Workspace.at().models_path, options.model)
    if options.json:
        print_json(facts)
    else:
        model_tables.model(facts)
    return 0


def _add_log(parser: Parser) -> None:
    parser.add_argument("model", metavar="MODEL", nargs="?", help="the name of a model (default: all models)")
    add_json(parser)


def show_log(options: Namespace) -> int:
    from amlcore.app.model_log import log_of, logs
    from amlcore.terminal import model_tables

    workspace = Workspace.at()
    models = workspace.models_path
    events = logs(models, log=log) if options.model is None else log_of(models, options.model)
    if options.json:
        print_json(events)
    elif events:
        model_tables.log(events)
    else:
        log_none("models", workspace.path)
    return 0


def _add_promote(parser: Parser) -> None:
    parser.add_argument("model", metavar=MODEL, help="the version to promote; without one the newest")
    parser.add_argument("--to", metavar="ALIAS", required=True, help="the alias to move, such as champion")
    parser.add_argument(
        "--if",
        dest="condition",
        metavar="CONDITION",
        help="move it only if this holds, such as 'accuracy >= champion.accuracy - 0.002'",
    )
    parser.add_argument("--dry-run", action="store_true", help="compare, but move nothing")
    add_why(parser)
    add_json(parser)


def promote(options: Namespace) -> int:
    from amlcore.model.promotion import promote

    models = Workspace.at().models_path
    promotion = promote(
        models, options.model, options.to, condition=options.condition, why=options.why, is_trial=options.dry_run
    )
    log(str(promotion))
    if options.json:
        print_json(promotion.to_json())
    return 0 if promotion.is_promoted else NOT_PROMOTED


def _add_rm(parser: Parser) -> None:
    parser.add_argument("models", metavar="MODEL:VERSION", nargs="+", help="a version that no alias or service uses")
    add_why(parser)
    add_json(parser)


def remove(options: Namespace) -> int:
    from amlcore.app.model_removal import remove_models

    removed = remove_models(Workspace.at(), options.models, why=options.why)
    for model in removed:
        log(f"{model} is removed; its number is not used again")
    if options.json:
        print_json(removed)
    return 0


VERBS = {
    "alias": Verb("set, remove or list the aliases of models", alias, _add_alias),
    "promote": Verb("move an alias to a version if its metrics are good enough", promote, _add_promote, CONDITIONS),
    "models show": Verb("show everything about a version of a model", show, _add_show),
    "models rm": Verb("remove versions that no alias and no service uses", remove, _add_rm),
    "models log": Verb("list who registered, moved and removed what, when and why", show_log, _add_log),
}
