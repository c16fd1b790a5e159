"""The Run as a script sees it: what it logs goes into files of the run's folder."""

import os
import re
import shutil
import sys

from amlcore.worker import begun, values
from amlcore.worker.layout import ATTEMPT_VARIABLE, RUN_VARIABLE, RunLayout, input_variable, read_json, write_json
from amlcore.worker.metrics import MetricsTail, last_values, read_metrics, summary, write_record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing

    _Run = typing.TypeVar("_Run", bound="Run")

_current = {}  # type: dict[tuple[type[Run], str], typing.Any]


class Experiment(object):
    """The experiment that a run belongs to, by its name."""

    def __init__(self, name):
        # type: (str) -> None
        self.name = name


class Run(object):
    """A run by its folder; `Run.get_context()` is the one that the script belongs to."""

    _children = 0  # the number of the last child that was begun
    _folds = None  # type: typing.Any

    def __init__(self, folder):
        # type: (str | os.PathLike[str]) -> None
        self._folder = os.path.abspath(str(folder))

    @classmethod
    def get_context(cls, allow_offline=True):
        # type: (type[_Run], bool) -> _Run
        """The run of this script; outside of any, a local run that records all the same."""
        folder = os.environ.get(RUN_VARIABLE)
        if folder is None and not allow_offline:
            raise RuntimeError("this script does not belong to a run: start it with `aml run`, or allow_offline=True")
        key = (cls, folder or "")
        run = _current.get(key)  # type: _Run | None
        if run is None:
            run = _current[key] = cls(folder) if folder else _local_run(cls)
        return run

    @property
    def folder(self):
        # type: () -> str
        return self._folder

    @property
    def layout(self):
        # type: () -> RunLayout
        return RunLayout(self.folder)

    @property
    def id(self):
        # type: () -> str
        return os.path.basename(self.folder)

    @property
    def name(self):
        # type: () -> str | None
        name = self._facts().get("name")
        return None if name is None else str(name)

    @property
    def experiment(self):
        # type: () -> typing.Any
        return Experiment(str(self._facts().get("experiment") or os.path.basename(os.path.dirname(self.folder))))

    @property
    def parameters(self):
        # type: () -> dict[str, typing.Any]
        """The arguments that the run was submitted with."""
        return dict(self._facts().get("parameters") or {})

    @property
    def inputs(self):
        # type: () -> dict[str, str]
        """The paths of the run's inputs, by name."""
        inputs = (read_json(self.layout.request) or {}).get("inputs", {})
        return {name: os.environ.get(input_variable(name), source["path"]) for name, source in inputs.items()}

    @property
    def input_datasets(self):
        # type: () -> dict[str, str]
        return self.inputs

    @property
    def checkpoint_dir(self):
        # type: () -> str
        """A folder that every attempt of this run finds as the last one left it."""
        os.makedirs(self.layout.checkpoints, exist_ok=True)
        return self.layout.checkpoints

    @property
    def parent(self):
        # type: () -> Run | None
        parent = self._facts().get("parent")
        return None if parent is None else self._other(os.path.join(os.path.dirname(self.folder), parent))

    def log(self, name, value, description="", step=None):
        # type: (str, object, str, int | None) -> None
        """Log one value; further ones of the same name make a series."""
        values.check_name("log", name)
        self._record("scalar", name, values.one("log", name, value), values.whole_step(name, step), description)

    def log_fold(self, name, score, description="", fold=None):
        # type: (str, object, str, int | None) -> float
        """Log the score of one fold of a cross-validation: `name` is their mean so far, `name fold` each of them.

        Returns the mean; each is an interval at which a sweep may stop the trial. Counted are the folds of this
        attempt. A script that goes on from a checkpoint gives the number of each `fold`: those of all attempts count
        then, each once.
        """
        each = name + " fold"
        self.log(each, score, description, step=fold)
        records = self._fold_records(each)
        if fold is None:
            began = self._attempt_began()
            scores = [float(record["value"]) for record in records if record["at"] >= began]
        else:
            scores = list({record["step"]: float(record["value"]) for record in records}.values())
        scores = scores or [float(str(score))]  # an attempt that was given up for lost records beside the run
        mean = sum(scores) / len(scores)
        self.log(name, mean, description, step=len(scores))
        return mean

    def log_search(self, search):
        # type: (typing.Any) -> list[Run]
        """Record what a fitted search of scikit-learn tried: each candidate as a child run, the best one as a tag.

        Returns the children, in the order of cv_results_. A candidate with a fit that failed is a failed child.
        """
        from amlcore.worker.search import candidates

        children = []  # type: list[Run]
        for index, candidate in enumerate(candidates(search)):
            child = self._begin_child("candidate {}".format(index), parameters=candidate.parameters)
            for name, value in candidate.metrics.items():
                child._record("scalar", name, value)
            for name, scores in candidate.splits.items():
                child._record("list", "split_" + name, scores)
            failed = None if candidate.has_score else "a fit of this candidate failed, so it has no score"
            begun.end(child.folder, "Completed" if failed is None else "Failed", failed)
            children.append(child)
        if hasattr(search, "best_score_"):
            self.log("best_score", search.best_score_)
        if hasattr(search, "best_index_"):
            self.tag("best", children[int(search.best_index_)].id)
        return children

    def log_list(self, name, value, description=""):
        # type: (str, object, str) -> None
        values.check_name("log_list", name)
        self._record("list", name, values.several("log_list", name, value), None, description)

    def log_row(self, name, description=None, **kwargs):
        # type: (str, str | None, object) -> None
        """Log one row of a table, its columns as keywords."""
        values.check_name("log_row", name)
        if not kwargs:
            raise ValueError("log_row('{}') got no columns: log_row(name, a=1, b=2)".format(name))
        row = {key: values.one("log_row", key, value) for key, value in kwargs.items()}
        self._record("row", name, row, None, description or "")

    def log_table(self, name, value, description=""):
        # type: (str, object, str) -> None
        """Log a table as a dict of columns."""
        values.check_name("log_table", name)
        self._record("table", name, values.table(name, value), None, description)

    def log_image(self, name, path=None, plot=None, description=""):
        # type: (str, str | os.PathLike[str] | None, typing.Any, str) -> None
        """Keep an image file, or a matplotlib figure (pyplot itself means the current one), with the run."""
        values.check_name("log_image", name)
        if (path is None) == (plot is None):
            raise ValueError("log_image('{}', …) takes either path= or plot=".format(name))
        if plot is not None and not hasattr(plot, "savefig"):
            words = "log_image('{}', plot=…) takes a matplotlib figure, not a {}: a file is given by path="
            raise TypeError(words.format(name, type(plot).__name__))
        if path is not None and not os.path.isfile(str(path)):
            raise FileNotFoundError("log_image('{}', …): there is no file {}".format(name, path))
        ending = ".png" if path is None else os.path.splitext(str(path))[1]
        target = _reserve(self._kept(self.layout.images), name, ending)
        if path is None:
            plot.savefig(target)
        else:
            shutil.copyfile(str(path), target)
        self._record("image", name, os.path.relpath(target, self.folder), None, description)

    def log_confusion_matrix(self, name, value, description="", labels=None):
        # type: (str, object, str, typing.Sequence[object] | None) -> None
        """Log a confusion matrix: rows of counts, or Azure ML's form with class_labels and matrix."""
        values.check_name("log_confusion_matrix", name)
        self._record("confusion_matrix", name, values.confusion_matrix(name, value, labels), None, description)

    def log_sample(self, rows):
        # type: (object) -> None
        """Keep the first rows of the data as the sample that a model of this run is described with."""
        write_json(self._kept(self.layout.sample), values.sample(rows))

    def tag(self, key, value=None):
        # type: (str, object) -> None
        """Set a tag; it can be set again."""
        values.check_name("tag", key)
        self._record("tag", key, None if value is None else values.one("tag", key, value))

    def set_tags(self, tags):
        # type: (dict[str, object]) -> None
        for key, value in values.mapping("set_tags", tags).items():
            self.tag(key, value)

    def set_properties(self, properties):
        # type: (dict[str, object]) -> None
        """Set properties, which never change once they are set."""
        known = self.get_properties()
        new = {}
        for key, value in values.mapping("set_properties", properties).items():
            values.check_name("set_properties", key)
            new[key] = None if value is None else values.one("set_properties", key, value)
            if key in known and known[key] != new[key]:
                words = "property '{}' is '{}' and cannot become '{}': properties never change, use tag(key, value)"
                raise ValueError(words.format(key, known[key], new[key]))
        for key, value in new.items():
            if key not in known:
                self._record("property", key, value)

    def add_properties(self, properties):
        # type: (dict[str, object]) -> None
        self.set_properties(properties)

    def get_metrics(self, name=None):
        # type: (str | None) -> dict[str, typing.Any]
        """The metrics by name: the value, or the list of values where it was logged more than once."""
        found = summary(self._records())
        return found if name is None else {key: value for key, value in found.items() if key == name}

    def get_tags(self):
        # type: () -> dict[str, typing.Any]
        return self._last("tag")

    def get_properties(self):
        # type: () -> dict[str, typing.Any]
        return self._last("property")

    def upload_file(self, name, path_or_stream):
        # type: (str, typing.Any) -> None
        """Keep a file, or what a stream gives, with the run as `name`: outputs/… or logs/…."""
        kept = values.kept_path("upload_file", name)
        is_stream = hasattr(path_or_stream, "read")
        if not is_stream and not os.path.isfile(str(path_or_stream)):
            raise FileNotFoundError("upload_file('{}', …): there is no file {}".format(name, path_or_stream))
        target = os.path.join(self._kept_folder(), kept)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if is_stream:
            _write_stream(path_or_stream, target)
        elif os.path.realpath(str(path_or_stream)) != os.path.realpath(target):  # v1 code uploads from outputs/ too
            shutil.copyfile(str(path_or_stream), target)

    def register_model(self, model_name, *args, **kwargs):  # noqa: ARG002 - v1's, and none of them helps
        # type: (str, typing.Any, typing.Any) -> typing.Any
        """Tell how the model is registered instead: a script's outputs are hashed after its end."""
        words = (
            "register_model('{0}') cannot register inside of the script, whose outputs are kept when it has ended: "
            "set model.name={0} in the config, or call `aml register RUN --name {0}` after the run"
        )
        raise RuntimeError(words.format(model_name))

    def child_run(self, name=None):
        # type: (str | None) -> Run
        """Begin a child of this run; the script that begins it ends it too."""
        return self._begin_child(name)

    def create_children(self, count=None, tag_key=None, tag_values=None):
        # type: (int | None, str | None, typing.Sequence[object] | None) -> list[Run]
        """Begin several children: `count` of them, or one for each of `tag_values`, tagged with it as `tag_key`."""
        if (count is None) == (tag_values is None) or (tag_values is None) != (tag_key is None):
            raise ValueError("create_children takes either count=, or tag_key= with tag_values=")
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
        """The children of this run, in the order of their beginning."""
        pattern = re.compile(re.escape(self.id) + r"_(\d+)$")
        experiment = os.path.dirname(self.folder)
        found = sorted(
            (int(match.group(1)), match.string) for match in map(pattern.match, os.listdir(experiment)) if match
        )
        return [self._other(os.path.join(experiment, name)) for _, name in found]

    def complete(self):
        # type: () -> None
        """End a child run or a local run; a submitted run ends with its script."""
        if not begun.is_submitted(self.folder):
            begun.end(self.folder, "Completed")

    def fail(self, error_details=None):
        # type: (object) -> None
        """End this run as failed; a submitted run fails when its script ends, whatever its exit status."""
        reason = "the script called run.fail()" if error_details is None else str(error_details)
        if begun.is_submitted(self.folder):
            begun.fail_script(reason)
            sys.stderr.write("amlcore: the script marked its run as failed: {}\n".format(reason))
        else:
            begun.end(self.folder, "Failed", reason)

    def flush(self, timeout_seconds=None):
        # type: (float | None) -> None
        """Nothing to do: what is logged is in the record when the call returns."""

    def __enter__(self):
        # type: () -> Run
        return self

    def __exit__(self, kind, error, trace):
        # type: (object, object, object) -> None
        if error is None:
            self.complete()
        elif not begun.is_submitted(self.folder):
            self.fail("{}: {}".format(type(error).__name__, error))

    def __repr__(self):
        # type: () -> str
        return "Run({})".format(self.id)

    def _begin_child(self, name, **facts):
        # type: (str | None, object) -> Run
        number = self._children
        while True:
            number += 1
            folder = "{}_{}".format(self.folder, number)
            try:
                os.mkdir(folder)
                break
            except FileExistsError:  # of another process of this script
                continue
        self._children = number
        script = self._facts().get("script")
        begun.begin(folder, experiment=self.experiment.name, parent=self.id, name=name, script=script, **facts)
        return self._other(folder)

    def _facts(self):
        # type: () -> dict[str, typing.Any]
        return read_json(self.layout.run) or {}

    def _records(self):
        # type: () -> list[dict[str, typing.Any]]
        return read_metrics(self.layout.metrics)

    def _fold_records(self, name):
        # type: (str) -> list[dict[str, typing.Any]]
        """What log_fold has logged so far; only what is new is read, however many folds there are."""
        if self._folds is None:
            self._folds = MetricsTail(self.layout.metrics), {}
        tail, known = self._folds
        for record in tail.read_new():
            if record["kind"] == "scalar" and record["name"].endswith(" fold"):
                known.setdefault(record["name"], []).append(record)
        return list(known.get(name, ()))

    def _last(self, kind):
        # type: (str) -> dict[str, typing.Any]
        return last_values(self.layout.metrics, kind)

    def _other(self, folder):
        # type: (str) -> Run
        """Another run, in the form of this one."""
        return type(self)(folder)

    def _kept_folder(self):
        # type: () -> str
        """The folder whose outputs/ and logs/ are kept with this run; of this script's own run its working copy."""
        attempt = self._attempt()
        if attempt is not None:
            return self.layout.attempt(attempt).work
        if os.path.exists(self.layout.config):
            raise RuntimeError(
                "upload_file: run {} is not the run of this script: its outputs are its own".format(self.id)
            )
        return self.folder

    def _attempt_began(self):
        # type: () -> float
        """When the script of this attempt was started, in seconds since the epoch; 0 outside of an attempt."""
        claim = read_json(self.layout.attempt(int(os.environ.get(ATTEMPT_VARIABLE, "0"))).claim)
        return float(claim["at"]) if claim else 0.0

    def _kept(self, path):
        # type: (str) -> str
        """Where this script writes what the run keeps at `path`.

        Once a newer attempt has begun that is the folder of its own attempt: a script that lives on at a node which
        the cluster gave up for lost changes nothing of the run.
        """
        number = self._attempt()
        if number is not None and os.path.exists(self.layout.attempt(number + 1).folder):
            return os.path.join(self.layout.attempt(number).folder, os.path.basename(path))
        return path

    def _attempt(self):
        # type: () -> int | None
        """The number of this attempt, where this is the run of this script."""
        if self.folder == os.environ.get(RUN_VARIABLE) and ATTEMPT_VARIABLE in os.environ:
            return int(os.environ[ATTEMPT_VARIABLE])
        return None

    def _record(self, kind, name, value, step=None, description=""):
        # type: (str, str, object, int | None, str) -> None
        folder, attempt = self._kept(self.layout.metrics), self._attempt()
        write_record(folder, kind, name, value=value, step=step, description=description, attempt=attempt)


def _local_run(kind):
    # type: (type[Run]) -> typing.Any
    from amlcore.worker.offline import local_run

    return local_run(kind)


def _write_stream(stream, path):
    # type: (typing.Any, str) -> None
    content = stream.read()
    with open(path, "wb") as target:
        target.write(content.encode("utf-8") if isinstance(content, str) else content)


def _reserve(folder, name, ending):
    # type: (str, str, str) -> str
    """Create a file of a safe name that nobody has yet."""
    os.makedirs(folder, exist_ok=True)
    stem = re.sub(r"[^\w.-]+", "_", name).strip("._") or "image"
    number = 0
    while True:
        path = os.path.join(folder, stem[:100] + ("_{}".format(number) if number else "") + ending)
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
            return path
        except FileExistsError:
            number += 1
