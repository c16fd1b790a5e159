"""Tab completion: amlcore completes verbs and their arguments, Hydra everything after `aml run`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from amlcore.workspace import Workspace

OF_RUNS = ("show", "logs", "cancel", "wait", "rerun", "resume", "register", "ui", "compare")
OF_MODELS = ("deploy", "alias", "promote")
SHELLS = ("bash", "zsh", "fish")


def complete(arguments: list[str], *, verbs: Sequence[str]) -> int:
    """Answer `aml -sc install=bash`, `uninstall=bash` and the shell's own `query=bash`; zsh and fish likewise."""
    from amlcore.config import answer_hydra_flag
    from amlcore.errors import ConfigError, must_be

    action, _, shell = (arguments[:1] or [""])[0].partition("=")
    if action not in ("install", "uninstall", "query") or shell not in SHELLS:
        raise ConfigError(
            f"-sc {' '.join(arguments)}: use install=SHELL or uninstall=SHELL; SHELL {must_be(shell, SHELLS)}"
        )
    if action == "query":
        line = os.environ.get("COMP_LINE", "")
        words = line.split()
        prefix = "" if line.endswith(" ") else words.pop() if len(words) > 1 else ""
        if words[1:2] != ["run"]:
            print("\n".join(choice for choice in _choices(words[1:], verbs) if choice.startswith(prefix)))
            return 0
        if prefix.startswith("-"):
            return 0
        os.environ["COMP_LINE"] = line.replace(" run", "", 1)
    answer_hydra_flag(arguments, root=Workspace.at().path, flags=["--shell-completion"])
    return 0


def _choices(words: list[str], verbs: Sequence[str]) -> list[str]:
    """What may follow `words`, which come after `aml`."""
    nested = [verb.removeprefix(f"{words[0]} ") for verb in verbs if words and verb.startswith(f"{words[0]} ")]
    if not words:
        return [verb for verb in verbs if " " not in verb]
    if len(words) > 1:
        return []
    if nested:
        return nested
    workspace = Workspace.at()
    if words[0] in OF_RUNS:
        return ["latest", *sorted((folder.name for folder in workspace.run_folders), reverse=True)]
    if words[0] in OF_MODELS:
        return _models(workspace)
    if words[0] == "serve":
        from amlcore.serving.bento import list_bentos

        return sorted({bento.name for bento in list_bentos()})
    return []


def _models(workspace: Workspace) -> list[str]:
    """The names of the models, and their aliases as NAME@ALIAS."""
    from amlcore.app.aliases import list_aliases
    from amlcore.model import list_models

    names = {model.name for model in list_models(workspace.models_path)}
    return sorted(names | {f"{row['model']}@{row['alias']}" for row in list_aliases(workspace.models_path)})
