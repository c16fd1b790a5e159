"""The worker's door: `AMLCORE_OWNER=NAME python main.py QUEUE` runs the requests of a queue until it is closed.

It is started by the interpreter of an environment, by its path, so it first makes `amlcore.worker` importable there.
"""

import sys

BARE = frozenset(sys.modules)  # what plain python has loaded before any script

import importlib.util  # noqa: E402
import os  # noqa: E402

HERE = os.path.dirname(os.path.realpath(__file__))
COLD = "--cold"


def main(arguments):
    """Run the worker of the queue folder `arguments[0]`; what follows it is for its own restart without a preload."""
    drop_own_folder()
    relative = take_relative_paths()
    add_standins()
    from amlcore.worker.process.worker import Worker

    claimed = arguments[2] if len(arguments) > 2 else None
    restart = [sys.executable, os.path.realpath(__file__), arguments[0], COLD]
    worker = Worker(arguments[0], bare=BARE, relative=relative, cold=COLD in arguments[1:2], restart=restart)
    return worker.run(claimed)


def drop_own_folder():
    """Python puts the folder of this file first, where `context` or `main` would hide a script's own modules."""
    if sys.path and os.path.realpath(sys.path[0]) == HERE:
        del sys.path[0]


def take_relative_paths():
    """Take the relative entries of PYTHONPATH out of sys.path: they start at the working folder of each script.

    Returns the entries.
    """
    variable = os.environ.get("PYTHONPATH")
    relative = [entry for entry in variable.split(os.pathsep) if not os.path.isabs(entry)] if variable else []
    for entry in relative:
        for form in (os.path.abspath(entry), entry):
            if form in sys.path:
                sys.path.remove(form)
                break
    return relative


def add_standins():
    """Stand in for amlcore and azureml.core where the environment has none, in the script's own processes too."""
    for package, present in (("amlcore", has_amlcore), ("azureml", has_azureml)):
        if present():
            continue
        folder = os.path.join(HERE, "standins", package)
        sys.path.append(folder)
        inherited = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = inherited + os.pathsep + folder if inherited else folder


def has_amlcore():
    try:
        importlib.import_module("amlcore.worker.layout")
    except Exception:
        # An amlcore that needs a newer Python than this one leaves halves behind.
        for name in [name for name in sys.modules if name.partition(".")[0] == "amlcore"]:
            del sys.modules[name]
        return False
    return True


def has_azureml():
    try:
        return importlib.util.find_spec("azureml.core") is not None
    except ImportError:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
