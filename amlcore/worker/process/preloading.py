"""The preload of a warm worker, and when it must not be used."""

import importlib
import os
import sys
import tempfile
import threading


def preload(names):
    """Import modules so that every script finds them loaded.

    Returns why they must not be kept in this process, or None.
    """
    with tempfile.TemporaryFile() as said:
        failure = _import_silently(names, said)
        said.seek(0)
        words = said.read().decode("utf-8", "replace").strip()
    if failure:
        return failure
    if words:
        return "an import writes to the terminal: {}".format(words[:500])
    if threading.active_count() > 1:
        return "an import starts threads, which a fork would lose"
    return None


def _import_silently(names, said):
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(1), os.dup(2)]
    os.dup2(said.fileno(), 1)
    os.dup2(said.fileno(), 2)
    try:
        for name in names:
            _load(name)
    except BaseException as error:
        return "an import fails: {}: {}".format(type(error).__name__, error)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, copy in enumerate(saved, start=1):
            os.dup2(copy, number)
            os.close(copy)
    return None


def _load(name):
    parent, _, last = name.rpartition(".")
    # `from joblib import dump` asks for joblib.dump, which is no module, or a module that must not be bound anew.
    if parent in sys.modules and hasattr(sys.modules[parent], last):
        return
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name + ".").startswith(error.name + "."):
            raise  # a part of the library is missing: the script has to meet that by itself, in a fresh process


def loaded_besides(bare):
    """The top-level names of all loaded modules, without those of `bare` and the built-in ones."""
    fixed = {name.partition(".")[0] for name in bare} | set(sys.builtin_module_names)
    return {name.partition(".")[0] for name in sys.modules} - fixed


def shadowed(manifest, *, folders, loaded):
    """Which of the `loaded` modules files of the snapshot would take the place of, in a fresh process.

    Parameters: `folders` are those on the script's path, relative to the snapshot.
    """
    paths = [entry[0] for entry in manifest["files"]] + [entry[0] for entry in manifest["links"]]
    local = set()
    for folder in folders:
        local |= _modules_in(folder, paths)
    found = local & loaded
    # matplotlib reads this file when it is imported.
    if "matplotlibrc" in paths and "matplotlib" in loaded:
        found.add("matplotlib")
    return found


def _modules_in(folder, paths):
    prefix = "" if folder in ("", ".") else folder + "/"
    names = set()
    for path in paths:
        if not path.startswith(prefix):
            continue
        first, _, rest = path[len(prefix) :].partition("/")
        if rest == "__init__.py":
            names.add(first)
        elif not rest and first.endswith((".py", ".so")):
            names.add(first.partition(".")[0])
    return names


def forget(names):
    """Take modules out of this process, so that the next import looks for them on the path."""
    if names:
        for module in [module for module in sys.modules if module.partition(".")[0] in names]:
            del sys.modules[module]
