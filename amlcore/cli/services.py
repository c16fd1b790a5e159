"""The verbs for packaged models: serve, keys."""

from __future__ import annotations

from argparse import Namespace

from amlcore.cli.parser import Parser, Verb, add_json, port
from amlcore.terminal.output import log, print_json
from amlcore.workspace import Workspace


def _add_serve(parser: Parser) -> None:
    parser.add_argument("service", metavar="SERVICE[:VERSION]")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=port, default=3000, help="the port to listen on (default: %(default)s)")


def serve(options: Namespace) -> int:
    from amlcore.app import services
    from amlcore.config import compose_workspace

    workspace = compose_workspace(Workspace.at().path)
    return services.serve(workspace, options.service, host=options.host, port=options.port, log=log)


def _add_keys(parser: Parser) -> None:
    parser.add_argument("service", metavar="SERVICE")
    parser.add_argument(
        "--regenerate", choices=("primary", "secondary"), help="replace this key with a new one, then show both"
    )
    add_json(parser)


def keys(options: Namespace) -> int:
    from amlcore.app import services

    keys = services.keys(Workspace.at(), options.service, regenerate=options.regenerate, log=log)
    if options.json:
        print_json(keys)
    else:
        for name in ("primary", "secondary"):
            print(f"{name} {keys[name]}")
        log(f"stored in {keys['file']}")
    return 0


VERBS = {
    "serve": Verb("serve a packaged model in its own environment", serve, _add_serve),
    "keys": Verb("show the keys of a service that was packaged with deployment.auth=key", keys, _add_keys),
}
