"""Inspects a model file with the interpreter that trained it: `python probe.py MODEL ARGUMENTS.json RESULT.json`.

Python 3.6 and the standard library, with the environment's joblib or pickle. The result goes to a file, since a model's
code may print.
"""

import ast
import importlib
import importlib.machinery
import importlib.util
import json
import os
import platform
import sys
import types
import warnings

if __name__ == "__main__":  # next to this file, under a name that no user's module has
    import probe_trial  # type: ignore[import-not-found]
else:
    from amlcore.worker import probe_trial

attribute, json_or_none = probe_trial.attribute, probe_trial.json_or_none

METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function", "transform", "score_samples")


class MissingMain(types.ModuleType):
    """Stands for the training script's `__main__`, which is missing when a model is loaded elsewhere."""

    def __init__(self):
        types.ModuleType.__init__(self, "__main__")
        self.__dict__["requested"] = []

    def __getattr__(self, name):
        if not name.startswith("__"):
            self.__dict__["requested"].append(name)
        raise AttributeError("module '__main__' has no attribute '{}'".format(name))


class FallbackFinder(object):
    """Finds modules that a script made importable by itself, as by sys.path.insert(0, "lib").

    It comes last on sys.meta_path, and answers if exactly one folder of the code has the module; that folder becomes
    one of the roots.
    """

    def __init__(self, code, roots):
        self.code = code
        self.roots = roots

    def find_spec(self, name, path=None, target=None):  # noqa: ARG002  the signature is the import system's
        folders = (
            [] if path is not None else [parent for parent, _, _ in os.walk(self.code) if has_module(parent, name)]
        )
        if len(folders) != 1:
            return None
        self.roots.append(folders[0])
        sys.path.append(folders[0])
        return importlib.machinery.PathFinder.find_spec(name, folders)


def has_module(folder, name):
    package = os.path.join(folder, name)
    return os.path.isfile(package + ".py") or (
        os.path.isdir(package) and any(file.endswith(".py") for file in os.listdir(package))
    )


def probe(path, roots, sample, trusted=(), convert=None, inputs=None):
    """The facts about the model at `path`.

    `roots` are the folders of the snapshot's code, in the order of the search; `sample` is None or as run.log_sample
    writes it; `trusted` are the types that a file in skops format may contain. With `convert` the model is only written
    there, in skops format. `inputs` is the folder of the code that reads a service's requests.
    """
    main = MissingMain()
    sys.modules["__main__"] = sys.modules["__mp_main__"] = main
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = load(path, trusted)
    except AttributeError:
        if main.requested:
            return {"main": main.requested[-1]}
        raise
    if convert is not None:
        return {"main": None, "refused": write_skops(model, convert)}
    methods = [name for name in METHODS if callable(attribute(model, name))]
    learned = learn(model, sample, inputs)
    return {
        "main": None,
        "python": platform.python_version(),
        "sklearn": getattr(sys.modules.get("sklearn"), "__version__", None),
        "class": "{}.{}".format(type(model).__module__, type(model).__qualname__),
        "last_step": last_step_class(model),
        "methods": methods,
        "classes": json_or_none(attribute(model, "classes_")),
        "code": local_code(roots),
        "trial": probe_trial.trial(model, methods),
        "load_warnings": sorted({str(w.message) for w in caught if "unpickle estimator" in str(w.message)}),
        "signature": learned["signature"],
        "sample": learned["sample"],
        "sample_error": learned["sample_error"],
        "input_warnings": learned["warnings"],
    }


def last_step_class(model):
    """The class that predicts: the last step of a pipeline, the best model of a search."""
    # The same loop as model/inputs/introspection.py, which needs Python 3.7; this file runs alone, on 3.6 too.
    # tests/worker/test_probe.py compares the two.
    while True:
        best, steps = attribute(model, "best_estimator_"), attribute(model, "steps")
        if best is not None:
            model = best
        elif isinstance(steps, list) and steps:
            model = steps[-1][1]
        else:
            return type(model).__qualname__


