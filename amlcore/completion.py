"""Tab completion: the verbs are ours, all behind `aml run` is Hydra's."""

from __future__ import annotations

import os

from amlcore.arguments import verbs


def complete(arguments: list[str]) -> int:
    """Answer `aml -sc install=bash`, `uninstall=bash` and the shell's own `query=bash`; zsh and fish likewise."""
    from amlcore.config import answer
    from amlcore.workspace import Workspace

    line = os.environ.get("COMP_LINE", "")
    words = line.split()
    if arguments[:1] and arguments[0].startswith("query="):
        if len(words) < 2 or (len(words) == 2 and not line.endswith(" ")):
            begun = words[1] if len(words) == 2 else ""
            print(" ".join(verb for verb in verbs() if verb.startswith(begun)))
            return 0
        if words[1] != "run":
            return 0
        os.environ["COMP_LINE"] = line.replace(" run", "", 1)
    answer(arguments, root=Workspace.at().path, flags=["--shell-completion"])
    return 0
