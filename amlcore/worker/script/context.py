"""The ScriptRun, a run as its script sees it: its facts, its children and its end. Logging is in the Logbook."""

import os
import re
import sys

from amlcore.worker.files import read_json
from amlcore.worker.layout import NAME_TAG, RUN_VARIABLE, input_variable
from amlcore.worker.script import script_runs
from amlcore.worker.script.local_folder import LOCAL_FOLDER, script_name
from amlcore.worker.script.logbook import Logbook
from amlcore.worker.script.unsupported import UNSUPPORTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing

    _Run = typing.TypeVar("_Run", bound="ScriptRun")

_current = {}  # type: dict[tuple[type[ScriptRun], str], typing.Any]


class ScriptExperiment(object):
    """The experiment that a run belongs to."""

    def __init__(self, name):
        # type: (str) -> None
        self.name = name


class ScriptRun(Logbook):
    """A run in its folder; `Run.get_context()` is the run of the script that calls it."""

    _children = 0  # the number of the last child that was started

    @classmethod
    def get_context(cls, allow_offline=True):
        # type: (type[_Run], bool) -> _Run
        """The run of this script; without one a local run, which records the same."""
        folder = os.environ.get(RUN_VARIABLE)
        if folder is None and not allow_offline:
            raise RuntimeError("this script is not part of a run; start it with `aml run`, or set allow_offline=True")
        key = (cls, folder or "")
        run = _current.get(key)  # type: _Run | None
        if run is None:
            run = _current[key] = cls(folder or LOCAL_FOLDER)
        return run

    @property
    def name(self):
        # type: () -> str | None
        name = self._facts().get("name")
        return None if name is None else str(name)

    @property
    def display_name(self):
        # type: () -> str | None
        """What the script calls its run, as MLflow's page shows it."""
        name = self._last("tag").get(NAME_TAG)
        return self.name if name is None else str(name)

    @display_name.setter
    def display_name(self, name):
        # type: (str | None) -> None
        self.tag(NAME_TAG, name)

    @property
    def experiment(self):
        # type: () -> typing.Any
        return ScriptExperiment(str(self._facts().get("experiment") or os.path.basename(os.path.dirname(self.folder))))

    @property
    def parameters(self):
        # type: () -> dict[str, typing.Any]
        """The arguments that the run was submitted with."""
        return dict(self._facts().get("parameters") or {})

    @property
    def inputs(self):
        # type: () -> dict[str, str]
        """The paths of the run's inputs, by name."""
        if not self._is_recorded:
            return {}
        inputs = (read_json(self.layout.request) or {}).get("inputs", {})
        return {name: os.environ.get(input_variable(name), source["path"]) for name, source in inputs.items()}

    @property
    def input_datasets(self):
        # type: () -> dict[str, str]
        return self.inputs

    @property
    def checkpoint_dir(self):
        # type: () -> str
        """A folder that each attempt of this run finds as the one before left it."""
        os.makedirs(self.layout.checkpoints, exist_ok=True)
        return self.layout.checkpoints

    @property
    def parent(self):
        # type: () -> ScriptRun | None
        parent = self._facts().get("parent")
        return None if parent is None else self._other(os.path.join(os.path.dirname(self.folder), parent))

    def get_status(self):
        # type: () -> str
        """The state of the run; this script's own is Running, even if its driver has not noticed the start yet."""
        if not self._is_recorded:
            return "Running"
        state = str((read_json(self.layout.state) or {}).get("state", "NotStarted"))
        is_before = state in ("NotStarted", "Preparing", "Queued")
        return "Running" if is_before and self._attempt() is not None else state

    def log_search(self, search):
        # type: (typing.Any) -> list[ScriptRun]
        """Record a fitted search of scikit-learn: a child run for each candidate, and a tag for the best one.

        Returns the children, in the order of cv_results_. A candidate with a failed fit becomes a failed child.
        """
        from amlcore.worker.script.sklearn_search import candidates

        children = []  # type: list[ScriptRun]
        for index, candidate in enumerate(candidates(search)):
            child = self._start_child("candidate {}".format(index), parameters=candidate.parameters)
            for name, value in candidate.metrics.items():
                child._record("scalar", name, value)
            for name, scores in candidate.splits.items():
                child._record("list", "split_" + name, scores)
            reason = None if candidate.has_score else "a fit of this candidate failed, so it has no score"
            script_runs.end(child.folder, "Completed" if reason is None else "Failed", reason)
            children.append(child)
        if hasattr(search, "best_score_"):
            self.log("best_score", search.best_score_)
        if hasattr(search, "best_index_"):
            self.tag("best", children[int(search.best_index_)].id)
        return children

    def register_model(self, model_name, *args, **kwargs):  # noqa: ARG002 - v1's signature
        # type: (str, typing.Any, typing.Any) -> typing.Any
        """Explain how to register the model instead: a script's outputs are not hashed before it ends."""
        message = (
            "register_model('{0}') cannot register inside the script, since its outputs are kept only after it ends: "
            "set model.name={0} in the config, or call `aml register RUN --name {0}` after the run"
        )
        raise RuntimeError(message.format(model_name))

    def child_run(self, name=None):
        # type: (str | None) -> ScriptRun
        """Start a child of this run; the script that starts it also ends it."""
        return self._start_child(name)

    def create_children(self, count=None, tag_key=None, tag_values=None):
        # type: (int | None, str | None, typing.Sequence[object] | None) -> list[ScriptRun]
        """Start several children: `count` of them, or one for each of `tag_values`, tagged with it as `tag_key`."""
        if (count is None) == (tag_values is None) or (tag_values is None) != (tag_key is None):
            raise ValueError("create_children needs either count=, or both tag_key= and tag_values=")
        if tag_values is None or tag_key is None:
            return [self.child_run() for _ in range(count or 0)]
        children = []
        for value in tag_values:
            child = self.child_run()
            child.tag(tag_key, value)
            children.append(child)
        return children

    def get_children(self):
        # type: () -> list[typing.Any]
        """The children of this run, in the order of their start."""
        if not self._is_recorded:
            return []
        pattern = re.compile(re.escape(self.id) + r"_(\d+)$")
        experiment = os.path.dirname(self.folder)
        children = sorted(
            (int(match.group(1)), match.string) for match in map(pattern.match, os.listdir(experiment)) if match
        )
        return [self._other(os.path.join(experiment, name)) for _, name in children]

    def complete(self):
        # type: () -> None
        """End a child run or a local run; a submitted run ends with its script."""
        if self._is_recorded and not script_runs.is_submitted(self.folder):
            script_runs.end(self.folder, "Completed")

    def fail(self, error_details=None):
        # type: (object) -> None
        """End this run as failed; a submitted run fails when its script ends, whatever its exit status."""
        reason = "the script called run.fail()" if error_details is None else str(error_details)
        if script_runs.is_submitted(self.folder):
            script_runs.fail_script(reason)
            sys.stderr.write("amlcore: the script marked its run as failed: {}\n".format(reason))
        else:
            script_runs.end(self.folder, "Failed", reason)

    def flush(self, timeout_seconds=None):
        # type: (float | None) -> None
        """Do nothing: each log call returns after the record is written."""

    if not TYPE_CHECKING:  # mypy would accept any attribute

        def __getattr__(self, name):
            if name in UNSUPPORTED:
                raise AttributeError("Run.{} is not available here; {}".format(name, UNSUPPORTED[name]))
            return object.__getattribute__(self, name)  # raises Python's own error

    def __enter__(self):
        # type: () -> ScriptRun
        return self

    def __exit__(self, kind, error, trace):
        # type: (object, object, object) -> None
        if error is None:
            self.complete()
        elif not script_runs.is_submitted(self.folder):
            self.fail("{}: {}".format(type(error).__name__, error))

    def __repr__(self):
        # type: () -> str
        return "Run({})".format(self.id if self._is_recorded else "local")

    def _start_child(self, name, **facts):
        # type: (str | None, object) -> ScriptRun
        number = self._children
        while True:
            number += 1
            folder = "{}_{}".format(self.folder, number)
            try:
                os.mkdir(folder)
                break
            except FileExistsError:  # another process of this script took it
                continue
        self._children = number
        script = self._facts().get("script")
        script_runs.start(folder, experiment=self.experiment.name, parent=self.id, name=name, script=script, **facts)
        return self._other(folder)

    def _facts(self):
        # type: () -> dict[str, typing.Any]
        return (read_json(self.layout.run) or {}) if self._is_recorded else {"experiment": script_name()}

    def _other(self, folder):
        # type: (str) -> ScriptRun
        """Another run, as the class of this one."""
        return type(self)(folder)