def write_skops(model, path):
    """Write `model` in skops format; returns why that failed, or None."""
    try:
        import skops.io
    except ImportError:
        return "skops is not installed in its environment; add it to the requirements"
    try:
        skops.io.dump(model, path)
    except Exception as error:
        return "{}: {}".format(type(error).__name__, error)
    return None


def load(path, trusted):
    if os.path.basename(path) == "MLmodel":  # a model of another library, or of the user's own class
        from mlflow import pyfunc

        return pyfunc.load_model(os.path.dirname(path))
    if path.endswith(".skops"):
        import skops.io

        return skops.io.load(path, trusted=list(trusted))
    try:
        import joblib
    except ImportError:
        try:
            from sklearn.externals import joblib  # scikit-learn before 0.23
        except ImportError:
            import pickle

            with open(path, "rb") as stream:
                return pickle.load(stream)
    return joblib.load(path)


def local_code(roots):
    """The files of the snapshot that the loaded model needs, by their path below their root.

    Imports are followed, inside functions too; a package is taken as a whole.
    """
    modules = {name.partition(".")[0] for name, module in list(sys.modules.items()) if is_local(module, roots)}
    done = set()  # type: set[str]
    files = {}
    while modules - done:
        top = (modules - done).pop()
        done.add(top)
        for relative, path in files_of_module(top, roots):
            files[relative] = path
            if path.endswith(".py"):
                modules |= imported_modules(path)
    return files


def is_local(module, roots):
    path = getattr(module, "__file__", None) or ""
    return any(os.path.abspath(path).startswith(root + os.sep) for root in roots)


def files_of_module(top, roots):
    for root in roots:
        folder = os.path.join(root, top)
        if os.path.isdir(folder):
            paths = [os.path.join(parent, name) for parent, _, names in os.walk(folder) for name in names]
            return [(os.path.relpath(path, root), path) for path in paths if not path.endswith(".pyc")]
        if os.path.isfile(folder + ".py"):
            return [(top + ".py", folder + ".py")]
    return []


def imported_modules(path):
    """The top-level names of all absolute imports in the file at `path`."""
    with open(path, "rb") as stream:
        try:
            tree = ast.parse(stream.read())
        except SyntaxError:
            return set()
    names = set()  # type: set[str]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module.partition(".")[0])
    return names


def learn(model, sample, inputs):
    """What the code in the folder `inputs` learns from a model and its sample, as a service would."""
    if inputs is None or sys.version_info < (3, 7):  # services need a newer Python
        columns, width = (
            json_or_none(attribute(model, "feature_names_in_")),
            json_or_none(attribute(model, "n_features_in_")),
        )
        return {
            "signature": {"n_features": width, "columns": columns, "dtypes": None},
            "sample": sample,
            "sample_error": None,
            "warnings": [],
        }
    package = "amlcore_inputs"
    spec = importlib.util.spec_from_file_location(
        package, os.path.join(inputs, "__init__.py"), submodule_search_locations=[inputs]
    )
    assert spec is not None
    sys.modules[package] = importlib.util.module_from_spec(spec)
    inference = importlib.import_module(package + ".signature_inference")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return inference.infer_signature(model, sample)


def main(model, arguments, result):
    with open(arguments, encoding="utf-8") as stream:
        request = json.load(stream)
    # Python has put the folder of this file first, which is not the user's. The root of the code is last: a script in
    # a subfolder did not import from it, and the standard library goes first.
    first, *further = request["roots"]
    sys.path[0:1] = [first] + [root for root in further if root != request["code"]]
    sys.path += [root for root in further if root == request["code"]]
    sys.meta_path.append(FallbackFinder(request["code"], request["roots"]))
    opened = probe_trial.OpenedFiles(request["roots"])
    facts = probe(model, request["roots"], request["sample"], request["trusted"], request["convert"], request["inputs"])
    facts["opened"] = dict(opened.files)
    with open(result, "w", encoding="utf-8") as stream:
        json.dump(facts, stream)


if __name__ == "__main__":
    main(*sys.argv[1:])
