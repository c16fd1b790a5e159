"""Looks into a model file with the interpreter that trained it: `python probe.py MODEL ARGUMENTS.json RESULT.json`.

Python 3.6 and the standard library, with joblib or pickle as the environment has them. The result goes to a file, since
the code of a model may print.
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

if __name__ == "__main__":  # beside this file, and under a name that no module of a user has
    import probe_trial  # type: ignore[import-not-found]
else:
    from amlcore.worker import probe_trial

attribute, plain = probe_trial.attribute, probe_trial.plain

METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function", "transform", "score_samples")


class MissingMain(types.ModuleType):
    """Stands for `__main__`, which was the training script and is not there when a model is loaded elsewhere."""

    def __init__(self):
        types.ModuleType.__init__(self, "__main__")
        self.__dict__["asked"] = []

    def __getattr__(self, name):
        if not name.startswith("__"):
            self.__dict__["asked"].append(name)
        raise AttributeError("module '__main__' has no attribute '{}'".format(name))


class Elsewhere(object):
    """Finds what a script made importable by itself, as by sys.path.insert(0, "lib").

    It is asked last, for what is found nowhere, and answers where a single folder of the code holds it: the folder
    becomes one of the roots.
    """

    def __init__(self, code, roots):
        self.code = code
        self.roots = roots

    def find_spec(self, name, path=None, target=None):  # noqa: ARG002  the signature is the import system's
        homes = [] if path is not None else [parent for parent, _, _ in os.walk(self.code) if holds(parent, name)]
        if len(homes) != 1:
            return None
        self.roots.append(homes[0])
        sys.path.append(homes[0])
        return importlib.machinery.PathFinder.find_spec(name, homes)


def holds(folder, name):
    package = os.path.join(folder, name)
    return os.path.isfile(package + ".py") or (
        os.path.isdir(package) and any(file.endswith(".py") for file in os.listdir(package))
    )


def probe(path, roots, sample, trusted=(), convert=None, inputs=None):
    """What there is to say about the model at `path`.

    `roots` are the folders of the snapshot's code, in the order in which they are searched; `sample` is None or as
    run.log_sample writes it; `trusted` are the types that a file in skops format may be built of. With `convert` the
    model is only written there, in skops format. `inputs` is the folder of the code that reads a service's requests.
    """
    main = MissingMain()
    sys.modules["__main__"] = sys.modules["__mp_main__"] = main
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = load(path, trusted)
    except AttributeError:
        if main.asked:
            return {"main": main.asked[-1]}
        raise
    if convert is not None:
        return {"main": None, "refused": written(model, convert)}
    methods = [name for name in METHODS if callable(attribute(model, name))]
    found = learnt(model, sample, inputs)
    return {
        "main": None,
        "python": platform.python_version(),
        "sklearn": getattr(sys.modules.get("sklearn"), "__version__", None),
        "class": "{}.{}".format(type(model).__module__, type(model).__qualname__),
        "last_step": last_step(model),
        "methods": methods,
        "classes": plain(attribute(model, "classes_")),
        "code": local_code(roots),
        "trial": probe_trial.trial(model, methods),
        "load_warnings": sorted({str(w.message) for w in caught if "unpickle estimator" in str(w.message)}),
        "signature": found["signature"],
        "sample": found["sample"],
        "sample_error": found["sample_error"],
        "input_warnings": found["warnings"],
    }


def last_step(model):
    """The class that predicts: the last step of a pipeline, the best model of a search."""
    # The same loop as model/inputs/introspection.py, which needs Python 3.9; this file runs alone, on 3.6 too.
    # tests/worker/test_probe.py compares the two.
    while True:
        best, steps = attribute(model, "best_estimator_"), attribute(model, "steps")
        if best is not None:
            model = best
        elif isinstance(steps, list) and steps:
            model = steps[-1][1]
        else:
            return type(model).__qualname__


def written(model, path):
    """Why `model` cannot be written in skops format; None where it was."""
    try:
        import skops.io
    except ImportError:
        return "its environment has no skops; add skops to its requirements"
    try:
        skops.io.dump(model, path)
    except Exception as error:
        return "{}: {}".format(type(error).__name__, error)
    return None


def load(path, trusted):
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
    """The files of the snapshot that the loaded model needs, by their path below the root that they are found in.

    A module is followed to what it imports, inside functions too; a package goes whole.
    """
    wanted = {name.partition(".")[0] for name, module in list(sys.modules.items()) if is_local(module, roots)}
    done = set()  # type: set[str]
    files = {}
    while wanted - done:
        top = (wanted - done).pop()
        done.add(top)
        for relative, path in files_of(top, roots):
            files[relative] = path
            if path.endswith(".py"):
                wanted |= imports(path)
    return files


def is_local(module, roots):
    path = getattr(module, "__file__", None) or ""
    return any(os.path.abspath(path).startswith(root + os.sep) for root in roots)


def files_of(top, roots):
    for root in roots:
        folder = os.path.join(root, top)
        if os.path.isdir(folder):
            found = [os.path.join(parent, name) for parent, _, names in os.walk(folder) for name in names]
            return [(os.path.relpath(path, root), path) for path in found if not path.endswith(".pyc")]
        if os.path.isfile(folder + ".py"):
            return [(top + ".py", folder + ".py")]
    return []


def imports(path):
    """The first names of the modules that the file at `path` imports absolutely, anywhere in it."""
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


def learnt(model, sample, inputs):
    """What the code in the folder `inputs` learns of a model and its sample: as a service would give it the rows."""
    if inputs is None or sys.version_info < (3, 7):  # no service runs on an older one
        columns, width = plain(attribute(model, "feature_names_in_")), plain(attribute(model, "n_features_in_"))
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
        given = json.load(stream)
    # The folder of this file, which Python put first, is not the user's. Nor did a script in a folder of its own find
    # the modules at the top of the code; those of the standard library come before them.
    first, *further = given["roots"]
    sys.path[0:1] = [first] + [root for root in further if root != given["code"]]
    sys.path += [root for root in further if root == given["code"]]
    sys.meta_path.append(Elsewhere(given["code"], given["roots"]))
    opened = probe_trial.Opened(given["roots"])
    found = probe(model, given["roots"], given["sample"], given["trusted"], given["convert"], given["inputs"])
    found["opened"] = dict(opened.files)
    with open(result, "w", encoding="utf-8") as stream:
        json.dump(found, stream)


if __name__ == "__main__":
    main(*sys.argv[1:])
