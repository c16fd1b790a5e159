"""A script or module on the command line and its arguments, as overrides for Hydra."""

from __future__ import annotations

import os
from pathlib import Path

from amlcore.cli.typos import is_run, notebook
from amlcore.errors import ConfigError
from amlcore.worker.module_file import find_module

SEARCH_DEPTH = 4  # how many folders deep to search for a script
MAX_SUGGESTIONS = 3
SKIPPED_FOLDERS = ("outputs", "models", "node_modules", "venv", "env")
FLAG_NAMES = ("multirun", "dry-run", "detach", "help", "hydra-help")


def split_at_dashes(arguments: list[str]) -> tuple[list[str], list[str] | None]:
    """The words before `--`, and the script's arguments after it."""
    if "--" not in arguments:
        return arguments, None
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def overrides_of(
    words: list[str], script_arguments: list[str] | None, *, root: Path, module: str | None = None
) -> list[str]:
    """The overrides for Hydra, with those that stand for a script or module and its arguments."""
    from amlcore.config import quote_value

    overrides = list(words)
    files = [word for word in words if _names_script(word)]
    if len(files) > 1 or (files and not files[0].endswith(".py")):
        raise _not_an_override(next((word for word in files if not word.endswith(".py")), files[-1]))
    if files and module is not None:
        raise ConfigError(f"{files[0]} and -M {module}: only one of them can run")
    if files or module is not None:
        script = Path(files[0]).absolute() if files else None
        if script is not None and not script.exists():
            hint = _suggestion(files[0])
            if hint or not script.parent.exists():
                raise ConfigError(f"{files[0]}: no such file{hint}")
        folder = Path.cwd() if script is None else script.parent
        folder = folder.relative_to(root) if folder.is_relative_to(root) else folder
        # The project's model and deployment belong to its own script, not to this one.
        none = [f"{group}=none" for group in ("model", "deployment") if not _mentions(group, overrides)]
        overrides = [
            *none,
            "script=script",
            f"script.source_directory={quote_value(str(folder))}",
            f"script.module={quote_value(str(module))}"
            if script is None
            else f"script.script={quote_value(script.name)}",
            *(word for word in overrides if word not in files),
        ]
    if script_arguments is not None:
        values = ",".join(quote_value(word) for word in script_arguments)
        # Hydra cannot replace a mapping by a list, but it can replace null.
        overrides += ["script.arguments=null", f"script.arguments=[{values}]"]
    return overrides


def _not_an_override(word: str) -> ConfigError:
    """The error for a word that is neither a script nor KEY=VALUE."""
    if word.endswith(".ipynb"):
        return ConfigError(notebook(word))
    path = Path(word)
    if path.is_dir():
        scripts = sorted(path.glob("*.py"))
        example = f", such as {scripts[0]}" if scripts else ""
        return ConfigError(f"'{word}' is a folder; give a script in it{example}")
    if word.endswith("/") and path.is_file():
        return ConfigError(f"'{word}' is a file, not a folder; did you mean {path}?")
    if word in FLAG_NAMES:
        return ConfigError(f"'{word}': did you mean --{word}?")
    hint = _suggestion(word)
    if not hint and is_run(word):
        hint = f"; did you mean `aml rerun {word}`?"
    return ConfigError(
        f"'{word}': must be a script (aml run train.py), KEY=VALUE, or an argument for the script after --{hint}"
    )


def _suggestion(word: str) -> str:
    """The end of a message that suggests a script or module below the working folder, if one is called `word`."""
    if Path(word).is_file():
        return ""
    if find_module(".", word) is not None and not Path(f"{word}.py").is_file():
        return f"; did you mean -M {word}?"
    name = Path(word).name if word.endswith(".py") else f"{Path(word).name}.py"
    paths = []
    for parent, folders, names in os.walk("."):
        depth = len(Path(parent).parts)
        folders[:] = sorted(
            folder
            for folder in folders
            if depth < SEARCH_DEPTH and folder[0] not in "._" and folder not in SKIPPED_FOLDERS
        )
        paths += [os.path.normpath(os.path.join(parent, file)) for file in names if file.casefold() == name.casefold()]
        if len(paths) >= MAX_SUGGESTIONS:
            break
    return f"; did you mean {' or '.join(paths[:MAX_SUGGESTIONS])}?" if paths else ""


def _names_script(word: str) -> bool:
    return ("=" not in word and not word.startswith("~")) or (word.endswith(".py") and Path(word).is_file())


def _mentions(group: str, overrides: list[str]) -> bool:
    return any(item.lstrip("+").startswith((f"{group}=", f"{group}.", "experiment=")) for item in overrides)
