"""The worker's entry point: `AMLCORE_OWNER=NAME python main.py QUEUE` runs the requests of a queue until it is closed.

The interpreter of an environment runs it by its path, so it first makes `amlcore.worker` importable.
"""

import sys

BARE = frozenset(sys.modules)  # the modules that python itself has loaded

import importlib.util  # noqa: E402
import os  # noqa: E402

HERE = os.path.dirname(os.path.realpath(__file__))
COLD = "--cold"


def main(arguments):
    """Run the worker of the queue folder `arguments[0]`; the rest is for its own restart without preloading."""
    drop_own_folder()
    relative = take_relative_paths()
    add_standins()
    from amlcore.worker.mlflow.activation import add_plugin
    from amlcore.worker.process.worker import Worker

    add_plugin()

    claimed = arguments[2] if len(arguments) > 2 else None
    restart = [sys.executable, os.path.realpath(__file__), arguments[0], COLD]
    worker = Worker(arguments[0], bare=BARE, relative=relative, cold=COLD in arguments[1:2], restart=restart)
    return worker.run(claimed)


def drop_own_folder():
    """Remove the folder of this file from sys.path, where `main` or `values` would hide a script's own modules."""
    if sys.path and os.path.realpath(sys.path[0]) == HERE:
        del sys.path[0]


def take_relative_paths():
    """Remove the relative entries of PYTHONPATH from sys.path, since each script has its own working folder.

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
    """Make stand-ins for amlcore and azureml.core importable if the environment lacks them, in child processes too."""
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
        # An amlcore that needs a newer Python fails half-way through its import.
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
