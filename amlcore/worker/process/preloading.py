"""Preloads modules in a warm worker, and decides when that is not safe."""

import importlib
import os
import sys
import tempfile
import threading


def preload(names):
    """Import modules, so that every script starts with them loaded.

    Returns the reason why this process must not keep them, or None.
    """
    with tempfile.TemporaryFile() as output:
        failure = _import_silently(names, output)
        output.seek(0)
        text = output.read().decode("utf-8", "replace").strip()
    if failure:
        return failure
    if text:
        return "an import prints: {}".format(text[:500])
    if threading.active_count() > 1:
        return "an import starts threads, which do not survive a fork"
    return None


def _import_silently(names, output):
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(1), os.dup(2)]
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
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
    # For `from joblib import dump` the name is joblib.dump: a function, or a module that must not be imported again.
    if parent in sys.modules and hasattr(sys.modules[parent], last):
        return
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name + ".").startswith(error.name + "."):
            raise  # a part of the library is missing: the script must get this error itself, in a fresh process


def loaded_besides(bare):
    """The top-level names of all loaded modules, except those in `bare` and the built-in ones."""
    fixed = {name.partition(".")[0] for name in bare} | set(sys.builtin_module_names)
    return {name.partition(".")[0] for name in sys.modules} - fixed


def shadowed(manifest, *, folders, loaded):
    """The `loaded` modules that files of the snapshot would shadow in a fresh process.

    Parameters: `folders` are those on the script's sys.path, relative to the snapshot.
    """
    paths = [entry[0] for entry in manifest["files"]] + [entry[0] for entry in manifest["links"]]
    local = set()
    for folder in folders:
        local |= _modules_in(folder, paths)
    names = local & loaded
    # matplotlib reads this file at import.
    if "matplotlibrc" in paths and "matplotlib" in loaded:
        names.add("matplotlib")
    return names


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
    """Remove modules from this process, so that the next import searches for them."""
    if names:
        for module in [module for module in sys.modules if module.partition(".")[0] in names]:
            del sys.modules[module]
